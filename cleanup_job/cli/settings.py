"""``clearml-cleanup settings``: the effective values and where each came from."""

import argparse

from rich.console import Console
from rich.table import Table

from cleanup_job import wiring
from cleanup_job.cli.flags import OF_A_PASS, add_flags, given
from cleanup_job.cli.terminal import warn
from cleanup_job.planning import contradictions
from cleanup_job.settings.model import TABLE, Settings

EXAMPLES = (
    ("clearml-cleanup settings", "the settings that count here"),
    ("clearml-cleanup settings --projects vision --max-tasks 100", "what these flags would change"),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a pass, to see what it would change."""
    add_flags(parser, OF_A_PASS)


def run(options: argparse.Namespace) -> int:
    """Print the settings."""
    settings, origins = wiring.read_settings(given(options))
    table = Table(title="Settings", title_justify="left")
    table.add_column("setting", no_wrap=True)  # whole, also where the terminal is narrow: people copy them
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    group = ""
    for name, entry in TABLE.items():
        if entry.heading != group:
            group = entry.heading
            table.add_section()
        table.add_row(entry.env, _value(settings, name), origins[name])
    Console(markup=False, highlight=False).print(table)
    if found := contradictions.of_settings(settings.filters):
        warn(found)
    return 0


def _value(settings: Settings, name: str) -> str:
    """A value, and of the file with policies what tells its content apart."""
    digest = settings.policies.digest if name == "policies" else ""
    return f"{settings.text(name)} (BLAKE2b {digest})" if digest else settings.text(name)
