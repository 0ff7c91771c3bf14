"""Which deleted tasks a pass has to remember: those of which something that comes later is asked whether they are deleted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cleanup_job.passes.claim_index import ClaimIndex
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Detail, Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembers:
    """Notes what matters of a plan before it is carried out.

    Claims are not read again, so what a deleted record claimed has to be known as ended. All else is asked of the server, which
    in a dry run still has every task: then a task matters, too, if its going would free something.
    """

    claims: ClaimIndex
    deleted: DeletedSoFar
    dry_run: bool
    every: bool
    """Whether every task matters: in a dry run that says which projects would be empty."""

    def note(self, deletions: Iterable[Deletion], details: Mapping[TaskId, Detail | Unreadable]) -> None:
        """Note which tasks matter once they are deleted, and which of their models that are kept."""
        tasks: list[TaskId] = []
        kept_models: list[ModelId] = []
        for deletion in deletions:
            task = deletion.task.id
            if self.every or self.claims.concerns(task) or (self.dry_run and _frees_something(details.get(task))):
                tasks.append(task)
            kept_models += [model for model in deletion.kept_models if self.every or self.claims.concerns_model(model)]
        if tasks or kept_models:
            self.deleted.will_matter(tasks, kept_models=kept_models)


def _frees_something(detail: Detail | Unreadable | None) -> bool:
    """Whether another task may be deleted because this one is: one whose model or dataset it uses, or a step of it."""
    if not isinstance(detail, Detail):
        return True
    task = detail.task
    return bool(task.input_models or task.is_controller or "dataset" in task.system_tags or detail.uses_datasets)
