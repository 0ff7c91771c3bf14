"""The output of a pass: progress and tables on a terminal, JSON lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from threading import Lock
from typing import Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cleanup_job.job.pass_job import Output
from cleanup_job.planning.outcome import Report, TaskOutcome, Verdict
from cleanup_job.redaction import redacted
from cleanup_job.report import json_lines, table
from cleanup_job.report.formatting import plain
from cleanup_job.settings.model import Settings

LEVELS = ("debug", "info", "warning", "error")
EVERY = 60.0
"""Seconds between two progress lines."""


def say(text: str) -> None:
    """Print a line."""
    Console(soft_wrap=True).print(plain(text), markup=False, highlight=False)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    Console(stderr=True, soft_wrap=True).print(f"warning: {plain(text)}", style="yellow", markup=False, highlight=False)


class JsonOutput(Output):
    """One JSON object per line, as docs/log-schema.md describes."""

    def __init__(self, stream: TextIO, level: str) -> None:
        """Lines below ``level`` are not printed."""
        self._stream = stream
        self._least = LEVELS.index(level)
        self._lock = Lock()
        self._report: Report | None = None
        self._total: int | None = None
        self._done = 0
        self._began = self._last_progress = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def _print(self, line: dict[str, object]) -> None:
        if LEVELS.index(str(line["level"])) >= self._least:
            with self._lock:
                print(json_lines.dumps(line), file=self._stream, flush=True)

    def parameters(self, rows: Sequence[tuple[str, str, str]]) -> None:
        self._print(json_lines.parameters(rows))

    def skipped(self, text: str, line: json_lines.Line) -> None:  # noqa: ARG002 -- the line has it
        self._print(line)

    def started(self, report: Report) -> None:
        self._report = report
        self._print(json_lines.pass_started(report))

    def expected(self, tasks: int | None) -> None:
        self._total, self._done, self._began = tasks, 0, time.monotonic()
        self._last_progress = self._began
        self._print(json_lines.expected(tasks))

    def selected(self, total: int) -> None:
        self._total = total
        self._print(json_lines.selected(total))

    def outcome(self, outcome: TaskOutcome) -> None:
        self._print(json_lines.task(outcome, self._report))
        self._done += 1
        now = time.monotonic()
        if now - self._last_progress >= EVERY:
            self._last_progress = now
            total = None if self._total is None else max(self._total, self._done)  # it may have been an estimate
            self._print(json_lines.progress(self._done, total, now - self._began))

    def project(self, name: str) -> None:
        self._print(json_lines.project(name, dry_run=bool(self._report and self._report.dry_run)))

    def warning(self, text: str) -> None:
        self._print(json_lines.warning(text))

    def trouble(self, text: str) -> None:
        self._print(json_lines.warning(text))

    def debug(self, text: str) -> None:
        self._print(json_lines.debug(text))

    def finished(self, report: Report) -> None:
        self._print(json_lines.pass_finished(report))


class TextOutput(Output):
    """A progress bar while the pass runs, then a table."""

    def __init__(self, console: Console, level: str) -> None:
        """Lines below ``level`` are not printed."""
        self._console = console
        self._least = LEVELS.index(level)
        self._done = self._failed = 0
        self._total: int | None = None
        self._what = "working"
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}", style="red"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._bar = self._progress.add_task("looking for tasks", total=None, failed="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def parameters(self, rows: Sequence[tuple[str, str, str]]) -> None:
        if self._least <= LEVELS.index("info"):
            for name, value, origin in rows:
                self._say(f"{name}={value} (from {origin})")

    def skipped(self, text: str, line: json_lines.Line) -> None:  # noqa: ARG002 -- for programs
        self._say(text)

    def _say(self, text: str) -> None:
        self._progress.console.print(plain(text), markup=False, highlight=False, soft_wrap=True)

    def started(self, report: Report) -> None:
        self._what = "planning" if report.dry_run else "deleting"

    def expected(self, tasks: int | None) -> None:
        self._done, self._total = 0, tasks
        self._progress.update(self._bar, description=self._what)
        self._show()

    def selected(self, total: int) -> None:
        self._total = total
        self._show()

    def outcome(self, outcome: TaskOutcome) -> None:
        self._done += 1
        self._failed += outcome.verdict is Verdict.FAILED
        self._show()

    def _show(self) -> None:
        """Bring the bar up to date; without a total it only moves."""
        total = None if self._total is None else max(self._total, self._done)  # it may have been an estimate
        failed = f"{self._failed} failed" if self._failed else ""
        self._progress.update(self._bar, total=total, completed=self._done, failed=failed)

    def warning(self, text: str) -> None:
        if self._least <= LEVELS.index("warning"):
            self._progress.console.print(f"[yellow]warning:[/] {escape(redacted(text))}", highlight=False, soft_wrap=True)

    def trouble(self, text: str) -> None:
        self.warning(text)

    def debug(self, text: str) -> None:
        if self._least <= LEVELS.index("debug"):
            self._say(text)

    def finished(self, report: Report) -> None:
        table.render(report, self._console)


def output_for(settings: Settings) -> Output:
    """The output that the settings ask for: text on a terminal, JSON lines elsewhere, unless they name one."""
    console = Console()
    if settings.output.log_format == "text" or (settings.output.log_format == "auto" and console.is_terminal):
        return TextOutput(console, settings.output.log_level)
    return JsonOutput(sys.stdout, settings.output.log_level)
