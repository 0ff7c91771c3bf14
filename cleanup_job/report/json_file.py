"""The report of a pass as a JSON file, for programs."""

from cleanup_job.report.interface import Document
from cleanup_job.report.json_lines import dumps


def render(document: Document) -> str:
    """The text of the file."""
    return dumps(document, indent=2) + "\n"
