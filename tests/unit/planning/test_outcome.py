"""The sums of a pass."""

from datetime import UTC, datetime

from cleanup_job.planning.outcome import EXAMPLES, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


def outcome(n: int = 0, verdict: Verdict = Verdict.DELETED, reason: Reason | None = None, **more: object) -> TaskOutcome:
    return TaskOutcome(TaskId(f"{n:032x}"), f"exp {n}", "team/a", "p1", verdict, reason, **more)


def report(*outcomes: TaskOutcome) -> Report:
    made = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT)
    for one in outcomes:
        made.add(one)
    return made


def test_the_sum_counts_what_was_deleted_and_what_was_not() -> None:
    made = report(
        outcome(1, models=2, files=5, bytes=10),
        outcome(2, Verdict.KEPT, Reason.UNKNOWN_STORE, unknown_stores=(("s3://b", 3),)),
        outcome(3, Verdict.FAILED, Reason.FILE_ERROR),
        outcome(4, Verdict.NOT_OURS, Reason.PUBLIC),
    )
    row = made.total()
    assert (row.tasks, row.models, row.files, row.bytes, row.kept, row.failed, row.not_ours) == (1, 2, 5, 10, 1, 1, 1)
    assert made.unknown_stores == {"s3://b": 3}


def test_examples_are_bounded_and_counts_are_not() -> None:
    made = report(*(outcome(n, Verdict.KEPT, Reason.CHANGED) for n in range(EXAMPLES + 50)))
    entry = made.reasons[Reason.CHANGED]
    assert (entry.count, len(entry.examples)) == (EXAMPLES + 50, EXAMPLES)
