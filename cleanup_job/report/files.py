"""The report of a pass as files, each in the format that the ending of its name says."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from cleanup_job.planning.outcome import Report, TaskOutcome
from cleanup_job.report.document import as_document
from cleanup_job.report.interface import Destination, StreamedFormat, Writer
from cleanup_job.report.task_rows import TaskRows

STREAMED = frozenset({".jsonl", ".csv"})
"""The endings of files that get a line for each task while the pass runs."""
PAGE = ".html"
"""The ending of the file that is written at the end and has all tasks."""


def render(report: Report, ending: str) -> str:
    """The report in the format of files with this ending, such as ``.html``.

    Raises:
        ValueError: there is no such format.
    """
    from cleanup_job.report.formats import FORMATS  # noqa: PLC0415 -- Jinja2 takes time to import, and most passes write no file

    if ending not in FORMATS:
        *most, last = FORMATS
        raise ValueError(f"unknown report format {ending!r}: use {', '.join(most)} or {last}")
    return FORMATS[ending].render(as_document(report))


def write(report: Report, destination: Destination, rows: TaskRows | None = None) -> None:
    """Write the report at once: a reader finds the whole new file or the one before.

    Args:
        report: The report.
        destination: Where to write it.
        rows: All tasks, for the page; without them it has the report's examples.

    Raises:
        OSError: it can't be written.
        ValueError: there is no format for its ending.
    """
    from cleanup_job.report import html  # noqa: PLC0415 -- as above

    if destination.ending == PAGE:
        with _whole(destination) as writer:
            html.write(as_document(report), rows, cast("TextIO", _Utf8(writer)))
    else:
        write_text(render(report, destination.ending), destination)


def write_text(text: str, destination: Destination) -> None:
    """Write a text at once: a reader finds the whole new file or the one before.

    Raises:
        OSError: it can't be written.
    """
    with _whole(destination) as writer:
        writer.write(text.encode())


@contextmanager
def _whole(destination: Destination) -> Iterator[Writer]:
    """A new file, which is there when the block ends well."""
    from cleanup_job.report.formats import CONTENT_TYPES  # noqa: PLC0415 -- as above

    writer = destination.open(CONTENT_TYPES[destination.ending])
    try:
        yield writer
        writer.commit()
    except BaseException:
        writer.abandon(keep=False)
        raise


class _Utf8(io.TextIOBase):
    """A writer, as what takes text."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write(self, text: str) -> int:
        self._writer.write(text.encode())
        return len(text)


class Stream:
    """A report file that gets a line for each task while the pass runs, so that memory does not grow with their number."""

    def __init__(self, report: Report, destination: Destination) -> None:
        """Begin the file.

        Raises:
            OSError: it can't be created.
        """
        from cleanup_job.report.formats import CONTENT_TYPES, STREAMED  # noqa: PLC0415 -- as above

        self._report = report
        self._form: StreamedFormat = STREAMED[destination.ending]
        self._writer = destination.open(CONTENT_TYPES[destination.ending])
        self._add(self._form.first(report))

    def add(self, outcome: TaskOutcome) -> None:
        """Add the line of a task; readers see it at once.

        Raises:
            OSError: it can't be written. The file has no more lines then, and those that are there are kept.
        """
        self._add(self._form.of_task(outcome, self._report))

    def finish(self) -> None:
        """End the file, as the report is now.

        Raises:
            OSError: as for `add`.
        """
        self._add(self._form.last(self._report))
        try:
            self._writer.commit()
        except OSError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leave it as it is, without an end."""
        self._writer.abandon(keep=True)

    def _add(self, text: str) -> None:
        try:
            self._writer.write(text.encode())
            self._writer.flush()
        except OSError:
            self.abandon()
            raise
