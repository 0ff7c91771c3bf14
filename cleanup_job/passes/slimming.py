"""Slims tasks: the files of chosen outputs go first, then what their records say of these, and then they get a tag.

A task without the tag is found again: if a pass ends before that, the next one does the rest.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from cleanup_job.errors import AnswerError, AuditError, CleanupError, LeaseHeldError, StoppedError
from cleanup_job.passes.auditing import Auditing
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.planner import Planner
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.passes.slimmed_records import SlimmedRecords
from cleanup_job.planning.lifecycle.fate import Lifecycle, Step
from cleanup_job.planning.lifecycle.policy import Kind, Stage, duration_text
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.plan import Kept, unreadable
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.records import Detail, Model, Removed, Task
from cleanup_job.planning.slimming import File, Slimmed, Wrote, count, plan_slim, why_left_alone
from cleanup_job.transport.splitting import Splitting

LOST = (
    "{path}: neither this nor another reading of its address is there. If its file is gone, "
    "CLEANUP_MISSING_FILES=delete_record takes it out of the record; if it is there under another name, remove it first"
)
NOTHING = Removed()
MOST_FILES = 50_000
"""Files of debug samples, or of plots, that are planned together, unless one task has more: each takes about 1 KB of memory."""
Owner = TypeVar("Owner", TaskId, ModelId)
Steps = Mapping[TaskId, tuple[Task, Step]]


class _TooManyFilesError(Exception):
    """Some tasks have too many files to be planned together."""


@dataclass(frozen=True, slots=True)
class _Events:
    """What takes long to read of some tasks: files that events name, and the models whose events were read."""

    debug_samples: Mapping[TaskId, Sequence[File]]
    plots: Mapping[TaskId, Sequence[File]]
    of_models: Mapping[ModelId, Sequence[File]]
    models: Mapping[TaskId, frozenset[ModelId]]
    created: Mapping[ModelId, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slimming:
    """Slims a few tasks at a time. Safe to use from many threads."""

    storage: Storage
    """Ready for deletions, unless it is a dry run: prepared, and proven by what surviving records name."""
    policy: Policy
    lifecycle: Lifecycle
    planner: Planner
    outcomes: OutcomeBuilder
    split: Splitting[Server]
    auditing: Auditing | None = None
    """Writes down what is removed; None in a dry run, and without ``CLEANUP_AUDIT``."""
    phases: Phases = field(default_factory=Phases)
    keep_missing: bool = True
    """Whether an entry is kept whose file is not there, but may be there under another name (``CLEANUP_MISSING_FILES``)."""
    go_on: Callable[[], None] = lambda: None
    """Called before the first file is deleted: raises a ``StoppedError`` if it may not be."""

    def slim(self, steps: Sequence[tuple[Task, Step]], outcomes: list[TaskOutcome] | None = None) -> list[TaskOutcome]:
        """Slim some tasks, at most 25, as they have been read; in a dry run, say what would be removed.

        Args:
            steps: The tasks, each with what its policy has in store for it now.
            outcomes: To which outcomes are added as they are known, so that an error loses none.

        Returns:
            ``outcomes``, or a new list: one for each task.

        Raises:
            CleanupError: nothing more can be done. Those of these tasks that were begun have failed.
            StoppedError: nothing more may be deleted, as with a ``LeaseHeldError``. The next pass finds what is left.
        """
        known = outcomes if outcomes is not None else []
        wanted = {task.id: (task, step) for task, step in steps}
        try:
            self._slim(wanted, known)
        except (LeaseHeldError, StoppedError):
            raise
        except AnswerError as error:
            known += self._failed(wanted, known, Reason.RECORD_ERROR, error)
        except CleanupError as error:
            reason = Reason.NOT_AUDITED if isinstance(error, AuditError) else Reason.UNREACHABLE
            known += self._failed(wanted, known, reason, error)
            raise
        return known

    def _failed(self, steps: Steps, known: Sequence[TaskOutcome], reason: Reason, error: Exception) -> list[TaskOutcome]:
        there = {outcome.task for outcome in known}
        return [self._outcome(task, Verdict.FAILED, reason, str(error)) for i, (task, _) in steps.items() if i not in there]

    def _outcome(
        self, task: Task, verdict: Verdict, reason: Reason | None = None, detail: str = "", **more: Any
    ) -> TaskOutcome:
        return self.outcomes.of(task, verdict, reason, detail, stage=Stage.SLIM, **more)

    def _slim(self, steps: Steps, known: list[TaskOutcome]) -> None:
        try:
            with self.phases.phase("plan"):
                self.planner.claims.read()
                found, failed = self.split.each("slimming", list(steps), lambda server, some: self._plan(server, some, steps))
        except _TooManyFilesError:
            tasks = list(steps.items())
            for some in (tasks[: len(tasks) // 2], tasks[len(tasks) // 2 :]):
                self._slim(dict(some), known)
            return
        for task, error in failed.items():
            known.append(self._not_read(steps[task][0], error))
        plans: list[Slimmed] = []
        for one in (one for some in found for one in some):
            if isinstance(one, Slimmed):
                plans.append(one)
            else:
                known.append(self.outcomes.kept(one))
        if self.outcomes.dry_run:
            known += self._measured(plans)
        elif plans:
            self._remove(plans, known)

    def _not_read(self, task: Task, error: Exception) -> TaskOutcome:
        if isinstance(error, AnswerError) and error.says_missing:
            detail = "it, or a model of it, was not there while it was read; the next pass looks again"
            return self.outcomes.kept(Kept(task, Reason.CHANGED, detail))
        return self._outcome(task, Verdict.FAILED, Reason.SERVER_ERROR, str(error))

    # -- read and plan
    def _plan(self, server: Server, ids: Sequence[TaskId], steps: Steps) -> list[Slimmed | Kept]:
        """What is removed from these tasks, and why others are kept.

        Their records are read last, right before they are changed. A model that was made since its task's events were read is
        seen then.
        """
        events = self._read_events(server, ids)
        look = self.planner.look(server, (), ids)
        cant_be_read = self.planner.unreadable(look, ids)
        found: list[Slimmed | Kept] = []
        for task in ids:
            before, step = steps[task]
            detail = look.details.get(task)
            kept = why_left_alone(before, detail, step, self.policy.rules)
            if kept is None and task in cant_be_read:
                kept = unreadable(before, cant_be_read[task].field)
            if kept is None and events.models[task] != look.models_made_by(task):
                kept = Kept(before, Reason.CHANGED, "it made a model while the pass ran; the next pass looks again")
            if kept is not None or not isinstance(detail, Detail):
                found += [kept] if kept is not None else []
                continue
            found.append(plan_slim(_wrote(detail, look.models.get(task, ()), events), step.policy, look.guard))
        return found

    @staticmethod
    def _read_events(server: Server, ids: Sequence[TaskId]) -> _Events:
        made = server.models_of(ids)
        models = [model.id for some in made.values() for model in some]
        most = MOST_FILES if len(ids) > 1 else sys.maxsize
        return _Events(
            _by_owner(server.debug_samples(ids), most),
            _by_owner(server.plot_images(ids), most),
            _by_owner(server.model_event_files(models), most) if models else {},
            {task: frozenset(model.id for model in made.get(task, ())) for task in ids},
            server.models_created(models) if models else {},
        )

    # -- remove
    def _measured(self, plans: Sequence[Slimmed]) -> list[TaskOutcome]:
        """What would become of these: reads how much is there, in stores that can say."""
        found = self.storage.measure(file for plan in plans for file in plan.files)
        return [self._ended(plan, found, "") for plan in plans]

    def _remove(self, plans: Sequence[Slimmed], known: list[TaskOutcome]) -> None:
        """Files first, records last."""
        announced, refused = self._announced(plans)
        known += refused
        done: list[TaskOutcome] = []
        try:
            self._remove_all(announced, done)
        finally:
            known += done
        if self.auditing is not None:
            removing = {plan.task.id for plan in announced if plan.removes}
            with self.phases.phase("audit"):
                self.auditing.audit.after([outcome for outcome in done if outcome.task in removing])

    def _announced(self, plans: Sequence[Slimmed]) -> tuple[Sequence[Slimmed], list[TaskOutcome]]:
        """Those that the audit log has, if there is one; and the outcomes of the others."""
        if self.auditing is None:
            return plans, []
        with self.phases.phase("audit"):
            planned = [(plan.task, self._ended(plan, NOTHING, ""), _why(plan), plan.uris) for plan in plans if plan.removes]
            refused = self.auditing.before_stage(planned)
        missing = {outcome.task for outcome in refused}
        return [plan for plan in plans if plan.task.id not in missing], refused

    def _remove_all(self, plans: Sequence[Slimmed], done: list[TaskOutcome]) -> None:
        self.go_on()
        records = SlimmedRecords(self.split, self.lifecycle)
        left = self._tagged(plans, records, done)
        with self.phases.phase("files"):
            removed = self.storage.delete((file for plan in left for file in plan.files), ())
        with self.phases.phase("records"):
            errors = records.remove([self._confirmed(plan, removed) for plan in left])
            errors |= records.tag_after([plan for plan in left if plan.task.id not in errors and self._is_whole(plan, removed)])
        done += [self._ended(plan, removed, errors.get(plan.task.id, "")) for plan in left]

    def _tagged(self, plans: Sequence[Slimmed], records: SlimmedRecords, done: list[TaskOutcome]) -> list[Slimmed]:
        """Those whose tags are as they have to be before anything else of them is changed."""
        with self.phases.phase("records"):
            errors = records.tag_before(plans)
        untouched = [plan.task for plan in plans if plan.task.id in errors]
        done += [self._outcome(task, Verdict.FAILED, Reason.RECORD_ERROR, errors[task.id]) for task in untouched]
        return [plan for plan in plans if plan.task.id not in errors]

    def _confirmed(self, plan: Slimmed, removed: Removed) -> Slimmed:
        """What may leave the records by what the stores say."""
        without = plan.without(plan.failed(removed))
        return without.without_lost(removed) if self.keep_missing else without

    def _is_whole(self, plan: Slimmed, removed: Removed) -> bool:
        return not plan.failed(removed) and not (self.keep_missing and plan.lost(removed))

    def _ended(self, plan: Slimmed, removed: Removed, error: str) -> TaskOutcome:
        """The outcome of a task, by what the stores say; ``error``: what could not be changed in its record."""
        counts = asdict(count(plan, removed))
        if failed := [file for file in plan.files if file in removed.failed]:
            detail = "; ".join(f"{file.path}: {removed.failed[file]}" for file in failed[:3])
            return self._outcome(plan.task, Verdict.FAILED, Reason.FILE_ERROR, detail, **counts)
        if self.keep_missing and (lost := plan.lost(removed)):
            return self._outcome(plan.task, Verdict.KEPT, Reason.FILES_NOT_FOUND, LOST.format(path=lost[0].path), **counts)
        if error:
            return self._outcome(plan.task, Verdict.FAILED, Reason.RECORD_ERROR, error, **counts)
        verdict = Verdict.WOULD_SLIM if self.outcomes.dry_run else Verdict.SLIMMED
        models, protected = len(plan.models), plan.protected
        return self._outcome(plan.task, verdict, detail=plan.kept_words, models=models, protected=protected, **counts)


def _by_owner(found: Iterable[tuple[Owner, File]], most: int) -> dict[Owner, list[File]]:
    by_owner: dict[Owner, list[File]] = defaultdict(list)
    for number, (owner, file) in enumerate(found, start=1):
        if number > most:
            raise _TooManyFilesError
        by_owner[owner].append(file)
    return by_owner


def _wrote(detail: Detail, models: Sequence[Model], events: _Events) -> Wrote:
    task = detail.task.id
    return Wrote(
        detail,
        models,
        events.created,
        events.debug_samples.get(task, ()),
        events.plots.get(task, ()),
        {model.id: events.of_models.get(model.id, ()) for model in models},
    )


def _why(plan: Slimmed) -> list[str]:
    slim = plan.policy.slim
    after = duration_text(slim.after) if slim is not None else ""
    counts = Counter(output.kind for output in plan.outputs)
    removes = [f"{counts[kind]:,} of {kind.value}" for kind in Kind if counts[kind]]
    removes += ["its console"] if plan.clears_log else []
    names = "; ".join(sorted(f"artifact {artifact.key!r}" for artifact in plan.artifacts))
    return [
        f"is slimmed after {after} by policy {plan.policy.name!r}",
        f"loses {', '.join(removes)}" + (f": {names}" if names else ""),
    ]
