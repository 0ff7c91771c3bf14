"""How often a request is tried."""

from collections.abc import Callable
from contextlib import suppress

import pytest
import requests
from urllib3.exceptions import ReadTimeoutError

from cleanup_job.retry import HASTY, Retry


class PassingError(Exception):
    pass


def tries(retry: Retry, error: Callable[[], Exception], *, hasty: bool) -> int:
    made = 0
    with suppress(Exception):
        for attempt in retry.tries("call", PassingError, hasty=hasty):
            with attempt:
                made += 1
                raise error()
    return made


def caused_by(cause: Exception) -> Exception:
    error = PassingError()
    error.__cause__ = requests.ConnectionError()
    error.__cause__.__context__ = cause
    return error


@pytest.mark.parametrize(("attempts", "hasty", "expected"), [(6, False, 6), (6, True, HASTY), (1, True, 1), (1, False, 1)])
def test_a_hasty_call_has_few_tries(attempts: int, hasty: bool, expected: int) -> None:
    assert tries(Retry(attempts, wait=0), PassingError, hasty=hasty) == expected


@pytest.mark.parametrize("cause", [requests.ReadTimeout(), ReadTimeoutError(None, "", "slow"), TimeoutError()])  # type: ignore[arg-type]  # no pool
def test_a_hasty_call_does_not_wait_for_a_slow_server_twice(cause: Exception) -> None:
    assert tries(Retry(6, wait=0), lambda: caused_by(cause), hasty=True) == 1
    assert tries(Retry(6, wait=0), lambda: caused_by(cause), hasty=False) == 6
    assert tries(Retry(6, wait=0), lambda: caused_by(ConnectionResetError()), hasty=True) == HASTY


def test_what_is_no_passing_failure_is_not_tried_again() -> None:
    assert tries(Retry(6, wait=0), ValueError, hasty=False) == 1
