"""The settings that decide which tasks, models and files are deleted. A plan that was approved holds for them alone.

Those that decide how fast a pass is, how much of it is done, or what is printed, are not among them.
"""

from collections.abc import Mapping

from cleanup_job.settings.model import TABLE, Entry, Settings, env_name, names, shown

GROUPS = frozenset({"filters", "related", "files"})
"""Of these groups all do, apart from ``NOT``."""
NOT = frozenset({"stores_verify_certificate"})
BESIDE = frozenset({"files_host"})
"""Also in other groups: where a task's files are looked for."""
POLICIES = env_name("policies")
"""It counts by the digest of its file, wherever that is. Settings without policies don't have it at all."""


def decides(entry: Entry) -> bool:
    """Whether a setting decides what is deleted."""
    return (entry.group in GROUPS and entry.name not in NOT) or entry.name in BESIDE


def deciding(settings: Settings) -> dict[str, str]:
    """Each of these settings by its variable, as it may be shown; empty where there is none."""
    digest = settings.policies.digest
    found = {env_name(name): shown(name, _text(settings.value(name))) for name in names(decides)}
    return found | {POLICIES: digest} if digest else found


def notable(values: Mapping[str, str]) -> dict[str, str]:
    """Those of such settings that are not at their defaults."""
    defaults = {entry.env: _text(entry.default) for entry in TABLE.values()}
    return {name: value for name, value in values.items() if value != defaults.get(name)}


def differences(planned: Mapping[str, str], settings: Settings) -> list[str]:
    """The settings that differ from those of a plan, each with both values."""
    now = deciding(settings)
    return [
        f"{name} ({_value(planned, name)} in the plan, {_value(now, name)} here)"
        for name in (*now, *sorted(planned.keys() - now.keys()))
        if planned.get(name) != now.get(name)
    ]


def _value(values: Mapping[str, str], name: str) -> str:
    known = {entry.env for entry in TABLE.values()}
    if name not in values and name != POLICIES:
        return "unknown" if name in known else "not a setting"
    return repr(values[name]) if values.get(name) else "not set"


def _text(value: object) -> str:
    """A value as it would be written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
