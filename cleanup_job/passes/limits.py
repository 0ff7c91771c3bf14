"""The safety limits: all that a pass would delete is counted before its first deletion.

Shards count the same tasks, all of them: they refuse together, or not at all.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cleanup_job.errors import RefusedError
from cleanup_job.passes.ports import Server
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import Locate, TaskId
from cleanup_job.planning.records import Detail, Task
from cleanup_job.planning.selection import Query
from cleanup_job.planning.sharding import ALONE
from cleanup_job.settings.limits import SMALL_PROJECT, LimitSettings
from cleanup_job.transport.splitting import Splitting


@dataclass(slots=True)
class Counted:
    """What may be deleted, and what it is compared with."""

    by_project: Counter[str] = field(default_factory=Counter)
    """Tasks that may be deleted, by the id of their project."""
    archived: Counter[str] = field(default_factory=Counter)
    """All archived tasks, in the same way."""
    bytes: int = 0
    """Of the files of these tasks, as far as their records have sizes."""

    @property
    def tasks(self) -> int:
        """All tasks that may be deleted."""
        return self.by_project.total()


@dataclass(frozen=True, slots=True)
class Counting:
    """Reads what the limits are compared with."""

    server: Server
    split: Splitting[Server]
    locate: Locate
    stopped: Callable[[], bool]

    def count(self, limits: LimitSettings, to_delete: Iterable[Sequence[Task]], everything: Query) -> Counted | None:
        """Count what may be deleted; None if there is no limit to compare it with, or the pass has to end.

        Args:
            limits: The limits.
            to_delete: The tasks that may be deleted, some at a time.
            everything: The listing of all archived tasks.

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
        if limits.refuse_above_percent is not None:
            counted.archived = self._by_project(everything)
        return None if self.stopped() else counted

    def _by_project(self, query: Query) -> Counter[str]:
        found: Counter[str] = Counter()
        for record in self.server.archived_tasks(query, ALONE):
            if self.stopped():
                break
            found[record.project] += 1
        return found

    def _bytes(self, ids: Sequence[TaskId]) -> int:
        """The files that are in the folders of these tasks, as far as their records name them with a size.

        A task that can't be read has none here, and is not deleted either.
        """
        found, _ = self.split.each("reading", ids, lambda server, some: server.details(some))
        return sum(self._bytes_of(detail) for some in found for detail in some.values() if isinstance(detail, Detail))

    def _bytes_of(self, detail: Detail) -> int:
        outputs = Outputs(detail.task.id, self.locate)
        for artifact in detail.artifacts:
            if artifact.mode == "output":
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
    return RefusedError(
        f"{what}: nothing was deleted. If that is what you want, set {higher} for one pass; a dry run lists them."
    )


_Found = list[tuple[str, str]]
"""What is above a limit, each with the way out."""


def _too_many(limit: int | None, counted: Counted) -> _Found:
    if limit is None or counted.tasks <= limit:
        return []
    what = f"{counted.tasks} tasks are to be deleted, more than CLEANUP_REFUSE_ABOVE={limit} allows"
    return [(what, f"CLEANUP_REFUSE_ABOVE={counted.tasks} or higher")]


def _too_large_a_part(limit: float | None, counted: Counted, names: Mapping[str, str]) -> _Found:
    if limit is None:
        return []
    parts = {
        project: part
        for project, all_of_it in counted.archived.items()
        if all_of_it >= SMALL_PROJECT and (part := _percent(counted.by_project[project], all_of_it)) > limit
    }
    allowed = f"more than CLEANUP_REFUSE_ABOVE_PERCENT={limit:g} allows"
    whole = _percent(counted.tasks, counted.archived.total())
    if whole > limit:
        what = f"{counted.tasks} of {counted.archived.total()} archived tasks ({whole:.1f} %) are to be deleted, {allowed}"
    elif parts:
        largest = max(parts, key=lambda project: (parts[project], counted.by_project[project], project))
        others = len(parts) - 1
        more = f" (and of {others} other project{'s' * (others > 1)})" if others else ""
        what = (
            f"{counted.by_project[largest]} of {counted.archived[largest]} archived tasks ({parts[largest]:.1f} %) in project "
            f"{names.get(largest, largest)!r}{more} are to be deleted, {allowed}"
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
