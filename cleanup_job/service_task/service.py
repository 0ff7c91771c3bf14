"""The job as a task of ClearML: which parameters count, whether a pass is due, and where it is reported.

A pass knows of it in two ways. In a pod, with CLEANUP_TASK, it reads the draft that people edit and makes a run of it. Under a
ClearML Agent it is a task itself, a clone of the draft. Nothing here keeps a pass from running, but wrong parameters, a period
that has not passed, and another pass.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cleanup_job.errors import AnswerError, CleanupError, LeaseHeldError, SettingsError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import LEFT_TAG, Run, ServiceTask
from cleanup_job.redaction import redacted
from cleanup_job.report import json_lines
from cleanup_job.report.formatting import moment
from cleanup_job.service_task import parameters
from cleanup_job.service_task.draft import named, register, statement_of, unread, warn_of_secret
from cleanup_job.service_task.edits import Known, Read, beside, handed_over
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.settings.model import Settings, env_name, shown

TOLERANCE = 0.1
"""Of the period: a daily schedule must not skip a day because a pass began some minutes earlier than the one before."""
SILENT = timedelta(minutes=10)
"""A run that has said nothing for so long has ended without a word."""
ENDED = frozenset({"completed", "failed", "stopped", "closed"})
WAITING = frozenset({"queued", "in_progress"})
DRY_RUN = "dry run"
SHARD = "shard:"
POD = "pod:"
AGENT = "agent"
"""On a run that a pass has made its own, in a pod or under an agent."""
_MOMENTS = 30
"""Seconds that a shard waits for the first one to make the draft."""
PROJECT_EXISTS = 801
"""ClearML's subcode for a project whose name is taken."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why there is no pass here, in words and as a line of the log."""

    text: str
    line: dict[str, Any]


@dataclass(slots=True)
class Service:
    """What a pass has of its task. ``draft`` and ``run`` are None where ClearML did not let us."""

    settings: Settings
    origins: dict[str, str]
    statement: parameters.Values = field(default_factory=dict)
    """The operator's word, which no edit in ClearML touched: an agent's pass is bound by it."""
    draft: ServiceTask | None = None
    edited: ServiceTask | None = None
    """The task whose parameters count: the draft, or under an agent the run itself."""
    run: TaskId | None = None
    runs: list[Run] = field(default_factory=list)
    by_agent: bool = False

    @property
    def never(self) -> frozenset[str]:
        """Tasks that the pass must not touch."""
        return frozenset(str(i) for i in (self.draft and self.draft.id, self.run, self.settings.service_task.task_id) if i)

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """The settings that count, each with its value and its source: the four, and whatever is not at its default."""
        values = parameters.of_settings(self.settings, self.origins)
        return [(env_name(name), shown(name, value), self.origins[name]) for name, value in values.items()]


