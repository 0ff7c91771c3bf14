"""Reports a pass as a run of a task in ClearML: its console, tables, scalars, plots and report.

Failing to report never ends the pass: it is only a warning.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import Any, Self

from cleanup_job.errors import CleanupError
from cleanup_job.exit_codes import BY_REQUEST, meaning
from cleanup_job.planning.outcome import GONE, REASON_TEXTS, ProjectSum, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import LEFT_TAG
from cleanup_job.redaction import redacted
from cleanup_job.report import files, plots, stages
from cleanup_job.report.formatting import counted, plain
from cleanup_job.report.phrases import headline
from cleanup_job.service_task.ports import ServiceTasks, Uploads

EVERY = 3.0
"""Seconds between two deliveries of console lines."""
PING = 30.0
"""Seconds between two pings."""
LINES = 10_000
"""How many tasks the console names; the pod's log names all of them."""
FAILURES = 3
"""How many deliveries may fail in a row before reporting ends."""
REPORT = "report"
RUNNING, UNKNOWN = "in_progress", "?"


class RunReporter:
    """Observes a pass and reports it in ClearML. Use it as a context manager; `finish` ends the run."""

    def __init__(  # noqa: PLR0913 -- all by name
        self,
        runs: ServiceTasks,
        task: TaskId,
        *,
        folder: str,
        by_agent: bool,
        worker: str,
        uploads: Uploads | None,
        warn: Callable[[str], None],
        aborted: Callable[[], None],
    ) -> None:
        """Prepare it; nothing is sent yet.

        Args:
            runs: The server.
            task: The run.
            folder: The run's folder on the fileserver: ``<project>/<name>.<id>``.
            by_agent: Whether an agent runs it: agents send the console and set the status themselves.
            worker: The pod's name, which ClearML shows as the worker.
            uploads: The fileserver, or None if there is none.
            warn: Gets what could not be reported.
            aborted: Called when someone aborts the run in the Web UI.
        """
        self._runs = runs
        self._task = task
        self._folder = folder
        self._by_agent = by_agent
        self._worker = worker
        self._uploads = uploads
        self._warn = warn
        self._aborted = aborted
        self._events: list[dict[str, Any]] = []
        self._lock = Lock()
        self._over = Event()
        self._failures = 0
        self._named = self._silent = 0
        self._sum = ProjectSum("total")
        self._began = time.monotonic()
        self._thread = Thread(target=self._deliver_regularly, name="service-run", daemon=True)

    def __enter__(self) -> Self:
        """Begin delivering."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop delivering."""
        self._over.set()
        self._thread.join()

    # -- as an observer
    def parameters(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Report the settings that count."""
        self._add([plots.parameters(rows)])
        for name, value, origin in rows:
            self._say(f"{name}={value} (from {origin})")

    def expected(self, tasks: int | None) -> None:
        """Report about how many tasks there are to look at, if that is known."""
        if tasks is not None:
            self._say(f"about {counted(tasks, 'task')} to look at")

    def selected(self, total: int) -> None:
        """Report how many tasks were selected."""
        self._say(f"{counted(total, 'task')} selected")

    def outcome(self, outcome: TaskOutcome) -> None:
        """Report what became of a task."""
        row = self._sum
        if outcome.verdict in GONE:
            row.tasks, row.models, row.files = row.tasks + 1, row.models + outcome.models, row.files + outcome.files
        row.failed += outcome.verdict is Verdict.FAILED
        self._named += 1
        if self._named > LINES:
            self._silent += 1
            return
        why = f": {REASON_TEXTS[outcome.reason]}" if outcome.reason else ""
        words = filter(None, (stages.announced(outcome), outcome.policy and f"policy {outcome.policy}", outcome.detail))
        detail = f" ({text})" if (text := "; ".join(words)) else ""
        level = "error" if outcome.verdict is Verdict.FAILED else "info"
        self._say(f"{outcome.verdict.value} {outcome.task} {outcome.project}/{outcome.name}{why}{detail}", level)

    def project(self, name: str) -> None:
        """Report a project that was deleted because the pass had emptied it."""
        self._say(f"deleted the empty project {name}")

    def warning(self, text: str) -> None:
        """Report a warning."""
        self._say(text, "warning")

    # -- the end
    def finish(self, report: Report) -> None:
        """Report the whole pass, and end the run accordingly."""
        if self._silent:
            self._say(f"and {self._silent:,} more tasks, which the pod's log lists")
        self._say(headline(report))
        if report.error:
            self._say(report.error, "error")
        self._over.set()
        self._thread.join()
        self._add(plots.result(report))
        self._deliver()
        self._try(lambda: self._add_report(report))
        if report.unfinished:
            self._try(lambda: self._runs.tag(self._task, LEFT_TAG))
        status = "completed" if report.exit_code == 0 else "stopped" if report.stopped_by in BY_REQUEST else "failed"
        reason = f"exit code {report.exit_code}: {meaning(report.exit_code)}"
        self._end(status, reason, redacted(report.error) or headline(report))

    def fail(self, text: str) -> None:
        """End the run of a pass that failed with an unexpected error."""
        self._over.set()
        self._thread.join()
        self._say(text, "error")
        self._deliver()
        self._end("failed", "unexpected error", redacted(text))

    def _end(self, status: str, reason: str, message: str) -> None:
        """Set the status, unless that was done: agents set it by the exit code, and so does aborting the run."""
        if not self._by_agent and self._status() in {RUNNING, UNKNOWN}:
            self._try(lambda: self._runs.end(self._task, status, reason, message))

    def _status(self) -> str:
        """The run's current status: it may have been aborted since the last ping."""
        found = [UNKNOWN]
        self._try(lambda: found.append(self._runs.status(self._task)))
        return found[-1]

    def _add_report(self, report: Report) -> None:
        """Add the report to the record, then upload it: a file that no record names would never be deleted."""
        if self._uploads is None:
            return
        content = files.render(report, ".html").encode()
        path = f"{self._folder}/artifacts/{REPORT}/report.html"
        artifact = {
            "key": REPORT,
            "type": "custom",
            "mode": "output",
            "uri": self._uploads.uri(path),
            "content_size": len(content),
            "hash": hashlib.sha256(content).hexdigest(),
            "timestamp": int(time.time()),
            "type_data": {"content_type": "text/html", "preview": headline(report)},
        }
        self._runs.add_artifact(self._task, artifact)
        try:
            self._uploads.upload(path, content, "text/html")
        except OSError:  # refused; on a timeout it may have been written
            self._runs.remove_artifact(self._task, REPORT)
            raise

    # -- delivery
    def _say(self, text: str, level: str = "info") -> None:
        """Add a line to the console; an agent takes it from the output instead."""
        if not self._by_agent:
            line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {level}: {plain(text)}\n"
            self._add([{"type": "log", "level": level, "msg": line}])

    def _add(self, events: Sequence[dict[str, Any]]) -> None:
        made = {"task": self._task, "worker": self._worker, "timestamp": int(time.time() * 1000)}
        with self._lock:
            self._events += [{**made, **event} for event in events]

    def _deliver_regularly(self) -> None:
        pinged = time.monotonic()
        while not self._over.wait(EVERY):
            if time.monotonic() - pinged >= PING:
                pinged = time.monotonic()
                self._add(plots.progress(self._sum, pinged - self._began))
                self._try(self._ping)
            self._deliver()

    def _ping(self) -> None:
        if self._runs.ping(self._task) == "stopped":
            self._aborted()

    def _deliver(self) -> None:
        with self._lock:
            events, self._events = self._events, []
        for start in range(0, len(events), 500):
            self._try(lambda part=events[start : start + 500]: self._runs.report(part))  # type: ignore[misc]  # a default binds the loop's value

    def _try(self, action: Callable[[], None]) -> None:
        """Do it, or warn that it failed; after too many failures, do nothing."""
        if self._failures >= FAILURES:
            return
        try:
            action()
        except (CleanupError, OSError) as error:
            self._failures += 1
            last = " Nothing more of this pass is reported there." if self._failures == FAILURES else ""
            self._warn(f"not reported in ClearML: {error}.{last}")
        else:
            self._failures = 0
