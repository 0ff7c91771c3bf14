"""How many requests may be in flight at one server: as many as allowed while it keeps up, fewer while it does not.

The limit moves like TCP's window: it is halved if the server can't keep up, and grows by one after each window of good answers.
That finds what a server can bear without knowing its size. A server can't keep up if it says so (429, 503), if its proxy does
(502, 504), or if it gives no answer at all.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Condition
from typing import Protocol, TypeVar

MOST = 16
"""Requests in flight at a server that keeps up."""
OVERLOADED = frozenset({429, 502, 503, 504, 509})
"""Statuses of a server that can't keep up. Not 500, which a single call can cause on a server that is well."""
LONGEST_PAUSE = 60.0
"""The longest ``Retry-After`` that is respected, in seconds: a pass should rather fail than wait for a day."""


class Answer(Protocol):
    """What the limit learns from, as requests returns it."""

    @property
    def status_code(self) -> int: ...  # noqa: D102 -- of requests
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102 -- of requests


T = TypeVar("T", bound=Answer)


class ConcurrencyLimit:
    """A limit on the requests in flight at one server. Safe to use from many threads."""

    def __init__(
        self,
        most: int = MOST,
        server: str = "the server",
        notify: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``notify`` gets a readable line when the limit starts to fall; ``clock`` returns seconds."""
        self._server = server
        self._notify = notify
        self._clock = clock
        self._free = Condition()
        self._taken = 0
        self._held_until = clock()
        self._most = self._limit = most
        self._good = self._falls = 0
        self._notified = False

    def allow(self, most: int) -> None:
        """Change the highest value of the limit."""
        with self._free:
            if most != self._most:
                self._most = self._limit = most
                self._free.notify_all()

    @property
    def limit(self) -> int:
        """The number of requests that may be in flight now, at least 1."""
        return self._limit

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for permission to send requests, one after the other. Don't ask for another while you hold one, or a lock."""
        with self._free:
            while (pause := self._held_until - self._clock()) > 0 or self._taken >= self._limit:
                self._free.wait(pause if pause > 0 else None)
            self._taken += 1
        try:
            yield
        finally:
            with self._free:
                self._taken -= 1
                self._free.notify_all()

    def ask(self, name: str, send: Callable[[], T]) -> T:
        """Send one request, while holding a slot, and learn from the outcome. ``name`` is the call, for messages."""
        falls = self._falls
        try:
            answer = send()
        except OSError as error:  # the base of all errors of requests
            self._fall(falls, f"{name}: {type(error).__name__}")
            raise
        if answer.status_code in OVERLOADED:
            with self._free:
                self._held_until = max(self._held_until, self._clock() + pause_of(answer.headers))
            self._fall(falls, f"{name}: HTTP {answer.status_code}")
        elif answer.status_code < 500:  # noqa: PLR2004 -- other errors of the server don't show whether it keeps up
            self._rise(falls)
        return answer

    def _rise(self, falls: int) -> None:
        """Count a good answer; after as many as the limit is, allow one request more."""
        with self._free:
            if falls != self._falls:
                return  # sent before the limit fell: says nothing about the new one
            self._good += 1
            if self._good >= self._limit:
                self._good = 0
                self._limit = min(self._limit + 1, self._most)
                self._notified = self._notified and self._limit < self._most

    def _fall(self, falls: int, why: str) -> None:
        """Halve what was in flight, which may be less than was allowed; once for everything that was sent before."""
        with self._free:
            if falls != self._falls:
                return
            self._falls += 1
            self._good = 0
            self._limit = (min(self._limit, self._taken) + 1) // 2
            # If it was the only request, its own failure is reported, and nothing can be reduced.
            before, self._notified = self._notified, self._notified or self._taken > 1
            notify = self._notified and not before
            now = self._limit
        if notify:
            at_once = "1 request" if now == 1 else f"{now} requests"
            self._notify(f"{self._server} can't keep up ({why}): at most {at_once} at a time until it recovers")


def pause_of(headers: Mapping[str, str]) -> float:
    """The seconds that ``Retry-After`` asks for, at most ``LONGEST_PAUSE``; 0 if it is missing or can't be read."""
    asked = headers.get("Retry-After", "")
    try:
        return min(max(float(int(asked)), 0.0), LONGEST_PAUSE)
    except ValueError:
        pass
    try:
        # By the server's own clock, if it says what time it is.
        until, now = parsedate_to_datetime(asked), headers.get("Date")
        pause = until - (parsedate_to_datetime(now) if now else datetime.now(UTC))
    except (ValueError, TypeError):
        return 0.0
    return min(max(pause.total_seconds(), 0.0), LONGEST_PAUSE)
