"""The output of a pass on a terminal: progress while it runs, then tables."""

from collections.abc import Sequence
from typing import Self

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

from cleanup_job.cli.terminal import LEVELS
from cleanup_job.job.pass_job import Output
from cleanup_job.planning.outcome import Report, TaskOutcome, Verdict
from cleanup_job.redaction import redacted
from cleanup_job.report import json_lines, table
from cleanup_job.report.formatting import plain


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

    def plan(self, text: str) -> None:
        self._say(text)

    def debug(self, text: str) -> None:
        if self._least <= LEVELS.index("debug"):
            self._say(text)

    def finished(self, report: Report) -> None:
        table.render(report, self._console)
