"""How far the job's clock differs from the server's, by the ``Date`` header of the server's answers."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock

RESOLUTION = timedelta(seconds=1)
"""The resolution of the header: an answer at 12:00:00.9 is dated 12:00:00."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""An earlier date comes from a clock that was never set."""


class ClockDifference:
    """Compares the job's clock with the server's. Safe to use from many threads.

    An answer was dated after its request was sent and before it arrived, so it bounds the difference from both sides,
    however slow it was. If answers contradict each other, the one counts by which the server's clock is furthest behind:
    tasks then look younger.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._least: timedelta | None = None
        self._most: timedelta | None = None

    def note(self, dates: Sequence[str], began: datetime, ended: datetime) -> None:
        """Learn from an answer.

        Args:
            dates: Its ``Date`` headers, of which the first counts. One that can't be read is ignored.
            began: When its request was sent, by the job's clock.
            ended: When the answer had arrived.
        """
        date = _read(dates[0]) if dates else None
        if date is None:
            return
        least, most = began - date - RESOLUTION, ended - date
        with self._lock:
            self._least = least if self._least is None else max(self._least, least)
            self._most = most if self._most is None else min(self._most, most)

    @property
    def ahead(self) -> timedelta | None:
        """How far the job's clock is ahead of the server's, negative if it is behind; None before the first dated answer."""
        with self._lock:
            least, most = self._least, self._most
        if least is None or most is None:
            return None
        zero = timedelta()
        return zero if least <= zero <= most else max(least, most)


def _read(text: str) -> datetime | None:
    """A ``Date`` header, in UTC."""
    with suppress(ValueError, TypeError, OverflowError, IndexError):
        date = parsedate_to_datetime(text[:100])
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        return max(date, EARLIEST)
    return None
