"""The output of a pass: JSON lines here, progress and tables on a terminal in `text_output.py`."""

import os
import sys
import time
from collections.abc import Sequence
from threading import Lock
from typing import Self, TextIO

from cleanup_job.job.pass_job import Output
from cleanup_job.planning.outcome import Report, TaskOutcome
from cleanup_job.report import json_lines
from cleanup_job.report.formatting import plain
from cleanup_job.settings.model import Settings

LEVELS = ("debug", "info", "warning", "error")
EVERY = 60.0
"""Seconds between two progress lines."""
_FORCED = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE"})
"""Variables by which people tell rich to take any output for a terminal."""


def say(text: str) -> None:
    """Print a line."""
    from rich.console import Console  # noqa: PLC0415 -- slow to import, and not needed for JSON

    Console(soft_wrap=True).print(plain(text), markup=False, highlight=False)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    from rich.console import Console  # noqa: PLC0415 -- as above

    Console(stderr=True, soft_wrap=True).print(f"warning: {plain(text)}", style="yellow", markup=False, highlight=False)


class JsonOutput(Output):
    """One JSON object per line, as docs/log-schema.md describes."""

    def __init__(self, stream: TextIO, level: str, task_level: str = "info") -> None:
        """Lines below ``level`` are not printed; those of tasks that did not fail have at most ``task_level``."""
        self._stream = stream
        self._least = LEVELS.index(level)
        self._task_level = task_level
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
        self._print(json_lines.task(outcome, self._report, self._task_level))
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

    def plan(self, text: str) -> None:
        self._print(json_lines.plan(text))

    def debug(self, text: str) -> None:
        self._print(json_lines.debug(text))

    def finished(self, report: Report) -> None:
        self._print(json_lines.pass_finished(report))


def is_watched(settings: Settings) -> bool:
    """Whether a person types and reads, outside of a cluster, and gets text: then a pass may ask.

    Kubernetes gives a container no terminal unless its spec asks for one, and even then no one may be there.
    """
    typed = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    in_cluster = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    as_task = settings.service_task.task or settings.service_task.task_id is not None
    return typed and settings.output.log_format != "json" and not in_cluster and not as_task


def output_for(settings: Settings, *, every_task: bool = False) -> Output:
    """The output that the settings ask for: text on a terminal, JSON lines elsewhere, unless they name one.

    With ``every_task``, text has a line for each task that is deleted, or would be; JSON has one for each task anyway.
    """
    form, level = settings.output.log_format, settings.output.log_level
    if form == "text" or (form == "auto" and _may_be_a_terminal()):
        from rich.console import Console  # noqa: PLC0415 -- slow to import, and not needed for JSON

        from cleanup_job.cli.text_output import Shown, TextOutput  # noqa: PLC0415 -- as above

        console = Console()
        if form == "text" or console.is_terminal:
            return TextOutput(console, level, Shown(every_task=every_task))
    return JsonOutput(sys.stdout, level, settings.output.task_log_level)


def _may_be_a_terminal() -> bool:
    """Whether rich may take standard output for a terminal."""
    return sys.stdout.isatty() or not _FORCED.isdisjoint(os.environ)
