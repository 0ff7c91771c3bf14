"""A report with a bit of everything: tasks that were deleted, kept, failed and skipped, and two unknown stores."""

from datetime import UTC, datetime, timedelta

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.lifecycle.policy import Stage
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


SOON = MOMENT + timedelta(days=7)


def of_policies(*, dry_run: bool = False) -> Report:
    """The same, with policies: 46 tasks deleted, 30 archived, 12 slimmed, notice given to 5, and one that was restored."""
    made = report(dry_run=dry_run)
    made.policies = "1f2e"
    some = (
        (46, Verdict.DELETED, Verdict.WOULD_DELETE, Stage.DELETE, {"files": 3, "bytes": 2 << 20}),
        (30, Verdict.ARCHIVED, Verdict.WOULD_ARCHIVE, Stage.ARCHIVE, {}),
        (12, Verdict.SLIMMED, Verdict.WOULD_SLIM, Stage.SLIM, {"files": 2, "bytes": 1 << 30}),
        (4, Verdict.NOTICED, Verdict.WOULD_NOTICE, Stage.DELETE, {"due": SOON + timedelta(days=1)}),
        (1, Verdict.NOTICED, Verdict.WOULD_NOTICE, Stage.DELETE, {"due": SOON}),
    )
    for kind, (count, done, would, stage, fields) in enumerate(some):
        for n in range(count):
            ids = TaskId(f"{kind + 10:02x}{n:030x}")
            verdict = would if dry_run else done
            made.add(TaskOutcome(ids, f"exp {n}", "play", "pp", verdict, policy="playground", stage=stage, **fields))
    made.add(
        TaskOutcome(TaskId("c" * 32), "back", "play", "pp", Verdict.KEPT, Reason.RESTORED, "leave it", policy="playground")
    )
    made.add(
        TaskOutcome(
            TaskId("d" * 32), "stuck", "play", "pp", Verdict.FAILED, Reason.RECORD_ERROR, policy="playground", stage=Stage.SLIM
        )
    )
    return made
