"""How often a request is tried."""

from collections.abc import Callable
from contextlib import suppress

import pytest
import requests
from urllib3.exceptions import ReadTimeoutError

from cleanup_job.retry import FEW_TRIES, Retry, TransientError


def tries(retry: Retry, error: Callable[[], Exception], *, few_tries: bool) -> int:
    made = 0

    def fail() -> None:
        nonlocal made
        made += 1
        raise error()

    with suppress(Exception):
        retry.call("call", fail, few_tries=few_tries)
    return made


def caused_by(cause: Exception) -> Exception:
    error = TransientError()
    error.__cause__ = requests.ConnectionError()
    error.__cause__.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("attempts", "few_tries", "expected"), [(6, False, 6), (6, True, FEW_TRIES), (1, True, 1), (1, False, 1)]
)
def test_a_call_can_be_limited_to_few_tries(attempts: int, few_tries: bool, expected: int) -> None:
    assert tries(Retry(attempts, wait=0), TransientError, few_tries=few_tries) == expected


@pytest.mark.parametrize("cause", [requests.ReadTimeout(), ReadTimeoutError(None, "", "slow"), TimeoutError()])
def test_with_few_tries_a_slow_server_is_not_waited_for_twice(cause: Exception) -> None:
    assert tries(Retry(6, wait=0), lambda: caused_by(cause), few_tries=True) == 1
    assert tries(Retry(6, wait=0), lambda: caused_by(cause), few_tries=False) == 6
    assert tries(Retry(6, wait=0), lambda: caused_by(ConnectionResetError()), few_tries=True) == FEW_TRIES


def test_a_failure_that_is_not_transient_is_not_retried() -> None:
    assert tries(Retry(6, wait=0), ValueError, few_tries=False) == 1


def test_the_last_failure_is_raised_and_the_others_are_reported() -> None:
    lines: list[str] = []
    failures = iter([TransientError("first"), TransientError("second"), TransientError("third")])

    def fail() -> None:
        raise next(failures)

    with pytest.raises(TransientError, match="third"):
        Retry(3, wait=0, on_retry=lines.append).call("tasks.get_all", fail)
    assert lines == ["trying again: tasks.get_all: first", "trying again: tasks.get_all: second"]
