"""``clearml-cleanup sweep``: task folders whose record no longer exists."""

import argparse
import sys
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Self

from rich.console import Console

from cleanup_job import wiring
from cleanup_job.cli.flags import OF_A_SWEEP, add_flags, given
from cleanup_job.cli.streams import watched
from cleanup_job.cli.terminal import LEVELS, warn
from cleanup_job.errors import CleanupError
from cleanup_job.exit_codes import ExitCode
from cleanup_job.job import messages, metrics, pod
from cleanup_job.job.sweep_job import SweepJob
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.sweep_outcome import Orphan, SweepReport
from cleanup_job.report import json_lines
from cleanup_job.report.formatting import plain
from cleanup_job.report.sweep import finished_line, orphan_line, print_orphan, print_sum
from cleanup_job.settings.model import Settings

EXAMPLES = (
    ("clearml-cleanup sweep --store s3://bucket/clearml", "list task folders without a record, delete nothing"),
    (
        "clearml-cleanup sweep --store /mnt/fileserver --delete --grace-days 60",
        "delete those without a change in the last 60 days",
    ),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a sweep."""
    add_flags(parser, OF_A_SWEEP)


def run(options: argparse.Namespace) -> int:
    """Run a sweep; gives the exit code."""
    try:
        settings, _ = wiring.read_settings(given(options))
    except CleanupError as error:
        explain(str(error), error.exit_code, given(options))
        raise
    stop = Stop()
    with watched(stop):
        return SweepJob(settings, _Output(settings), stop).run()


def explain(error: str, code: ExitCode, flags: Mapping[str, Any] | None = None) -> None:
    """Explain in the termination message, metrics and messages why no sweep ran."""
    pod.write_termination_message(f"error: {error}")
    metrics.send_failure(code, warn, sweep=True, flags=flags)
    messages.send_failure(error, code, warn, sweep=True, flags=flags)


class _Output:
    """Text on a terminal, JSON lines elsewhere, unless the settings name one."""

    def __init__(self, settings: Settings) -> None:
        self._console = Console()
        self._text = settings.output.log_format == "text" or (
            settings.output.log_format == "auto" and self._console.is_terminal
        )
        self._least = LEVELS.index(settings.output.log_level)
        self._task_level = settings.output.task_log_level
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def orphan(self, orphan: Orphan) -> None:
        """Print a task folder without a record."""
        self._print(lambda: print_orphan(orphan, self._console), lambda: orphan_line(orphan, self._task_level))

    def warning(self, text: str) -> None:
        """Print a warning."""
        self._print(lambda: self._console.print(f"warning: {plain(text)}", markup=False), lambda: json_lines.warning(text))

    def finished(self, report: SweepReport) -> None:
        """Print the totals."""
        self._print(lambda: print_sum(report, self._console), lambda: finished_line(report))

    def _print(self, text: Callable[[], None], line: Callable[[], json_lines.Line]) -> None:
        with self._lock:
            if self._text:
                text()
            elif LEVELS.index(str((made := line())["level"])) >= self._least:
                print(json_lines.dumps(made), file=sys.stdout, flush=True)
