"""What a format of the report file must do.

A format is a module of this package with a function `render`, and has an entry in `formats.FORMATS` under the ending of its
files. The settings name the endings too (`settings/model.py`); a test holds both together.
"""

from typing import Any, Protocol

Document = dict[str, Any]
"""A report as `document.as_document` makes it: only what JSON can hold, with every list cut at its limit."""


class ReportFormat(Protocol):
    """A format of the report file."""

    def render(self, document: Document) -> str:
        """The text of the file.

        Names in ``document`` come from the server: they must be nothing but text in the file, and free of secrets
        (`formatting.plain`). `tests/unit/report/test_hostile_text.py` tries to break out of each format.
        """
