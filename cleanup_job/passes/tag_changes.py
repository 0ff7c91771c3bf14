"""Changes of tags, for many tasks at once where they change in the same way. Each task fails alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from cleanup_job.passes.ports import Server
from cleanup_job.planning.lifecycle.fate import TagChange
from cleanup_job.planning.paths import TaskId
from cleanup_job.transport.splitting import Splitting


def change_tags(split: Splitting[Server], changes: Iterable[tuple[TaskId, TagChange]]) -> dict[TaskId, Exception]:
    """Change the tags of tasks; gives those with which that failed."""
    alike: dict[TagChange, list[TaskId]] = defaultdict(list)
    for task, change in changes:
        if change != TagChange():
            alike[change].append(task)
    failed: dict[TaskId, Exception] = {}
    for change, tasks in alike.items():
        _, some = split.each("tasks.update_tags", tasks, _changing(change))
        failed |= some
    return failed


def _changing(change: TagChange) -> Callable[[Server, Sequence[TaskId]], None]:
    return lambda server, some: server.change_tags(some, add=change.add, remove=change.remove)
