"""What policies do beside deleting: one listing of all tasks that they may match, archived or not.

    list -> what is to be done now? -> look again -> is it needed by what lives? -> archive, slim, announce, put tags right

It comes after the deletion of a pass, so that nothing is archived and deleted in one pass. Archiving and tags don't change
``last_update``, by which the listing is ordered.
"""

import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace

from cleanup_job.errors import AnswerError, AuditError, CleanupError, LeaseHeldError, StoppedError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes.archive_needs import ArchiveNeeds
from cleanup_job.passes.batch import CHUNK
from cleanup_job.passes.chosen import NOT_THERE, chosen_tasks
from cleanup_job.passes.in_hand import InHand
from cleanup_job.passes.others import Others
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.ports import Server
from cleanup_job.passes.rate import Rate
from cleanup_job.passes.slimming import Slimming
from cleanup_job.passes.task_changes import Steps, TaskChanges
from cleanup_job.passes.windows import CHANGED
from cleanup_job.planning.lifecycle.fate import RESTORED, Step
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import NOTICES, STAGED, Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Kept, unreadable
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Rules, Selected, unchanged
from cleanup_job.planning.sharding import ALONE, Share
from cleanup_job.planning.staged import staged_query
from cleanup_job.transport.splitting import Splitting

CHANGED_NOW = STAGED - NOTICES
"""That more of a task was changed than its tags, or would be: it counts towards the budget."""
LISTENS = 0.2
"""Seconds after which a pass that waits for its rate looks whether it has to end."""


def listed(
    server: Server, rules: Rules, others: Others, stopped: Callable[[], bool], share: Share = ALONE
) -> Iterator[Task | Unreadable]:
    """All tasks with which policies may do something; or those that were chosen."""
    if rules.chosen is not None:
        yield from chosen_tasks(others, rules.chosen, stopped)
    elif (query := staged_query(rules)) is not None:
        yield from server.tasks_of(query, share)


def due_now(server: Server, rules: Rules, others: Others, stopped: Callable[[], bool]) -> Iterator[tuple[Task, Step]]:
    """What is to be archived and slimmed, by all shards together, if nothing needs it; until the pass has to end."""
    for record in listed(server, rules, others, stopped):
        if stopped():
            return
        step = rules.step(record) if isinstance(record, Task) else None
        if isinstance(record, Task) and step is not None and step.is_now:
            yield record, step


