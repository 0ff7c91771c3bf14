"""What a format of the report file must do, and what it is written to.

A format is a module of this package that has an entry in `formats.py` under the ending of its files: in ``FORMATS`` if it is
made of the whole report at the end, with a function `render`; in ``STREAMED`` if it gets a line for each task while the pass
runs. The settings name the endings too (`settings/output.py`); a test holds both together.
"""

from typing import Any, Protocol

from cleanup_job.planning.outcome import Report, TaskOutcome

Document = dict[str, Any]
"""A report as `document.as_document` makes it: only what JSON can hold, with every list cut at its limit."""


class ReportFormat(Protocol):
    """A format of the report file."""

    def render(self, document: Document) -> str:
        """The text of the file.

        Names in ``document`` come from the server: they must be nothing but text in the file, and free of secrets
        (`formatting.plain`). `tests/unit/report/test_hostile_text.py` tries to break out of each format.
        """


class StreamedFormat(Protocol):
    """A format with a line for each task. The same holds for names."""

    def first(self, report: Report) -> str:
        """What comes before the first task."""

    def of_task(self, outcome: TaskOutcome, report: Report) -> str:
        """The line of a task."""

    def last(self, report: Report) -> str:
        """What comes after the last task."""


class Writer(Protocol):
    """A file that is being written. Each method may raise OSError."""

    def write(self, data: bytes) -> None:
        """Add to it."""

    def flush(self) -> None:
        """Let readers see what is there so far, where that is possible."""

    def commit(self) -> None:
        """End it: from now on readers find it in place of the one before."""

    def abandon(self, *, keep: bool) -> None:
        """End it unfinished: the one before stays. What is there is of use to someone if ``keep`` says so. Never raises."""


class Destination(Protocol):
    """Where a file is written: `storage/destinations.py` has them."""

    @property
    def ending(self) -> str:
        """The ending of its name, such as ``.html``."""

    def open(self, content_type: str) -> Writer:
        """Begin it.

        Raises:
            OSError: it can't be created.
        """
