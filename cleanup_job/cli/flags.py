"""The command line's flags, made from the settings."""

import argparse
from collections.abc import Iterable
from typing import Any

from cleanup_job.cli.parser import Rare
from cleanup_job.settings.model import TABLE, Entry, names
from cleanup_job.settings.scopes import Scope

OF_A_PASS = names(lambda entry: entry.scope is not Scope.SWEEP)
"""The settings of a pass: all but those of `sweep` alone."""
OF_A_SWEEP = names(lambda entry: entry.sweeps)
"""The settings of a sweep."""


def add_flags(parser: argparse.ArgumentParser, settings: Iterable[str], *, often: Iterable[str] = ()) -> None:
    """Add a flag for each of these settings except secrets, which must not be on a command line.

    Args:
        parser: The command's parser.
        settings: Their names.
        often: Rarely used settings that this command is about: its ``--help`` shows them.
    """
    groups: dict[str, Any] = {}
    for name in settings:
        entry = TABLE[name]
        if entry.secret:
            continue
        if entry.heading not in groups:
            groups[entry.heading] = parser.add_argument_group(entry.heading)
        group = groups[entry.heading]
        text = _help(entry)
        if entry.rare and name not in often:
            text = Rare(text)
        if entry.is_switch:
            group.add_argument(entry.flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif entry.is_list:
            group.add_argument(entry.flag, dest=name, action="append", metavar="A,B", help=text)
        else:
            metavar = f"{{{','.join(entry.choices)}}}" if entry.choices else "VALUE"
            group.add_argument(entry.flag, dest=name, metavar=metavar, help=text)


def _help(entry: Entry) -> str:
    """What a flag means, which values it takes, what counts without it, and its variable."""
    words = [entry.field.description or ""]
    if entry.is_list and entry.choices:
        words.append(f"Choices: {', '.join(entry.choices)}.")
    if not entry.field.is_required() and "Default:" not in words[0]:
        words.append(f"(default: {_default(entry.default)})")
    return " ".join([*words, f"[{entry.env}]"]).replace("%", "%%")


def _default(value: Any) -> str:
    match value:
        case None | () | "":
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.10g}"
        case tuple():
            return ",".join(value)
        case _:
            return str(value)


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings given on the command line."""
    found = {name: value for name, value in vars(options).items() if name in TABLE and value is not None}
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in found.items()}
