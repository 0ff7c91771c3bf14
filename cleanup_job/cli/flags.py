"""The command line's flags, made from the settings."""

import argparse
from collections.abc import Iterable
from typing import Any

from cleanup_job.settings.model import TABLE, names
from cleanup_job.settings.scopes import Scope

OF_A_PASS = names(lambda entry: entry.scope is not Scope.SWEEP)
"""The settings of a pass: all but those of `sweep` alone."""
OF_A_SWEEP = names(lambda entry: entry.sweeps)
"""The settings of a sweep."""


def add_flags(parser: argparse.ArgumentParser, settings: Iterable[str]) -> None:
    """Add a flag for each of these settings except secrets, which must not be on a command line."""
    groups: dict[str, Any] = {}
    for name in settings:
        entry = TABLE[name]
        if entry.secret:
            continue
        if entry.heading not in groups:
            groups[entry.heading] = parser.add_argument_group(entry.heading)
        group = groups[entry.heading]
        text = f"{entry.field.description} [{entry.env}]".replace("%", "%%")
        if entry.is_switch:
            group.add_argument(entry.flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif entry.is_list:
            group.add_argument(entry.flag, dest=name, action="append", metavar="A,B", help=text)
        else:
            group.add_argument(entry.flag, dest=name, metavar="VALUE", help=text)


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings given on the command line."""
    found = {name: value for name, value in vars(options).items() if name in TABLE and value is not None}
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in found.items()}
