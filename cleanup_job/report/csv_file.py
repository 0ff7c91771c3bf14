"""The report of a pass as a table for spreadsheets: a row for each task (RFC 4180, UTF-8). docs/reports.md lists the columns.

A name may be anything, and spreadsheets take some texts for formulas, which can send the table elsewhere. Such a text gets an
apostrophe before it.
"""

import csv
import io
import re
from collections.abc import Iterable

from cleanup_job.planning.outcome import NAMED, Report, TaskOutcome
from cleanup_job.report.formatting import plain
from cleanup_job.report.json_lines import stores, time_or_none
from cleanup_job.report.phrases import link

COLUMNS = (
    "task",
    "name",
    "project",
    "project_id",
    "user",
    "user_name",
    "status",
    "active",
    "verdict",
    "reason",
    "detail",
    "models",
    "files",
    "bytes",
    "unsized",
    "files_missing",
    "kept_models",
    "protected_count",
    "external_count",
    "unknown_stores",
    "rule",
    "link",
)
OF_POLICIES = ("policy", "stage", "due")
"""More columns of a pass with policies."""
_FORMULA = re.compile(r"(^|;)(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a spreadsheet may begin to read a formula: at the start, in full width too, and where semicolons separate cells."""


def first(report: Report) -> str:
    """The names of the columns."""
    return _row((*COLUMNS, *OF_POLICIES) if report.policies else COLUMNS)


def of_task(outcome: TaskOutcome, report: Report) -> str:
    """The row of a task."""
    found = stores(outcome.unknown_stores)
    more = (outcome.policy, outcome.stage or "", time_or_none(outcome.due) or "") if report.policies else ()
    return _row(
        (
            outcome.task,
            outcome.name,
            outcome.project,
            outcome.project_id,
            outcome.user,
            report.users.get(outcome.user, ""),
            outcome.status,
            time_or_none(outcome.active) or "",
            outcome.verdict.value,
            outcome.reason.value if outcome.reason else "",
            outcome.detail,
            outcome.models,
            outcome.files,
            outcome.bytes,
            outcome.unsized,
            outcome.files_missing,
            outcome.kept_models,
            len(outcome.protected),
            outcome.external_count,
            " ".join(str(store["address"]) for store in found[:NAMED]),
            outcome.rule,
            link(report, outcome.task, outcome.project_id),
            *more,
        )
    )


def last(report: Report) -> str:
    """Nothing."""
    del report
    return ""


def _row(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_cell(cell) for cell in cells])
    return line.getvalue()


def _cell(value: object) -> object:
    """A number as it is, a text as one line that is not a formula."""
    return value if isinstance(value, int) else _FORMULA.sub(r"\1\2'", plain(value))
