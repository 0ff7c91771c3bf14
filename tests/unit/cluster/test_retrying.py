"""A call of the Kubernetes API is tried again after each pause, while its error may pass."""

import pytest

from cleanup_job.cluster.retrying import until_answered


def tried(*answers: object, pauses: tuple[float, ...] = (1.0, 2.0)) -> tuple[object, list[float]]:
    """The answer, and how long was waited; an answer that is an exception is raised, and a `TimeoutError` may pass."""
    left, slept = list(answers), []

    def call() -> object:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = until_answered(call, lambda error: isinstance(error, TimeoutError), pauses, slept.append)
    assert not left
    return found, slept


def test_an_answer_is_not_asked_for_again() -> None:
    assert tried("yes") == ("yes", [])


def test_an_error_that_may_pass_is_waited_out() -> None:
    assert tried(TimeoutError(), TimeoutError(), "yes") == ("yes", [1.0, 2.0])


def test_the_last_error_is_raised_when_the_pauses_are_used_up() -> None:
    with pytest.raises(TimeoutError, match="last"):
        tried(TimeoutError(), TimeoutError(), TimeoutError("last"))


def test_any_other_error_is_raised_at_once() -> None:
    with pytest.raises(ValueError, match="wrong"):
        tried(TimeoutError(), ValueError("wrong"))
