"""What a pass has selected and not finished: it grows by windows, and forgets each task when it is known what became of it.

Tasks come newest first, so that most tasks which need something of another one (its consumers) are deleted before it. A task
whose consumer comes later is deferred: remembered by its id alone until the pass ends. Pure: no I/O.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.order import Order, Unit
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.selection import Selected


@dataclass(slots=True)
class Window:
    """Some tasks that follow each other in a listing, with all that decides on their order."""

    tasks: dict[TaskId, Selected] = field(default_factory=dict)
    """Those that may be deleted by the rules, newest first."""
    holds: dict[TaskId, set[TaskId]] = field(default_factory=lambda: defaultdict(set))
    """For each task that may be deleted by the rules, of this window or another one: those of the window that it needs."""
    later: set[TaskId] = field(default_factory=set)
    """Those that hold some, and that come later, here or in another pod."""
    elsewhere: set[TaskId] = field(default_factory=set)
    """Those that hold some, and that another pod deletes."""
    held: dict[TaskId, Kept] = field(default_factory=dict)
    """Those of the window that are kept for what the server says of them: steps, controllers, dataset versions."""
    kept: list[Kept] = field(default_factory=list)
    """Tasks that a rule keeps, or that can't be read."""
    made: dict[TaskId, frozenset[ModelId]] = field(default_factory=dict)
    """The models that tasks of the window made, as far as they are known."""
    ends: bool = False
    """Whether nothing follows it in the listing."""
    again: frozenset[TaskId] = frozenset()
    """The deferred tasks that it was read for, if it was."""


class Backlog:
    """What a pass has selected and not finished. For the thread that runs the pass alone; others may read ``tasks``."""

    def __init__(self, deleted: DeletedSoFar) -> None:
        """Empty."""
        self.order = Order()
        self.tasks: dict[TaskId, Selected] = {}
        """Those that are to be planned, or are being worked on."""
        self.made: dict[TaskId, frozenset[ModelId]] = {}
        """The models that they made, as far as they are known."""
        self.deferred: set[TaskId] = set()
        self._deleted = deleted

    def __len__(self) -> int:
        """Tasks that were not handed out yet."""
        return len(self.order) + len(self.deferred)

    def add(self, window: Window) -> Iterator[Kept]:
        """Add a window; yields the tasks that are kept at once."""
        self._deleted.forget_old()
        self.deferred.difference_update(window.tasks, window.again)
        waits = self._deferred_in(window)
        self.deferred |= waits
        now = {task: selected for task, selected in window.tasks.items() if task not in waits}
        self.tasks |= now
        self.made |= {task: models for task, models in window.made.items() if task in now}
        self.order.add(now, window.holds)
        own = dict(window.held)
        for task, holder in self._held_by_kept(window).items():
            own.setdefault(task, self._because_of(task, holder, elsewhere=holder in window.elsewhere))
        for task in own:
            yield from self._keep(task, own)

    def _deferred_in(self, window: Window) -> set[TaskId]:
        """Those of a window that are deferred: what comes later needs them, or what is deferred itself."""
        found: set[TaskId] = set()
        pending = [holder for holder in window.holds if holder in window.later or holder in self.deferred]
        while pending:
            more = window.holds.get(pending.pop(), set()) - found
            found |= more
            pending += more
        return found

    def _held_by_kept(self, window: Window) -> dict[TaskId, TaskId]:
        """Those of a window that a task needs which is kept: it came before, and is still on the server.

        Each with that task; with its controller, if that is one of several.
        """
        found: dict[TaskId, TaskId] = {}
        for holder, makers in window.holds.items():
            if not self._is_open(holder, window) and not self._deleted.has(holder):
                for maker in sorted(makers & self.tasks.keys()):
                    if maker not in found or self.tasks[maker].parent == holder:
                        found[maker] = holder
        return found

    def _is_open(self, holder: TaskId, window: Window) -> bool:
        """Whether it is not known yet what becomes of a task."""
        return holder in window.tasks or holder in self.order or holder in self.deferred or holder in window.later

    def _keep(self, task: TaskId, own: Mapping[TaskId, Kept]) -> Iterator[Kept]:
        """Keep a task that was not handed out yet, with its unit and all that these need.

        ``own``: what to yield of those that are kept for a reason of their own.
        """
        unit = self.order.withdraw(task)
        yield from (own.get(other) or self._because_of(other, task) for other in unit)
        yield from self.kept(unit, own)

    # -- what became of tasks
    def finished(self, unit: Unit) -> None:
        """A unit's records are deleted: what waited for it may be deleted."""
        self.order.deleted(unit)
        self._forget(unit)

    def kept(self, unit: Unit, own: Mapping[TaskId, Kept] = MappingProxyType({})) -> Iterator[Kept]:
        """A unit is kept: yields the tasks that are kept because they made something that it needs.

        ``own``: what to yield of those that are kept for a reason of their own.
        """
        needed = list(self.order.kept(unit))
        yield from (own.get(task) or self._because_of(task, holder[0]) for maker, holder in needed for task in maker)
        self._forget(unit)
        for maker, _ in needed:
            self._forget(maker)

    def _because_of(self, task: TaskId, holder: TaskId, *, elsewhere: bool = False) -> Kept:
        """A task that is kept because of another one."""
        selected = self.tasks[task]
        if elsewhere:
            detail = f"task {holder}, which another pod deletes, needs something of this one, and is still there"
            return Kept(selected, Reason.IN_USE, f"{detail}; the next pass looks again")
        if selected.parent == holder:
            return Kept(selected, Reason.PIPELINE_STEP, f"the controller is task {holder}")
        detail = f"task {holder}, which needs something that this one made or keeps, is kept"
        return Kept(selected, Reason.IN_USE, detail)

    def _forget(self, unit: Unit) -> None:
        for task in unit:
            self.tasks.pop(task, None)
            self.made.pop(task, None)
