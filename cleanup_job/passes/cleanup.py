"""One pass: select, plan batch by batch, delete files, delete records, report.

    settings -> select -> plan -> delete files -> delete records -> report

Each batch is read, checked again, and deleted: files first, records last. A record that is there says that there may be files,
so the next pass finds the rest, no matter what interrupted this one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cleanup_job.errors import CleanupError, LeaseLostError, RefusedError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes import candidates
from cleanup_job.passes.batch import Batches, Worked
from cleanup_job.passes.candidates import Candidates
from cleanup_job.passes.file_results import FileResults
from cleanup_job.passes.observers import Observers
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.planner import Planner
from cleanup_job.passes.ports import Observer, Server, Storage
from cleanup_job.passes.projects import ProjectDeletion
from cleanup_job.passes.rate import Rate
from cleanup_job.passes.reading import Reader
from cleanup_job.passes.scheduler import Scheduler
from cleanup_job.planning import clock
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.filters import Known, needed_by
from cleanup_job.planning.order import Order, Unit
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.selection import OwnTasks, Rules, resolve
from cleanup_job.planning.sharding import share
from cleanup_job.settings.model import Settings
from cleanup_job.transport.splitting import Splitting


@dataclass(slots=True)
class Stop:
    """Asks a pass to end after the batches in progress. Signals and several threads may ask."""

    reason: StopReason | None = None
    """Why it is to end; None while it may continue."""
    holds_lease: Callable[[], bool] = field(default=lambda: True)
    """Whether no other pass can have begun by now."""
    lost: str = "The lease was lost: another pass may have begun, so this one deletes nothing more."
    """How it lost its lease, if it did."""

    def ask(self, reason: StopReason) -> None:
        """Ask it to end. The first reason counts; of two at the same moment, either."""
        self.reason = self.reason or reason

    def before_deletion(self) -> None:
        """Called before each request that deletes: a pass that lost its lease sends no more of them.

        Raises:
            LeaseLostError: the lease was lost.
        """
        if not self.holds_lease():
            self.ask(StopReason.LEASE)
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
        """``report`` is filled in during the pass; ``own`` are the job's own tasks in ClearML."""
        self._server = server
        self._storage = storage
        self._settings = settings
        self._own = own or OwnTasks()
        self._report = report
        self._observers = Observers(observer)
        self._deleted = DeletedSoFar()
        self._stop = stop
        self._began = time.monotonic()
        self._rate = Rate(settings.limits.tasks_per_second(settings.run.shards))
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
            CleanupError: nothing more can be done; what was done is in the report.
        """
        with self._phases.phase("select"):
            names = self._server.projects()
            if self._settings.run.dry_run:
                self._warn_of_stores()
            rules = self._rules(names)
            self._outcomes = OutcomeBuilder(names, rules.rule_of)
            every = self._find(rules, names)
        found = candidates.of_shard(every, self._settings.run.shard or 0, self._settings.run.shards)
        self._report_selection(found)
        refusal = self._refusal(len(every.tasks))
        if refusal is not None and not self._settings.run.dry_run:
            self._report.left = len(found.tasks)
            raise refusal
        if found.tasks:
            self._work(found, rules)
            if self._settings.related.delete_empty_projects and not self._stop.reason:
                self._delete_emptied_projects(found, names)
            for warning in self._storage.warnings():
                self._warn(warning)
        if refusal is not None:
            raise refusal

    # -- select
    def _warn_of_stores(self) -> None:
        """In a dry run: what would make a real pass fail."""
        for warning in self._storage.check():
            self._warn(warning)

    def _rules(self, projects: dict[str, str]) -> Rules:
        server, report = self._server, self._report
        known = Known(projects, cache(server.users), server.tag_exists, server.has_tasks)
        now = report.started - report.clock_ahead
        return resolve(self._settings.filters, now, known, self._warn, cutoff=report.cutoff, own=self._own)

    def _find(self, rules: Rules, projects: dict[str, str]) -> Candidates:
        def note(kept: Kept) -> None:
            if kept.task.id:
                self._note(self._outcomes.kept(kept))
            else:  # which task it is can't be known
                self._warn(f"tasks.get_all: an archived task is left out, since its id can't be read: {kept.detail}")

        notify = candidates.of_shard_only(note, self._settings.run.shard or 0, self._settings.run.shards)
        return candidates.find(
            self._server,
            self._storage,
            rules,
            projects,
            notify,
            split=self._split,
            related=self._settings.related,
            links=self._settings.files.external_files == "delete",
        )

    def _report_selection(self, found: Candidates) -> None:
        self._report.selected = len(found.tasks)
        self._observers.expected(len(found.tasks))
        self._observers.selected(len(found.tasks))

    def _refusal(self, count: int) -> RefusedError | None:
        """The safety limit: it ends a pass before its first deletion, and a dry run once all tasks are listed.

        It counts the tasks of all shards: they refuse together, or not at all.
        """
        limit = self._settings.limits.refuse_above
        if limit is None or count <= limit:
            return None
        return RefusedError(
            f"{count} tasks are to be deleted, more than CLEANUP_REFUSE_ABOVE={limit} allows: nothing was deleted. "
            f"If that is what you want, set CLEANUP_REFUSE_ABOVE={count} or higher for one pass; a dry run lists them."
        )

    # -- plan and delete
    def _work(self, found: Candidates, rules: Rules) -> None:
        """Plan and delete in batches that overlap as far as references between their tasks allow."""
        batches = self._batches(self._policy(found, rules), found)
        order = Order(found.tasks, found.holds)
        ends = _Ends()
        Scheduler(
            order=order,
            work=batches.dry_run if self._settings.run.dry_run else batches.delete,
            settle=lambda units, worked: self._settle(found, order, ends, units, worked),
            time_to_stop=self._time_to_stop,
            rate=self._rate,
            workers=self._settings.run.workers,
            batch_size=self._settings.run.batch_size,
            budget=self._budget(len(order)),
        ).run()
        self._report.left = len(order) + ends.dropped
        self._report.stopped_by = (self._stop.reason or StopReason.MAX_TASKS) if self._report.left else None
        if ends.error is not None:
            raise ends.error

    def _budget(self, tasks: int) -> int:
        """How many of these tasks may be deleted: this shard's share of the limit."""
        limit, run = self._settings.limits.max_tasks, self._settings.run
        return tasks if limit is None else share(limit, run.shard or 0, run.shards)

    def _policy(self, found: Candidates, rules: Rules) -> Policy:
        """What the settings allow, and what the stores can do."""
        if not self._settings.run.dry_run:
            self._storage.prepare()
        self._storage.prove(found.claims.sample)
        return Policy(
            rules,
            unknown_stores=self._settings.files.unknown_stores,
            links=self._storage.links if self._settings.files.external_files == "delete" else frozenset(),
            by_file=self._storage.by_file,
            lists=self._storage.lists,
            shared=found.shared,
            steps=found.steps,
            needed_datasets=found.needed_datasets,
            keep_model_tags=frozenset(self._settings.related.keep_model_tags),
        )

    def _batches(self, policy: Policy, found: Candidates) -> Batches:
        """Put the parts together that take batches through the pass."""
        reader = Reader(storage=self._storage, policy=policy, claims=found.claims, split=self._split)
        return Batches(
            storage=self._storage,
            policy=policy,
            found=found,
            planner=Planner(
                reader=reader,
                storage=self._storage,
                policy=policy,
                found=found,
                split=self._split,
                deleted=self._deleted,
            ),
            files=FileResults(
                outcomes=self._outcomes,
                settings=self._settings.files,
            ),
            outcomes=self._outcomes,
            split=self._split,
            warn=self._warn,
            phases=self._phases,
        )

    def _time_to_stop(self) -> bool:
        deadline = self._settings.limits.deadline_seconds
        if deadline is not None and time.monotonic() - self._began >= deadline:
            self._stop.ask(StopReason.DEADLINE)
        return bool(self._stop.reason)

    def _settle(self, found: Candidates, order: Order, ends: "_Ends", units: Sequence[Unit], worked: Worked) -> int:
        """Note what became of a batch, release or hold back what waited for it; gives the number of tasks deleted."""
        ends.dropped += worked.dropped
        if worked.error is not None:
            ends.error = worked.error
            self._stop.ask(StopReason.UNREACHABLE)
        deleted = _tasks_with(Verdict.DELETED, worked)
        gone = deleted | _tasks_with(Verdict.GONE_ALREADY, worked)
        known = {outcome.task for outcome in worked.outcomes}
        self._deleted.add(gone)
        for outcome in worked.outcomes:
            self._note(outcome)
        for unit in units:
            if gone.issuperset(unit):
                order.deleted(unit)
            elif not known.isdisjoint(unit):  # else the batch did not come to it
                self._keep_what_it_needs(found, order, unit)
        return len(deleted)

    def _keep_what_it_needs(self, found: Candidates, order: Order, unit: Unit) -> None:
        """Keep the tasks whose outputs a kept unit needs."""
        needed = {task: holder[0] for maker, holder in order.kept(unit) for task in maker}
        for task in candidates.with_names(self._server, [found.tasks[task] for task in needed]):
            detail = f"task {needed[task.id]}, which needs something that this one made or keeps, is kept"
            self._note(self._outcomes.kept(Kept(task, Reason.IN_USE, detail)))

    def _delete_emptied_projects(self, found: Candidates, names: dict[str, str]) -> None:
        """Delete the projects that this pass emptied."""
        touched = {record.project for task, record in found.tasks.items() if self._deleted.has(task)} - {""}
        deletion = ProjectDeletion(
            server=self._server,
            dry_run=self._settings.run.dry_run,
            needed_by=lambda without: needed_by(self._settings.filters, names, without),
            warn=self._warn,
        )
        for project in deletion.delete(touched, self._deleted):
            self._report.emptied.append(project.name)
            self._observers.project(project.name)

    # -- report
    def _warn(self, text: str) -> None:
        """Called from worker threads, too."""
        self._report.warn(text)
        self._observers.warning(text)

    def _note(self, outcome: TaskOutcome) -> None:
        self._report.add(outcome)
        self._observers.outcome(outcome)


@dataclass(slots=True)
class _Ends:
    """How batches ended that did not come to their last task."""

    dropped: int = 0
    error: CleanupError | None = None


def _tasks_with(verdict: Verdict, worked: Worked) -> set[TaskId]:
    return {outcome.task for outcome in worked.outcomes if outcome.verdict is verdict}
