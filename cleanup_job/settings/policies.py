"""The file with policies."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from cleanup_job.settings.fields import Group, option
from cleanup_job.settings.policy_document import PolicyDocument
from cleanup_job.settings.policy_file import read


def _readable(value: str) -> str:
    read(Path(value))
    return value


class PolicySettings(Group):
    """The life of tasks beyond deletion."""

    heading: ClassVar = "Policies"
    chart: ClassVar = False

    policies: Annotated[str, AfterValidator(_readable)] | None = option(
        None,
        "A YAML file with policies: which tasks are archived, slimmed and deleted, when, and what is kept. The settings of "
        "this page narrow what policies do, and never widen it; thresholds that are not at their defaults are the least ages. "
        "Without it, archived tasks are deleted by the settings alone. An agent can't read it, so a pass with policies runs in "
        "a pod.",
    )

    @property
    def document(self) -> PolicyDocument | None:
        """What the file says; None if there is none. It is read each time."""
        return read(Path(self.policies)) if self.policies is not None else None

    @property
    def digest(self) -> str:
        """The SHA-256 of the file as it is now; empty if there is none."""
        if self.policies is None:
            return ""
        try:
            return sha256(Path(self.policies).read_bytes()).hexdigest()
        except OSError:  # it was there when it was read: whoever reads it again says why it can't be read
            return ""
