"""``clearml-cleanup completion``: a script that completes commands, flags and their values in a shell."""

import argparse
from pathlib import Path

import shtab

EXAMPLES = (
    ("source <(clearml-cleanup completion bash)", "complete in this shell"),
    ("clearml-cleanup completion zsh > ~/.zfunc/_clearml-cleanup", "complete in every new one"),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell's name."""
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, metavar="SHELL", help="the shell: %(choices)s")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    print(script(options.shell))
    return 0


def script(shell: str) -> str:
    """The script for a shell. It needs to be made again only when the commands change: it calls nothing."""
    from cleanup_job.cli.main import filled_parsers  # noqa: PLC0415 -- main imports commands, not the other way round
    from cleanup_job.settings.model import TABLE  # noqa: PLC0415 -- as slow as the commands

    parser, commands = filled_parsers()
    for command in commands.values():
        for action in command._actions:  # noqa: SLF001 -- argparse has no other way to ask, and shtab looks there too
            action.help = (action.help or "").partition(". ")[0]  # menus have room for one sentence
            if action.dest in TABLE and TABLE[action.dest].choices:
                action.choices = TABLE[action.dest].choices  # the settings check values themselves, and say more about them
            if action.type is Path or (action.dest in TABLE and TABLE[action.dest].file):
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # how shtab wants it
    return shtab.complete(parser, shell)