class Keeper:
    """Keeps the job's own tasks in ClearML: the draft, its clones and its runs."""

    def __init__(self, tasks: ServiceTasks, warn: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        """``warn`` is told of what ClearML does not let us do."""
        self._tasks = tasks
        self._warn = warn
        self._sleep = sleep

    def in_pod(
        self,
        settings: Settings,
        origins: dict[str, str],
        environment: Known,
        read: Read,
    ) -> Service:
        """The draft's word on the settings of a pass in a pod.

        Args:
            settings: Those of this pass.
            origins: Where each came from.
            environment: The same without what was said for this pass alone: that has no place in the draft.
            read: Reads them anew.

        Raises:
            SettingsError: what somebody entered in the Web UI is wrong; it stands in the draft's description, too. Or the
                draft can't be read, and never will be.
            UnreachableError: the draft can't be read.
        """
        service = Service(settings, origins, parameters.statement_of(settings, origins))
        try:
            draft = self._find(settings)
        except (AnswerError, SettingsError) as error:
            if settings.service_task.task_required:
                raise unread(named(settings), error) if isinstance(error, AnswerError) else error from None
            self._warn(f"{named(settings)} can't be read, so the environment's settings count and no run is left: {error}")
            return service
        if draft is not None and draft.archived:
            self._warn(f"{draft.words} was archived: what was edited there still counts. Delete it to begin with a new one")
        (service.settings, service.origins), notes = self.with_edits((settings, origins), draft, read)
        try:
            # What was said for a manual Job alone has no place in the draft: the schedule's Jobs keep it up to date.
            current = draft is not None and draft.is_draft and (bool(settings.run.shard) or not is_scheduled(settings))
            service.draft = draft if current else register(self._tasks, draft, *environment, self._warn)
            if service.draft is not None:
                service.runs = [run for run in self._tasks.runs(service.draft.id) if _same_shard(run, settings)]
                self.remark(service.draft, notes)
        except AnswerError as error:
            if (
                draft is None and settings.service_task.task_required and error.subcode == PROJECT_EXISTS
            ):  # not shown, but there
                raise unread(named(settings), error) from None
            self._warn(f"{named(settings)} could not be brought up to date: {error}")
            service.draft = service.draft or draft
        service.edited = service.draft
        return service

    def with_edits(self, operator: Known, draft: ServiceTask | None, read: Read) -> tuple[Known, tuple[str, ...]]:
        """What counts beside the operator's word of what was edited in a draft, and what was not taken, which is warned of.

        Raises:
            SettingsError: what somebody entered in the Web UI is wrong; it stands in the draft's description, too.
        """
        if draft is None:
            return operator, ()
        try:
            found = parameters.read(draft.hyperparams, draft.words)
            known, notes = beside(operator, parameters.edited(found, draft.registered), draft.words, read)
        except SettingsError as error:
            self.complain(draft, str(error))
            raise
        for note in notes:
            self._warn(note)
        return known, notes

    def remark(self, task: ServiceTask, notes: Sequence[str]) -> None:
        """Say in a task's description what was edited there and does not count; or take back what was said."""
        self._tasks.remark(task, redacted("\n".join(notes)))

    def _find(self, settings: Settings) -> ServiceTask | None:
        """The draft. The first shard makes it where there is none; the others wait for it a moment."""
        draft = self._tasks.find()
        for _ in range(_MOMENTS if settings.run.shard else 0):
            if draft is not None and draft.is_draft:
                break
            self._sleep(1)
            draft = self._tasks.find()
        return draft

    def complain(self, edited: ServiceTask | None, text: str) -> None:
        """Tell those who edit a task in the Web UI what is wrong, where they see it: in its description."""
        if edited is None:
            return
        try:
            self._tasks.remark(edited, f"The last pass deleted nothing: {redacted(text)}")
        except CleanupError as error:
            self._warn(f"{edited.words} could not be told: {error}")

    def under_agent(self, environment: Known, read: Read) -> Service:
        """The settings of a pass that an agent runs: what the release said, and what was edited in the pass's own task.

        Raises:
            SettingsError: a parameter is wrong, or nobody knows what the release said.
            UnreachableError: the task can't be read.
            LeaseHeldError: another pass runs.
        """
        key = environment[0].service_task.task_id or ""
        try:
            own = self._tasks.read(key)
        except AnswerError as error:
            raise unread(f"task {key} (CLEARML_TASK_ID)", error) from None
        try:
            statement = statement_of(self._tasks, own)
            found = parameters.edited(parameters.read(own.hyperparams, own.words), statement)
            told, doubts = handed_over(environment, statement, own.words, read)
            known, notes = beside(read(told), found, own.words, lambda edits: read({**told, **edits}))
        except SettingsError as error:
            self.complain(own, str(error))
            raise
        for note in (*doubts, *notes):
            self._warn(note)
        service = Service(*known, edited=own, run=own.id, by_agent=True)
        try:
            self.remark(own, notes)
            self._tasks.adopt(own, tags_of(service.settings, ""))
            service.draft = self._tasks.find()
            root = own.parent or (service.draft.id if service.draft else "")
            service.runs = self._tasks.runs(root) if root else []
        except (AnswerError, SettingsError) as error:
            self._warn(f"{own.words}: its other runs can't be read: {error}")
        _alone(service.runs, own.id)
        return service

    def alone_in_pod(self, service: Service, *, holds_lease: bool) -> None:
        """No pass on an agent may run; a run of a pod that is gone is ended for it.

        Args:
            service: The pass's task.
            holds_lease: Whether no other pod of this release can be at work.

        Raises:
            LeaseHeldError: another pass runs.
        """
        gone: set[str] = set()
        for run in service.runs:
            if run.status != "in_progress":
                continue
            in_pod = any(tag.startswith(POD) for tag in run.tags)
            same_release = set(_release_tags(service.settings)) & set(run.tags)
            if in_pod and ((holds_lease and same_release) or not _lives(run)):
                gone.add(run.id)
                self._warn(f"run {run.id} had ended without a word: its pod is gone. It counts as failed")
                try:
                    self._tasks.end(
                        run.id, "failed", "its pod is gone", "The pod ended without a word: killed, evicted or out of memory."
                    )
                except CleanupError as error:
                    self._warn(f"run {run.id}: {error}")
        _alone([run for run in service.runs if run.id not in gone], "")

    def hand_over(self, service: Service, now: datetime) -> Skipped:
        """Enqueue a clone of the draft for an agent, with all settings that count here.

        Raises:
            SettingsError: there is no such queue, or no draft.
        """
        if service.draft is None:
            raise SettingsError(
                "CLEANUP_TASK_MODE=agent, but ClearML did not let us register the draft task: nothing was enqueued."
            )
        ended = [run for run in service.runs if run.status in ENDED]
        if ended and (ended[0].status == "failed" or not _began(ended[0])):
            what = "failed" if ended[0].status == "failed" else "ended before its pass began (could the agent install it?)"
            self._warn(f"the last run, {ended[0].id}, {what}: look at its console in ClearML")
        waiting = [run for run in service.runs if run.status in WAITING and (run.status == "queued" or _lives(run))]
        if waiting:
            doing = "still waits in its queue" if waiting[0].status == "queued" else "is still running"
            if waiting[0].status == "queued":
                self._warn(f"run {waiting[0].id} {doing}: does an agent listen on it?")
            return _not_due(f"run {waiting[0].id} {doing}; nothing was enqueued", run=waiting[0].id)
        began = [run for run in service.runs if _began(run)]
        if is_scheduled(service.settings) and not service.settings.schedule.run_as_service and began:
            last = began[0].id
            return _not_due(
                f"run_as_service is False, and it ran once (run {last}); set it to True to run on each schedule", run=last
            )
        return self.enqueue(service.draft, (service.settings, service.origins), service.statement, now)

    def enqueue(self, draft: ServiceTask, known: Known, statement: parameters.Values, now: datetime) -> Skipped:
        """Clone a draft and enqueue the clone.

        Args:
            draft: The draft.
            known: All settings of the pass: the clone has them as its parameters, whatever the draft has.
            statement: The operator's word: whoever edits the clone can loosen no more than that.
            now: For its name.

        Raises:
            SettingsError: there is no such queue.
        """
        settings = known[0]
        queue = self._tasks.queue(settings.service_task.task_queue)
        if self._tasks.outdated(draft):
            warn_of_secret(settings, self._warn)
        found = parameters.read(draft.hyperparams, draft.words)
        sync = parameters.cloned(found, parameters.of_settings(*known), statement)
        task = self._tasks.clone(draft, run_name(settings, now), sync, _release_tags(settings))
        self._tasks.enqueue(task, queue)
        if queue.workers == 0:
            self._warn(f"no ClearML Agent listens on queue {queue.name!r}: the task waits there until one does")
        text = f"task {task} waits in queue {queue.name!r}"
        return Skipped(text, json_lines.enqueued(text, task, queue.name, queue.workers))

    def start(self, service: Service, now: datetime, pod: str) -> None:
        """Make the run of a pass in a pod."""
        if service.draft is None:
            return
        settings = service.settings
        try:
            values = parameters.of_settings(settings, service.origins)
            service.run = self._tasks.start(service.draft, run_name(settings, now), values, tags_of(settings, pod))
        except AnswerError as error:
            self._warn(f"{service.draft.words}: this pass leaves no run of it: {error}")

    def archive_old(self, service: Service) -> None:
        """Put runs beyond the number to keep into the archive: passes find them there, and delete them."""
        kept = service.settings.service_task.task_runs_kept - 1  # this pass has one, too
        old = [run.id for run in service.runs if run.status in ENDED][kept:]
        try:
            self._tasks.archive(old)
        except AnswerError as error:
            self._warn(f"{len(old)} old runs could not be archived: {error}")


def _alone(runs: Sequence[Run], own: str) -> None:
    """Of two passes that began at once, the later one gives way.

    Raises:
        LeaseHeldError: another one runs.
    """
    living = [run for run in runs if run.status == "in_progress" and (run.id == own or _lives(run))]
    mine = next((_rank(run) for run in living if run.id == own), None)
    for run in living:
        if run.id != own and (mine is None or _rank(run) < mine):
            raise LeaseHeldError(f"Another pass is running: task {run.id} in ClearML. This one did nothing.")


def _same_shard(run: Run, settings: Settings) -> bool:
    """Whether a run says something of this part of a pass: other shards' runs don't stand in its way."""
    shard = next((tag for tag in run.tags if tag.startswith(SHARD)), "")
    return shard in {"", _shard_tag(settings)}


def _shard_tag(settings: Settings) -> str:
    return f"{SHARD}{settings.run.shard}/{settings.run.shards}" if settings.run.shards > 1 else ""


def _began(run: Run) -> bool:
    """Whether there was a pass: an agent marks a task as completed also where it could not install what the task needs."""
    return any(tag == AGENT or tag.startswith(POD) for tag in run.tags)


def _lives(run: Run) -> bool:
    return run.last_update is not None and datetime.now(UTC) - run.last_update < SILENT


def _rank(run: Run) -> tuple[float, str]:
    return (run.started.timestamp() if run.started else 0.0, run.id)


def is_scheduled(settings: Settings) -> bool:
    """Whether a CronJob's schedule made this Job: its name is the CronJob's, and the minute at which it was due."""
    found = re.fullmatch(r".+-(\d{8,9})", settings.cluster.job or "")
    due = datetime.fromtimestamp(int(found[1]) * 60, UTC) if found else None
    return due is not None and abs(datetime.now(UTC) - due) < timedelta(days=30)


def not_due(service: Service, now: datetime) -> Skipped | None:
    """Whether a scheduled pass comes too early."""
    if not is_scheduled(service.settings):
        return None
    period = timedelta(days=service.settings.schedule.cleanup_period_in_days)
    ended = [run for run in service.runs if run.status == "completed" and _began(run)]
    whole = [run for run in ended if not {DRY_RUN, LEFT_TAG} & set(run.tags)]
    began = [run.started for run in whole if run.started]
    last = max(began, default=None)
    if last is None or now - last >= period * (1 - TOLERANCE):
        return None
    text = (
        f"the last completed pass began at {moment(last.isoformat())}, and cleanup_period_in_days is "
        f"{service.settings.schedule.cleanup_period_in_days:g} (from {service.origins['cleanup_period_in_days']}); "
        f"the next one is due at {moment((last + period).isoformat())}"
    )
    return _not_due(text, last=last.isoformat(), due=(last + period).isoformat())


def _not_due(text: str, **fields: str) -> Skipped:
    return Skipped(f"not due: {text}", json_lines.not_due(f"not due: {text}", **fields))


def run_name(settings: Settings, now: datetime) -> str:
    """The name of a run: the draft's, and when."""
    part = f" ({(settings.run.shard or 0) + 1} of {settings.run.shards})" if settings.run.shards > 1 else ""
    return f"{settings.service_task.task_name} {now:%Y-%m-%d %H:%M}{part}"


def tags_of(settings: Settings, pod: str) -> list[str]:
    """What a run is tagged with."""
    where = [POD + pod if pod else AGENT]
    shard = [_shard_tag(settings)] if settings.run.shards > 1 else []
    return _release_tags(settings) + where + shard + ([DRY_RUN] if settings.run.dry_run else [])


def _release_tags(settings: Settings) -> list[str]:
    return [f"release:{settings.cluster.release}"] if settings.cluster.release else []
