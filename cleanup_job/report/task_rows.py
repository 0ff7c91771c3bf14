"""Every task of a pass, written to a temporary file while the pass runs, and read again for the report's page.

Memory stays flat, however many tasks there are: the file is compressed, 200,000 tasks take about 8 MB of it.
"""

import gzip
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from cleanup_job.report.formatting import plain

MOST = 200_000
"""Tasks in a page; reports as .jsonl and .csv have all. More of them make a page that browsers are slow to open."""
LONGEST_TEXT = 500
"""Characters of a name or a detail in a row."""


class Row(Protocol):
    """What a page shows of a task: a `TaskOutcome` has it, and so has a `TaskRow`."""

    @property
    def task(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def active(self) -> datetime | None: ...
    @property
    def verdict(self) -> str: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def detail(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def models(self) -> int: ...
    @property
    def files(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def unsized(self) -> int: ...


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


def row_of(outcome: Row) -> TaskRow:
    """What a page shows of a task: texts without secrets, cut at ``LONGEST_TEXT``."""
    return TaskRow(
        outcome.task,
        _text(outcome.name),
        _text(outcome.project),
        outcome.project_id,
        outcome.user,
        outcome.status,
        str(outcome.verdict),
        outcome.reason and str(outcome.reason),
        _text(outcome.detail),
        _text(outcome.rule),
        outcome.models,
        outcome.files,
        outcome.bytes,
        outcome.unsized,
        outcome.active,
    )


def _text(value: str) -> str:
    """Secrets are taken out before the cut: half of one would not be known any more."""
    safe = plain(value)
    return safe if len(safe) <= LONGEST_TEXT else f"{safe[:LONGEST_TEXT]}…"


class TaskRows:
    """The tasks of a pass, in the order in which their outcomes were known; at most ``MOST``.

    A folder for temporary files that is missing, not writable or full does not stop a pass: the rows then end there, and the
    page says of how many tasks it lists how many.
    """

    def __init__(self) -> None:
        self._packed: gzip.GzipFile | None = None
        self._count = 0
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- `close` closes it
        except OSError:
            return
        self._packed = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=6)

    def add(self, outcome: Row) -> None:
        """Note one task."""
        if self._packed is None or self._count >= MOST:
            return
        *values, active = row_of(outcome)
        line = json.dumps([*values, active and active.timestamp()])
        try:
            self._packed.write(f"{line}\n".encode())
            self._count += 1
        except OSError:
            self._packed = None

    def __iter__(self) -> Iterator[TaskRow]:
        """The tasks; after the first time nothing can be added."""
        if self._packed is not None:
            try:
                self._packed.close()
            except OSError:
                self._packed = None
        if self._count:
            self._file.seek(0)
            yield from self._read()

    def _read(self) -> Iterator[TaskRow]:
        with gzip.GzipFile(fileobj=self._file, mode="rb") as lines:
            try:
                for line in lines:
                    *values, active = json.loads(line)
                    yield TaskRow(*values, active if active is None else datetime.fromtimestamp(active, UTC))
            except (EOFError, OSError, ValueError):  # it could not be written to its end
                return

    def close(self) -> None:
        """Give the space back."""
        self._packed = None
        if self._count:
            self._file.close()
            self._count = 0
