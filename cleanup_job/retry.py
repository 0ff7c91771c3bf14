"""How requests are retried, the same for every server: a bounded number of tries, with back-off and jitter.

This is the only retry loop. Other loops that repeat a request ask for something else each time: the next page, half of a call
(`transport/splitting.py`), or whether something has changed meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import requests
import stamina
import urllib3

from cleanup_job.errors import CleanupError

TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504, 509})
"""HTTP statuses that are worth another try: the usual ones, and 509, which ClearML's SDK also counts as transient."""
FEW_TRIES = 2
"""Tries of a bulk call that is divided when it fails."""

T = TypeVar("T")


class TransientError(CleanupError):
    """A failure that the next try may not meet."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is tried, and how soon again."""

    attempts: int = 6
    """Tries of each request, including the first."""
    wait: float = 0.5
    """Seconds before the second try; doubles with each try, up to 60 times as much."""
    on_retry: Callable[[str], None] = field(default=lambda _: None, repr=False)
    """Called with a readable line after each failed try except the last."""
    retried: Callable[[str], None] = field(default=lambda _: None, repr=False)
    """Called with the request's name at the same time, from any thread: for who counts."""

    @property
    def times(self) -> str:
        """The number of tries, as text."""
        return "1 try" if self.attempts == 1 else f"{self.attempts} tries"

    def call(self, name: str, action: Callable[[], T], *, few_tries: bool = False) -> T:
        """Return what ``action`` returns; call it again while it raises ``TransientError`` and tries are left.

        Args:
            name: The request, for the messages.
            action: Sends the request once.
            few_tries: Try ``FEW_TRIES`` times at most, and not again after a time-out: the caller will ask for less.

        Raises:
            TransientError: the last try failed, too.
        """
        attempts, failed = min(self.attempts, FEW_TRIES) if few_tries else self.attempts, 0

        def is_transient(error: Exception) -> bool:
            nonlocal failed
            if not isinstance(error, TransientError) or (few_tries and _timed_out(error)):
                return False
            failed += 1
            if failed < attempts:
                self.retried(name)
                self.on_retry(f"trying again: {name}: {error}")
            return True

        for attempt in stamina.retry_context(
            on=is_transient,
            attempts=attempts,
            timeout=None,
            wait_initial=self.wait,
            wait_max=self.wait * 60,
            wait_jitter=self.wait,
        ):
            with attempt:
                return action()
        raise AssertionError


def _timed_out(error: BaseException | None) -> bool:
    """Whether a time limit caused an error."""
    for _ in range(8):
        if error is None or isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
            break
        error = error.__cause__ or error.__context__
    return error is not None


def time_limits(seconds: float) -> tuple[float, float]:
    """Limits in seconds for connecting and for each answer, as requests takes them."""
    return min(10.0, seconds), seconds
