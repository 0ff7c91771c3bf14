"""A report with a bit of everything: tasks that were deleted, kept, failed and skipped, and two unknown stores."""

from datetime import UTC, datetime, timedelta

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def report(*, dry_run: bool = False, projects: int = 3) -> Report:
    made = Report("1.0", dry_run, MOMENT, MOMENT, "http://api:8008", "https://web", MOMENT + timedelta(seconds=75))
    for n in range(projects):
        ids = TaskId(f"{n:032x}")
        made.add(
            TaskOutcome(ids, f"run {n}", f"team/project {n}", f"p{n}", Verdict.DELETED, models=1, files=1200, bytes=3 << 20)
        )
    stores = (("https://old.example", 2), ("s3://bucket", 1))
    for n in range(5):
        args = (TaskId(f"{n:032d}"), f"kept {n}", "team/project 0", "p0", Verdict.KEPT, Reason.UNKNOWN_STORE, "s3://bucket (1)")
        made.add(TaskOutcome(*args, unknown_stores=stores))
    made.add(TaskOutcome(TaskId("f" * 32), "broken", "team/project 1", "p1", Verdict.FAILED, Reason.FILE_ERROR, "disk is full"))
    made.add(TaskOutcome(TaskId("e" * 32), "example", "examples", "pe", Verdict.NOT_OURS, Reason.PUBLIC))
    made.requests, made.exit_code, made.left, made.stopped_by = 42, 3, 7, StopReason.MAX_TASKS
    return made
