"""The report of a pass as a file, in the format that the ending of its name says."""

import os
import tempfile
from pathlib import Path

from cleanup_job.planning.outcome import Report
from cleanup_job.report.document import as_document


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


def write(report: Report, path: Path) -> None:
    """Write the report at once: a reader finds the whole new file or the one before.

    Raises:
        ValueError: there is no format for this ending.
    """
    text = render(report, path.suffix)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)  # mkstemp's files are for their owner only; a report is for others to read
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
