"""The order in which tasks are deleted: a task that needs another one's outputs is deleted first, with its record.

Tasks that need each other's outputs are deleted as one unit. Pure: no I/O.
"""

from collections import defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Mapping

from cleanup_job.planning.paths import TaskId

Unit = tuple[TaskId, ...]


class Order:
    """Hands out units whose holders are all deleted, most recent first, and holds back those whose holders are kept.

    Tasks are added window by window, and are forgotten when it is known what became of them.
    """

    def __init__(self, tasks: Iterable[TaskId] = (), holds: Mapping[TaskId, Iterable[TaskId]] | None = None) -> None:
        """With a first window, as for ``add``."""
        self._unit_of: dict[TaskId, Unit] = {}
        """The tasks of which it is not known yet what became of them."""
        self._held: dict[Unit, set[Unit]] = defaultdict(set)
        self._waiting: dict[Unit, int] = defaultdict(int)
        self._ready: deque[Unit] = deque()
        self._left = 0
        self.add(tasks, holds or {})

    def add(self, tasks: Iterable[TaskId], holds: Mapping[TaskId, Iterable[TaskId]]) -> None:
        """Add a window.

        Args:
            tasks: In the order wanted.
            holds: For a task, those of the window whose outputs it needs. The task may be of an earlier window; others, and
                those of which it is known what became of them, are ignored.
        """
        wanted = dict.fromkeys(tasks)
        edges = _edges(wanted, holds)
        unit_of = {task: unit for unit in _units(edges) for task in unit}
        units = dict.fromkeys(unit_of.get(task, (task,)) for task in wanted)
        self._unit_of.update({task: unit for unit in units for task in unit})
        for task, held in holds.items():
            for other in held:
                if task in self._unit_of and other in wanted:
                    self._wait(self._unit_of[task], self._unit_of[other])
        self._left += len(wanted)
        self._ready.extend(unit for unit in units if not self._waiting.get(unit))

    def _wait(self, holder: Unit, maker: Unit) -> None:
        """Let a unit wait for another one that needs something of it."""
        if holder != maker and maker not in self._held[holder]:
            self._held[holder].add(maker)
            self._waiting[maker] += 1

    def __len__(self) -> int:
        """Tasks that were not handed out yet."""
        return self._left

    def __contains__(self, task: object) -> bool:
        """Whether it is not known yet what became of a task."""
        return task in self._unit_of

    def take(self, limit: int, at_most: int) -> list[Unit]:
        """Units that are ready now, of at most ``limit`` tasks together; a larger one comes alone, if ``at_most`` allows."""
        taken: list[Unit] = []
        left = min(limit, at_most)
        while self._ready and (len(self._ready[0]) <= left or (not taken and len(self._ready[0]) <= at_most)):
            unit = self._ready.popleft()
            taken.append(unit)
            left -= len(unit)
            self._left -= len(unit)
        return taken

    def withdraw(self, task: TaskId) -> Unit:
        """Take back the unit of a task, which was not handed out yet: it is kept. Empty if that is known already."""
        unit = self._unit_of.get(task, ())
        if unit:
            if not self._waiting.get(unit):
                self._ready.remove(unit)
            self._waiting[unit] = -1
            self._left -= len(unit)
        return unit

    def deleted(self, unit: Unit) -> None:
        """A unit's records are deleted: what waited for it may be deleted."""
        for maker in sorted(self._ended(unit)):
            self._waiting[maker] -= 1
            if not self._waiting[maker]:
                self._ready.append(maker)

    def kept(self, unit: Unit) -> Iterator[tuple[Unit, Unit]]:
        """A unit is kept: yields each unit that has to be kept because of it, with the unit that needs it."""
        pending = deque([unit])
        while pending:
            holder = pending.popleft()
            for maker in sorted(self._ended(holder)):
                if self._waiting[maker] > 0:
                    self._waiting[maker] = -1
                    self._left -= len(maker)
                    yield maker, holder
                    pending.append(maker)

    def _ended(self, unit: Unit) -> set[Unit]:
        """Forget a unit; gives those that waited for it."""
        for task in unit:
            self._unit_of.pop(task, None)
        held = self._held.pop(unit, set())
        self._waiting.pop(unit, None)
        return held & {self._unit_of.get(maker[0], ()) for maker in held}


def _edges(wanted: Container[TaskId], holds: Mapping[TaskId, Iterable[TaskId]]) -> dict[TaskId, set[TaskId]]:
    """For each of the wanted tasks, the others of them whose outputs it needs."""
    return {
        task: {other for other in held if other in wanted and other != task} for task, held in holds.items() if task in wanted
    }


def _units(edges: Mapping[TaskId, set[TaskId]]) -> Iterator[Unit]:
    """The strongly connected components, by Tarjan's algorithm without recursion: chains may be thousands long."""
    index: dict[TaskId, int] = {}
    low: dict[TaskId, int] = {}
    stack: list[TaskId] = []
    on_stack: set[TaskId] = set()
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(sorted(edges[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            task, others = work[-1]
            for other in others:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(sorted(edges.get(other, ())))))
                    break
                if other in on_stack:
                    low[task] = min(low[task], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[task])
                if low[task] == index[task]:
                    unit: list[TaskId] = []
                    while not unit or unit[-1] != task:
                        unit.append(stack.pop())
                        on_stack.discard(unit[-1])
                    yield tuple(sorted(unit))
