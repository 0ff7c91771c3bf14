"""What is needed by something that is not archived is not archived either, and neither is what that needs."""

import pytest

from cleanup_job.planning.in_use import InUse
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import TaskId
from tests.unit.planning.one_task import task

A, B, C, D = (TaskId(letter * 32) for letter in "abcd")
OTHER = TaskId("f" * 32)


@pytest.fixture
def use() -> InUse:
    return InUse({i: task(id=i) for i in (A, B, C, D)})


def test_nothing_is_held_as_long_as_nothing_is_known(use: InUse) -> None:
    use.needs(A, B, Reason.IN_USE, "a uses b")
    assert use.held() == {}


def test_what_is_needed_is_held_through_others(use: InUse) -> None:
    use.needs(A, B, Reason.IN_USE, "a uses b")
    use.needs(B, C, Reason.DATASET_IN_USE, "b uses c")
    use.hold(A, Reason.PIPELINE_STEP, "a is a step")
    held = use.held()
    assert {i: (kept.task.id, kept.reason, kept.detail) for i, kept in held.items()} == {
        A: (A, Reason.PIPELINE_STEP, "a is a step"),
        B: (B, Reason.IN_USE, "a uses b"),
        C: (C, Reason.DATASET_IN_USE, "b uses c"),
    }


def test_a_circle_is_held_as_a_whole(use: InUse) -> None:
    for one, other in ((A, B), (B, C), (C, A)):
        use.needs(one, other, Reason.IN_USE, "")
    use.hold(B, Reason.IN_USE, "")
    assert use.held().keys() == {A, B, C}


def test_what_was_said_first_counts(use: InUse) -> None:
    use.hold(A, Reason.IN_USE, "first")
    use.hold(A, Reason.IN_USE, "second")
    use.needs(A, B, Reason.IN_USE, "first")
    use.needs(A, B, Reason.IN_USE, "second")
    assert {kept.detail for kept in use.held().values()} == {"first"}


def test_a_task_that_needs_itself_and_tasks_that_are_not_among_them_make_no_difference(use: InUse) -> None:
    use.needs(A, A, Reason.IN_USE, "")
    use.needs(A, OTHER, Reason.IN_USE, "")
    use.hold(OTHER, Reason.IN_USE, "")
    assert use.held() == {}
    use.hold(A, Reason.IN_USE, "")
    assert use.held().keys() == {A}
