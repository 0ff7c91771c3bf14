"""Settings as parameters of a task in ClearML: what people read and edit under CONFIGURATION in the Web UI.

The draft task has the four parameters of ClearML's own cleanup service in the section General, and everything else that the
environment sets in the section Settings, so a clone that an agent runs keeps what the CronJob's own pass would keep. Edits
there count as far as each setting's field allows (`scopes.py`). Pure: no I/O.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from cleanup_job.errors import SettingsError
from cleanup_job.settings.mistakes import unknown_name
from cleanup_job.settings.model import TABLE, Settings, names, schema_of, shown
from cleanup_job.settings.scopes import Asked, Bounds, Edit, Scope, needs_list, taken
from cleanup_job.settings.sources import DEFAULT

GENERAL = "General"
"""The section of the parameters that ClearML's own cleanup service has."""
SECTION = "Settings"
TRANSFERABLE = names(lambda entry: entry.scope is Scope.JOB)
"""Settings that mean the same on any machine."""
BOUNDS = names(lambda entry: entry.bound)
"""What the operator allows to be edited. Not parameters, but an agent's pass must know them."""
SHOWN = 200
"""Characters of a value in a message."""
_FROM_HERE_WHOLE = 2
"""The number from which on a whole float is written without a fraction: ClearML's service writes ``1.0``, but ``30``."""

Values = dict[str, str]
"""Parameters' texts by the settings' names."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The part of an edit in ClearML that counts."""

    values: Mapping[str, Any]
    """Values that differ from the operator's."""
    notes: tuple[str, ...]
    """What was not taken, and why, for people."""


@dataclass(frozen=True, slots=True)
class Sync:
    """How to update a draft's parameters from the environment without touching what was edited."""

    change: Values
    remove: frozenset[str]
    registered: Values
    """What the job wrote into the draft: a value that differs from it later was edited."""


def of_settings(settings: Settings, origins: Mapping[str, str]) -> Values:
    """The four parameters, and every other setting that is not at its default."""
    return {name: _text(settings.value(name)) for name in TRANSFERABLE if TABLE[name].original or origins[name] != DEFAULT}


def statement_of(settings: Settings, origins: Mapping[str, str]) -> Values:
    """All that an agent has to know of the operator's settings: the parameters, and which edits of them count."""
    bounds = {name: _text(settings.value(name)) for name in BOUNDS if origins[name] != DEFAULT}
    return of_settings(settings, origins) | bounds


def open_to(settings: Settings, names: Iterable[str]) -> frozenset[str]:
    """Those of these settings of which an edit in ClearML can count at all."""
    return frozenset(
        name
        for name in names
        if TABLE[name].edit is not Edit.NEVER
        and (not needs_list(TABLE[name].edit) or name in settings.service_task.task_editable)
    )


def narrowed(operator: Settings, asked: Settings, where: Mapping[str, str], *, trusted: bool = False) -> Taken:
    """The part of an edit that counts, given the operator's settings.

    Args:
        operator: The operator's settings.
        asked: The same with the edits that can count at all (`open_to`).
        where: For each edited setting, the words that name its place.
        trusted: Whether these are settings of the operator's too, not edits: of two such values the narrower counts.
    """
    bounds = Bounds(float("inf"), allow_force=False) if trusted else _bounds(operator)
    opened = frozenset(where) if trusted else open_to(operator, where)
    values, notes = {}, []
    for name, place in where.items():
        own, wanted = operator.value(name), asked.value(name)
        got = own
        if name in opened:
            choices = get_args(TABLE[name].field.annotation)
            got = taken(TABLE[name].edit, Asked(own, wanted, bounds, operator.filters.delete_threshold_days, choices))
        if got != own:
            values[name] = got
        if name not in opened or _differ(got, wanted):
            counts = f"; {_shown(name, got)} counts" if name in opened or TABLE[name].scope is Scope.JOB else ""
            notes.append(
                f"{place} was not taken{'' if name not in opened else f' as {_shown(name, wanted)}'}: "
                f"{_why(name, opened=name in opened, trusted=trusted)}{counts}"
            )
    return Taken(values, tuple(notes))


def _bounds(settings: Settings) -> Bounds:
    least = settings.service_task.task_min_threshold_days
    return Bounds(
        settings.filters.delete_threshold_days if least is None else least, settings.service_task.task_allow_force_delete
    )


