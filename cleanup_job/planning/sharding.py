"""Which of several pods a task belongs to.

A task's shard is the CRC-32 of its id, modulo the number of shards: the same at any time and anywhere. Tasks that need each
other's outputs, and pipelines with their steps, are all in one shard, so that one pod keeps the order in such a group.
Pure: no I/O.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping

from cleanup_job.planning.paths import TaskId


def shard_of(task: str, shards: int) -> int:
    """The shard of a task that belongs to no group, from 0."""
    return zlib.crc32(task.encode()) % shards


def own(tasks: Collection[TaskId], holds: Mapping[TaskId, Iterable[TaskId]], shard: int, shards: int) -> set[TaskId]:
    """The tasks of a shard.

    A group has the shard of the first id among those of its tasks that need nothing of the others: they are deleted last, so
    that a pod that lists later, when some of the group are deleted, still finds the same shard for the rest.

    Args:
        tasks: All that were selected.
        holds: For a task, those whose outputs it needs; those that were not selected don't count.
        shard: Which one, from 0.
        shards: How many there are.
    """
    root: dict[TaskId, TaskId] = {}

    def find(task: TaskId) -> TaskId:
        while (above := root.get(task, task)) != task:
            root[task] = root.get(above, above)
            task = above
        return task

    needing: set[TaskId] = set()
    for task, held in holds.items():
        for other in held:
            if task in tasks and other in tasks and task != other:
                needing.add(task)
                one, two = sorted((find(task), find(other)))
                root[two] = one
                root.setdefault(one, one)
    last: dict[TaskId, tuple[bool, TaskId]] = {}
    for task in root:
        group, rank = find(task), (task in needing, task)
        last[group] = min(last.get(group, rank), rank)
    return {task for task in tasks if shard_of(last[find(task)][1] if task in root else task, shards) == shard}


def share(budget: int, shard: int, shards: int) -> int:
    """A shard's part of the number of tasks that a pass may delete."""
    return budget // shards + (shard < budget % shards)


from dataclasses import dataclass as _dc
@_dc(frozen=True, slots=True)
class Share:
    shard: int = 0
    shards: int = 1
    def owns(self, moment):
        if self.shards == 1:
            return True
        if moment is None:
            return self.shard == 0
        day = int(moment.timestamp() // 86400)
        return (day % self.shards + day // self.shards) % self.shards == self.shard
