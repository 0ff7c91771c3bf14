"""``clearml-cleanup status``: what is known of an installed release."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cleanup_job.cli.installed_release import add_release_flags, release_of
from cleanup_job.cli.status_text import rendered
from cleanup_job.cluster.status import Status, read
from cleanup_job.errors import UnreachableError
from cleanup_job.exit_codes import ExitCode
from cleanup_job.report.formatting import plain
from cleanup_job.report.json_lines import dumps

EXAMPLES = (
    ("clearml-cleanup status --namespace clearml", "the release in this namespace"),
    ("clearml-cleanup status --watch", "the same, kept up to date until Ctrl-C"),
    ("clearml-cleanup status --output json", "the same for programs"),
)
"""For the help: ways to call it, each with what it does."""
_EVERY = 5.0
_LEAST = 1.0
"""Seconds between two looks of `--watch`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name the release, and the form of the output."""
    add_release_flags(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text", help="output format (default: text)")
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=_seconds,
        const=_EVERY,
        help=f"look again every so many seconds (without a number: {_EVERY:.0f}) until Ctrl-C",
    )


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not _LEAST <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds of at least {_LEAST:.0f}")
    return number


def run(options: argparse.Namespace) -> int:
    """Print what is known of the release; with --watch, again and again."""
    console = Console(markup=False, highlight=False)
    if options.watch is None:
        found = read(*release_of(options))
        if options.output == "json":
            _write(dumps(found.as_document(), indent=2))
        else:
            console.print(rendered(found, console))
        return ExitCode.DONE
    try:
        _watch(_looks(lambda: read(*release_of(options)), options.watch), options, console)
    except KeyboardInterrupt:
        console.show_cursor()
    return ExitCode.SIGINT


def _looks(look: Callable[[], Status], pause: float) -> Iterator[tuple[Status, str]]:
    """What is known, again and again, and why it could not be read for the moment: then it is what was known before."""
    found = look()
    yield found, ""
    while True:
        time.sleep(pause)
        try:
            found = look()
            trouble = ""
        except UnreachableError as error:
            trouble = plain(error)
        yield found, trouble


def _watch(looks: Iterator[tuple[Status, str]], options: argparse.Namespace, console: Console) -> None:
    """Show each look: redrawn on a terminal, elsewhere only what differs from the one before."""
    if options.output == "text" and console.is_terminal:
        _redraw(looks, options.watch, console)
        return
    before: tuple[Status | None, str] = None, ""
    for found, trouble in looks:
        if trouble and trouble != before[1]:
            sys.stderr.write(trouble + "\n")
        if found != before[0] and options.output == "json":
            _write(dumps(found.as_document()))
        elif found != before[0]:
            console.print(*([] if before[0] is None else [Text()]), rendered(found, console))
        before = found, trouble


def _redraw(looks: Iterator[tuple[Status, str]], pause: float, console: Console) -> None:
    """Keep what is known on the terminal."""
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for found, trouble in looks:
            now = f"{datetime.now(UTC):%H:%M:%S} UTC"
            foot = Text(trouble or f"{now}, again every {pause:g} s. Ctrl-C ends it.", style="yellow" if trouble else "dim")
            live.update(Group(rendered(found, console), foot), refresh=True)


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
