"""One pass: read the claims, then select window by window, plan, delete files, delete records, report.

    settings -> claims -> select, newest first -> plan -> look again -> delete files -> delete records -> policies -> report

While one window is worked on in batches, the next one is read. Each batch is read, checked again, and deleted: files first,
records last. A record that is there says that there may be files, so the next pass finds the rest, no matter what interrupted
this one.
"""

import sys
import time
from collections.abc import Container, Mapping
from functools import cache

from cleanup_job.errors import SettingsError, StoppedError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes.archive_needs import ArchiveNeeds
from cleanup_job.passes.auditing import Auditing
from cleanup_job.passes.batch import Batches
from cleanup_job.passes.by_settings import claim_index, must_exist, policy_of, related_of
from cleanup_job.passes.claim_index import ClaimIndex
from cleanup_job.passes.file_results import FileResults
from cleanup_job.passes.left_out import note_left_out
from cleanup_job.passes.lifecycle import Stages, due_now
from cleanup_job.passes.limits import Counted, Counting, refusal
from cleanup_job.passes.observers import Observers
from cleanup_job.passes.others import Others
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.planner import Planner
from cleanup_job.passes.ports import Audit, Observer, Server, Storage
from cleanup_job.passes.projects import ProjectDeletion
from cleanup_job.passes.rate import Rate
from cleanup_job.passes.reading import Reader
from cleanup_job.passes.remembers import Remembers
from cleanup_job.passes.rules_now import clock_of, known_to, lifecycle_of
from cleanup_job.passes.scheduler import Scheduler
from cleanup_job.passes.slimming import Slimming
from cleanup_job.passes.stop import Stop
from cleanup_job.passes.stream import Stream
from cleanup_job.passes.task_changes import TaskChanges
from cleanup_job.passes.windows import Windows
from cleanup_job.planning import contradictions
from cleanup_job.planning.backlog import Backlog
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.filters import needed_by
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.selection import Chosen, OwnTasks, Query, Rules, resolve
from cleanup_job.planning.sharding import ALONE, Share, share
from cleanup_job.settings.model import Settings
from cleanup_job.transport.splitting import Splitting


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
        chosen: Chosen | None = None,
        claims: ClaimIndex | None = None,
        audit: Audit | None = None,
    ) -> None:
        """``report`` is filled in during the pass.

        ``own`` are the job's own tasks in ClearML; ``chosen``, if there are any, the only ones that it may delete; ``claims``
        what other records need, if that was read before, for these settings; ``audit``, if there is one, gets all that is
        deleted before it is.
        """
        self._server = server
        self._storage = storage
        self._settings = settings
        self._own = own or OwnTasks()
        self._audit = audit
        self._chosen = chosen
        self._claims = claims or claim_index(server, storage, settings, self._time_to_stop)
        self._report = report
        self._observers = Observers(observer)
        self._deleted = DeletedSoFar()
        self._told: set[TaskId] = set()  # those that can't be read, and in a dry run deleted steps: policies leave these
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
        found = clock_of(self._server)
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
                for warning in self._storage.check():  # what would make a real pass fail
                    self._warn(warning)
            rules = self._rules(names)
            found = self._count(rules, self._claims)
        counted = None if found is None else found.tasks
        refused = refusal(self._settings.limits, found, names)
        if refused is not None and not self._settings.run.dry_run:
            self._report.selected = self._report.left = found.tasks + found.staged if found is not None else 0
            self._report.counted = True
            raise refused
        stream = self._stream(rules, self._claims, names, counted)
        budget = self._work(stream)
        self._note_what_is_left(stream, rules, counted)
        if stream.error is not None:
            raise stream.error
        self._delete_emptied_projects(stream, names)
        changed = self._do_stages(rules, names, stream.backlog, budget)
        for warning in self._storage.warnings() if stream.selected or changed else ():
            self._warn(warning)
        if refused is not None:
            raise refused

    # -- select
    def _rules(self, projects: dict[str, str]) -> Rules:
        server, report = self._server, self._report
        if self._settings.policies.document is not None:
            server.check_lifecycle()
        known = known_to(server, projects)
        now = report.started - report.clock_ahead
        filters, chosen = self._settings.filters, self._chosen
        rules = resolve(
            filters,
            now,
            known,
            self._warn,
            cutoff=report.cutoff,
            own=self._own,
            chosen=chosen,
            lifecycle=lifecycle_of(server, self._settings, known, now, self._warn, self._time_to_stop),
        )
        if found := contradictions.of_rules(filters, rules, known):
            if not self._own.filters_edited:
                raise SettingsError(found)
            self._warn(found)
        return rules

    def _windows(self, rules: Rules, claims: ClaimIndex, part: Share, in_work: Container[TaskId] = frozenset()) -> Windows:
        return Windows(
            self._server,
            rules,
            claims,
            split=self._split,
            related=related_of(self._settings),
            share=part,
            stopped=self._time_to_stop,
            in_work=in_work,
        )

    def _count(self, rules: Rules, claims: ClaimIndex) -> Counted | None:
        """What is to be deleted, by all shards together; None if there is no limit to compare it with."""
        counting = Counting(self._server, self._split, self._storage.locate, self._time_to_stop)
        everything = Query(hidden=rules.query().hidden)
        due = due_now(self._server, rules, Others(self._server, rules, self._split), self._time_to_stop)
        return counting.count(self._settings.limits, self._windows(rules, claims, ALONE).to_delete(), everything, due)

    # -- plan and delete
    def _stream(self, rules: Rules, claims: ClaimIndex, names: dict[str, str], counted: int | None) -> Stream:
        run = self._settings.run
        outcomes = OutcomeBuilder(names, rules.rule_of, run.dry_run, rules.policy_of)
        backlog = Backlog(self._deleted)

        def keep(kept: Kept) -> None:
            if kept.task.id:
                self._note(outcomes.kept(kept))
            else:  # which task it is can't be known
                self._warn(f"tasks.get_all: an archived task is left out, since its id can't be read: {kept.detail}")

        def announce() -> None:
            self._observers.expected(self._about(rules, counted))

        def begin() -> Batches:
            return self._batches(self._policy(rules, names, claims), claims, backlog, outcomes)

        return Stream(
            windows=self._windows(rules, claims, Share(run.shard or 0, run.shards), backlog.tasks),
            backlog=backlog,
            deleted=self._deleted,
            announce=announce,
            all_selected=self._observers.selected,
            begin=begin,
            note=self._note,
            keep=keep,
            stop=self._stop.ask,
            stopped=self._time_to_stop,
            phases=self._phases,
        )

    def _about(self, rules: Rules, counted: int | None) -> int | None:
        """About how many tasks there are to look at."""
        if counted is None and rules.chosen is not None:
            return len(rules.chosen.digests)
        return counted if counted is not None else self._server.archived_count(rules.projects)

    def _work(self, stream: Stream) -> int:
        """Plan and delete in batches that overlap as far as references between their tasks allow; gives the budget's rest."""
        limit, run = self._settings.limits.max_tasks, self._settings.run
        scheduler = Scheduler(
            order=stream.backlog.order,
            reads=stream.reads,
            add=stream.add,
            work=stream.dry_run if run.dry_run else stream.delete,
            settle=stream.settle,
            time_to_stop=self._time_to_stop,
            patience=self._stop.patience,
            so_far=stream.so_far,
            rate=self._rate,
            workers=run.workers,
            batch_size=run.batch_size,
            budget=sys.maxsize if limit is None else share(limit, run.shard or 0, run.shards),
        )
        scheduler.run()
        return scheduler.budget

    def _note_what_is_left(self, stream: Stream, rules: Rules, counted: int | None) -> None:
        """Note what the pass did not come to; at least so much if its listing was not read to the end."""
        report = self._report
        report.selected, report.left, report.oldest, report.counted = stream.selected, stream.left, stream.oldest, True
        if self._stop.patience() is not None and (tasks := self._stop.in_hand.now()[1]):
            self._warn(
                f"{tasks} tasks are counted as left although a request to delete something of them was on its way: it was not "
                "waited for. The next pass finds what is left of them."
            )
        if not stream.ended:
            if counted is not None and self._settings.run.shards == 1:
                report.selected, report.left = counted, report.left + max(0, counted - stream.selected)
            else:
                report.left_is_least = True
        if report.left or report.left_is_least:
            report.stopped_by = self._stop.reason or StopReason.MAX_TASKS
        if self._settings.run.dry_run and not self._settings.run.shard:
            note_left_out(report, self._server, rules, self._time_to_stop, self._warn)

    def _do_stages(self, rules: Rules, names: Mapping[str, str], backlog: Backlog, budget: int) -> int:
        """Do what policies do beside deleting; gives the number of tasks that were found for it."""
        lifecycle, run = rules.lifecycle, self._settings.run
        if lifecycle is None:
            return 0
        outcomes = OutcomeBuilder(names, rules.rule_of, run.dry_run, rules.policy_of)
        others = Others(self._server, rules, self._split)
        stages = Stages(
            server=self._server,
            rules=rules,
            split=self._split,
            others=others,
            needs=ArchiveNeeds(
                self._server, rules, self._split, others, related_of(self._settings).keep_model_tags, run.dry_run
            ),
            changes=TaskChanges(self._split, outcomes, lifecycle, run.dry_run, self._audit),
            slimming=cache(lambda: self._slimming(rules, lifecycle, names, backlog, outcomes)),
            outcomes=outcomes,
            note=self._note,
            warn=self._warn,
            told=self._told,
            stop=self._stop.ask,
            stopped=self._time_to_stop,
            go_on=self._stop.go_on,
            in_hand=self._stop.in_hand,
            phases=self._phases,
            rate=self._rate,
            share=Share(run.shard or 0, run.shards),
            budget=budget,
        )
        if not self._stop.reason:
            stages.run()
        report = self._report
        report.selected, report.left = report.selected + stages.found, report.left + stages.left
        report.left_is_least |= not stages.ended
        if report.unfinished:
            report.stopped_by = self._stop.reason or report.stopped_by or StopReason.MAX_TASKS
        if stages.error is not None:
            raise stages.error
        return stages.found

    def _slimming(
        self, rules: Rules, lifecycle: Lifecycle, names: Mapping[str, str], backlog: Backlog, outcomes: OutcomeBuilder
    ) -> Slimming:
        """What slims tasks; it has to know what other records need."""
        self._claims.read()
        if self._time_to_stop():  # what others need may not be known in full
            raise StoppedError(StopReason.SIGTERM.text)
        policy = self._policy(rules, names, self._claims)
        return Slimming(
            storage=self._storage,
            policy=policy,
            lifecycle=lifecycle,
            planner=self._planner(policy, self._claims, backlog),
            outcomes=outcomes,
            split=self._split,
            auditing=self._auditing(policy, backlog, outcomes),
            phases=self._phases,
            keep_missing=self._settings.files.missing_files == "keep_record",
            go_on=self._stop.go_on,
        )

    def _policy(self, rules: Rules, names: Mapping[str, str], claims: ClaimIndex) -> Policy:
        """What the settings allow, and what the stores can do: they are made ready for the first deletion."""
        if not self._settings.run.dry_run:
            self._storage.prepare()
        self._storage.prove(claims.sample)
        return policy_of(self._settings, self._storage, rules, names)

    def _batches(self, policy: Policy, claims: ClaimIndex, backlog: Backlog, outcomes: OutcomeBuilder) -> Batches:
        """Put the parts together that take batches through the pass."""
        return Batches(
            storage=self._storage,
            policy=policy,
            tasks=backlog.tasks,
            planner=self._planner(policy, claims, backlog),
            files=FileResults(outcomes=outcomes, settings=self._settings.files),
            outcomes=outcomes,
            split=self._split,
            warn=self._warn,
            phases=self._phases,
            auditing=self._auditing(policy, backlog, outcomes),
            go_on=self._stop.go_on,
            in_hand=self._stop.in_hand,
        )

    def _planner(self, policy: Policy, claims: ClaimIndex, backlog: Backlog) -> Planner:
        dry_run = self._settings.run.dry_run
        every = dry_run and self._settings.related.delete_empty_projects
        return Planner(
            reader=Reader(storage=self._storage, policy=policy, claims=claims, split=self._split, made=backlog.made),
            storage=self._storage,
            policy=policy,
            tasks=backlog.tasks,
            claims=claims,
            split=self._split,
            deleted=self._deleted,
            remembers=Remembers(claims=claims, deleted=self._deleted, dry_run=dry_run, every=every),
        )

    def _auditing(self, policy: Policy, backlog: Backlog, outcomes: OutcomeBuilder) -> Auditing | None:
        return Auditing(self._audit, policy, backlog.tasks, self._split, outcomes) if self._audit is not None else None

    def _time_to_stop(self) -> bool:
        deadline = self._settings.limits.deadline_seconds
        if deadline is not None and time.monotonic() - self._began >= deadline:
            self._stop.ask(StopReason.DEADLINE)
        return bool(self._stop.reason)

    def _delete_emptied_projects(self, stream: Stream, names: Mapping[str, str]) -> None:
        """Delete the projects that this pass emptied, if that is wanted and the pass does not end."""
        if not stream.selected or not self._settings.related.delete_empty_projects or self._stop.reason:
            return
        deletion = ProjectDeletion(
            server=self._server,
            dry_run=self._settings.run.dry_run,
            needed_by=lambda without: needed_by(self._settings.filters, names, without, must_exist(self._settings)),
            warn=self._warn,
            audit=self._audit,
        )
        for project in deletion.delete(stream.touched, self._deleted):
            self._report.emptied.append(project.name)
            self._observers.project(project.name)

    # -- report
    def _warn(self, text: str) -> None:
        """Called from worker threads, too."""
        self._report.warn(text)
        self._observers.warning(text)

    def _note(self, outcome: TaskOutcome) -> None:
        would_go_with_steps = outcome.verdict is Verdict.WOULD_DELETE and self._settings.filters.include_pipeline_steps
        if outcome.reason is Reason.UNREADABLE or would_go_with_steps:
            self._told.add(outcome.task)
        self._report.add(outcome)
        self._observers.outcome(outcome)
