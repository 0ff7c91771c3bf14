"""The stream of a pass: windows are read, put into the backlog, worked on in batches, reported and forgotten."""

from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from cleanup_job.errors import AuditError, CleanupError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes.batch import Batches, Worked
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.windows import Windows
from cleanup_job.planning.backlog import Backlog, Window
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.order import Unit
from cleanup_job.planning.outcome import GONE, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Kept

NOT_THERE = GONE | {Verdict.GONE_ALREADY}
"""That a record is not there any more, or in a dry run would not be."""


@dataclass(slots=True, kw_only=True)
class Stream:
    """Where a pass is. For the thread that runs it alone."""

    windows: Windows
    backlog: Backlog
    deleted: DeletedSoFar
    announce: Callable[[], None]
    """Called before anything is said of the first task."""
    all_selected: Callable[[int], None]
    """Gets how many tasks were found once the listing has been read to its end."""
    begin: Callable[[], Batches]
    """Called when the first window that has a task is there: gives what takes batches of its tasks through the pass."""
    note: Callable[[TaskOutcome], None]
    """Gets what became of each task."""
    keep: Callable[[Kept], None]
    """Gets each task that is kept without being looked at again."""
    stop: Callable[[StopReason], None]
    """Asks the pass to end."""
    stopped: Callable[[], bool]
    """Whether it has to end."""
    phases: Phases
    selected: int = 0
    """Tasks that were found so far."""
    oldest: datetime | None = None
    """The moment from which the age of the oldest of them counts."""
    dropped: int = 0
    """Those of them that batches did not come to."""
    ended: bool = False
    """Whether the listing was read to its end."""
    touched: set[str] = field(default_factory=set)
    """The ids of projects of which a task was deleted."""
    error: CleanupError | None = None
    """What ends the pass, if anything does."""
    _announced: bool = False
    _rounds: list[list[TaskId]] | None = None
    """The deferred tasks that are still to be read; an empty list stands for all that are deferred by then."""
    _batches: Batches | None = None

    @property
    def left(self) -> int:
        """Tasks that were found, and that the pass did not come to."""
        return len(self.backlog) + self.dropped

    def reads(self) -> Callable[[], Window] | None:
        """What reads the next window: of the listing, then of the deferred tasks, some at a time.

        Those that still wait for another deferred task come together at the very end: they may need each other.
        """
        if not self.ended:
            return partial(self._in_phase, self.windows.next)
        if self._rounds is None:
            self._rounds = [*self.windows.of(self.backlog.deferred), []]
        if not self._rounds:
            return None
        some = self._rounds.pop(0) or self.backlog.deferred
        return partial(self._in_phase, partial(self.windows.again, frozenset(some))) if some else None

    def _in_phase(self, read: Callable[[], Window]) -> Window:
        with self.phases.phase("select"):
            return read()

    def add(self, reading: Future[Window]) -> None:
        """Add a window that was read. One that was still being read when the pass had to end is not.

        Raises:
            CleanupError: the first one could not be read.
        """
        try:
            window = reading.result()
        except CleanupError as error:
            if self._batches is None:
                raise
            self._fail(error)
            return
        if self.stopped():
            return
        found = window.tasks.keys() - window.held.keys() - self.backlog.deferred
        self.selected += len(found)
        ages = (self.oldest, *(window.tasks[task].active for task in found))
        self.oldest = min((moment for moment in ages if moment is not None), default=None)
        self._tell(window)
        if window.tasks and self._batches is None:
            self._batches = self.begin()
        for kept in [*window.kept, *self.backlog.add(window)]:
            if kept.absent:
                self.note(self._ready.kept(kept))
            else:
                self.keep(kept)

    def _tell(self, window: Window) -> None:
        """Tell observers of the first task, and of the listing's end."""
        if (window.tasks or window.kept) and not self._announced:
            self._announced = True
            self.announce()
        if window.ends and not self.ended:
            self.ended = True
            self.all_selected(self.selected)

    def _fail(self, error: CleanupError) -> None:
        self.error = error
        self.stop(StopReason.AUDIT if isinstance(error, AuditError) else StopReason.UNREACHABLE)

    def dry_run(self, units: Sequence[Unit]) -> Worked:
        """Say what would become of a batch. Called in threads."""
        return self._ready.dry_run(units)

    def delete(self, units: Sequence[Unit]) -> Worked:
        """Delete a batch. Called in threads."""
        return self._ready.delete(units)

    def so_far(self, units: Sequence[Unit]) -> Worked | None:
        """What is known of a batch that is not waited for any longer; None if it has ended."""
        return self._ready.so_far(units)

    @property
    def _ready(self) -> Batches:
        if self._batches is None:
            message = "a batch before the first window"
            raise RuntimeError(message)
        return self._batches

    def settle(self, units: Sequence[Unit], worked: Worked) -> int:
        """Note what became of a batch, release or hold back what waited for it; gives the number of tasks deleted."""
        self.dropped += worked.dropped
        if worked.error is not None:
            self._fail(worked.error)
        verdicts = {outcome.task: outcome.verdict for outcome in worked.outcomes}
        gone = _with(verdicts, NOT_THERE)
        self.deleted.add(gone)
        self.deleted.forget(verdicts.keys() - gone)
        for outcome in worked.outcomes:
            if outcome.project_id and outcome.task in gone:
                self.touched.add(outcome.project_id)
            self.note(outcome)
        for unit in units:
            if gone.issuperset(unit):
                self.backlog.finished(unit)
            elif not verdicts.keys().isdisjoint(unit):  # else the batch did not come to it
                for kept in self.backlog.kept(unit):
                    self.keep(kept)
        return len(_with(verdicts, GONE))


def _with(verdicts: Mapping[TaskId, Verdict], some: Container[Verdict]) -> set[TaskId]:
    """The tasks with one of some verdicts."""
    return {task for task, verdict in verdicts.items() if verdict in some}
