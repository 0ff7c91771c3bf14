"""Where settings come from: each source of pydantic-settings gives its values, and remembers where each one stands.

A value is taken from the flag, else from the task in ClearML (where there is one), else from the environment, else (for the
connection) from clearml.conf, else it is the default. Nothing that is empty, misspelled or out of bounds is ever read as
"no limit": it is an error that names the setting, the value and the way out.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from cleanup_job.errors import SettingsError
from cleanup_job.settings.mistakes import explained, unknown_name
from cleanup_job.settings.model import PREFIX, TABLE, Settings

DEFAULT = "default"
"""The origin of a value that no source has."""
_SERVICE_LINK = re.compile(r"CLEANUP(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
"""What Kubernetes (service links in the style of Docker) sets in every pod of a namespace with a Service named `cleanup…`."""

Given = tuple[Any, str]
"""A value, and the words that name where it came from."""


class Source(PydanticBaseSettingsSource):
    """A place that settings are read from."""

    def __init__(self) -> None:
        super().__init__(Settings)
        self.found: Mapping[str, Given] = {}
        """What it had, by the settings' names."""

    @abstractmethod
    def read(self) -> Mapping[str, Given]:
        """Its values, by the settings' names.

        Raises:
            SettingsError: it can't be read, or has what is not a setting.
        """

    def where(self, name: str) -> str:
        """How an error names the place of a value."""
        return self.found[name][1]

    def so_far(self, name: str) -> Any:
        """What the sources that rank higher have for a setting; None where they have nothing."""
        return self.current_state.get(TABLE[name].group, {}).get(name)

    def __call__(self) -> dict[str, Any]:
        """Its values, as pydantic-settings takes them: by group."""
        self.found = self.read()
        # Every group is there, so that its own rules are checked even if nothing is set in it.
        groups: dict[str, dict[str, Any]] = {group: {} for group in Settings.model_fields}
        for name, (value, _) in self.found.items():
            groups[TABLE[name].group][name] = value
        return groups

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: ``read`` gives all values at once, under flat names."""
        del field
        return None, field_name, False


class Flags(Source):
    """The command line."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__()
        self._given = given

    def read(self) -> Mapping[str, Given]:
        """Values by name, as the parser gave them."""
        return {name: (value, TABLE[name].flag) for name, value in self._given.items()}


class Parameters(Source):
    """The parameters of a task in ClearML that count."""

    def __init__(self, given: Mapping[str, Given]) -> None:
        super().__init__()
        self._given = given

    def read(self) -> Mapping[str, Given]:
        """As they were given, each with its place in the task."""
        return self._given


class Environment(Source):
    """The environment, in which every variable with our prefix must be a setting."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._environ = environ

    def read(self) -> Mapping[str, Given]:
        """The variables that are set.

        Raises:
            SettingsError: one with our prefix is not a setting, or one is empty.
        """
        variables = {entry.env: entry.name for entry in TABLE.values()}
        unknown = [name for name in self._environ if self._is_unknown(name, variables)]
        if unknown:
            raise SettingsError("\n".join(unknown_name(name, variables) for name in sorted(unknown)))
        found = {variable: self._environ[variable].strip() for variable in variables if variable in self._environ}
        empty = [variable for variable, value in found.items() if not value]
        if empty:
            raise SettingsError(f"{', '.join(empty)}: set but empty. Give a value, or unset it to use the default.")
        return {variables[variable]: (value, variable) for variable, value in found.items()}

    @staticmethod
    def _is_unknown(name: str, variables: Mapping[str, str]) -> bool:
        return name.startswith(PREFIX) and name not in variables and not _SERVICE_LINK.fullmatch(name)


def load(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    lower: Iterable[Source] = (),
    parameters: Mapping[str, Given] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each one where its value came from.

    Args:
        flags: Values given on the command line, by the settings' names.
        environ: The environment.
        lower: Sources that rank below the environment.
        parameters: What counts of a task in ClearML: it ranks above the environment, and below flags.

    Raises:
        SettingsError: something is empty, unknown, malformed or missing.
    """
    sources: list[Source] = [Flags(flags), Parameters(parameters or {}), Environment(environ), *lower]
    try:
        settings = Settings(sources=tuple(sources))  # type: ignore[call-arg]  # the fields come from the sources
    except ValidationError as error:
        raise SettingsError(explained(error, _values(sources), TABLE)) from None
    origins = dict.fromkeys(TABLE, DEFAULT)
    for source in reversed(sources):
        origins |= {name: origin for name, (_, origin) in source.found.items()}
    return settings, origins


def only(names: Iterable[str], flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Settings of which only these are read, and all others are at their defaults: for a run whose settings may be wrong.

    Raises:
        SettingsError: one of these is wrong.
    """
    read = set(names)
    variables = {TABLE[name].env for name in read}
    required = {entry.env: "http://any" for entry in TABLE.values() if entry.field.is_required()}
    given = {name: value for name, value in flags.items() if name in read}
    return load(given, required | {name: value for name, value in environ.items() if name in variables})[0]


def _values(sources: Iterable[Source]) -> dict[str, Given]:
    """For each setting the value that counts, and how an error names its place."""
    found: dict[str, Given] = {}
    for source in sources:
        for name, (value, _) in source.found.items():
            found.setdefault(name, (value, source.where(name)))
    return found
