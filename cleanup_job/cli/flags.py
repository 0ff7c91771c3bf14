"""The command line's flags, made from the settings."""

import argparse
from collections.abc import Iterable
from typing import Any

from cleanup_job.settings.model import Settings, env_name, flag_name, group_name
from cleanup_job.settings.text import SECRETS

OF_A_PASS = [name for name in Settings.model_fields if group_name(name) != "Sweep"]
"""The settings of a pass: all but those of `sweep` alone."""


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """A flag for each of these settings but the secrets, which have no place on a command line."""
    groups: dict[str, Any] = {}
    for name in names:
        if name in SECRETS:
            continue
        field = Settings.model_fields[name]
        group = groups.setdefault(group_name(name), parser.add_argument_group(group_name(name)))
        flag = flag_name(name)
        text = f"{field.description} [{env_name(name)}]".replace("%", "%%")
        if field.annotation is bool:
            group.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif field.default == ():
            group.add_argument(flag, dest=name, action="append", metavar="A,B", help=text)
        else:
            group.add_argument(flag, dest=name, metavar="VALUE", help=text)


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that stand on the command line."""
    found = {name: value for name, value in vars(options).items() if name in Settings.model_fields and value is not None}
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in found.items()}