@dataclass(slots=True, kw_only=True)
class Stages:
    """Where a pass is with what its policies do beside deleting. For the thread that runs it alone."""

    server: Server
    rules: Rules
    split: Splitting[Server]
    others: Others
    needs: ArchiveNeeds
    changes: TaskChanges
    slimming: Callable[[], Slimming]
    """Called when there is a task to slim."""
    outcomes: OutcomeBuilder
    note: Callable[[TaskOutcome], None]
    """Gets what became of each task with which something was to be done."""
    warn: Callable[[str], None]
    told: Container[TaskId]
    """Tasks of which it was said before what becomes of them: nothing more is done with these."""
    stop: Callable[[StopReason], None]
    """Asks the pass to end."""
    stopped: Callable[[], bool]
    """Whether it has to end."""
    go_on: Callable[[], None]
    """Called before some tasks are worked on: raises a ``StoppedError`` if they may not be."""
    in_hand: InHand
    phases: Phases
    rate: Rate
    share: Share
    budget: int
    """Tasks that may be archived or slimmed at most. Notices don't count: they change only tags, and only delay."""
    found: int = 0
    """Tasks so far with which something was to be done."""
    left: int = 0
    """Those of them that the pass did not come to."""
    ended: bool = False
    """Whether the listing was read to its end."""
    error: CleanupError | None = None
    """What ends the pass, if anything does."""
    _chunk: list[tuple[Task, Step]] = field(default_factory=list)
    _reported: set[TaskId] = field(default_factory=set)
    """Those that can't be read: they may come again."""

    def run(self) -> None:
        """Do it all; what ends it early is in ``error``."""
        try:
            for record in listed(self.server, self.rules, self.others, self.stopped, self.share):
                self._judge(record)
                if len(self._chunk) >= self.rate.batch(CHUNK):
                    self._work_on_chunk()
                if self.stopped():
                    break
            else:
                self._work_on_chunk()
                self.ended = not self.stopped()
        except CleanupError as error:
            self._fail(error)
        self.left += sum(step.stage is not None for _, step in self._chunk)

    def _fail(self, error: CleanupError) -> None:
        self.error = error
        self.stop(StopReason.AUDIT if isinstance(error, AuditError) else StopReason.UNREACHABLE)

    # -- judging
    def _judge(self, record: Task | Unreadable) -> None:
        """Find out what is to be done with a task, and why a task is kept with which something would be."""
        if record.id in self.told:
            return
        if isinstance(record, Unreadable):
            self._note_unreadable(record)
            return
        step = self.rules.step(record)
        if step is None or step.stage is None:
            self._note_kept(record)
        else:
            self.found += 1
        if step is not None and step.is_now and not self._is_in_budget():
            self.left += 1
        elif step is not None:
            self._chunk.append((record, step))

    def _is_in_budget(self) -> bool:
        """Whether one more task may be archived or slimmed; of those that were collected, some may turn out to be needed."""
        if 0 < self.budget <= sum(step.is_now for _, step in self._chunk):
            self._work_on_chunk()
        return self.budget > 0

    def _note_unreadable(self, record: Unreadable) -> None:
        if record.id and record.field != NOT_THERE and record.id not in self._reported:
            self.note(self.outcomes.kept(unreadable(record, record.field)))
        self._reported.add(record.id)

    def _note_kept(self, task: Task) -> None:
        """Report a task with which its policy would do something by now, or announce it, if nothing kept it.

        What is kept from its deletion was reported by then, and so was all that was chosen.
        """
        rules, lifecycle = self.rules, self.rules.lifecycle
        if lifecycle is None or rules.chosen is not None or not rules.has_policies(task) or rules.allows_as_step_too(task):
            return
        why = rules.keeps(task)
        kept = Kept(task, Reason.KEEP_RULE, why) if why else Kept(task, Reason.RESTORED, RESTORED)
        if (why or lifecycle.is_restored(task)) and lifecycle.is_near(task):
            self.note(self.outcomes.kept(kept))

    # -- working
    def _work_on_chunk(self) -> None:
        """Work on the tasks that were collected; those that it does not come to are left."""
        chunk, self._chunk = self._chunk, []
        if not chunk:
            return
        outcomes: list[TaskOutcome] = []
        try:
            self._work_on(chunk, outcomes)
        except (LeaseHeldError, StoppedError):  # the next pass finds what is left of them
            self.left += sum(step.stage is not None for _, step in _without(chunk, outcomes))
        except CleanupError as error:
            outcomes += self._failed(_without(chunk, outcomes), error)
            if not isinstance(error, AnswerError):  # which is about these tasks alone
                raise
        finally:
            self._note_all(chunk, outcomes)

    def _failed(self, chunk: Steps, error: CleanupError) -> list[TaskOutcome]:
        reason = Reason.RECORD_ERROR if isinstance(error, AnswerError) else Reason.UNREACHABLE
        reason = Reason.NOT_AUDITED if isinstance(error, AuditError) else reason
        staged = [(task, step.stage) for task, step in chunk if step.stage is not None]
        return [self.outcomes.of(task, Verdict.FAILED, reason, str(error), stage=stage) for task, stage in staged]

    def _note_all(self, chunk: Steps, outcomes: Iterable[TaskOutcome]) -> None:
        digests = {task.id: step.digest(task) for task, step in chunk}
        for outcome in outcomes:
            self.budget -= outcome.verdict in CHANGED_NOW
            self.note(replace(outcome, digest=digests[outcome.task]) if outcome.verdict in STAGED else outcome)

    def _wait(self) -> None:
        """Wait until the rate allows more; a pass that has to end does not wait, and does nothing more."""
        while (pause := self.rate.pause()) and not self.stopped():
            time.sleep(min(pause, LISTENS))
        if self.stopped():
            raise StoppedError(StopReason.SIGTERM.text)
        self.go_on()

    def _work_on(self, chunk: Steps, outcomes: list[TaskOutcome]) -> None:
        """Work on some tasks. Outcomes are added as they are known, so that an error loses none."""
        self._wait()
        self.rate.began(len(chunk))
        with self.phases.phase("plan"):
            steps = self._look_again(chunk, outcomes)
            held = self.needs.find([task for task, _ in _now(steps, Stage.ARCHIVE)])
        outcomes += [self.outcomes.kept(kept) for kept in held.values()]
        ready = [(task, step) for task, step in steps if task.id not in held]
        with self.in_hand.working_on(len(ready)):
            self.go_on()
            self._change(ready, outcomes)

    def _change(self, ready: Steps, outcomes: list[TaskOutcome]) -> None:
        with self.phases.phase("records"):
            for warning in self.changes.put_right([one for one in ready if one[1].stage is None]):
                self.warn(warning)
            self.changes.announce([one for one in ready if one[1].announced is not None], outcomes)
            self.changes.archive(_now(ready, Stage.ARCHIVE), outcomes)
        if slims := _now(ready, Stage.SLIM):
            self.slimming().slim(slims, outcomes)

    def _look_again(self, chunk: Steps, outcomes: list[TaskOutcome]) -> list[tuple[Task, Step]]:
        """Read tasks once more, right before they are changed; gives those with which the same is to be done as before."""
        ids = [task.id for task, _ in chunk]
        found, failed = self.split.each("tasks.get_all", ids, lambda server, some: server.tasks(some))
        now = {task: record for some in found for task, record in some.items()}
        same: list[tuple[Task, Step]] = []
        for task, step in chunk:
            record = now.get(task.id)
            if isinstance(record, Task) and unchanged(Selected.of(task), record) and self.rules.step(record) == step:
                same.append((record, step))
            elif step.stage is not None:
                outcomes.append(self._changed(task, step.stage, record, failed.get(task.id)))
        return same

    def _changed(self, task: Task, stage: Stage, record: Task | Unreadable | None, error: Exception | None) -> TaskOutcome:
        if error is not None:
            return self.outcomes.of(task, Verdict.FAILED, Reason.SERVER_ERROR, str(error), stage=stage)
        if isinstance(record, Unreadable):
            return self.outcomes.kept(unreadable(record, record.field))
        if record is None:
            gone, _ = self.split.each("looking", [task.id], lambda server, some: server.is_gone(some[0]))
            if any(gone):
                return self.outcomes.gone_already(task)
        return self.outcomes.kept(Kept(task, Reason.CHANGED, CHANGED))


def _now(steps: Steps, stage: Stage) -> list[tuple[Task, Step]]:
    """Those for which a stage itself comes now."""
    return [(task, step) for task, step in steps if step.stage is stage and step.is_now]


def _without(chunk: Steps, outcomes: Iterable[TaskOutcome]) -> list[tuple[Task, Step]]:
    """Those of which nothing is known yet."""
    known = {outcome.task for outcome in outcomes}
    return [(task, step) for task, step in chunk if task.id not in known]
