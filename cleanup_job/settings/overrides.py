"""Settings for a single Job, as ``trigger --set NAME=VALUE`` takes them: checked here, before anything is made."""

import difflib
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter

from cleanup_job.errors import SettingsError
from cleanup_job.settings.model import PREFIX, Settings, env_name, flag_name, load, names_file, scope_of
from cleanup_job.settings.scopes import Scope
from cleanup_job.settings.text import SECRETS, setting_name

# Only what is given is to be checked.
_CONNECTION = {"CLEARML_API_HOST": "http://any", "CLEARML_API_ACCESS_KEY": "any", "CLEARML_API_SECRET_KEY": "any"}


def parse(given: Sequence[str]) -> dict[str, str]:
    """Variables and their values, from NAME=VALUE; a name is a variable, a setting's or a value's of the chart.

    Raises:
        SettingsError: no such setting, one that can't be overridden, or a value that the job would refuse.
    """
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise SettingsError(f"--set {text}: write NAME=VALUE, for instance --set maxTasks=100.")
        field = _field(name.strip())
        found[env_name(field)] = value
    paths = {env_name(field) for field in Settings.model_fields if names_file(field)}
    # A path in the pod can't be looked at from here, unless it is empty, which is wrong anywhere.
    checked = {variable: value for variable, value in found.items() if variable not in paths or not value.strip()}
    load({}, _CONNECTION | checked, {})
    return found


def as_arguments(found: Mapping[str, str]) -> list[str]:
    """The same as flags, which win over variables and over what was edited in ClearML."""
    arguments = []
    for field in Settings.model_fields:
        value = found.get(env_name(field))
        if value is None:
            continue
        if Settings.model_fields[field].annotation is bool:
            arguments.append(flag_name(field) if as_bool(value) else "--no-" + flag_name(field).removeprefix("--"))
        else:
            arguments.append(f"{flag_name(field)}={value}")
    return arguments


def as_bool(value: str) -> bool:
    """A yes or no, as the settings read it."""
    return TypeAdapter(bool).validate_python(value.strip())


def check_arguments(found: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Check that no argument of the CronJob's container, which would win, stands against a variable.

    Raises:
        SettingsError: one does.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    for field in Settings.model_fields:
        flag = field.replace("_", "-")
        if env_name(field) in found and (stands := given & {f"--{flag}", f"--no-{flag}"}):
            raise SettingsError(
                f"--set {field}: the CronJob's container has the argument {stands.pop()}, which would win. Change it there."
            )


def _field(name: str) -> str:
    known = {written: field for field in Settings.model_fields for written in (field, env_name(field))}
    snake = setting_name(name)
    field = known.get(name) or known.get(snake)
    if field is None:
        near = difflib.get_close_matches(snake, list(Settings.model_fields), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"`clearml-cleanup settings` lists them ({PREFIX}…)."
        raise SettingsError(f"--set {name}: there is no such setting; {hint}")
    if field in SECRETS:
        raise SettingsError(
            f"--set {name}: credentials have no place on a command line or in a Job, where many can read them. "
            "Change the Secret that the CronJob takes them from."
        )
    if scope_of(field) is Scope.SWEEP:
        raise SettingsError(f"--set {name}: it belongs to sweeps; `trigger` starts a pass.")
    if scope_of(field) is Scope.RELEASE:
        raise SettingsError(f"--set {name}: it keeps two passes from running at once, so it is the same for all Jobs.")
    return field
