"""The question that someone on a terminal is asked."""

from datetime import UTC, datetime

from cleanup_job.cli.approval import question
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DELETED = TaskOutcome(TaskId("a" * 32), "t", "p", "p", Verdict.WOULD_DELETE, models=1, files=2, bytes=2048)
ARCHIVED = TaskOutcome(TaskId("b" * 32), "t", "p", "p", Verdict.WOULD_ARCHIVE, policy="all", stage=Stage.ARCHIVE)
SLIMMED = TaskOutcome(TaskId("c" * 32), "t", "p", "p", Verdict.WOULD_SLIM, policy="all", stage=Stage.SLIM, bytes=1024)


def asked(*outcomes: TaskOutcome) -> str:
    planned = Report("1", True, NOW, NOW, "https://api.example")
    for outcome in outcomes:
        planned.add(outcome)
    return question(planned)


def test_it_names_all_that_is_done_and_where() -> None:
    deletes = "Delete 1 task, 1 model, 2 files (2.0 KiB)"
    assert asked(DELETED) == f"{deletes} on https://api.example ? [y/N] "
    assert asked(DELETED, ARCHIVED, SLIMMED) == (
        f"{deletes}, archive 1 task, slim 1 task (1.0 KiB) on https://api.example ? [y/N] "
    )
    assert asked(ARCHIVED) == "Archive 1 task on https://api.example ? [y/N] "
