"""The report of a pass as JSON lines: those of the log that begin and end it, and one for each task between them."""

from cleanup_job.planning.outcome import Report, TaskOutcome
from cleanup_job.report import json_lines


def first(report: Report) -> str:
    """The line ``pass_started``."""
    return json_lines.dumps(json_lines.pass_started(report)) + "\n"


def of_task(outcome: TaskOutcome, report: Report) -> str:
    """A line ``task``."""
    return json_lines.dumps(json_lines.task(outcome, report)) + "\n"


def last(report: Report) -> str:
    """The line ``pass_finished``."""
    return json_lines.dumps(json_lines.pass_finished(report)) + "\n"
