"""One pass: select, plan batch by batch, delete files, delete records, report.

    settings -> select -> plan -> delete files -> delete records -> report

Each batch is read, re-checked, and deleted files first, record last: a record that is there says that there may be files, so
whatever interrupts a pass, the next one finds the rest.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cleanup_job.errors import AnswerError, CleanupError, LeaseLostError, RefusedError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes import candidates, projects
from cleanup_job.passes.batch import CHUNK, Batches, Worked
from cleanup_job.passes.candidates import Candidates, Protect
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.ports import Observer, Server, Storage
from cleanup_job.passes.rate import Rate
from cleanup_job.planning import clock
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.filters import Known, needed_by
from cleanup_job.planning.order import Order, Unit
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.selection import OwnTasks, Rules, resolve
from cleanup_job.planning.sharding import share
from cleanup_job.settings.model import Settings
from cleanup_job.transport.splitting import Splitting

LISTENS = 0.5
"""Seconds between two looks for a signal while the rate allows no batch."""
Running = dict[Future[Worked], list[Unit]]


@dataclass(slots=True)
class Stop:
    """Asks a pass to end after the batches in progress; ``reason`` says why; None until then."""

    reason: StopReason | None = None
    holds_lease: Callable[[], bool] = field(default=lambda: True)
    """Whether no other pass can have begun by now."""
    lost: str = "The lease was lost: another pass may have begun, and this one deletes nothing any more."
    """How it lost its lease, where it did."""

    def before_deletion(self) -> None:
        """Asked before each request that deletes: a pass that lost its lease sends none any more.

        Raises:
            LeaseLostError: it lost it.
        """
        if not self.holds_lease():
            self.reason = self.reason or StopReason.LEASE
            raise LeaseLostError(self.lost)


class Pass:
    """One pass over one ClearML Server."""

    def __init__(  # noqa: PLR0913, PLR0917 -- all that is around a pass
        self,
        server: Server,
        storage: Storage,
        settings: Settings,
        report: Report,
        observer: Observer,
        stop: Stop,
        *,
        own: OwnTasks | None = None,
    ) -> None:
        """``report`` is filled in as the pass goes; ``own`` are the job's own tasks in ClearML."""
        self._server = server
        self._storage = storage
        self._settings = settings
        self._own = own or OwnTasks()
        self._report = report
        self._observer = observer
        self._stop = stop
        self._began = time.monotonic()
        self._rate = Rate(settings.limits.tasks_per_second(settings.run.shards))
        self._split = Splitting(server, server.hasty, server.answers)
        self._phases = Phases()
        report.phases = self._phases.seconds

    def set_clock(self) -> str:
        """Find out by which clock ages count, and move the report's cut-off to it; gives a line for the debug log.

        Raises:
            CleanupError: the server gives no usable answer.
        """
        now, claimed = datetime.now(UTC), self._server.clock_ahead
        newest = self._server.newest() if claimed is not None and claimed < -clock.TOLERANCE else None
        found = clock.judged(now, claimed, self._server.token_ahead, newest)
        self._report.cutoff -= found.ahead - self._report.clock_ahead
        self._report.clock_ahead = found.ahead
        if found.warning:
            self._warn(found.warning)
        return found.remark

    def run(self) -> None:
        """Do it all; ``set_clock`` comes before.

        Raises:
            CleanupError: nothing more can be done; what was done stands in the report.
        """
        with self._phases.phase("select"):
            names = self._server.projects()
            if self._settings.run.dry_run:
                for warning in self._storage.check():  # what a real pass would stumble over
                    self._warn(warning)
            rules = self._rules(names)
            self._outcomes = OutcomeBuilder(names, rules.rule_of)
            found = self._find(rules, names)
        every = len(found.tasks)
        found = candidates.of_shard(found, self._settings.run.shard or 0, self._settings.run.shards)
        self._report.selected = len(found.tasks)
        counts = Counter(task.project for task in found.tasks.values())
        self._observer.selected(len(found.tasks), {names.get(project, project): count for project, count in counts.items()})
        refusal = self._refusal(every)
        if refusal is not None and not self._settings.run.dry_run:
            self._report.left = len(found.tasks)
            raise refusal
        if found.tasks:
            deleted = self._work(found, rules)
            if self._settings.related.delete_empty_projects and not self._stop.reason:
                self._empty_projects(found, deleted, names)
            for warning in self._storage.warnings():
                self._warn(warning)
        if refusal is not None:
            raise refusal

    def _find(self, rules: Rules, projects: dict[str, str]) -> Candidates:
        def note(kept: Kept) -> None:
            if kept.task.id:
                self._note(self._outcomes.kept(kept))
            else:  # nobody can say which task it is
                self._warn(f"tasks.get_all: an archived task is left out, since its id can't be read: {kept.detail}")

        notify = candidates.of_shard_only(note, self._settings.run.shard or 0, self._settings.run.shards)
        related = self._settings.related
        protect = Protect(
            related.protect_linked_artifacts,
            related.protect_used_datasets,
            frozenset(related.keep_model_tags),
            links=self._settings.files.external_files == "delete",
        )
        return candidates.find(self._server, self._storage, rules, projects, notify, split=self._split, protect=protect)

    def _rules(self, projects: dict[str, str]) -> Rules:
        server, report = self._server, self._report
        known = Known(projects, cache(server.users), server.tag_exists, server.has_tasks)
        now = report.started - report.clock_ahead
        return resolve(self._settings.filters, now, known, self._warn, cutoff=report.cutoff, own=self._own)

    def _refusal(self, count: int) -> RefusedError | None:
        """The valve's word: it ends a pass before its first deletion, and a dry run once all tasks are listed.

        It counts the tasks of all shards: they refuse together, or not at all.
        """
        limit = self._settings.limits.refuse_above
        if limit is None or count <= limit:
            return None
        return RefusedError(
            f"{count} tasks are to be deleted, more than CLEANUP_REFUSE_ABOVE={limit} allows: nothing was deleted. "
            f"If that is what you want, set CLEANUP_REFUSE_ABOVE={count} or higher for one pass; a dry run lists them."
        )

    def _empty_projects(self, found: Candidates, deleted: DeletedSoFar, names: dict[str, str]) -> None:
        """Delete the projects that this pass emptied. One that is refused is no failure: its tasks are gone."""
        touched = {record.project for task, record in found.tasks.items() if deleted.has(task)} - {""}
        emptied: set[str] = set()
        kept: list[str] = []
        for project in projects.emptied(self._server, touched, deleted):
            if any(name.startswith(project.name + "/") for name in kept):
                continue
            if needed := needed_by(self._settings.filters, names, emptied | {project.id}):
                kept.append(project.name)
                self._warn(f"project {project.name} is empty, and is kept since {needed} would name nothing without it")
                continue
            try:
                if not self._settings.run.dry_run:
                    self._server.delete_project(project.id)
            except AnswerError as error:
                self._warn(f"project {project.name}: it is empty, but was not deleted: {error}")
                continue
            emptied.add(project.id)
            self._report.emptied.append(project.name)
            self._observer.project(project.name)

    def _work(self, found: Candidates, rules: Rules) -> DeletedSoFar:
        """Plan and delete in batches that overlap as far as references between their tasks allow; gives what is gone then."""
        batches = self._batches(found, rules)
        order = Order(found.tasks, found.holds)
        budget = self._budget(len(order))
        running: Running = {}
        error: CleanupError | None = None
        dropped = 0
        with ThreadPoolExecutor(self._settings.run.workers, "batch") as pool:
            while True:
                pause = self._fill(running, pool, batches, order, budget)
                if not running and not pause:
                    break
                if not running:
                    time.sleep(min(pause, LISTENS))
                for future in wait(running, timeout=pause or None, return_when=FIRST_COMPLETED).done:
                    units = running.pop(future)
                    worked = future.result()
                    dropped += worked.dropped
                    if worked.error is not None:
                        error, self._stop.reason = worked.error, self._stop.reason or StopReason.UNREACHABLE
                    budget -= self._settle(found, batches, order, units, worked.outcomes)
        self._report.left = len(order) + dropped
        self._report.stopped_by = (self._stop.reason or StopReason.MAX_TASKS) if self._report.left else None
        if error is not None:
            raise error
        return batches.deleted

    def _budget(self, tasks: int) -> int:
        """How many of these tasks may be deleted: this shard's share of the limit."""
        limit, run = self._settings.limits.max_tasks, self._settings.run
        return tasks if limit is None else share(limit, run.shard or 0, run.shards)

    def _batches(self, found: Candidates, rules: Rules) -> Batches:
        if not self._settings.run.dry_run:
            self._storage.prepare()
        self._storage.prove(found.claims.sample)
        policy = Policy(
            rules,
            force=rules.force_delete,
            keep_unknown=self._settings.files.unknown_stores == "keep_record",
            links=self._storage.links if self._settings.files.external_files == "delete" else frozenset(),
            by_file=self._storage.by_file,
            lists=self._storage.lists,
            shared=found.shared,
            steps=found.steps,
            needed_datasets=found.needed_datasets,
            keep_model_tags=frozenset(self._settings.related.keep_model_tags),
        )
        return Batches(
            self._server,
            self._storage,
            policy,
            self._warn,
            self._outcomes,
            found,
            self._split,
            self._settings.files.on_file_error == "keep_record",
            self._settings.files.missing_files == "keep_record",
            self._phases,
        )

    def _fill(self, running: Running, pool: ThreadPoolExecutor, batches: Batches, order: Order, budget: int) -> float:
        """Start as many batches as there are workers, tasks and budget for; gives the seconds until the rate allows more."""
        while len(running) < self._settings.run.workers and len(order) and not self._time_to_stop():
            pause = self._rate.pause()
            if pause:
                return pause
            room = budget - sum(len(unit) for units in running.values() for unit in units)
            even = -(-len(order) // (self._settings.run.workers - len(running)))  # of a few tasks, too, each worker has some
            size = min(self._settings.run.batch_size, max(CHUNK, even))
            units = order.take(self._rate.batch(size), room)
            if not units:
                break
            self._rate.began(sum(map(len, units)))
            running[pool.submit(batches.dry_run if self._settings.run.dry_run else batches.delete, units)] = units
        return 0.0

    def _time_to_stop(self) -> bool:
        deadline = self._settings.limits.deadline_seconds
        if deadline is not None and time.monotonic() - self._began >= deadline and not self._stop.reason:
            self._stop.reason = StopReason.DEADLINE
        return bool(self._stop.reason)

    def _settle(
        self, found: Candidates, batches: Batches, order: Order, units: list[Unit], outcomes: Sequence[TaskOutcome]
    ) -> int:
        """Note what became of a batch, release or hold back what waited for it; gives the number of tasks deleted."""
        known = {outcome.task for outcome in outcomes}
        deleted = {outcome.task for outcome in outcomes if outcome.verdict is Verdict.DELETED}
        gone = deleted | {outcome.task for outcome in outcomes if outcome.verdict is Verdict.GONE_ALREADY}
        batches.deleted.add(gone)
        for outcome in outcomes:
            self._note(outcome)
        for unit in units:
            if gone.issuperset(unit):
                order.deleted(unit)
                continue
            if known.isdisjoint(unit):  # it did not come to it
                continue
            needed = {task: holder[0] for maker, holder in order.kept(unit) for task in maker}
            for task in candidates.with_names(self._server, [found.tasks[task] for task in needed]):
                detail = f"task {needed[task.id]}, which needs something that this one made or keeps, is kept"
                self._note(self._outcomes.kept(Kept(task, Reason.IN_USE, detail)))
        return len(deleted)

    def _warn(self, text: str) -> None:
        """Called from worker threads, too."""
        self._report.warn(text)
        self._observer.warning(text)

    def _note(self, outcome: TaskOutcome) -> None:
        self._report.add(outcome)
        self._observer.outcome(outcome)
