"""The file with policies."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from cleanup_job.settings.fields import Group, option
from cleanup_job.settings.policy_document import PolicyDocument
from cleanup_job.settings.policy_file import Loaded, load


class _Path(str):
    """The path of the file, with what was in it when the settings were read: Kubernetes may replace it during a pass."""

    __slots__ = ("loaded",)
    loaded: Loaded

    @classmethod
    def of(cls, value: str) -> "_Path":
        path = cls(value)
        path.loaded = load(Path(value))
        return path


class PolicySettings(Group):
    """The life of tasks beyond deletion."""

    heading: ClassVar = "Policies"
    chart: ClassVar = False

    policies: Annotated[str, AfterValidator(_Path.of)] | None = option(
        None,
        "A YAML file with policies: which tasks are archived, slimmed and deleted, when, and what is kept (docs/policies.md). "
        "The settings of this page narrow what policies do, and never widen it; thresholds that are not at their defaults are "
        "the least ages. Without it, archived tasks are deleted by the settings alone. An agent can't read it, so a pass with "
        "policies runs in a pod.",
    )

    @property
    def document(self) -> PolicyDocument | None:
        """What the file said when the settings were read; None if there is none."""
        loaded = self._loaded
        return loaded.document if loaded is not None else None

    @property
    def digest(self) -> str:
        """That of the file as it was then, in hexadecimal digits; empty if there is none."""
        loaded = self._loaded
        return loaded.digest if loaded is not None else ""

    @property
    def _loaded(self) -> Loaded | None:
        if self.policies is None:
            return None
        return (self.policies if isinstance(self.policies, _Path) else _Path.of(self.policies)).loaded
