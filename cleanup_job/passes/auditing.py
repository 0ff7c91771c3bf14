"""What the audit log gets before a chunk of tasks is deleted: a copy of their records, and what is deleted with each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cleanup_job.passes.ports import Audit, Server
from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.judgement import judge
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Selected
from cleanup_job.transport.splitting import Splitting

NO_RECORD = (
    "its record could not be copied into the audit log ({why}), so it is kept; CLEANUP_AUDIT_RECORDS=false deletes it without "
    "a copy"
)


@dataclass(frozen=True, slots=True)
class Auditing:
    """Writes down what is going to be deleted."""

    audit: Audit
    policy: Policy
    selected: Mapping[TaskId, Selected]
    """The tasks as they were selected."""
    split: Splitting[Server]
    outcomes: OutcomeBuilder

    def before(self, deletions: Sequence[Deletion]) -> tuple[list[TaskOutcome], tuple[Deletion, ...]]:
        """The outcomes of those that have to be kept, and the others, which may be deleted: the log has them.

        Raises:
            AuditError: the log could not be written: none of them may be deleted.
            CleanupError: the server gives no usable answer.
        """
        missing = self._copy_records([deletion.task.id for deletion in deletions])
        kept: list[TaskOutcome] = []
        announced: list[Deletion] = []
        for deletion in deletions:
            culprit = next((task for task in deletion.unit if task in missing), None)
            if culprit is None:
                announced.append(deletion)
                continue
            detail = NO_RECORD.format(why=missing[culprit])
            kept.append(self.outcomes.of(deletion.task, Verdict.FAILED, Reason.NOT_AUDITED, detail))
        if announced:
            self.audit.before([(deletion, self.outcomes.deleted(deletion), self._why(deletion.task)) for deletion in announced])
        return kept, tuple(announced)

    def before_stage(self, planned: Sequence[tuple[Task, TaskOutcome, Sequence[str], Sequence[str]]]) -> list[TaskOutcome]:
        """Write down what a policy removes of tasks, as `ports.Audit` has it; gives the outcomes of those that have to be kept.

        Raises:
            AuditError: the log could not be written: nothing of it may be removed.
            CleanupError: the server gives no usable answer.
        """
        missing = self._copy_records([task.id for task, *_ in planned])
        announced = [one for one in planned if one[0].id not in missing]
        if announced:
            self.audit.before_stage(announced)
        return [
            self.outcomes.of(
                task, Verdict.FAILED, Reason.NOT_AUDITED, NO_RECORD.format(why=missing[task.id]), stage=outcome.stage
            )
            for task, outcome, *_ in planned
            if task.id in missing
        ]

    def _why(self, task: Task) -> list[str]:
        """What each rule says of a task, as far as it allows the deletion; a step of a pipeline goes with its controller."""
        why = [judgement.text for judgement in judge(self.policy.rules, task) if judgement.allows]
        if self.selected[task.id].is_step:
            why.append(f"is a step of the pipeline controller {task.parent}, and CLEANUP_INCLUDE_PIPELINE_STEPS is true")
        return why

    def _copy_records(self, tasks: Sequence[TaskId]) -> dict[TaskId, str]:
        """Copy the records of these tasks, and return those for which that was not possible, each with the reason."""
        if not self.audit.records:
            return {}
        copied: set[TaskId] = set()

        def copy(server: Server, some: Sequence[TaskId]) -> None:
            for task, record in server.whole_records(some):
                self.audit.record(task, record)
                copied.add(task)

        _, failed = self.split.each("tasks.get_all of whole records", tasks, copy)
        missing = {task: "the server does not give it" for task in tasks if task not in copied}
        return missing | {task: str(error) for task, error in failed.items()}
