"""Which tasks become old enough to be deleted, and with policies to be archived and slimmed, day by day. Pure: no I/O.

The sums grow with the days and the projects, not with the tasks.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from cleanup_job.planning.course import Event, course
from cleanup_job.planning.due import due
from cleanup_job.planning.lifecycle.policy import Stage
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
    coming: dict[tuple[Stage, int, str], Coming] = field(default_factory=lambda: defaultdict(Coming))
    """By the stage, the day, counted from today, and the project's id. What is due by now counts for today."""
    has_policies: bool = False
    """Whether policies decide: then tasks are archived and slimmed, too."""
    later: int = 0
    """Tasks that come after these days."""
    never: int = 0
    """Tasks that were looked at, and that no rule will ever select. Without policies, only archived ones are looked at."""
    unreadable: int = 0
    """Tasks whose record can't be read: these are kept."""

    def day_of(self, rules: Rules, task: Task) -> int | None:
        """Note when a task comes; gives the day, or None if that is after these days, or never."""
        moment = due(rules, task, self.now)
        if moment is None:
            self.never += 1
            return None
        day = self._day(moment)
        if day > self.days:
            self.later += 1
            return None
        return day

    def events_of(self, rules: Rules, task: Task) -> list[tuple[int, Event]]:
        """With policies: note when a task comes; gives its stages within these days, each with its day."""
        events = course(rules, task, self.now)
        found = [(day, event) for event in events if (day := self._day(event.when)) <= self.days]
        self.never += not events
        self.later += bool(events) and not found
        return found

    def _day(self, moment: datetime) -> int:
        return max(0, (moment.astimezone(UTC).date() - self.now.date()).days)

    def add(self, day: int, project: str, known_bytes: int, stage: Stage = Stage.DELETE) -> None:
        """Count in a task of a day."""
        self.coming[stage, day, project].add(Coming(1, known_bytes))

    def date_of(self, day: int) -> date:
        """The date of a day, in UTC."""
        return self.now.date() + timedelta(days=day)

    def by_day(self, stage: Stage = Stage.DELETE) -> dict[int, Coming]:
        """The sum of each day that has any, in their order."""
        return dict(sorted(_summed((day, one) for (of, day, _), one in self.coming.items() if of is stage).items()))

    def by_project(self, day: int | None = None, stage: Stage = Stage.DELETE) -> dict[str, Coming]:
        """The sum of each project by its id, of all days or of one; the largest come first."""
        some = (((of, when), project, one) for (of, when, project), one in self.coming.items())
        found = _summed((project, one) for (of, when), project, one in some if of is stage and day in {None, when})
        return dict(sorted(found.items(), key=lambda pair: (-pair[1].tasks, -pair[1].bytes, pair[0])))

    def total(self, stage: Stage = Stage.DELETE) -> Coming:
        """All of these days together."""
        return _summed((0, one) for (of, _, _), one in self.coming.items() if of is stage).get(0, Coming())


def _summed(pairs: Iterable[tuple[Key, Coming]]) -> dict[Key, Coming]:
    sums: dict[Key, Coming] = {}
    for key, one in pairs:
        sums.setdefault(key, Coming()).add(one)
    return sums
