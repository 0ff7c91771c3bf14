"""What would have to happen to a task, and which of those that need it are named."""

from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.planning.explanation import Holder, Need, State, due_if_archived, first_of_each
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
LEAST = timedelta.resolution
RULES = Rules(cutoff=NOW - MONTH, force_delete=True)


def living(status: str = "completed", days: float = 10, **fields: object) -> Task:
    then = NOW - timedelta(days=days)
    return Task(TaskId("t"), "t", status, status_changed=then, last_update=then, last_change=then, **fields)


@pytest.mark.parametrize("status", ["in_progress", "queued"])
def test_archiving_ends_what_runs_so_that_its_age_begins_anew(status: str) -> None:
    assert due_if_archived(RULES, living(status), NOW) == NOW + MONTH + LEAST


def test_archiving_changes_no_other_age() -> None:
    assert due_if_archived(RULES, living(), NOW) == NOW + timedelta(days=20) + LEAST
    assert due_if_archived(RULES, living(days=50), NOW) == NOW - timedelta(days=20) + LEAST


def test_a_grace_period_begins_with_it() -> None:
    grace = Rules(cutoff=NOW - MONTH, archived_before=NOW - timedelta(days=7), force_delete=True)
    assert due_if_archived(grace, living(days=50), NOW) == NOW + timedelta(days=7)


def test_it_may_change_nothing() -> None:
    assert due_if_archived(Rules(cutoff=NOW - MONTH), living(), NOW) is None
    assert due_if_archived(RULES, living(public=True), NOW) is None
    assert due_if_archived(RULES, living(system_tags=("archived",)), NOW) is None


def test_the_first_of_each_need_are_named_and_those_that_are_kept_come_first() -> None:
    children = [Holder(Need.CHILD, str(number), state=State.GOES_FIRST) for number in range(5)]
    kept, user = Holder(Need.CHILD, "9", state=State.LIVING), Holder(Need.USES_MODEL, "u")
    assert first_of_each([*children, kept, user], 2) == (user, kept, children[0])
