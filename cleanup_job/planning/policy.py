"""What the settings allow a pass to delete. Pure: no I/O."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from cleanup_job.planning.paths import KINDS, TaskId
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules, Selected, unchanged


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings allow."""

    rules: Rules
    unknown_stores: Literal["keep_record", "delete_record"] = "keep_record"
    """What happens to the record of a task with files in an unknown store."""
    links: frozenset[str] = frozenset()
    """Stores where files that a task only links to are deleted, too (``external_files``)."""
    by_file: frozenset[str] = frozenset()
    """Stores that can't delete a folder as a whole."""
    lists: Callable[[str], bool] = field(default=lambda _: False)
    """Says by a store's name whether it can list: there a folder is deleted except for what has to be kept."""
    shared: Mapping[TaskId, frozenset[str]] = field(default_factory=dict)
    """Tasks whose id a project's name ends in, each with those of the ``KINDS`` that are also the name of a sub-project there:
    files in these may belong to the project's tasks."""
    keep_model_tags: frozenset[str] = frozenset()
    """Models with one of these tags are kept, with their files, although their task is deleted."""

    def still_allows(self, before: Selected, now: Task, *, planned: Task | None = None) -> bool:
        """Whether a task that was selected may still be deleted: it was not touched, and it is within the rules.

        A parent that this very pass deletes moves ``last_change``, which is taken for the time of archiving: that of ``before``
        counts. With ``planned``, the task as it was read right before this pass deleted its models or changed its list of
        models, only what others can have changed is compared: this pass has moved ``last_update``.
        """
        allowed = self.rules.allows(
            now, archived_at=before.last_change, is_step=before.is_step, since=planned.active if planned else None
        )
        judged = replace(now, last_update=planned.last_update) if planned is not None else now
        return allowed and not self.rules.keeps(judged) and unchanged(before, now, planned=planned)


def shared_folders(projects: Iterable[str]) -> dict[TaskId, frozenset[str]]:
    """Tasks whose folder could be a project's, each with those of the ``KINDS`` that a sub-project there has as its name.

    Args:
        projects: The names of all projects.
    """
    shared: dict[TaskId, frozenset[str]] = {}
    for name in projects:
        for folder, below in pairwise(name.split("/")):
            task = TaskId(folder.rpartition(".")[2])
            if below in KINDS:
                shared[task] = shared.get(task, frozenset()) | {below}
    return shared
