"""What a pass has deleted so far. Safe to use from many threads."""

from collections.abc import Iterable
from threading import Lock

from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Model


class DeletedSoFar:
    """The tasks that a pass has deleted (in a dry run: would have), and the models of these that it keeps.

    Batches that run in several threads ask and add at the same time. It is never copied: there may be millions of tasks.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._tasks: set[TaskId] = set()
        self._kept_models: set[ModelId] = set()

    def add(self, tasks: Iterable[TaskId] = (), *, kept_models: Iterable[ModelId] = ()) -> None:
        """Note tasks that were deleted. Models of theirs that are kept are noted first, before their tasks are deleted."""
        with self._lock:
            self._kept_models.update(kept_models)
            self._tasks.update(tasks)

    def has(self, task: TaskId) -> bool:
        """Whether a task was deleted."""
        with self._lock:
            return task in self._tasks

    def keeps(self, model: ModelId) -> bool:
        """Whether a model is kept although its task was, or is about to be, deleted."""
        with self._lock:
            return model in self._kept_models

    def includes(self, found: TaskId | Model) -> bool:
        """Whether a task, or a model with its task, was deleted."""
        if isinstance(found, Model):
            return self.has(TaskId(found.task)) and not self.keeps(found.id)
        return self.has(found)
