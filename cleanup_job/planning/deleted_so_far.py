"""What a pass has deleted so far, as far as anything still depends on it. Safe to use from many threads."""

from collections.abc import Iterable
from threading import Lock

from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Model


class DeletedSoFar:
    """The tasks that a pass has deleted (in a dry run: would have), and the models of these that it keeps.

    No later task asks for most of them: they are forgotten two windows later. Only those that *matter* are remembered, such as
    those whose record names a file of another task. Batches that run in several threads ask and add at the same time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._mattering: set[TaskId] = set()
        self._lasting: set[TaskId] = set()
        self._recent: set[TaskId] = set()
        self._older: set[TaskId] = set()
        self._kept_models: set[ModelId] = set()

    def will_matter(self, tasks: Iterable[TaskId], *, kept_models: Iterable[ModelId] = ()) -> None:
        """Note tasks to remember once they are deleted, and models that are kept, before their tasks are deleted."""
        with self._lock:
            self._mattering.update(tasks)
            self._kept_models.update(kept_models)

    def add(self, tasks: Iterable[TaskId]) -> None:
        """Note tasks that were deleted."""
        with self._lock:
            for task in tasks:
                (self._lasting if task in self._mattering else self._recent).add(task)
                self._mattering.discard(task)

    def forget(self, tasks: Iterable[TaskId]) -> None:
        """Note tasks that were not deleted."""
        with self._lock:
            self._mattering.difference_update(tasks)

    def forget_old(self) -> None:
        """Forget those that were deleted two windows ago: a window that was read since no longer names them."""
        with self._lock:
            self._older, self._recent = self._recent, set()

    def has(self, task: TaskId) -> bool:
        """Whether a task was deleted."""
        with self._lock:
            return task in self._lasting or task in self._recent or task in self._older

    def keeps(self, model: ModelId) -> bool:
        """Whether a model is kept although its task was, or is about to be, deleted."""
        with self._lock:
            return model in self._kept_models

    def includes(self, found: TaskId | Model) -> bool:
        """Whether a task, or a model with its task, was deleted."""
        if isinstance(found, Model):
            return self.has(TaskId(found.task)) and not self.keeps(found.id)
        return self.has(found)