def _differ(got: Any, wanted: Any) -> bool:
    return set(got) != set(wanted) if isinstance(got, tuple) else bool(got != wanted)


def _shown(name: str, value: Any) -> str:
    text = shown(name, _text(value) if value != () else "none")
    return f"{name}={text if len(text) <= SHOWN else text[:SHOWN] + '…'}"


def _why(name: str, *, opened: bool, trusted: bool) -> str:
    if trusted:
        return "the environment that the pass runs in allows less"
    if not opened:
        return "CLEANUP_TASK_EDITABLE does not list it" if needs_list(TABLE[name].edit) else "it can't be set in ClearML"
    reasons = {
        Edit.THRESHOLD: "it is shorter than the operator allows (CLEANUP_TASK_MIN_THRESHOLD_DAYS)",
        Edit.FORCE: "the operator has it off (CLEANUP_TASK_ALLOW_FORCE_DELETE)",
    }
    return reasons.get(TABLE[name].edit, "an edit in ClearML can only make a pass delete less")


def section_of(name: str) -> str:
    """The section of a setting's parameter."""
    return GENERAL if TABLE[name].original else SECTION


def entry(name: str, value: str) -> dict[str, str]:
    """A parameter as the API takes it."""
    description = str(TABLE[name].field.description)
    return {"section": section_of(name), "name": name, "value": value, "type": _KINDS[name], "description": description}


def read(hyperparams: Mapping[str, Any], task: str) -> Values:
    """The values in both sections; a setting may be in either.

    Args:
        hyperparams: The task's parameters, as the API returns them.
        task: The task in words, for errors.

    Raises:
        SettingsError: an unknown setting, or an empty value.
    """
    found: Values = {}
    for section in (SECTION, GENERAL):
        for name, parameter in (hyperparams.get(section) or {}).items():
            if name not in TABLE:
                raise SettingsError(f"{section}/{name} of {task}: {unknown_name(name, TRANSFERABLE)}")
            value = parameter.get("value") if isinstance(parameter, Mapping) else None
            if not isinstance(value, str) or not value.strip():
                message = f"{section}/{name} of {task} is empty. Give it a value, or delete it to use the environment's."
                raise SettingsError(message)
            found[name] = value.strip()
    return found


def edited(found: Values, registered: Mapping[str, str]) -> Values:
    """The values that were edited in a draft: those that the job did not write there."""
    return {name: value for name, value in found.items() if registered.get(name) != value}


def parameters_of(statement: Values) -> Values:
    """The part of the operator's settings that people can edit in the task."""
    return {name: value for name, value in statement.items() if name not in BOUNDS}


def sync(found: Values, registered: Mapping[str, str], statement: Values) -> Sync:
    """Bring a draft up to date: what was edited is kept, and what was deleted is restored, since only a value is an edit."""
    wanted = parameters_of(statement)
    kept = edited(found, registered)
    change = {name: value for name, value in wanted.items() if name not in kept and found.get(name) != value}
    return Sync(change, frozenset(found.keys() - kept.keys() - wanted.keys()), dict(statement))


def cloned(found: Values, values: Values, statement: Values) -> Sync:
    """Give a clone of a draft these values instead of the draft's."""
    return Sync(values, frozenset(found), dict(statement))


def origins_of(names: Iterable[str], task: str) -> dict[str, str]:
    """For each parameter, the words that name its source."""
    return {name: f"{section_of(name)}/{name} of {task}" for name in names}


def _kind(schema: Mapping[str, Any]) -> str:
    """The type of a parameter, by the JSON schema of its setting."""
    kinds = [kind.get("type") for kind in schema.get("anyOf", [schema])]
    return next((_NAMES[kind] for kind in kinds if kind in _NAMES), "str")


def _text(value: Any) -> str:
    """A value as people write it, and as it can be read again."""
    if isinstance(value, tuple) and value:
        plain = not any("," in item for item in value) and not value[0].startswith("[")  # which would be read as JSON
        return ",".join(value) if plain else json.dumps(list(value))
    if isinstance(value, float) and value >= _FROM_HERE_WHOLE and value.is_integer():
        return str(int(value))
    return str(value)


_NAMES = {"boolean": "bool", "integer": "int", "number": "float"}
_KINDS = {name: _kind(schema_of(name)) for name in TABLE}
