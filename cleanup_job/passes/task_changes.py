"""Changes of tasks by policies that delete nothing: the archive and tags. Each task fails alone."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cleanup_job.errors import AnswerError
from cleanup_job.passes.ports import Audit, Server
from cleanup_job.passes.tag_changes import change_tags
from cleanup_job.planning.lifecycle.fate import Lifecycle, Step
from cleanup_job.planning.lifecycle.marks import begins
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import NotDone, Task
from cleanup_job.transport.splitting import Splitting

Key = TypeVar("Key", bound=Hashable)
Steps = Sequence[tuple[Task, Step]]
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class TaskChanges:
    """Archives tasks and changes their tags; in a dry run, says what would become of them."""

    split: Splitting[Server]
    outcomes: OutcomeBuilder
    lifecycle: Lifecycle
    dry_run: bool = False
    audit: Audit | None = None
    """Gets what is archived and announced before it is; None without ``CLEANUP_AUDIT``. A dry run writes nothing there."""

    def archive(self, steps: Steps, outcomes: list[TaskOutcome]) -> None:
        """Archive tasks, and note the date on them. Outcomes are added as they are known, so that an error loses none.

        If that is as far as it comes, the next pass adds the tag: the server keeps why it archived a task.
        """
        if self.dry_run:
            outcomes += [self._done(task, step, Verdict.WOULD_ARCHIVE) for task, step in steps]
        else:
            self._audited(steps, Verdict.ARCHIVED, self._archive, outcomes)

    def _archive(self, steps: Steps) -> list[TaskOutcome]:
        refused: dict[TaskId, NotDone | Exception] = {}
        for policy, ids in _grouped((step.policy.name, task.id) for task, step in steps).items():
            message = f"archived by the policy {policy!r} (CLEANUP_POLICIES)"
            answers, failed = self.split.each("tasks.archive_many", ids, partial(_archive, message=message))
            refused |= failed
            for some in answers:
                refused |= some
        archived = [(task, step) for task, step in steps if task.id not in refused]
        untagged = change_tags(self.split, [(task.id, self.lifecycle.tags_after(task, Stage.ARCHIVE)) for task, _ in archived])
        found = [self._not_done(task, step, refused[task.id]) for task, step in steps if task.id in refused]
        for task, step in archived:
            why = untagged.get(task.id)
            found.append(
                self._done(task, step, Verdict.ARCHIVED)
                if why is None
                else self._not_done(task, step, why, "it is archived, and the next pass notes when: ")
            )
        return found

    def announce(self, steps: Steps, outcomes: list[TaskOutcome]) -> None:
        """Put the notices of stages to come on tasks; outcomes as above."""
        if self.dry_run:
            outcomes += [self._done(task, step, Verdict.WOULD_NOTICE) for task, step in steps]
        else:
            self._audited(steps, Verdict.NOTICED, self._announce, outcomes)

    def _announce(self, steps: Steps) -> list[TaskOutcome]:
        failed = change_tags(self.split, [(task.id, step.tags) for task, step in steps])
        return [
            self._not_done(task, step, failed[task.id]) if task.id in failed else self._done(task, step, Verdict.NOTICED)
            for task, step in steps
        ]

    def _audited(
        self,
        steps: Steps,
        verdict: Verdict,
        change: Callable[[Steps], list[TaskOutcome]],
        outcomes: list[TaskOutcome],
    ) -> None:
        """Change tasks between the lines of the audit log, if there is one.

        Raises:
            AuditError: the log could not be written. Before the change, none of them is changed.
        """
        if not steps:
            return
        if self.audit is not None:
            self.audit.before_stage([(task, self._done(task, step, verdict), [_why(step)], ()) for task, step in steps])
        done = change(steps)
        outcomes += done
        if self.audit is not None:
            self.audit.after(done)

    def put_right(self, steps: Steps) -> list[str]:
        """Change tags that are not true any more; gives warnings of those with which that failed, and which are still there."""
        failed = {} if self.dry_run else change_tags(self.split, [(task.id, step.tags) for task, step in steps])
        there = {task: why for task, why in failed.items() if not self._is_gone(task, why)}
        return [
            f"task {task}: its tags could not be corrected; the next pass tries again: {why}" for task, why in there.items()
        ]

    # -- outcomes
    def _done(self, task: Task, step: Step, verdict: Verdict) -> TaskOutcome:
        due = step.due if step.announced is None else begins(step.announced)
        return self.outcomes.of(task, verdict, stage=step.stage, due=due, digest=step.digest(task))

    def _not_done(self, task: Task, step: Step, why: NotDone | Exception, before: str = "") -> TaskOutcome:
        """What became of a task that was not changed, or not in full: one that is gone, or not ours, has not failed."""
        status = why.status if isinstance(why, NotDone | AnswerError) else 0
        if self._is_gone(task.id, why):
            return self.outcomes.gone_already(task)
        if status == _FORBIDDEN:
            return self.outcomes.of(task, Verdict.NOT_OURS, Reason.FORBIDDEN, _words(why))
        if isinstance(why, NotDone) and not status:  # its record as it was right before forbade it
            return self.outcomes.of(task, Verdict.KEPT, Reason.CHANGED, why.message)
        return self.outcomes.of(task, Verdict.FAILED, Reason.RECORD_ERROR, f"{before}{_words(why)}", stage=step.stage)

    def _is_gone(self, task: TaskId, why: NotDone | Exception) -> bool:
        """Whether the server says that a task does not exist; asked only if it was not changed for something like that."""
        may_be_gone = not why.status if isinstance(why, NotDone) else isinstance(why, AnswerError) and why.says_missing
        if isinstance(why, NotDone):
            may_be_gone = may_be_gone or (why.status, why.subcode) == (400, 101)
        if not may_be_gone:
            return False
        gone, _ = self.split.each("looking", [task], lambda server, some: server.is_gone(some[0]))
        return any(gone)


def _grouped(pairs: Iterable[tuple[Key, TaskId]]) -> dict[Key, list[TaskId]]:
    groups: dict[Key, list[TaskId]] = defaultdict(list)
    for key, one in pairs:
        groups[key].append(one)
    return groups


def _why(step: Step) -> str:
    """The rule by which a stage comes, for the audit log."""
    since = f" at {step.due:%Y-%m-%d %H:%M} UTC" if step.due is not None else ""
    return f"reaches the stage {step.stage} of policy {step.policy.name!r}{since}"


def _archive(server: Server, tasks: Sequence[TaskId], *, message: str) -> dict[TaskId, NotDone]:
    return server.archive_tasks(tasks, message=message)


def _words(why: NotDone | Exception) -> str:
    if isinstance(why, NotDone):
        code = f" ({why.status}/{why.subcode})" if why.status else ""
        return f"{why.message}{code}"
    return str(why)
