"""Files of records that survive: a store that can't list has to show one of them before anything is deleted there.

Which tasks are to be deleted is not known when records are read. So a file counts where its task can't be one of them: it is
not archived, and neither is the pipeline that it may be a step of. Files of any other task may be gone, since a pass that was
interrupted had begun with it, and would make the right store look like a wrong one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from random import Random

from cleanup_job.errors import AnswerError, UnreachableError
from cleanup_job.passes.ports import Server
from cleanup_job.planning.paths import Location, TaskId
from cleanup_job.planning.records import DELETED_PREFIX, Task, Unreadable

SAMPLE = 50
"""The most files of surviving records that a store is asked for."""
POOL = 250
"""The most files whose tasks are looked up, of each kind of record: those of two kinds fit in one request."""
UNKNOWN = Unreadable(TaskId(""), "")
"""A task that was not read."""
NOBODY = TaskId("")
"""In place of a task: the file is kept in any case."""


@dataclass(slots=True)
class Pool:
    """A random sample of files with their tasks, each as likely as any other; the same for the same records.

    Once it is full, half of the files are taken out again, and only every second one of those that follow is wanted: few files
    have to be looked at, and it does not matter how many of them are of use.
    """

    files: list[tuple[Location, TaskId]] = field(default_factory=list)
    share: float = 1.0
    """Of the files that are seen from now on, the share that is wanted."""
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 -- a sample, not a secret

    def wants(self) -> bool:
        """Whether the next file may be taken in."""
        return self.random.random() < self.share

    def add(self, place: Location, task: TaskId) -> None:
        """Take in a file that is wanted."""
        self.files.append((place, task))
        if len(self.files) > POOL:
            self.files = self.random.sample(self.files, POOL // 2)
            self.share /= 2

    def drawn(self) -> list[tuple[Location, TaskId]]:
        """All that are in it, in no order."""
        return self.random.sample(self.files, len(self.files))


def sample(server: Server, *pools: Pool) -> list[Location]:
    """Up to ``SAMPLE`` files of records that survive, from each pool in turn."""
    survivors = _survivors(server, {task for pool in pools for _, task in pool.files})
    kept = [[place for place, task in pool.drawn() if task in survivors] for pool in pools]
    in_turn = dict.fromkeys(place for row in zip_longest(*kept) for place in row if place is not None)
    return list(in_turn)[:SAMPLE]


def _survivors(server: Server, ids: set[TaskId]) -> set[TaskId]:
    """Those of these tasks that no pass can be about to delete, as far as their records can be read."""
    there = _tasks(server, ids)
    living = [task for task in there.values() if isinstance(task, Task) and not task.archived]
    parents = _tasks(server, {TaskId(task.parent) for task in living})
    alone = {task for task in ids if _is_nobody(task)}
    return alone | {task.id for task in living if not task.parent or _is_living(parents, TaskId(task.parent))}


def _is_living(there: Mapping[TaskId, Task | Unreadable | None], task: TaskId) -> bool:
    """Whether a task is known not to be archived, or to have no record."""
    found = there.get(task, UNKNOWN)
    return found is None or (isinstance(found, Task) and not found.archived)


def _tasks(server: Server, ids: set[TaskId]) -> dict[TaskId, Task | Unreadable | None]:
    """These tasks; None for those without a record. Nothing if the server fails to answer: a sample need not be complete."""
    asked = {task for task in ids if not _is_nobody(task)}
    try:
        there = server.tasks(asked) if asked else {}
    except (AnswerError, UnreachableError):
        return {}
    return {task: there.get(task) for task in ids}


def _is_nobody(task: TaskId) -> bool:
    return task == NOBODY or task.startswith(DELETED_PREFIX)
