"""How requests are tried again, the same for ClearML Server and its fileserver: bounded, with back-off and jitter."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import requests
import stamina
import urllib3

PASSING = frozenset({429, 500, 502, 503, 504, 509})
"""Statuses worth another try: HTTP's, and 509 which ClearML's SDK counts as passing too."""
HASTY = 2
"""Tries of a call for many that is divided when it fails."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, and how soon."""

    attempts: int = 6
    """Tries of each request, the first one included."""
    wait: float = 0.5
    """Seconds before the second try; doubles up to 60 times as much."""
    on_retry: Callable[[str], None] = field(default=lambda _: None, repr=False)
    """Told of each failed try but the last, in a line for people."""

    @property
    def times(self) -> str:
        """How often, in words."""
        return "1 try" if self.attempts == 1 else f"{self.attempts} tries"

    def tries(self, name: str, passing: type[Exception], *, hasty: bool = False) -> Iterator[stamina.Attempt]:
        """The tries of a call: a loop of contexts that swallow a ``passing`` error as long as tries are left.

        A ``hasty`` call has ``HASTY`` at most, and none after a time-out: somebody else asks again, for less.
        """
        attempts, failed = min(self.attempts, HASTY) if hasty else self.attempts, 0

        def worth_it(error: Exception) -> bool:
            nonlocal failed
            if not isinstance(error, passing) or (hasty and _timed_out(error)):
                return False
            failed += 1
            if failed < attempts:
                self.on_retry(f"trying again: {name}: {error}")
            return True

        yield from stamina.retry_context(
            on=worth_it,
            attempts=attempts,
            timeout=None,
            wait_initial=self.wait,
            wait_max=self.wait * 60,
            wait_jitter=self.wait,
        )


def _timed_out(error: BaseException | None) -> bool:
    """Whether a limit on time is behind an error."""
    for _ in range(8):
        if error is None or isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
            break
        error = error.__cause__ or error.__context__
    return error is not None


def time_limits(seconds: float) -> tuple[float, float]:
    """Limits in seconds on connecting and on each answer, as requests takes them."""
    return min(10.0, seconds), seconds
