"""The records of some tasks: made ready before their files are deleted, and deleted when these are gone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cleanup_job.passes.ports import Server
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcomes import GONE, Outcomes
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Going, Policy
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
    outcomes: Outcomes
    split: Splitting[Server]
    warn: Callable[[str], None]
    touched: dict[TaskId, Task] = field(default_factory=dict)
    """Tasks whose record this pass has changed, as it was before."""

    def prepare(self, plans: Sequence[Going]) -> tuple[list[TaskOutcome], list[Going]]:
        """Take models of others out of the lists of output models: the server deletes whatever a task lists along with it.

        Gives the outcomes of those where the server refuses that, and of those that are deleted with them, and the others.
        """
        refused: dict[tuple[TaskId, ...], str] = {}
        for going in plans:
            if going.listed is None or going.unit in refused:
                continue
            self.touched[going.task.id] = going.task
            if error := self._list_outputs(going.task.id, going.listed):
                refused[going.unit] = f"its record lists models of other tasks, and could not be changed: {error}"
        failed = [
            self.outcomes.of(going.task, Verdict.FAILED, Reason.RECORD_ERROR, refused[going.unit])
            for going in plans
            if going.unit in refused
        ]
        return failed, [going for going in plans if going.unit not in refused]

    def delete(self, ready: Sequence[Going]) -> list[TaskOutcome]:
        """Delete records whose files are gone."""
        # The server keeps a model that a task uses which is still there: in a circle, or the very task that made it. And where
        # it is told to keep one of a task's models it keeps all of them.
        alone = [going for going in ready if len(going.unit) > 1 or going.detached or _uses_its_own(going)]
        models = {model.id: going.task.id for going in alone for model in going.models}
        self.touched.update({going.task.id: going.task for going in alone})
        _, left = self.split.each("models.delete_many", list(models), lambda server, some: server.delete_models(some))
        refused: dict[TaskId, Answer] = {models[model]: _not_deleted(error) for model, error in left.items()}
        with_steps = {going.unit for going in ready if going.task.id in self.policy.steps}
        last = {going.task.id: going for going in ready if going.unit in with_steps and going.task.id not in self.policy.steps}
        first = [going for going in ready if going.task.id not in last]
        answers = refused | self._delete_some([going for going in first if going.task.id not in refused])
        # A controller is what the next pass finds its steps by: its record is deleted when theirs are gone.
        there = {going.unit for going in first if not isinstance(answers.get(going.task.id), Deleted | GoneAlready)}
        there |= {going.unit for going in last.values() if going.task.id in refused}
        answers |= self._delete_some([going for going in last.values() if going.unit not in there])
        for task, going in last.items():
            if going.unit in there:
                answers.setdefault(task, NotDeleted(0, 0, "a step of it is still there"))
        return [self._outcome(going, answers.get(going.task.id)) for going in ready]

    def _list_outputs(self, task: TaskId, outputs: Sequence[Listed]) -> Exception | None:
        """Set what a task lists; gives why that failed, if it did."""
        _, failed = self.split.each("tasks.edit", [task], lambda server, _: server.list_outputs(task, outputs))
        return failed.get(task)

    def _delete_records(self, tasks: Sequence[Task], *, force: bool, keep_models: bool) -> dict[TaskId, Answer]:
        answers, failed = self.split.each(
            "tasks.delete_many",
            [task.id for task in tasks],
            lambda server, some: server.delete_tasks(some, force=force, keep_models=keep_models),
        )
        found: dict[TaskId, Answer] = {task: _not_deleted(error) for task, error in failed.items()}
        for some in answers:
            found |= some
        return found

    def _delete_some(self, ready: Sequence[Going]) -> dict[TaskId, Answer]:
        answers: dict[TaskId, Answer] = {}
        for keep_models in (False, True):
            some = [going.task for going in ready if going.detached is keep_models]
            answers |= self._delete_records(some, force=False, keep_models=keep_models)
        refused = {
            task
            for task, answer in answers.items()
            if isinstance(answer, NotDeleted)
            and ((answer.needs_force and self.policy.force) or (answer.not_archived and task in self.policy.steps))
        }
        # A server that calls a published task missing has deleted its models by then.
        forced = [
            going for going in ready if isinstance(answer := answers.get(going.task.id), NotDeleted) and answer.says_missing
        ]
        self.touched.update({going.task.id: going.task for going in forced})
        return answers | self._force({going.task.id: going for going in ready if going.task.id in refused})

    def _force(self, refused: Mapping[TaskId, Going]) -> dict[TaskId, Answer]:
        """Delete published children and models, and steps that are not archived; force would delete restored tasks, too."""
        answers: dict[TaskId, Answer] = {}
        now, _ = self.split.each("tasks.get_all", list(refused), lambda server, some: server.tasks(some))
        allowed = [
            task
            for some in now
            for task in some.values()
            if isinstance(task, Task)
            and self.policy.still_allows(self.before[task.id], task, planned=self.touched.get(task.id))
        ]
        for keep_models in (False, True):
            some = [task for task in allowed if refused[task.id].detached is keep_models]
            answers |= self._delete_records(some, force=True, keep_models=keep_models)
        return answers

    def _outcome(self, going: Going, answer: Answer | None) -> TaskOutcome:
        task = going.task
        if isinstance(answer, Deleted):
            if answer.models is not None and task.id not in self.touched and answer.models != len(going.models):
                planned = len(going.models)
                self.warn(f"task {task.id}: {planned} models planned, {answer.models} deleted by the server")
            return self.outcomes.goes(going)
        if isinstance(answer, GoneAlready):
            return self.outcomes.without_its_record(going, Verdict.GONE_ALREADY, None, GONE)
        if answer is None:
            detail = "the server's answer does not mention it; its files are gone already"
            return self.outcomes.without_its_record(going, Verdict.FAILED, Reason.RECORD_ERROR, detail)
        if answer.not_ours:
            return self.outcomes.without_its_record(going, Verdict.NOT_OURS, Reason.FORBIDDEN, answer.message)
        code = f" ({answer.status}/{answer.subcode})" if answer.status else ""
        detail = f"{answer.message}{code}; its files are gone already"
        return self.outcomes.without_its_record(going, Verdict.FAILED, Reason.RECORD_ERROR, detail)


def _not_deleted(error: Exception) -> NotDeleted:
    """What a call that failed for a record alone says of it."""
    return NotDeleted(0, 0, str(error))


def _uses_its_own(going: Going) -> bool:
    return any(model.id in going.task.input_models for model in going.models)
