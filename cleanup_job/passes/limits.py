"""The safety limits: all that a pass would delete is counted before its first deletion.

Shards count the same tasks, all of them: they refuse together, or not at all.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType

from cleanup_job.errors import RefusedError
from cleanup_job.passes.ports import Server
from cleanup_job.planning.lifecycle.fate import Step
from cleanup_job.planning.lifecycle.policy import Slim, Stage
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import Locate, TaskId
from cleanup_job.planning.records import Detail, Task
from cleanup_job.planning.selection import Query
from cleanup_job.planning.sharding import ALONE
from cleanup_job.settings.limits import SMALL_PROJECT, LimitSettings
from cleanup_job.transport.splitting import Splitting

PAGE = 500
"""Tasks that are slimmed whose records are read together."""


@dataclass(slots=True)
class Counted:
    """What may be deleted, and what it is compared with."""

    by_project: Counter[str] = field(default_factory=Counter)
    """Tasks that may be deleted, by the id of their project."""
    archived: Counter[str] = field(default_factory=Counter)
    """All archived tasks, in the same way."""
    bytes: int = 0
    """Of the files that may be deleted with these tasks or from others, as far as records have sizes."""
    slimmed: Counter[str] = field(default_factory=Counter)
    """Tasks that policies may slim, in the same way."""
    put_away: int = 0
    """Tasks that policies may archive."""

    @property
    def tasks(self) -> int:
        """All tasks that may be deleted."""
        return self.by_project.total()

    @property
    def staged(self) -> int:
        """All tasks that may be archived or slimmed."""
        return self.slimmed.total() + self.put_away


@dataclass(frozen=True, slots=True)
class Counting:
    """Reads what the limits are compared with."""

    server: Server
    split: Splitting[Server]
    locate: Locate
    stopped: Callable[[], bool]

    def count(
        self,
        limits: LimitSettings,
        to_delete: Iterable[Sequence[Task]],
        everything: Query,
        due: Iterable[tuple[Task, Step]] = (),
    ) -> Counted | None:
        """Count what may be deleted; None if there is no limit to compare it with, or the pass has to end.

        Args:
            limits: The limits.
            to_delete: The tasks that may be deleted, some at a time.
            everything: The listing of all archived tasks.
            due: What policies are to archive and slim.

        Raises:
            CleanupError: the server gives no usable answer.
        """
        if not limits.need_counting:
            return None
        counted = Counted()
        for tasks in to_delete:
            counted.by_project.update(task.project for task in tasks)
            if limits.refuse_above_bytes is not None and tasks:
                counted.bytes += self._bytes([task.id for task in tasks])
        self._count_due(limits, due, counted)
        if limits.refuse_above_percent is not None:
            counted.archived = self._by_project(everything)
        return None if self.stopped() else counted

    def _count_due(self, limits: LimitSettings, due: Iterable[tuple[Task, Step]], counted: Counted) -> None:
        rest = iter(due)
        while some := list(islice(rest, PAGE)):
            slims = {task.id: step.policy.slim for task, step in some if step.stage is Stage.SLIM}
            counted.slimmed.update(task.project for task, _ in some if task.id in slims)
            counted.put_away += len(some) - len(slims)
            if limits.refuse_above_bytes is not None and slims:
                counted.bytes += self._bytes(list(slims), slims)

    def _by_project(self, query: Query) -> Counter[str]:
        found: Counter[str] = Counter()
        for record in self.server.archived_tasks(query, ALONE):
            if self.stopped():
                break
            found[record.project] += 1
        return found

    def _bytes(self, ids: Sequence[TaskId], slims: Mapping[TaskId, Slim | None] = MappingProxyType({})) -> int:
        """The files that are in the folders of these tasks, as far as their records name them with a size.

        Of a task that is slimmed, those count that may be removed. A task that can't be read has none here, and is not deleted
        either.
        """
        found, _ = self.split.each("reading", ids, lambda server, some: server.details(some))
        details = [detail for some in found for detail in some.values() if isinstance(detail, Detail)]
        return sum(self._bytes_of(detail, slims.get(detail.task.id)) for detail in details)

    def _bytes_of(self, detail: Detail, slim: Slim | None) -> int:
        outputs = Outputs(detail.task.id, self.locate)
        for artifact in detail.artifacts:
            if artifact.mode == "output" and (slim is None or slim.removes_artifact(artifact.key)):
                outputs.add(artifact.uri, artifact.size)
        return outputs.bytes


def refusal(limits: LimitSettings, counted: Counted | None, names: Mapping[str, str]) -> RefusedError | None:
    """Why a pass has to end before its first deletion, and a dry run once all is said; None if it need not.

    ``names`` are the projects' names by id.
    """
    if counted is None:
        return None
    found = [*_too_many(limits.refuse_above, counted), *_too_large_a_part(limits.refuse_above_percent, counted, names)]
    found += _too_many_bytes(limits.refuse_above_bytes, counted)
    if not found:
        return None
    what = "; ".join(text for text, _ in found)
    higher = " and ".join(dict.fromkeys(way_out for _, way_out in found))
    nothing = "nothing was deleted or changed" if counted.staged else "nothing was deleted"
    return RefusedError(f"{what}: {nothing}. If that is what you want, set {higher} for one pass; a dry run lists them.")


_Found = list[tuple[str, str]]
"""What is above a limit, each with the way out."""


def _too_many(limit: int | None, counted: Counted) -> _Found:
    tasks = counted.tasks + counted.staged
    if limit is None or tasks <= limit:
        return []
    parts = f" or changed ({counted.slimmed.total()} slimmed, {counted.put_away} archived)" if counted.staged else ""
    what = f"{tasks} tasks are to be deleted{parts}, more than CLEANUP_REFUSE_ABOVE={limit} allows"
    return [(what, f"CLEANUP_REFUSE_ABOVE={tasks} or higher")]


def _too_large_a_part(limit: float | None, counted: Counted, names: Mapping[str, str]) -> _Found:
    if limit is None:
        return []
    some = counted.by_project + counted.slimmed
    parts = {
        project: part
        for project, all_of_it in counted.archived.items()
        if all_of_it >= SMALL_PROJECT and (part := _percent(some[project], all_of_it)) > limit
    }
    done = "deleted or slimmed" if counted.slimmed else "deleted"
    allowed = f"are to be {done}, more than CLEANUP_REFUSE_ABOVE_PERCENT={limit:g} allows"
    whole = _percent(some.total(), counted.archived.total())
    if whole > limit:
        what = f"{some.total()} of {counted.archived.total()} archived tasks ({whole:.1f} %) {allowed}"
    elif parts:
        largest = max(parts, key=lambda project: (parts[project], some[project], project))
        others = len(parts) - 1
        more = f" (and of {others} other project{'s' * (others > 1)})" if others else ""
        what = (
            f"{some[largest]} of {counted.archived[largest]} archived tasks ({parts[largest]:.1f} %) in project "
            f"{names.get(largest, largest)!r}{more} {allowed}"
        )
    else:
        return []
    return [(what, f"CLEANUP_REFUSE_ABOVE_PERCENT={math.ceil(max(whole, *parts.values(), 0))} or higher")]


def _percent(some: int, of: int) -> float:
    """A share of archived tasks. Steps that a controller takes along need not be archived: it is never more than all."""
    return 100 * min(some, of) / of if of else 0


def _too_many_bytes(limit: int | None, counted: Counted) -> _Found:
    if limit is None or counted.bytes <= limit:
        return []
    what = f"at least {counted.bytes} bytes are to be deleted, more than CLEANUP_REFUSE_ABOVE_BYTES={limit} allows"
    return [(what, f"CLEANUP_REFUSE_ABOVE_BYTES={counted.bytes} or higher")]
