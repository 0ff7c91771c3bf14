"""Which archived tasks become old enough to be deleted, day by day. Pure: no I/O.

The sums grow with the days and the projects, not with the tasks.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from cleanup_job.planning.due import due
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules

Key = TypeVar("Key", int, str)


@dataclass(slots=True)
class Coming:
    """Some tasks, and the bytes of their files as far as records tell."""

    tasks: int = 0
    bytes: int = 0

    def add(self, other: "Coming") -> None:
        """Count others in."""
        self.tasks += other.tasks
        self.bytes += other.bytes


@dataclass(slots=True)
class Forecast:
    """What passes would find on each day, if nothing changes until then."""

    now: datetime
    """In UTC, by the clock that ages count by."""
    days: int
    """How many days after today are looked at."""
    coming: dict[tuple[int, str], Coming] = field(default_factory=lambda: defaultdict(Coming))
    """By the day, counted from today, and the project's id. What is due by now counts for today."""
    later: int = 0
    """Tasks that come after these days."""
    never: int = 0
    """Archived tasks that were looked at, and that no rule will ever select."""
    unreadable: int = 0
    """Archived tasks whose record can't be read: these are kept."""

    def day_of(self, rules: Rules, task: Task) -> int | None:
        """Note when a task comes; gives the day, or None if that is after these days, or never."""
        moment = due(rules, task, self.now)
        if moment is None:
            self.never += 1
            return None
        day = max(0, (moment.astimezone(UTC).date() - self.now.date()).days)
        if day > self.days:
            self.later += 1
            return None
        return day

    def add(self, day: int, project: str, known_bytes: int) -> None:
        """Count in a task of a day."""
        self.coming[day, project].add(Coming(1, known_bytes))

    def date_of(self, day: int) -> date:
        """The date of a day, in UTC."""
        return self.now.date() + timedelta(days=day)

    def by_day(self) -> dict[int, Coming]:
        """The sum of each day that has any, in their order."""
        return dict(sorted(_summed((day, one) for (day, _), one in self.coming.items()).items()))

    def by_project(self, day: int | None = None) -> dict[str, Coming]:
        """The sum of each project by its id, of all days or of one; the largest come first."""
        found = _summed((project, one) for (when, project), one in self.coming.items() if day in {None, when})
        return dict(sorted(found.items(), key=lambda pair: (-pair[1].tasks, -pair[1].bytes, pair[0])))

    def total(self) -> Coming:
        """All of these days together."""
        return _summed((0, one) for one in self.coming.values()).get(0, Coming())


def _summed(pairs: Iterable[tuple[Key, Coming]]) -> dict[Key, Coming]:
    sums: dict[Key, Coming] = {}
    for key, one in pairs:
        sums.setdefault(key, Coming()).add(one)
    return sums
