"""What of a plan is approved."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cleanup_job.exit_codes import StopReason
from cleanup_job.job.at_terminal import Approvable, is_to_be_approved
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId

NOW = datetime(2026, 11, 1, tzinfo=UTC)
A, B, C, D = (TaskId(letter * 32) for letter in "abcd")
DELETED = TaskOutcome(A, "t", "p", "p", Verdict.WOULD_DELETE, digest="1f")
ARCHIVED = TaskOutcome(B, "t", "p", "p", Verdict.WOULD_ARCHIVE, policy="all", stage=Stage.ARCHIVE, digest="2f")
NOTICED = TaskOutcome(C, "t", "p", "p", Verdict.WOULD_NOTICE, policy="all", stage=Stage.DELETE, digest="3f")
KEPT = TaskOutcome(D, "t", "p", "p", Verdict.KEPT, policy="all", digest="4f")


def test_a_task_is_approved_with_the_digest_of_what_the_plan_does_with_it() -> None:
    found = Approvable()
    for outcome in (DELETED, ARCHIVED, NOTICED, KEPT):
        found.add(outcome)
    assert found.chosen.digests == {A: "1f", B: "2f", C: "3f"}


@pytest.mark.parametrize(
    ("outcome", "stopped_by", "is_asked"),
    [
        (DELETED, None, True),
        (ARCHIVED, None, True),
        (NOTICED, StopReason.DEADLINE, True),
        (NOTICED, StopReason.UNREACHABLE, False),
        (KEPT, None, False),
    ],
)
def test_someone_is_asked_if_there_is_something_to_do(
    outcome: TaskOutcome, stopped_by: StopReason | None, is_asked: bool
) -> None:
    planned = Report("1", True, NOW, NOW, stopped_by=stopped_by)
    planned.add(outcome)
    assert is_to_be_approved(planned) is is_asked
    planned.add(replace(DELETED, verdict=Verdict.KEPT))
    assert is_to_be_approved(planned) is is_asked
