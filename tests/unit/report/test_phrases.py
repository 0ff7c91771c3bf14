"""The sentence that says what a pass did."""

from datetime import UTC, datetime

import pytest

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report.phrases import headline, left_over

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
PUBLIC = (Verdict.NOT_OURS, Reason.PUBLIC)
FORBIDDEN = (Verdict.NOT_OURS, Reason.FORBIDDEN)
KEPT = (Verdict.KEPT, Reason.IN_USE)
FAILED = (Verdict.FAILED, Reason.FILE_ERROR)
GONE = (Verdict.GONE_ALREADY, None)


def report(*verdicts: tuple[Verdict, Reason | None], dry_run: bool = False) -> Report:
    made = Report("1", dry_run, MOMENT, MOMENT)
    for n, (verdict, reason) in enumerate(verdicts):
        made.add(TaskOutcome(TaskId(f"{n:032x}"), "t", "p", "p1", verdict, reason))
    return made


@pytest.mark.parametrize(
    ("verdicts", "end"),
    [
        ([], " 0 files."),
        ([KEPT] * 17 + [PUBLIC], "; 17 kept, 1 skipped (public example)."),
        ([PUBLIC] * 2, "; 2 skipped (public examples)."),
        ([FORBIDDEN], "; 1 skipped (no write access)."),
        ([PUBLIC, FORBIDDEN], "; 2 skipped (public examples or no write access)."),
        ([FAILED, GONE], "; 1 failed, 1 already deleted by others."),
    ],
)
def test_every_task_that_was_not_deleted_is_counted(verdicts: list[tuple[Verdict, Reason | None]], end: str) -> None:
    text = headline(report(*verdicts))
    assert text.startswith("Deleted 0 tasks, 0 models and 0 files")
    assert text.endswith(end)


def test_a_dry_run_says_what_would_happen() -> None:
    text = headline(report((Verdict.DELETED, None), KEPT, dry_run=True))
    assert text == "Dry run: would delete 1 task, 0 models and 0 files; 1 to keep."


def test_a_shard_says_which_part_it_is() -> None:
    made = report((Verdict.DELETED, None))
    made.shard, made.shards, made.files_missing = 1, 4, 1
    assert headline(made) == (
        "Shard 1 of 4: Deleted 1 task, 0 models and 0 files (1 more file in their records was not there)."
    )


DEADLINE = "the time limit of CLEANUP_DEADLINE_SECONDS was reached"


@pytest.mark.parametrize(
    ("number", "at_least", "text"),
    [
        (1, False, "1 task is left for the next pass"),
        (400, False, "400 tasks are left for the next pass"),
        (1, True, "At least 1 task is left for the next pass"),
        (4000, True, "At least 4,000 tasks are left for the next pass"),
        (0, True, "More tasks may be left for the next pass"),
    ],
)
def test_what_is_left_is_counted_as_far_as_it_was_found(number: int, at_least: bool, text: str) -> None:
    assert left_over(number, StopReason.DEADLINE, at_least=at_least) == f"{text}: {DEADLINE}"
    assert left_over(number, None, at_least=at_least) == text
