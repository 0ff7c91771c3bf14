"""The largest of any number of tasks."""

from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.outcome import TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report.largest import Largest


def outcome(number: int, size: int, files: int, verdict: Verdict = Verdict.WOULD_DELETE) -> TaskOutcome:
    return TaskOutcome(TaskId(f"{number:032x}"), "n", "p", "p", verdict, bytes=size, files=files)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=40))
def test_they_are_those_with_the_most_bytes_then_files_then_the_first(sizes: list[tuple[int, int]]) -> None:
    all_of_them = [outcome(number, *size) for number, size in enumerate(sizes)]
    largest = Largest(3)
    for one in all_of_them:
        largest.add(one)
    assert largest.ranked() == sorted(all_of_them, key=lambda one: (-one.bytes, -one.files))[:3]
    assert largest.count == len(all_of_them)


def test_what_is_kept_is_not_among_them() -> None:
    largest = Largest()
    for number, verdict in enumerate(Verdict):
        largest.add(outcome(number, 1, 1, verdict))
    assert {one.verdict for one in largest.ranked()} == {Verdict.DELETED, Verdict.WOULD_DELETE}
