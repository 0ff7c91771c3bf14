"""The draft's clones and runs in ClearML: a pass in a pod is one, and so is a pass on an agent."""

from collections.abc import Callable
from datetime import datetime

from cleanup_job.errors import AnswerError, CleanupError, SettingsError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Run, ServiceTask
from cleanup_job.report import json_lines
from cleanup_job.service_task import parameters
from cleanup_job.service_task.draft import warn_of_secret
from cleanup_job.service_task.edits import Known
from cleanup_job.service_task.own_task import OwnTask
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.service_task.run_before import not_done
from cleanup_job.service_task.run_marks import (
    ENDED,
    WAITING,
    began,
    in_pod,
    is_alive,
    release_tags,
    require_alone,
    run_name,
    tags_of,
)
from cleanup_job.service_task.schedule import Skipped, is_scheduled, not_due


class DraftRuns:
    """Starts, hands over and ends runs of the draft."""

    def __init__(self, tasks: ServiceTasks, warn: Callable[[str], None]) -> None:
        """``warn`` gets what ClearML refused."""
        self._tasks = tasks
        self._warn = warn

    def require_alone(self, mine: OwnTask, *, holds_lease: bool) -> None:
        """See that no pass on an agent runs. A run whose pod is gone is ended for it.

        Args:
            mine: The pass's task.
            holds_lease: Whether no other pod of this release can be at work.

        Raises:
            LeaseHeldError: another pass runs.
        """
        same_release = set(release_tags(mine.settings))
        others = []
        for run in mine.runs:
            pod_is_gone = in_pod(run) and ((holds_lease and same_release & set(run.tags)) or not is_alive(run))
            if run.status == "in_progress" and pod_is_gone:
                self._end_for_its_pod(run)
            else:
                others.append(run)
        require_alone(others)

    def _end_for_its_pod(self, run: Run) -> None:
        self._warn(f"run {run.id} ended without saying so: its pod is gone. It counts as failed")
        try:
            self._tasks.end(
                run.id, "failed", "its pod is gone", "The pod ended without saying so: killed, evicted or out of memory."
            )
        except CleanupError as error:
            self._warn(f"run {run.id}: {error}")

    def hand_over(self, mine: OwnTask, now: datetime, link: Callable[[TaskId, str], str]) -> Skipped:
        """Enqueue a clone of the draft for an agent, with all settings that count here, and look how the run before ended.

        Args:
            mine: The pass's task.
            now: The current time.
            link: Gives the page of a task in ClearML, by its id and its project's.

        Raises:
            SettingsError: there is no such queue, or no draft.
        """
        if mine.draft is None:
            raise SettingsError(
                "CLEANUP_TASK_MODE=agent, but ClearML did not let this pass register the draft task, so nothing was enqueued. "
                "Give the key the right to create tasks in that project, or set CLEANUP_TASK_MODE=pod."
            )
        project = mine.draft.project
        before = not_done(mine.runs, now, lambda run: link(run, project))
        if before is not None:
            self._warn(before.text)
        skipped = (
            _still_there(mine.runs)
            or _ran_once(mine)
            or self.enqueue(mine.draft, (mine.settings, mine.origins), mine.statement, now)
        )
        return skipped.after(before)

    def enqueue(self, draft: ServiceTask, known: Known, statement: parameters.Values, now: datetime) -> Skipped:
        """Clone a draft and enqueue the clone.

        Args:
            draft: The draft.
            known: All settings of the pass: the clone gets them as its parameters, regardless of the draft's own.
            statement: What the operator says: an edit of the clone can loosen no more than that.
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
        task = self._tasks.clone(draft, run_name(settings, now), sync, release_tags(settings))
        self._tasks.enqueue(task, queue)
        if queue.workers == 0:
            self._warn(f"no ClearML Agent listens on queue {queue.name!r}: the task waits there until one does")
        text = f"handed over to a ClearML Agent: task {task} waits in queue {queue.name!r}"
        return Skipped(text, json_lines.enqueued(text, task, queue.name, queue.workers))

    def start(self, mine: OwnTask, now: datetime, pod: str) -> None:
        """Start the run of a pass in a pod."""
        if mine.draft is None:
            return
        settings = mine.settings
        try:
            values = parameters.of_settings(settings, mine.origins)
            mine.run = self._tasks.start(mine.draft, run_name(settings, now), values, tags_of(settings, pod))
        except AnswerError as error:
            self._warn(f"{mine.draft.words}: this pass leaves no run of it: {error}")

    def archive_old(self, mine: OwnTask) -> None:
        """Archive the runs beyond the number to keep: later passes find them in the archive and delete them."""
        kept = mine.settings.service_task.task_runs_kept - 1  # this pass has one, too
        old = [run.id for run in mine.runs if run.status in ENDED][kept:]
        try:
            self._tasks.archive(old)
        except AnswerError as error:
            self._warn(f"{len(old)} old runs could not be archived: {error}")


def _still_there(runs: list[Run]) -> Skipped | None:
    """Why nothing is enqueued beside a run that waits or works."""
    run = next((run for run in runs if run.status == "queued" or (run.status in WAITING and is_alive(run))), None)
    if run is None:
        return None
    doing = "still waits in its queue" if run.status == "queued" else "is still running"
    return not_due(f"run {run.id} {doing}; nothing was enqueued", run=run.id)


def _ran_once(mine: OwnTask) -> Skipped | None:
    """Why a scheduled pass is not due after the first one, if it doesn't run as a service."""
    if not is_scheduled(mine.settings) or mine.settings.schedule.run_as_service:
        return None
    last = next((run.id for run in mine.runs if began(run)), None)
    if last is None:
        return None
    return not_due(f"run_as_service is False, and it ran once (run {last}); set it to True to run on each schedule", run=last)
