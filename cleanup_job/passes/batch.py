"""One batch of tasks: read, then look again, plan, delete files and delete records, a few tasks at a time.

What takes long to read, the files of debug samples and plots, is read for the whole batch. All else is read right before it is
acted upon, for a chunk of a few dozen tasks, so that a task that was restored or is used by then is seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cleanup_job.errors import AnswerError, AuditError, CleanupError, LeaseHeldError, StoppedError
from cleanup_job.passes.auditing import Auditing
from cleanup_job.passes.file_results import FileResults
from cleanup_job.passes.in_hand import InHand
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.planner import Planner
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.passes.reading import Read
from cleanup_job.passes.record_deletion import RecordDeletion
from cleanup_job.planning.order import Unit
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import LinkedFile, OwnedPath, TaskId
from cleanup_job.planning.plan import Kept, Plan
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.records import Removed
from cleanup_job.planning.selection import Selected
from cleanup_job.transport.splitting import Splitting

CHUNK = 25
"""Tasks between whose last look and whose deletion nothing else is deleted."""


@dataclass(frozen=True, slots=True)
class Worked:
    """What became of a batch."""

    outcomes: tuple[TaskOutcome, ...] = ()
    dropped: int = 0
    """Tasks that it did not come to."""
    error: CleanupError | None = None
    """What ends the pass, if anything does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Takes batches through a pass, several at the same time: safe to use from many threads."""

    storage: Storage
    policy: Policy
    tasks: Mapping[TaskId, Selected]
    """The tasks as they were selected."""
    planner: Planner
    files: FileResults
    outcomes: OutcomeBuilder
    split: Splitting[Server]
    warn: Callable[[str], None]
    phases: Phases = field(default_factory=Phases)
    auditing: Auditing | None = None
    """Writes down what is deleted; None in a dry run, and without ``CLEANUP_AUDIT``."""
    go_on: Callable[[], None] = lambda: None
    """Called before a chunk is planned, and again before its deletion begins: raises a ``StoppedError`` if it may not."""
    in_hand: InHand = field(default_factory=InHand)
    _known: dict[int, list[TaskOutcome]] = field(default_factory=dict)
    """What is known so far of each batch in progress."""

    def dry_run(self, units: Sequence[Unit]) -> Worked:
        """Say what would become of a batch. Only reads."""
        return self._work(units, _count(units), self._measure)

    def delete(self, units: Sequence[Unit]) -> Worked:
        """Delete a batch, chunk by chunk: files first, records last."""
        return self._work(units, CHUNK, self._delete)

    def so_far(self, units: Sequence[Unit]) -> Worked | None:
        """What is known of a batch that is not waited for any longer; None if it has ended."""
        known = self._known.get(id(units))
        return Worked(tuple(known), dropped=_count(units) - len(known)) if known is not None else None

    def _work(self, units: Sequence[Unit], size: int, act: Callable[[Plan], list[TaskOutcome]]) -> Worked:
        outcomes = self._known[id(units)] = []
        try:
            return self._read_and_work(units, size, act, outcomes)
        finally:
            del self._known[id(units)]

    def _read_and_work(
        self, units: Sequence[Unit], size: int, act: Callable[[Plan], list[TaskOutcome]], outcomes: list[TaskOutcome]
    ) -> Worked:
        try:
            with self.phases.phase("plan"):
                read, failed = self.planner.reader.read_all([task for unit in units for task in unit])
        except (LeaseHeldError, StoppedError):
            return Worked(dropped=_count(units))
        except CleanupError as error:
            return Worked(tuple(self._failed(units, Reason.UNREACHABLE, error)), error=error)
        left: list[Unit] = []
        for unit in units:
            if culprit := next((task for task in unit if task in failed), None):
                outcomes += self._failed([unit], Reason.SERVER_ERROR, failed[culprit])
            else:
                left.append(unit)
        return self._work_in_chunks(left, size, outcomes, lambda chunk: self._work_on(chunk, read, act, outcomes))

    def _work_in_chunks(
        self, units: Sequence[Unit], size: int, outcomes: list[TaskOutcome], work: Callable[[Sequence[Unit]], None]
    ) -> Worked:
        """Work on one chunk after the other; an error that is one chunk's alone does not end the batch."""
        left = list(units)
        for chunk in _chunks(units, size):
            try:
                work(chunk)
            except (LeaseHeldError, StoppedError):  # the next pass finds what is left of them
                return Worked(tuple(outcomes), dropped=_count(_without(left, outcomes)))
            except AnswerError as error:
                outcomes += self._failed(_without(chunk, outcomes), Reason.RECORD_ERROR, error)
            except CleanupError as error:
                reason = Reason.NOT_AUDITED if isinstance(error, AuditError) else Reason.UNREACHABLE
                return Worked((*outcomes, *self._failed(_without(left, outcomes), reason, error)), error=error)
            left = left[len(chunk) :]
        return Worked(tuple(outcomes))

    def _work_on(
        self, chunk: Sequence[Unit], read: Read, act: Callable[[Plan], list[TaskOutcome]], outcomes: list[TaskOutcome]
    ) -> None:
        """Plan a chunk and act on the plan. Outcomes are added as they are known, so that a failure loses none."""
        self.go_on()
        with self.phases.phase("plan"):
            plan, unplanned = self.planner.plan_all(chunk, read)
        with self.in_hand.working_on(_count(chunk)):
            self.go_on()
            self._act_on(plan, unplanned, act, outcomes)

    def _act_on(
        self,
        plan: Plan,
        unplanned: Mapping[Unit, Exception],
        act: Callable[[Plan], list[TaskOutcome]],
        outcomes: list[TaskOutcome],
    ) -> None:
        for unit, why in unplanned.items():
            outcomes += self._failed([unit], Reason.SERVER_ERROR, why)
        outcomes += [self.kept(kept) for kept in plan.kept]
        if self.auditing is None:
            outcomes += act(plan)
            return
        with self.phases.phase("audit"):
            refused, announced = self.auditing.before(plan.deletions)
        outcomes += refused
        done = act(replace(plan, deletions=announced))
        outcomes += done
        with self.phases.phase("audit"):
            self.auditing.audit.after(done)

    def _failed(self, units: Sequence[Unit], reason: Reason, error: Exception) -> list[TaskOutcome]:
        tasks = [self.tasks[task] for unit in units for task in unit]
        return [self.outcomes.of(task, Verdict.FAILED, reason, str(error)) for task in tasks]

    def kept(self, kept: Kept) -> TaskOutcome:
        """A task that is kept by plan; or gone, if the server says so: its record was deleted by someone else."""
        if kept.absent:
            gone, _ = self.split.each("looking", [kept.task.id], lambda server, some: server.is_gone(some[0]))
            if any(gone):
                return self.outcomes.gone_already(kept.task)
        return self.outcomes.kept(kept)

    def _measure(self, plan: Plan) -> list[TaskOutcome]:
        """What would become of a plan: reads how much is there and what would be refused, in stores that can say."""
        found = self.storage.measure(path for deletion in plan.deletions for path in deletion.paths)
        kept, ready = self.files.judge(plan.deletions, found)
        return kept + [self.outcomes.deleted(deletion) for deletion in ready]

    def _delete(self, plan: Plan) -> list[TaskOutcome]:
        """Files first, record last; a unit with a file that can't be deleted keeps its records."""
        records = RecordDeletion(self.policy, self.tasks, self.outcomes, self.split, self.warn)
        with self.phases.phase("records"):
            failed, plans = records.prepare(plan.deletions)
        with self.phases.phase("files"):
            removed = self.storage.delete(
                (path for deletion in plans for path in deletion.paths),
                (link for deletion in plans for link in deletion.linked),
            )
        kept, ready = self.files.judge(plans, removed)
        for deletion in ready:
            self._warn_of_files_left(deletion.task.id, [*deletion.paths, *deletion.linked], removed)
        with self.phases.phase("records"):
            return failed + kept + records.delete(ready)

    def _warn_of_files_left(self, task: TaskId, paths: Sequence[OwnedPath | LinkedFile], removed: Removed) -> None:
        for path in paths:
            if path in removed.failed:
                self.warn(f"task {task}: a file is left behind without a record: {path.path}: {removed.failed[path]}")


def _count(units: Sequence[Unit]) -> int:
    """How many tasks these are."""
    return sum(map(len, units))


def _without(units: Sequence[Unit], outcomes: Iterable[TaskOutcome]) -> list[Unit]:
    """Those of which nothing is known yet."""
    known = {outcome.task for outcome in outcomes}
    return [unit for unit in units if known.isdisjoint(unit)]


def _chunks(units: Sequence[Unit], size: int) -> Iterator[Sequence[Unit]]:
    """Units of at most so many tasks together; a larger one comes alone."""
    chunk: list[Unit] = []
    tasks = 0
    for unit in units:
        if chunk and tasks + len(unit) > size:
            yield chunk
            chunk, tasks = [], 0
        chunk.append(unit)
        tasks += len(unit)
    if chunk:
        yield chunk
