"""Which of several pods a task belongs to. Pure: no I/O.

A pod lists slices of time: days, in UTC, of ``last_update``. Of as many consecutive days as there are shards each has one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DAY = timedelta(days=1)
_WEEK = 7
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Share:
    """One pod's part of the days. The same at any time and anywhere."""

    shard: int = 0
    """Which one, from 0."""
    shards: int = 1
    """How many there are."""

    def owns(self, moment: datetime | None) -> bool:
        """Whether a task with this ``last_update`` belongs to this shard. One without belongs to the first."""
        return self.shard == (0 if moment is None else self._shard_of((moment - _EPOCH) // _DAY))

    def slice_below(self, moment: datetime) -> tuple[datetime, datetime]:
        """The last of its days that begins at or before a moment: its start, and its end, which no longer belongs to it."""
        day = (moment - _EPOCH) // _DAY
        while self._shard_of(day) != self.shard:
            day -= 1
        start = _EPOCH + day * _DAY
        return start, start + _DAY

    def _shard_of(self, day: int) -> int:
        """Shards take turns. If 7 divides their number, they move on by one each time, or one would have all the Sundays."""
        return (day if self.shards % _WEEK else day + day // self.shards) % self.shards


ALONE = Share()
"""The share of a pod that has no others beside it."""


def share(budget: int, shard: int, shards: int) -> int:
    """A shard's part of the number of tasks that a pass may delete."""
    return budget // shards + (shard < budget % shards)
