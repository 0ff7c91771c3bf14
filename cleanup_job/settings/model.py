"""All settings, in groups, and what is known of each: its variable, its flag, where it may differ.

The environment, the flags, a task's parameters, clearml.conf, the chart's values and the reference page all use the flat names
in ``TABLE``, which is computed from the groups: ``max_tasks`` is ``Settings.limits.max_tasks``. To add a setting, add a field
to its group.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from cleanup_job.redaction import MASK, redacted
from cleanup_job.settings.audit import AuditSettings
from cleanup_job.settings.cluster import ClusterSettings
from cleanup_job.settings.connection import ConnectionSettings
from cleanup_job.settings.fields import Group
from cleanup_job.settings.filters import FilterSettings, RelatedSettings
from cleanup_job.settings.limits import FileSettings, LimitSettings, RunSettings
from cleanup_job.settings.metrics import MetricsSettings
from cleanup_job.settings.mistakes import meant
from cleanup_job.settings.notify import NotifySettings
from cleanup_job.settings.output import OutputSettings
from cleanup_job.settings.policies import PolicySettings
from cleanup_job.settings.scopes import Edit, Scope
from cleanup_job.settings.service_task import ScheduleSettings, ServiceTaskSettings
from cleanup_job.settings.sweep import SweepSettings

PREFIX = "CLEANUP_"


class Settings(BaseSettings):
    """All settings of a pass, checked. ``sources.load`` makes them."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False)

    connection: ConnectionSettings
    filters: FilterSettings
    related: RelatedSettings
    policies: PolicySettings
    limits: LimitSettings
    files: FileSettings
    run: RunSettings
    cluster: ClusterSettings
    service_task: ServiceTaskSettings
    output: OutputSettings
    audit: AuditSettings
    metrics: MetricsSettings
    notify: NotifySettings
    sweep: SweepSettings
    schedule: ScheduleSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources that ``load`` gives: they know our names, and remember where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        assert isinstance(init_settings, InitSettingsSource)  # noqa: S101 -- pydantic-settings gives its own
        given: tuple[PydanticBaseSettingsSource, ...] = init_settings.init_kwargs["sources"]
        return given

    def value(self, name: str) -> Any:
        """The value of a setting by its flat name."""
        return getattr(getattr(self, TABLE[name].group), name)

    def text(self, name: str) -> str:
        """The value of a setting as it may be shown; empty if it has none."""
        value = self.value(name)
        text = "" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return shown(name, text) if text else ""

    def replaced(self, **values: Any) -> Self:
        """The same settings with other values, which are not checked, by their flat names."""
        groups: dict[str, Group] = {}
        for name, value in values.items():
            group = TABLE[name].group
            groups[group] = (groups.get(group) or getattr(self, group)).model_copy(update={name: value})
        return self.model_copy(update=groups)

    @model_validator(mode="after")
    def _knows_its_shard(self) -> Self:
        shards, shard = self.run.shards, self.run.shard
        if shards > 1 and shard is None:
            message = (
                f"CLEANUP_SHARDS={shards}, but JOB_COMPLETION_INDEX is not set: shards are the indexes of an Indexed Job, "
                "which the chart creates. Unset CLEANUP_SHARDS to run one pass over all tasks."
            )
            raise ValueError(message)
        if shard is not None and shard >= shards:
            message = (
                f"JOB_COMPLETION_INDEX={shard}, but CLEANUP_SHARDS={shards}: several indexes would do the same work. Set "
                "CLEANUP_SHARDS to the Job's completions."
            )
            raise ValueError(message)
        if shards > 1 and self.service_task.task_mode == "agent":
            message = f"CLEANUP_TASK_MODE=agent, but CLEANUP_SHARDS={shards}: an agent runs a pass alone. Unset one of the two."
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _has_its_policies(self) -> Self:
        if self.policies.policies and self.service_task.task_mode == "agent":
            message = (
                f"CLEANUP_TASK_MODE=agent, but CLEANUP_POLICIES={self.policies.policies}: an agent has no such file. Run "
                "passes with policies in pods (CLEANUP_TASK_MODE=pod), or unset CLEANUP_POLICIES."
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _has_a_report_for_each_shard(self) -> Self:
        shared = [address for address in self.output.report if "{shard}" not in address]
        if self.run.shards > 1 and shared:
            message = (
                f"CLEANUP_REPORT={redacted(shared[0])}, but CLEANUP_SHARDS={self.run.shards}: all pods of the pass would write "
                "the same file. Add {shard} to its name."
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _lists_known_settings(self) -> Self:
        for name in self.service_task.task_editable:
            if name not in TABLE:
                hint = meant(name, TABLE, "names are written like delete_threshold_days")
                raise PydanticCustomError(OF_SETTING, "unknown setting {name}; {hint}", {
                    "setting": "task_editable", "name": name, "hint": hint,
                })  # fmt: skip
        return self


OF_SETTING = "of_setting"
"""The type of an error that names its setting in its context: several groups had to be looked at to find it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a setting."""

    name: str
    group: str
    """The attribute of ``Settings`` that has it."""
    heading: str
    field: FieldInfo
    env: str
    flag: str
    conf: str
    """Its key in clearml.conf, if it has one."""
    scope: Scope
    edit: Edit
    secret: bool
    file: bool
    original: bool
    bound: bool
    sweeps: bool
    chart: bool
    rare: bool

    @property
    def default(self) -> Any:
        """Its value where no source has one; None where one must."""
        return None if self.field.is_required() else self.field.default

    @property
    def is_switch(self) -> bool:
        """Whether it is true or false."""
        return self.field.annotation is bool

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.default, tuple)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it, or each of its items, can have; none where these can't be listed."""
        kind: Any = self.field.annotation
        if get_origin(kind) is tuple:
            kind = get_args(kind)[0]
        return get_args(kind) if get_origin(kind) is Literal else ()


def _entries() -> Iterator[Entry]:
    for attribute, holder in Settings.model_fields.items():
        group = holder.annotation
        assert isinstance(group, type)  # noqa: S101 -- each field of Settings is a group
        assert issubclass(group, Group)  # noqa: S101 -- tells the type checker
        for name, field in group.model_fields.items():
            said = field.json_schema_extra
            assert isinstance(said, dict)  # noqa: S101 -- each field of a group is made by `option`
            about: dict[str, Any] = dict(said)
            for key in ("scope", "sweeps", "chart", "rare"):
                about[key] = getattr(group, key) if about[key] is None else about[key]
            about["env"] = about["env"] or PREFIX + name.upper()
            about["flag"] = about["flag"] or "--" + name.replace("_", "-")
            yield Entry(name, attribute, group.heading, field, **about)


TABLE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _entries()})
"""Every setting by its flat name, in the order of the reference page."""


def names(which: Callable[[Entry], bool] = lambda _: True) -> tuple[str, ...]:
    """The names of all settings of a kind."""
    return tuple(entry.name for entry in TABLE.values() if which(entry))


def schema_of(name: str) -> dict[str, Any]:
    """The JSON schema of a setting."""
    return dict(_SCHEMAS[name])


def shown(name: str, value: object) -> str:
    """A setting's value as it may be shown."""
    return MASK if TABLE[name].secret else redacted(str(value))


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for holder in Settings.model_fields.values():
        group = holder.annotation
        assert isinstance(group, type) and issubclass(group, Group)  # noqa: S101, PT018 -- as above
        found |= group.model_json_schema()["properties"]
    return found


_SCHEMAS = _schemas()


def env_name(name: str) -> str:
    """The environment variable of a setting."""
    return TABLE[name].env


def flag_name(name: str) -> str:
    """The flag of a setting."""
    return TABLE[name].flag
