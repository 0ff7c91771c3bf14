"""The formats of the report file, by the ending of its name."""

from cleanup_job.report import html, json_file, markdown
from cleanup_job.report.interface import ReportFormat

FORMATS: dict[str, ReportFormat] = {
    ".json": json_file,
    ".html": html,
    ".md": markdown,
}
