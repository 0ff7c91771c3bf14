"""The tasks that were chosen by their ids, in the order of a listing."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from cleanup_job.passes.others import Others
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Chosen

NOT_THERE = "the server has no task with this ID, or this key may not see it"
PAGE = 500
"""Tasks that are read together."""
_NEVER = datetime.min.replace(tzinfo=UTC)


def chosen_tasks(others: Others, chosen: Chosen, stopped: Callable[[], bool]) -> Iterator[Task | Unreadable]:
    """The chosen tasks, newest first; those that are not there come first.

    Each is read twice: only ids and times are remembered between the first and the second time.
    """
    times: list[tuple[datetime, TaskId]] = []
    for some in _pages(list(chosen.digests)):
        found = others.read(some)
        times += [(_since(found[task]), task) for task in some if task in found]
        yield from (Unreadable(task, NOT_THERE) for task in some if task not in found)
    times.sort(reverse=True)
    for some in _pages([task for _, task in times]):
        found = others.read(some)
        if stopped():
            return
        yield from (found.get(task) or Unreadable(task, NOT_THERE) for task in some)


def _since(record: Task | Unreadable) -> datetime:
    return (record.last_update if isinstance(record, Task) else None) or _NEVER


def _pages(ids: Sequence[TaskId]) -> Iterator[Sequence[TaskId]]:
    return (ids[start : start + PAGE] for start in range(0, len(ids), PAGE))
