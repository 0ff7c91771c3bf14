"""What the records of slimmed tasks lose once the files are gone, and the tags that say so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cleanup_job.passes.ports import Server
from cleanup_job.passes.tag_changes import change_tags
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Artifact
from cleanup_job.planning.slimming import Slimmed
from cleanup_job.transport.splitting import Splitting

GONE = "the files are gone already, and the next pass tries again"


@dataclass(frozen=True, slots=True)
class SlimmedRecords:
    """Changes the records of a few tasks. Each method gives, in words, what could not be done, by task."""

    split: Splitting[Server]
    lifecycle: Lifecycle

    def tag_before(self, plans: Sequence[Slimmed]) -> dict[TaskId, str]:
        """Note when they were archived, before another change hides it."""
        failed = change_tags(self.split, [(plan.task.id, self.lifecycle.tags_before(plan.task)) for plan in plans])
        return {task: f"its tags could not be changed, so nothing was removed: {error}" for task, error in failed.items()}

    def tag_after(self, plans: Sequence[Slimmed]) -> dict[TaskId, str]:
        """Note that they are slimmed."""
        failed = change_tags(self.split, [(plan.task.id, self.lifecycle.tags_after(plan.task, Stage.SLIM)) for plan in plans])
        return {task: f"it is slimmed, but its tag could not be set: {error}" for task, error in failed.items()}

    def remove(self, plans: Sequence[Slimmed]) -> dict[TaskId, str]:
        """Take artifacts out of their records, delete models, and clear logs."""
        errors = self._remove_artifacts({plan.task.id: plan.artifacts for plan in plans if plan.artifacts})
        errors |= self._delete_models({model.id: plan.task.id for plan in plans for model in plan.models})
        return errors | self._clear_logs([plan.task.id for plan in plans if plan.clears_log])

    def _remove_artifacts(self, gone: Mapping[TaskId, Sequence[Artifact]]) -> dict[TaskId, str]:
        found, failed = self.split.each(
            "tasks.edit of artifacts",
            list(gone),
            lambda server, some: {task: server.remove_artifacts(task, gone[task]) for task in some},
        )
        errors = {task: f"its artifacts could not be removed: {error}; {GONE}" for task, error in failed.items()}
        for some in found:
            errors |= {task: f"its artifacts were changed meanwhile; {GONE}" for task, done in some.items() if not done}
        return errors

    def _delete_models(self, makers: Mapping[ModelId, TaskId]) -> dict[TaskId, str]:
        """Delete models, and look whether they are gone: the call does not fail if one of them is left."""
        _, failed = self.split.each("models.delete_many", list(makers), lambda server, some: server.delete_models(some))
        asked = [model for model in makers if model not in failed]
        left, unseen = self.split.each("models.get_all", asked, lambda server, some: server.models(some))
        errors: dict[ModelId, object] = {model.id: "the server keeps it" for some in left for model in some}
        errors |= {**failed, **unseen}
        return {makers[model]: f"model {model} could not be deleted: {why}; {GONE}" for model, why in errors.items()}

    def _clear_logs(self, tasks: Sequence[TaskId]) -> dict[TaskId, str]:
        _, failed = self.split.each("events.clear_task_log", tasks, _clear_logs)
        return {task: f"its console log could not be cleared: {error}" for task, error in failed.items()}


def _clear_logs(server: Server, tasks: Iterable[TaskId]) -> None:
    for task in tasks:
        server.clear_log(task)
