"""Settings as parameters of a task in ClearML: what people read and edit under CONFIGURATION in the Web UI.

The draft task has the four parameters of ClearML's own cleanup service in the section General, and in the section Settings
whatever else the environment sets: so a clone that an agent runs keeps what the CronJob's own pass would keep. Pure: no I/O.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cleanup_job.errors import SettingsError
from cleanup_job.settings import Settings, env_name, group_name
from cleanup_job.settings_text import SECRETS, unknown_name

GENERAL = "General"
SECTION = "Settings"
FIRST = ("cleanup_period_in_days", "delete_threshold_days", "force_delete", "run_as_service")
"""The parameters of ClearML's cleanup service, by its names."""
_OF_A_POD = {
    "lease",
    "lease_namespace",
    "lease_wait_seconds",
    "cronjob",
    "release",
    "job",
    "shards",
    "shard",
    "report",
    "log_format",
}
TRANSFERABLE = [
    name
    for name in Settings.model_fields
    if group_name(name) not in {"Connection", "Sweep", "ClearML task"} and name not in SECRETS | _OF_A_POD
]
"""Settings that mean the same wherever a pass runs."""

_FROM_HERE_WHOLE = 2
"""``1.0`` stays as ClearML's service writes it, ``30.0`` becomes its ``30``."""

Values = dict[str, str]
"""Parameters' texts by the settings' names."""


@dataclass(frozen=True, slots=True)
class Edit:
    """How to make a draft's parameters those of the environment without touching what somebody edited."""

    change: Values
    remove: frozenset[str]
    registered: Values
    """What the draft has from us then: whatever differs from it later was edited."""


def of_settings(settings: Settings, origins: Mapping[str, str]) -> Values:
    """The four parameters, and every other setting that is not at its default."""
    return {name: _text(getattr(settings, name)) for name in TRANSFERABLE if name in FIRST or origins[name] != "default"}


def section_of(name: str) -> str:
    """The section that a setting's parameter stands in."""
    return GENERAL if name in FIRST else SECTION


def entry(name: str, value: str) -> dict[str, str]:
    """A parameter as the API takes it."""
    description = str(Settings.model_fields[name].description)
    return {"section": section_of(name), "name": name, "value": value, "type": _KINDS[name], "description": description}


def read(hyperparams: Mapping[str, Any], task: str) -> Values:
    """The values in both sections; a setting may stand in either.

    Args:
        hyperparams: The task's, as the API gives them.
        task: The task in words, for errors.

    Raises:
        SettingsError: a name that is no setting, or one that a task can't have.
    """
    found: Values = {}
    for section in (SECTION, GENERAL):
        for name, parameter in (hyperparams.get(section) or {}).items():
            if name not in TRANSFERABLE:
                raise SettingsError(_not_a_parameter(f"{section}/{name} of {task}", name))
            value = parameter.get("value") if isinstance(parameter, Mapping) else None
            if not isinstance(value, str) or not value.strip():
                message = f"{section}/{name} of {task} is empty. Give it a value, or delete it to have the environment's."
                raise SettingsError(message)
            found[name] = value.strip()
    return found


def edited(found: Values, registered: Mapping[str, str]) -> Values:
    """The values that somebody gave a draft: those that are not what we last gave it."""
    return {name: value for name, value in found.items() if registered.get(name) != value}


def sync(found: Values, registered: Mapping[str, str], wanted: Values) -> Edit:
    """Bring a draft up to date: what was edited stays, and what was deleted comes back, since only a value is an edit."""
    kept = edited(found, registered)
    change = {name: value for name, value in wanted.items() if name not in kept and found.get(name) != value}
    return Edit(change, frozenset(found.keys() - kept.keys() - wanted.keys()), dict(wanted))


def origins_of(names: Iterable[str], task: str) -> dict[str, str]:
    """For each parameter the words that name its source."""
    return {name: f"{section_of(name)}/{name} of {task}" for name in names}


def _not_a_parameter(where: str, name: str) -> str:
    if name in Settings.model_fields:
        return (
            f"{where}: {env_name(name)} belongs to the place where the job runs; it can't be set in ClearML. Delete it there."
        )
    return f"{where}: {unknown_name(name, TRANSFERABLE)}"


def _kind(schema: Mapping[str, Any]) -> str:
    """The type of a parameter, by the JSON schema of its setting."""
    kinds = [kind.get("type") for kind in schema.get("anyOf", [schema])]
    return next((_NAMES[kind] for kind in kinds if kind in _NAMES), "str")


def _text(value: Any) -> str:
    """A value as people write it, and as it can be read again."""
    if isinstance(value, tuple):
        plain = not any("," in item for item in value) and not value[0].startswith("[")  # which would be read as JSON
        return ",".join(value) if plain else json.dumps(list(value))
    if isinstance(value, float) and value >= _FROM_HERE_WHOLE and value.is_integer():
        return str(int(value))
    return str(value)


_NAMES = {"boolean": "bool", "integer": "int", "number": "float"}
_KINDS = {name: _kind(schema) for name, schema in Settings.model_json_schema()["properties"].items()}
