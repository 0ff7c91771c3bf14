"""``clearml-cleanup version``."""

import argparse
from importlib.metadata import version


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no flags."""


def run(_: argparse.Namespace) -> int:
    """Print the version."""
    print(version("clearml-cleanup"))
    return 0
