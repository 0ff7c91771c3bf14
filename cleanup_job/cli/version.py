"""``clearml-cleanup version``."""

import argparse
from importlib.metadata import version

EXAMPLES = (("clearml-cleanup version", "this release"),)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no flags."""


def run(_: argparse.Namespace) -> int:
    """Print the version."""
    print(version("clearml-cleanup"))
    return 0
