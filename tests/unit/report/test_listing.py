"""The tasks of a dry run on a terminal."""

import io
from datetime import UTC, datetime

from rich.console import Console

from cleanup_job.planning.outcome import TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import listing
from cleanup_job.report.largest import Largest
from tests.unit.report.example_report import report

LONG = "team/" + "very-long-name-" * 8
TASK = TaskId("a" * 32)


def outcome(number: int = 0, **fields: object) -> TaskOutcome:
    known = {"bytes": 2048, "files": 3, "active": datetime(2026, 1, 2, tzinfo=UTC)} | fields
    return TaskOutcome(TaskId(f"{number:032x}"), "exp\x1b[2J", LONG, "p", Verdict.WOULD_DELETE, **known)


def shown(*outcomes: TaskOutcome) -> str:
    stream = io.StringIO()
    largest = Largest()
    for one in outcomes:
        largest.add(one)
    listing.render(report(dry_run=True), largest, Console(file=stream, width=80))
    return stream.getvalue()


def test_a_line_has_all_of_a_task_and_nothing_that_moves_a_cursor() -> None:
    assert listing.line(outcome(unsized=1)).plain == f"{0:032x}    at least 2.0 KiB       3 files  2026-01-02  {LONG}/exp [2J"
    assert "size unknown" in listing.line(outcome(bytes=0, unsized=3)).plain
    assert "no files" in listing.line(outcome(bytes=0, files=0)).plain
    assert "unknown" in listing.line(outcome(active=None)).plain


def test_a_table_fits_80_columns_and_cuts_no_id() -> None:
    text = shown(*map(outcome, range(25)))
    assert text.startswith("The 20 largest of 25 tasks to delete (--list shows all):\n")
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"{number:032x}" in text for number in range(20))
    assert f"{24:032x}" not in text


def test_a_few_tasks_are_all_of_them_and_none_are_nothing() -> None:
    assert shown(outcome()).startswith("1 task to delete:\n")
    assert shown() == ""
