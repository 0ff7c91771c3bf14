"""The formats of report files, by the endings of their names."""

from cleanup_job.report import csv_file, html, json_file, jsonl_file, markdown
from cleanup_job.report.interface import ReportFormat, StreamedFormat

FORMATS: dict[str, ReportFormat] = {
    ".json": json_file,
    ".html": html,
    ".md": markdown,
}
STREAMED: dict[str, StreamedFormat] = {
    ".jsonl": jsonl_file,
    ".csv": csv_file,
}
CONTENT_TYPES = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv; charset=utf-8",
}
"""What a bucket tells browsers about a file."""
