"""The records of some tasks: made ready before their files are deleted, and deleted when these are gone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from cleanup_job.passes.ports import Server
from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.order import Unit
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import DELETED_BY_OTHERS, OutcomeBuilder
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.records import Deleted, GoneAlready, Listed, NotDeleted, Task
from cleanup_job.planning.selection import Selected
from cleanup_job.transport.splitting import Splitting

Answer = Deleted | GoneAlready | NotDeleted


@dataclass(frozen=True, slots=True)
class RecordDeletion:
    """Deletes the records of one chunk."""

    policy: Policy
    before: Mapping[TaskId, Selected]
    """The tasks as they were selected."""
    outcomes: OutcomeBuilder
    split: Splitting[Server]
    warn: Callable[[str], None]
    touched: dict[TaskId, Task] = field(default_factory=dict)
    """Tasks whose record this pass has changed, as it was before."""

    def prepare(self, plans: Sequence[Deletion]) -> tuple[list[TaskOutcome], list[Deletion]]:
        """Take models of others out of the lists of output models: the server deletes every model that a task lists with it.

        Gives the outcomes of those for which the server refuses that, and of those that are deleted with them; and the others.
        """
        refused: dict[tuple[TaskId, ...], str] = {}
        for deletion in plans:
            if deletion.listed is None or deletion.unit in refused:
                continue
            self.touched[deletion.task.id] = deletion.task
            if error := self._list_outputs(deletion.task.id, deletion.listed):
                refused[deletion.unit] = f"its record lists models of other tasks, and could not be changed: {error}"
        failed = [
            self.outcomes.of(deletion.task, Verdict.FAILED, Reason.RECORD_ERROR, refused[deletion.unit])
            for deletion in plans
            if deletion.unit in refused
        ]
        return failed, [deletion for deletion in plans if deletion.unit not in refused]

    def delete(self, ready: Sequence[Deletion]) -> list[TaskOutcome]:
        """Delete records whose files are gone."""
        refused = self._delete_models_first([deletion for deletion in ready if _server_would_keep_models(deletion)])
        first, controllers = self._controllers_last(ready)
        answers = refused | self._delete_records([deletion for deletion in first if deletion.task.id not in refused])
        # A controller is what the next pass finds its steps by: its record is deleted when theirs are gone.
        blocked = _units_left(first, answers) | {deletion.unit for deletion in controllers if deletion.task.id in refused}
        answers |= self._delete_records([deletion for deletion in controllers if deletion.unit not in blocked])
        for deletion in controllers:
            if deletion.unit in blocked:
                answers.setdefault(deletion.task.id, NotDeleted(0, 0, "a step of it is still there"))
        return [self._outcome(deletion, answers.get(deletion.task.id)) for deletion in ready]

    def _delete_models_first(self, deletions: Sequence[Deletion]) -> dict[TaskId, Answer]:
        """Delete the models of these before their records; gives the tasks of which one could not be deleted."""
        makers = {model.id: deletion.task.id for deletion in deletions for model in deletion.models}
        self.touched.update({deletion.task.id: deletion.task for deletion in deletions})
        _, left = self.split.each("models.delete_many", list(makers), lambda server, some: server.delete_models(some))
        return {makers[model]: _not_deleted(error) for model, error in left.items()}

    def _controllers_last(self, ready: Sequence[Deletion]) -> tuple[list[Deletion], list[Deletion]]:
        """The records to delete first, and those of controllers that are deleted with their steps."""
        steps = {deletion.task.id for deletion in ready if self.before[deletion.task.id].is_step}
        with_steps = {deletion.unit for deletion in ready if deletion.task.id in steps}
        controllers = [deletion for deletion in ready if deletion.unit in with_steps and deletion.task.id not in steps]
        last = {deletion.task.id for deletion in controllers}
        return [deletion for deletion in ready if deletion.task.id not in last], controllers

    def _delete_records(self, ready: Sequence[Deletion]) -> dict[TaskId, Answer]:
        """Delete some records, by force if the settings allow it and the server asks for it."""
        answers = self._request(ready, force=False)
        # A server that calls a published task missing has deleted its models by then.
        models_deleted = [deletion for deletion in ready if _says_missing(answers.get(deletion.task.id))]
        self.touched.update({deletion.task.id: deletion.task for deletion in models_deleted})
        by_force = {task for task, answer in answers.items() if self._may_force(task, answer)}
        return answers | self._force([deletion for deletion in ready if deletion.task.id in by_force])

    def _may_force(self, task: TaskId, answer: Answer) -> bool:
        """Whether a record was refused for something that the settings, or its being a step, allow to overrule."""
        if not isinstance(answer, NotDeleted):
            return False
        return (answer.needs_force and self.policy.rules.force_delete) or (answer.not_archived and self.before[task].is_step)

    def _force(self, refused: Sequence[Deletion]) -> dict[TaskId, Answer]:
        """Delete published children and models, and steps that are not archived; force would also delete restored tasks."""
        ids = [deletion.task.id for deletion in refused]
        now, _ = self.split.each("tasks.get_all", ids, lambda server, some: server.tasks(some))
        allowed = {
            task.id
            for some in now
            for task in some.values()
            if isinstance(task, Task)
            and self.policy.still_allows(self.before[task.id], task, planned=self.touched.get(task.id))
        }
        return self._request([deletion for deletion in refused if deletion.task.id in allowed], force=True)

    def _request(self, deletions: Sequence[Deletion], *, force: bool) -> dict[TaskId, Answer]:
        """Ask the server to delete some records, apart from those of which it has to keep a model."""
        found: dict[TaskId, Answer] = {}
        for keep_models in (False, True):
            answers, failed = self.split.each(
                "tasks.delete_many",
                [deletion.task.id for deletion in deletions if deletion.detached is keep_models],
                partial(_delete_tasks, force=force, keep_models=keep_models),
            )
            found |= {task: _not_deleted(error) for task, error in failed.items()}
            for some in answers:
                found |= some
        return found

    def _list_outputs(self, task: TaskId, outputs: Sequence[Listed]) -> Exception | None:
        """Set what a task lists; gives why that failed, if it did."""
        _, failed = self.split.each("tasks.edit", [task], lambda server, _: server.list_outputs(task, outputs))
        return failed.get(task)

    def _outcome(self, deletion: Deletion, answer: Answer | None) -> TaskOutcome:
        task = deletion.task
        if isinstance(answer, Deleted):
            if answer.models is not None and task.id not in self.touched and answer.models != len(deletion.models):
                planned = len(deletion.models)
                self.warn(f"task {task.id}: {planned} models planned, {answer.models} deleted by the server")
            return self.outcomes.deleted(deletion)
        if isinstance(answer, GoneAlready):
            return self.outcomes.without_its_record(deletion, Verdict.GONE_ALREADY, None, DELETED_BY_OTHERS)
        if answer is None:
            detail = "the server's answer does not mention it; its files are gone already"
            return self.outcomes.without_its_record(deletion, Verdict.FAILED, Reason.RECORD_ERROR, detail)
        if answer.not_ours:
            return self.outcomes.without_its_record(deletion, Verdict.NOT_OURS, Reason.FORBIDDEN, answer.message)
        code = f" ({answer.status}/{answer.subcode})" if answer.status else ""
        detail = f"{answer.message}{code}; its files are gone already"
        return self.outcomes.without_its_record(deletion, Verdict.FAILED, Reason.RECORD_ERROR, detail)


def _not_deleted(error: Exception) -> NotDeleted:
    """The answer for a record for which alone a call failed."""
    return NotDeleted(0, 0, str(error))


def _delete_tasks(server: Server, tasks: Sequence[TaskId], *, force: bool, keep_models: bool) -> dict[TaskId, Answer]:
    return server.delete_tasks(tasks, force=force, keep_models=keep_models)


def _units_left(deletions: Sequence[Deletion], answers: Mapping[TaskId, Answer]) -> set[Unit]:
    """The units of which a record is still there."""
    return {one.unit for one in deletions if not isinstance(answers.get(one.task.id), Deleted | GoneAlready)}


def _says_missing(answer: Answer | None) -> bool:
    return isinstance(answer, NotDeleted) and answer.says_missing


def _server_would_keep_models(deletion: Deletion) -> bool:
    """Whether the server would keep models of this task that have to be deleted.

    It keeps a model that a task uses which is still there: in a circle, or the very task that made it. And if it is asked to
    keep one of a task's models it keeps all of them.
    """
    return len(deletion.unit) > 1 or deletion.detached or _uses_its_own(deletion)


def _uses_its_own(deletion: Deletion) -> bool:
    return any(model.id in deletion.task.input_models for model in deletion.models)
