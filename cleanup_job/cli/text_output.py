"""The output of a pass on a terminal: a head, progress while it runs, then what was done, and the sum last."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
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
from cleanup_job.job.at_terminal import is_to_be_approved
from cleanup_job.job.pass_job import Output
from cleanup_job.planning.outcome import GONE, STAGED, Report, TaskOutcome, Verdict
from cleanup_job.redaction import redacted
from cleanup_job.report import head, json_lines, listing, table
from cleanup_job.report.formatting import counted, plain
from cleanup_job.report.largest import Largest

BAR = 16
"""Columns of the progress bar: the whole line fits 80."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is shown of a pass."""

    every_task: bool = False
    """Whether each task that is deleted, or would be, gets a line of its own."""
    head: bool = True
    is_plan: bool = False
    """Whether someone is asked about it at its end."""
    asks: bool = True
    """Whether someone is asked before anything is deleted."""
    told: Collection[str] = ()
    """Warnings that were shown already."""


class TextOutput(Output):
    """A progress bar while the pass runs, then tables."""

    def __init__(self, console: Console, level: str, shown: Shown | None = None) -> None:
        """Lines below ``level`` are not printed."""
        self._console = console
        self._least = LEVELS.index(level)
        self._shown = shown or Shown()
        self._key = ""
        self._largest = Largest()
        self._done = self._failed = 0
        self._total: int | None = None
        self._what = "working"
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(BAR),
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

    def key_of(self, user: str, name: str) -> None:
        """Note whose key the job has, by id and name."""
        self._key = f"{name} ({user})" if name and user else name or user

    def started(self, report: Report) -> None:
        self._what = "planning" if report.dry_run else "deleting"
        if self._shown.head:
            shown = self._shown
            head.render(report, self._progress.console, key=self._key, is_plan=shown.is_plan, asks=shown.asks)

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
        self._largest.add(outcome)
        if outcome.verdict in STAGED:
            self._progress.update(self._bar, description="policies")
        if self._shown.every_task and outcome.verdict in GONE | STAGED:
            self._progress.console.print(listing.line(outcome), soft_wrap=True)
        self._show()

    def _show(self) -> None:
        """Bring the bar up to date; without a total it only moves."""
        total = None if self._total is None else max(self._total, self._done)  # it may have been an estimate
        failed = f"{self._failed} failed" if self._failed else ""
        self._progress.update(self._bar, total=total, completed=self._done, failed=failed)

    def stopping(self, batches: int, tasks: int, *, now: bool) -> None:
        """Show what is still in progress when the pass was asked to stop; ``now`` after the second time."""
        what = f"{batches} batches" if batches > 1 else "batch"
        after = f" after the {what} in progress ({counted(tasks, 'task')})" if batches else ""
        text = f"Stopping{after}. Press Ctrl-C again to stop now."
        if now:
            text = "Stopping now: nothing more is sent that deletes. The report follows."
        self._progress.console.print(text, markup=False, highlight=False)

    def warning(self, text: str) -> None:
        if self._least <= LEVELS.index("warning") and text not in self._shown.told:
            self._progress.console.print(f"[yellow]warning:[/] {escape(redacted(text))}", highlight=False, soft_wrap=True)

    def trouble(self, text: str) -> None:
        self.warning(text)

    def plan(self, text: str) -> None:
        self._say(text)

    def debug(self, text: str) -> None:
        if self._least <= LEVELS.index("debug"):
            self._say(text)

    def finished(self, report: Report) -> None:
        self._render(report)

    def _render(self, report: Report, *, is_end: bool = True) -> None:
        whole = self._shown.every_task
        if report.dry_run and not whole:
            listing.render(report, self._largest, self._console)
        table.render(report, self._console, whole=whole, is_end=is_end)


class PlanOutput(TextOutput):
    """Shows a plan that is to be approved, without an end: the question follows."""

    def finished(self, report: Report) -> None:
        """Show the plan."""
        self._render(report, is_end=not is_to_be_approved(report))
