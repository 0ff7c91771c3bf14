"""Settings for a single Job, as ``trigger --set NAME=VALUE`` takes them: checked here, before anything is made."""

import difflib
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter

from cleanup_job.errors import SettingsError
from cleanup_job.settings.model import PREFIX, TABLE
from cleanup_job.settings.scopes import Scope
from cleanup_job.settings.sources import load
from cleanup_job.settings.text import setting_name

_REQUIRED = {entry.env: "http://any" for entry in TABLE.values() if entry.field.is_required()}
"""Any valid value for what must be set, so that only what is given is checked."""


def parse(given: Sequence[str]) -> dict[str, str]:
    """Variables and their values, from NAME=VALUE; a name is a variable, a setting's or a value's of the chart.

    Raises:
        SettingsError: an unknown setting, one that can't be overridden, or a value that the job would refuse.
    """
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise SettingsError(f"--set {text}: write NAME=VALUE, for instance --set maxTasks=100.")
        found[TABLE[_setting(name.strip())].env] = value
    paths = {entry.env for entry in TABLE.values() if entry.file}
    # A path in the pod can't be checked from here, unless it is empty, which is wrong anywhere.
    checked = {variable: value for variable, value in found.items() if variable not in paths or not value.strip()}
    load({}, _REQUIRED | checked)
    return found


def as_arguments(found: Mapping[str, str]) -> list[str]:
    """The same as flags, which take precedence over variables and over what was edited in ClearML."""
    arguments = []
    for entry in TABLE.values():
        value = found.get(entry.env)
        if value is None:
            continue
        if entry.is_switch:
            arguments.append(entry.flag if as_bool(value) else "--no-" + entry.flag.removeprefix("--"))
        else:
            arguments.append(f"{entry.flag}={value}")
    return arguments


def as_bool(value: str) -> bool:
    """A yes or no, as the settings read it."""
    return TypeAdapter(bool).validate_python(value.strip())


def check_arguments(found: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Check that no argument of the CronJob's container contradicts a variable: the argument would take precedence.

    Raises:
        SettingsError: one does.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    for entry in TABLE.values():
        if entry.env not in found:
            continue
        contrary = given & {entry.flag, "--no-" + entry.flag.removeprefix("--")}
        if contrary:
            raise SettingsError(
                f"--set {entry.name}: the CronJob's container has the argument {contrary.pop()}, which takes precedence. "
                "Change it there."
            )


def _setting(name: str) -> str:
    known = {written: entry.name for entry in TABLE.values() for written in (entry.name, entry.env)}
    snake = setting_name(name)
    found = known.get(name) or known.get(snake)
    if found is None:
        near = difflib.get_close_matches(snake, list(TABLE), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"`clearml-cleanup settings` lists them all ({PREFIX}…)."
        raise SettingsError(f"--set {name}: unknown setting; {hint}")
    if TABLE[found].secret:
        raise SettingsError(
            f"--set {name}: credentials must not be on a command line or in a Job, where many can read them. "
            "Change the Secret that the CronJob takes them from."
        )
    if TABLE[found].scope is Scope.SWEEP:
        raise SettingsError(f"--set {name}: this setting is for sweeps; `trigger` starts a pass.")
    if TABLE[found].scope is Scope.RELEASE:
        raise SettingsError(
            f"--set {name}: this setting prevents two passes from running at once, so it must be the same for all Jobs."
        )
    return found
