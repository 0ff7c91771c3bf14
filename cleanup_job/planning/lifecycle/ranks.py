"""Which tasks policies keep as the last or the best of their project. Pure: no I/O.

Each project is ranked by itself, without its sub-projects, and for each policy apart: only tasks for which it counts have a
place. What is not known keeps a task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappush, heappushpop

from cleanup_job.planning.lifecycle.policy import Best, LifecyclePolicy, PolicyFile
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Scored, Task, Unreadable

MOST_TIES = 10_000
"""Tasks that are remembered as the best of a project beside as many as are wanted; if more are equal, all of them are kept."""
Place = tuple[str, str]
"""A policy's name, and the id of a project."""


def ranked(file: PolicyFile, task: Task | Unreadable) -> LifecyclePolicy | None:
    """The policy in which a task has a place; None if in none that ranks.

    Public examples, the job's own tasks and records that can't be read have none: policies don't apply to them.
    """
    if isinstance(task, Unreadable) or task.public or RUN_TAG in task.tags:
        return None
    policy = file.of(task)
    return policy if policy is not None and policy.keep.is_ranked else None


class Newest:
    """The newest times among many, of which no more than are wanted are remembered."""

    def __init__(self, count: int) -> None:
        """``count``: how many are wanted, at least one."""
        self._count = count
        self._times: list[datetime] = []
        self._has_more = False

    def add(self, moment: datetime | None) -> None:
        """Take another one; one that is unknown takes no place."""
        if moment is None:
            return
        if len(self._times) < self._count:
            heappush(self._times, moment)
        else:
            heappushpop(self._times, moment)
            self._has_more = True

    @property
    def boundary(self) -> datetime | None:
        """The oldest of the newest times, where there are older ones, or as old ones; None if all are among the newest."""
        return self._times[0] if self._has_more else None


class Leaders:
    """The best tasks of a project, taken in the order of the server until no other one can be among them."""

    def __init__(self, file: PolicyFile, policy: LifecyclePolicy, best: Best) -> None:
        self._file, self._policy, self._best = file, policy, best
        self._worst: float | None = None
        """The worst value that is among the best."""
        self._ids: set[TaskId] = set()
        self.has_values = False
        """Whether any task has the metric, of whichever policy."""

    def add(self, found: Scored) -> bool:
        """Take the next task; whether others behind it can still be among the best."""
        task, value = found.task, found.value
        if value is None:
            return True
        self.has_values = True
        if len(self._ids) >= self._best.count and not self._is_as_good(value):
            return False
        if isinstance(task, Task) and ranked(self._file, task) is self._policy:
            self._ids.add(task.id)
            self._worst = value if self._worst is None or not self._is_as_good(value) else self._worst
        return not self._are_too_many

    def _is_as_good(self, value: float) -> bool:
        if self._worst is None:
            return True
        return value >= self._worst if self._best.order == "max" else value <= self._worst

    @property
    def _are_too_many(self) -> bool:
        return len(self._ids) > self._best.count + MOST_TIES

    @property
    def ids(self) -> frozenset[TaskId] | None:
        """The best tasks; None if too many are equal to remember them."""
        return None if self._are_too_many else frozenset(self._ids)


@dataclass(frozen=True, slots=True)
class Ranks:
    """The last and the best tasks of each project, at the moment when they were read."""

    last: Mapping[Place, datetime | None] = field(default_factory=dict)
    """From which time on activity is among the newest; None if that of all tasks there is."""
    best: Mapping[tuple[Place, Best], frozenset[TaskId] | None] = field(default_factory=dict)
    """The best tasks there; None if they are too many."""
    newest: datetime | None = None
    """The newest ``last_update`` of all tasks then."""

    def kept(self, policy: LifecyclePolicy, task: Task) -> str:
        """The rule by which a task is kept, in words; empty if it is not.

        What changed since they were read can only keep more: the activity of a task becomes newer, and the place among the best
        of one that has run or reported since is open. A task that someone tags or moves meanwhile, so that another policy or
        project counts, is compared with the places that were read there.
        """
        place = (policy.name, task.project)
        if policy.keep.last and (why := self._kept_as_last(place, policy.keep.last, task)):
            return why
        return next((why for one in policy.keep.best if (why := self._kept_as_best(place, one, task))), "")

    def _kept_as_last(self, place: Place, count: int, task: Task) -> str:
        words = f"last {count} of its project"
        if place not in self.last:
            return f"{words}, as far as is known"
        boundary = self.last[place]
        return words if boundary is None or task.active is None or task.active >= boundary else ""

    def _kept_as_best(self, place: Place, best: Best, task: Task) -> str:
        ids = self.best.get((place, best))
        if ids is None:
            return f"{best.words}, as far as is known"
        if task.id in ids:
            return best.words
        return f"{best.words}, as far as is known: it was updated since" if self._is_updated(task) else ""

    def _is_updated(self, task: Task) -> bool:
        """Whether it was written to since: values of metrics come with a new ``last_update``; tags and archiving do not."""
        return task.last_update is not None and (self.newest is None or task.last_update > self.newest)
