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

from cleanup_job.errors import AnswerError, CleanupError, LeaseLostError, RefusedError
from cleanup_job.passes import candidates, projects
from cleanup_job.passes.batch import CHUNK, Batches, Worked
from cleanup_job.passes.candidates import Candidates, Protect
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.ports import Observer, Server, Storage
from cleanup_job.passes.rate import Rate
from cleanup_job.planning import clock
from cleanup_job.planning.claim import Scope
from cleanup_job.planning.filters import Filters, Known, needed_by, resolve
from cleanup_job.planning.order import Order, Unit
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.outcomes import Outcomes
from cleanup_job.planning.plan import Gone, Policy, Staying
from cleanup_job.planning.selection import Rules
from cleanup_job.transport.splitting import Splitting

LISTENS = 0.5
"""Seconds between two looks for a signal while the rate allows no batch."""
Running = dict[Future[Worked], list[Unit]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the settings say of one pass. Times are in seconds."""

    filters: Filters
    dry_run: bool = False
    batch_size: int = 500
    workers: int = 4
    max_tasks: int | None = None
    refuse_above: int | None = None
    deadline: float | None = None
    tasks_per_second: float | None = None
    keep_unknown: bool = True
    delete_external: bool = False
    keep_on_file_error: bool = True
    keep_missing: bool = True
    protect_used_datasets: bool = False
    protect_linked_artifacts: Scope = "all"
    keep_model_tags: tuple[str, ...] = ()
    delete_empty_projects: bool = False
    shard: int = 0
    """Which part of the tasks this pass takes, of ``shards``."""
    shards: int = 1


@dataclass(slots=True)
class Stop:
    """Asks a pass to end after the batches in progress; ``reason`` says why, empty as long as nobody asked."""

    reason: str = ""
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
            self.reason = self.reason or "lease"
            raise LeaseLostError(self.lost)


class Pass:
    """One pass over one ClearML Server."""

    def __init__(  # noqa: PLR0913, PLR0917 -- the rooms around a pass
        self, server: Server, storage: Storage, options: Options, report: Report, observer: Observer, stop: Stop
    ) -> None:
        """``report`` is filled in as the pass goes."""
        self._server = server
        self._storage = storage
        self._options = options
        self._report = report
        self._observer = observer
        self._stop = stop
        self._began = time.monotonic()
        self._rate = Rate(options.tasks_per_second)
        self._split = Splitting(server, server.with_few_tries, server.probe)
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
            if self._options.dry_run:
                for doubt in self._storage.check():  # what a real pass would stumble over
                    self._warn(doubt)
            rules = self._rules(names)
            self._outcomes = Outcomes(names, rules.rule_of)
            found = self._find(rules, names)
        every = len(found.tasks)
        found = candidates.of_shard(found, self._options.shard, self._options.shards)
        self._report.selected = len(found.tasks)
        counts = Counter(task.project for task in found.tasks.values())
        self._observer.selected(len(found.tasks), {names.get(project, project): count for project, count in counts.items()})
        refusal = self._refusal(every)
        if refusal is not None and not self._options.dry_run:
            self._report.left = len(found.tasks)
            raise refusal
        if found.tasks:
            gone = self._work(found, rules)
            if self._options.delete_empty_projects and not self._stop.reason:
                self._empty_projects(found, gone, names)
            for warning in self._storage.warnings():
                self._warn(warning)
        if refusal is not None:
            raise refusal

    def _find(self, rules: Rules, projects: dict[str, str]) -> Candidates:
        def note(staying: Staying) -> None:
            if staying.task.id:
                self._note(self._outcomes.stays(staying))
            else:  # nobody can say which task it is
                self._warn(f"tasks.get_all: an archived task is left out, since its id can't be read: {staying.detail}")

        tell = candidates.told_by_shard(note, self._options.shard, self._options.shards)
        options = self._options
        protect = Protect(
            options.protect_linked_artifacts,
            options.protect_used_datasets,
            frozenset(options.keep_model_tags),
            links=options.delete_external,
        )
        return candidates.find(self._server, self._storage, rules, projects, tell, split=self._split, protect=protect)

    def _rules(self, projects: dict[str, str]) -> Rules:
        filters, server = self._options.filters, self._server
        users = server.users() if filters.users or filters.exclude_users else {}
        known = Known(projects, users, server.tag_exists, server.has_tasks)
        return resolve(filters, self._report.started - self._report.clock_ahead, known, self._warn)

    def _refusal(self, count: int) -> RefusedError | None:
        """The valve's word: it ends a pass before its first deletion, and a dry run once all tasks are listed.

        It counts the tasks of all shards: they refuse together, or not at all.
        """
        limit = self._options.refuse_above
        if limit is None or count <= limit:
            return None
        return RefusedError(
            f"{count} tasks are to be deleted, more than CLEANUP_REFUSE_ABOVE={limit} allows: nothing was deleted. "
            f"If that is what you want, set CLEANUP_REFUSE_ABOVE={count} or higher for one pass; a dry run lists them."
        )

    def _empty_projects(self, found: Candidates, gone: Gone, names: dict[str, str]) -> None:
        """Delete the projects that this pass emptied. One that is refused is no failure: its tasks are gone."""
        touched = {found.tasks[task].project for task in gone.tasks} - {""}
        deleted: set[str] = set()
        kept: list[str] = []
        for project in projects.emptied(self._server, touched, gone):
            if any(name.startswith(project.name + "/") for name in kept):
                continue
            if needed := needed_by(self._options.filters, names, deleted | {project.id}):
                kept.append(project.name)
                self._warn(f"project {project.name} is empty, and is kept since {needed} would name nothing without it")
                continue
            try:
                if not self._options.dry_run:
                    self._server.delete_project(project.id)
            except AnswerError as error:
                self._warn(f"project {project.name}: it is empty, but was not deleted: {error}")
                continue
            deleted.add(project.id)
            self._report.emptied.append(project.name)
            self._observer.project(project.name)

    def _work(self, found: Candidates, rules: Rules) -> Gone:
        """Plan and delete in batches that overlap as far as references between their tasks allow; gives what is gone then."""
        batches = self._batches(found, rules)
        order = Order(found.tasks, found.holds)
        budget = self._options.max_tasks if self._options.max_tasks is not None else len(order)
        running: Running = {}
        error: CleanupError | None = None
        dropped = 0
        with ThreadPoolExecutor(self._options.workers, "batch") as pool:
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
                        error, self._stop.reason = worked.error, self._stop.reason or "unreachable"
                    budget -= self._settle(found, batches, order, units, worked.outcomes)
        self._report.left = len(order) + dropped
        self._report.stopped_by = (self._stop.reason or "max_tasks") if self._report.left else ""
        if error is not None:
            raise error
        return batches.gone

    def _batches(self, found: Candidates, rules: Rules) -> Batches:
        if not self._options.dry_run:
            self._storage.prepare()
        self._storage.prove(found.claims.sample)
        policy = Policy(
            rules,
            force=not rules.drafts_only,
            keep_unknown=self._options.keep_unknown,
            links=self._storage.links if self._options.delete_external else frozenset(),
            by_file=self._storage.by_file,
            lists=self._storage.lists,
            shared=found.shared,
            steps=found.steps,
            needed_datasets=found.needed_datasets,
            keep_model_tags=frozenset(self._options.keep_model_tags),
        )
        return Batches(
            self._server,
            self._storage,
            policy,
            self._warn,
            self._outcomes,
            found,
            self._split,
            self._options.keep_on_file_error,
            self._options.keep_missing,
            self._phases,
        )

    def _fill(self, running: Running, pool: ThreadPoolExecutor, batches: Batches, order: Order, budget: int) -> float:
        """Start as many batches as there are workers, tasks and budget for; gives the seconds until the rate allows more."""
        while len(running) < self._options.workers and len(order) and not self._time_to_stop():
            pause = self._rate.pause()
            if pause:
                return pause
            room = budget - sum(len(unit) for units in running.values() for unit in units)
            share = -(-len(order) // (self._options.workers - len(running)))  # of a few tasks, too, each worker has some
            size = min(self._options.batch_size, max(CHUNK, share))
            units = order.take(self._rate.batch(size), room)
            if not units:
                break
            self._rate.began(sum(map(len, units)))
            running[pool.submit(batches.dry_run if self._options.dry_run else batches.delete, units)] = units
        return 0.0

    def _time_to_stop(self) -> bool:
        deadline = self._options.deadline
        if deadline is not None and time.monotonic() - self._began >= deadline and not self._stop.reason:
            self._stop.reason = "deadline"
        return bool(self._stop.reason)

    def _settle(
        self, found: Candidates, batches: Batches, order: Order, units: list[Unit], outcomes: Sequence[TaskOutcome]
    ) -> int:
        """Note what became of a batch, release or hold back what waited for it; gives the number of tasks deleted."""
        known = {outcome.task for outcome in outcomes}
        deleted = {outcome.task for outcome in outcomes if outcome.verdict is Verdict.DELETED}
        gone = deleted | {outcome.task for outcome in outcomes if outcome.verdict is Verdict.GONE_ALREADY}
        batches.gone.tasks.update(gone)
        for outcome in outcomes:
            self._note(outcome)
        for unit in units:
            if gone.issuperset(unit):
                order.gone(unit)
                continue
            if known.isdisjoint(unit):  # it did not come to it
                continue
            needed = {task: holder[0] for maker, holder in order.stays(unit) for task in maker}
            for task in candidates.with_names(self._server, [found.tasks[task] for task in needed]):
                detail = f"task {needed[task.id]}, which needs something that this one made or keeps, is kept"
                self._note(self._outcomes.stays(Staying(task, Reason.IN_USE, detail)))
        return len(deleted)

    def _warn(self, text: str) -> None:
        """Called from worker threads, too."""
        self._report.warn(text)
        self._observer.warning(text)

    def _note(self, outcome: TaskOutcome) -> None:
        self._report.add(outcome)
        self._observer.outcome(outcome)
