"""How many requests may be in flight at one server: as many as allowed while it is at ease, fewer while it is not.

The limit moves as TCP's window does: halved where the server can't keep up, one more after each window of good answers. That
finds what a server bears without knowing its size, and leaves room for the people who work on it. A server can't keep up where
it says so (429, 503), where its proxy does (502, 504), where it gives no answer at all, and where calls of one kind take much
longer than they usually do.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Condition
from typing import Any, Protocol, TypeVar

MOST = 16
"""Requests in flight at a server that is at ease."""
OVERLOADED = frozenset({429, 502, 503, 504, 509})
"""Statuses of a server that can't keep up. Not 500: one call may do that to a server that is at ease."""
LONGEST_PAUSE = 60.0
"""Seconds that a ``Retry-After`` is respected for: a pass should rather fail than hang for a day."""
TIMES = 2.0
AT_LEAST = 0.25
"""An answer is slow that takes so many times as long as usual, and so many seconds longer: milliseconds are noise."""
IN_A_ROW = 3
"""Slow answers to calls of one kind that mean a slow server: a single one may be a task with very many events."""
ENOUGH = 5
"""Answers to calls of one kind that make their mean the usual."""
FOLLOW_UP, FOLLOW_DOWN = 1 / 32, 1 / 8
"""How far each later one moves it. Up slowly: trouble is not soon usual, but the pace of a server that stays slow is, in
the end, and the limit recovers."""


class Answer(Protocol):
    """What there is to learn from, as requests gives it."""

    @property
    def status_code(self) -> int: ...  # noqa: D102 -- requests' own
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102 -- as above
    @property
    def content(self) -> bytes: ...  # noqa: D102 -- as above
    @property
    def request(self) -> Any: ...  # noqa: D102 -- as above


T = TypeVar("T", bound=Answer)


@dataclass(slots=True)
class _Kind:
    """Calls of one kind."""

    usual: float = 0.0
    """Seconds that they take."""
    answers: int = 0
    slow: int = 0
    """Slow answers in a row, since the limit fell last."""

    def is_slow(self, took: float) -> bool:
        return self.answers >= ENOUGH and took > TIMES * self.usual and took >= self.usual + AT_LEAST

    def follow(self, took: float) -> None:
        self.answers += 1
        pull = FOLLOW_UP if took > self.usual else FOLLOW_DOWN
        self.usual += (took - self.usual) * (1 / self.answers if self.answers <= ENOUGH else pull)


class ConcurrencyLimit:
    """A limit on the requests in flight at one server. Safe to use from many threads."""

    def __init__(
        self,
        most: int = MOST,
        server: str = "the server",
        tell: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``tell`` is given a line for people when the limit begins to fall; ``clock`` gives seconds."""
        self._server = server
        self._tell = tell
        self._clock = clock
        self._free = Condition()
        self._taken = 0
        self._held_until = clock()
        self._kinds: dict[tuple[str, int, int], _Kind] = {}
        self._most = self._limit = most
        self._good = self._falls = 0
        self._told = False

    def allow(self, most: int) -> None:
        """Have another most from now on."""
        with self._free:
            if most != self._most:
                self._most = self._limit = most
                self._free.notify_all()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, at least 1."""
        return self._limit

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Leave to send one request after the other; waits for it. Ask for none while you hold one, or a lock."""
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
        """Send one request, in a slot, and learn from its answer and time. ``name`` says which calls it compares with."""
        began, falls = self._clock(), self._falls
        try:
            answer = send()
        except OSError as error:  # as all of requests' errors are
            self._fall(falls, f"{name}: {type(error).__name__}")
            raise
        took = self._clock() - began
        if answer.status_code in OVERLOADED:
            with self._free:
                self._held_until = max(self._held_until, self._clock() + pause_of(answer.headers))
            self._fall(falls, f"{name}: HTTP {answer.status_code}")
        elif answer.status_code < 500:  # noqa: PLR2004 -- a server's own errors say nothing of its pace
            size = len(answer.content) + len(answer.request.body or b"")
            self._learn((name, answer.status_code, size.bit_length()), took, falls)
        return answer

    def _learn(self, like: tuple[str, int, int], took: float, falls: int) -> None:
        """From an answer that came, beside those to calls of the same name, status and size (within twice as many bytes)."""
        with self._free:
            kind = self._kinds.setdefault(like, _Kind())
            usual, slow = kind.usual, kind.is_slow(took)
            kind.follow(took)
            if falls != self._falls:
                return  # sent before the limit fell: says nothing of the new one
            kind.slow = kind.slow + 1 if slow else 0
            if not slow:
                self._good += 1
            if self._good >= self._limit:
                self._good = 0
                self._limit = min(self._limit + 1, self._most)
                self._told = self._told and self._limit < self._most
            if kind.slow < IN_A_ROW:
                return
        self._fall(falls, f"{like[0]}: {took:.1f} seconds, usually {usual:.1f}")

    def _fall(self, falls: int, why: str) -> None:
        """To half of what was in flight, which may be less than was allowed; once for all that was sent before."""
        with self._free:
            if falls != self._falls:
                return
            self._falls += 1
            self._good = 0
            for kind in self._kinds.values():
                kind.slow = 0
            self._limit = (min(self._limit, self._taken) + 1) // 2
            # Where it was the only request, its own failure is reported, and there is nothing to reduce.
            told, self._told = self._told, self._told or self._taken > 1
            tell = self._told and not told
            now = self._limit
        if tell:
            at_once = "1 request" if now == 1 else f"{now} requests"
            self._tell(f"{self._server} slows down ({why}): at most {at_once} at the same time until it recovers")


def pause_of(headers: Mapping[str, str]) -> float:
    """The seconds that ``Retry-After`` asks for, at most ``LONGEST_PAUSE``; 0 without one that can be read."""
    asked = headers.get("Retry-After", "")
    try:
        return min(max(float(int(asked)), 0.0), LONGEST_PAUSE)
    except ValueError:
        pass
    try:
        # Against the server's own clock where it says what time it is.
        until, now = parsedate_to_datetime(asked), headers.get("Date")
        pause = until - (parsedate_to_datetime(now) if now else datetime.now(UTC))
    except (ValueError, TypeError):
        return 0.0
    return min(max(pause.total_seconds(), 0.0), LONGEST_PAUSE)
