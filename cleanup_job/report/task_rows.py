"""Every task of a pass, written to a temporary file while the pass runs, and read again for the report's page.

Memory stays flat, however many tasks there are: the file is compressed, 200,000 tasks take about 8 MB of it.
"""

import gzip
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple, Self

from cleanup_job.planning.outcome import TaskOutcome
from cleanup_job.report.formatting import plain

MOST = 200_000
"""Tasks in a page; reports as .jsonl and .csv have all. More of them make a page that browsers are slow to open."""
LONGEST_TEXT = 500
"""Characters of a name or a detail in a row."""


class TaskRow(NamedTuple):
    """One task; the fields are those of `TaskOutcome`."""

    task: str
    name: str
    project: str
    project_id: str
    user: str
    status: str
    verdict: str
    reason: str | None
    detail: str
    rule: str
    models: int
    files: int
    bytes: int
    unsized: int
    active: datetime | None
    policy: str = ""
    stage: str | None = None
    due: datetime | None = None


Row = TaskOutcome | TaskRow


def row(values: Mapping[str, Any]) -> TaskRow:
    """A row from the fields of a `TaskOutcome` by name: texts without secrets, cut at ``LONGEST_TEXT``."""
    return TaskRow._make(_text(value) if isinstance(value := values[name], str) else value for name in TaskRow._fields)


def row_of(outcome: Row) -> TaskRow:
    """What a page shows of a task."""
    return outcome if isinstance(outcome, TaskRow) else row({name: getattr(outcome, name) for name in TaskRow._fields})


def _text(value: str) -> str:
    """Secrets are taken out before the cut: half of one would not be known any more."""
    safe = plain(value)
    return safe if len(safe) <= LONGEST_TEXT else f"{safe[:LONGEST_TEXT]}…"


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class TaskRows:
    """The tasks of a pass, in the order in which their outcomes were known; at most ``MOST``.

    A folder for temporary files that is missing, not writable or full does not stop a pass: the rows then end there, and the
    page says of how many tasks it lists how many.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._packed: gzip.GzipFile | None = None
        self._count = 0
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- `close` closes it
        except OSError:
            return
        self._packed = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=6)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, outcome: TaskOutcome) -> None:
        """Note one task."""
        if self._packed is None or self._count >= MOST:
            return
        *values, active, policy, stage, due = row_of(outcome)
        line = json.dumps([*values, active and active.timestamp(), policy, stage, due and due.timestamp()])
        try:
            self._packed.write(f"{line}\n".encode())
            self._count += 1
        except OSError:
            self._finish()

    def __iter__(self) -> Iterator[TaskRow]:
        """The tasks; after the first time nothing can be added."""
        self._finish()
        if self._file is None or not self._count:
            return
        self._file.seek(0)
        with gzip.GzipFile(fileobj=self._file, mode="rb") as lines:
            try:
                for line in lines:
                    *values, active, policy, stage, due = json.loads(line)
                    yield TaskRow._make([*values, _moment(active), policy, stage, _moment(due)])
            except (EOFError, OSError, ValueError):  # it could not be written to its end
                return

    def close(self) -> None:
        """Give the space back: nothing can be read any more."""
        self._finish()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _finish(self) -> None:
        if self._packed is not None:
            with suppress(OSError):
                self._packed.close()
            self._packed = None
