"""Which tasks must not be archived since something needs them that is not archived itself. Pure: no I/O."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.records import Task


@dataclass(frozen=True, slots=True)
class InUse:
    """What is known of some tasks that are to be archived, all together."""

    tasks: Mapping[TaskId, Task]
    _held: dict[TaskId, Kept] = field(default_factory=dict)
    _needs: dict[TaskId, dict[TaskId, Kept]] = field(default_factory=lambda: defaultdict(dict))
    """For each of them, those that it needs, each with what is said of that one if the first one is not archived."""

    def hold(self, task: TaskId, reason: Reason, detail: str) -> None:
        """Note that one of them is not archived; what was said of it first counts."""
        if task in self.tasks:
            self._held.setdefault(task, Kept(self.tasks[task], reason, detail))

    def needs(self, one: TaskId, other: TaskId, reason: Reason, detail: str) -> None:
        """Note that if one of them is not archived, another one is not either, and what to say of that one then."""
        if one != other and other in self.tasks:
            self._needs[one].setdefault(other, Kept(self.tasks[other], reason, detail))

    def held(self) -> dict[TaskId, Kept]:
        """Those that are not archived, each with the reason."""
        found, left = dict(self._held), list(self._held)
        while left:
            for other, kept in self._needs.get(left.pop(), {}).items():
                if other not in found:
                    found[other] = kept
                    left.append(other)
        return found
