"""How the run ended that an agent was given before. Nothing in Kubernetes tells of it, except the next Job. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cleanup_job.exit_codes import meaning
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Run
from cleanup_job.report.formatting import moment, plain
from cleanup_job.service_task.run_marks import SILENT, WAITING, began, in_pod, is_alive

REASON = 200
"""Characters of a reason that are shown: people who may edit a task can write anything there."""
_EXIT_CODE = re.compile(r"exit code (\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class NotDone:
    """A run that an agent was given, and that did not do its whole pass."""

    run: TaskId
    status: str
    reason: str
    """What ClearML says of it; people and programs write it, so it may say anything, or nothing."""
    link: str
    text: str
    """All of that for people, with the way out."""

    def as_document(self) -> dict[str, Any]:
        """The fields ``run_before`` of a line."""
        return {"run": self.run, "status": self.status, "reason": self.reason or None, "link": self.link or None}


def not_done(runs: Sequence[Run], now: datetime, link: Callable[[TaskId], str]) -> NotDone | None:
    """What is wrong with the run that an agent was given before; None if nothing is, or if it still works.

    A run that waits or works and is younger than ten minutes is passed over: an earlier try of this Job may have enqueued it.
    So a Job that is tried again comes to the same result.

    Args:
        runs: The runs of the draft, newest first.
        now: The current time.
        link: Gives the page of a run in ClearML; empty if its address is unknown.
    """
    run = next((run for run in runs if not _is_new(run, now)), None)
    if run is None or in_pod(run):  # a pass in a pod has told Kubernetes itself
        return None
    why = _why(run, now)
    if not why:
        return None
    reason = plain(f"{run.status_reason} ({run.status_message})" if run.status_message else run.status_reason)[:REASON]
    page = link(run.id)
    text = f"run {run.id}, which an agent was given before, {why}"
    return NotDone(run.id, run.status, reason, page, f"{text}. Its page in ClearML: {page}" if page else text)


def _is_new(run: Run, now: datetime) -> bool:
    return run.status in WAITING and run.created is not None and now - run.created < SILENT


def _why(run: Run, now: datetime) -> str:
    said = f"{run.status}: {plain(run.status_reason)[:REASON]}" if run.status_reason else run.status
    if run.status == "queued":
        since = f" since {moment(run.created.isoformat())}" if run.created else ""
        return (
            f"still waits in its queue{since}: no agent has taken it, and nothing was deleted. Start an agent that listens on "
            "this queue (clearml-agent daemon --queue … --services-mode), or set CLEANUP_TASK_QUEUE to one that has an agent "
            "and take the run out of the old queue in ClearML"
        )
    if run.status == "in_progress":
        return "" if is_alive(run, now) else _silent(run)
    if not began(run):
        return (
            f"ended before its pass began ({said}), and nothing was deleted. Its console in ClearML tells why. Often the agent "
            "could not install what CLEANUP_TASK_REQUIREMENT or the draft names, or a parameter of the run is wrong"
        )
    if run.status == "stopped":
        return f"was stopped before its pass had ended ({said}). Its console in ClearML tells how far it came"
    if run.status == "failed":
        code = _EXIT_CODE.search(run.status_reason)
        in_words = f", which means: {meaning(int(code[1]))}" if code else ""
        return f"did not do its whole pass ({said}{in_words}). Its console in ClearML names what went wrong"
    return ""


def _silent(run: Run) -> str:
    since = f" since {moment(run.last_update.isoformat())}" if run.last_update else ""
    return (
        f"is in progress, but nothing was heard of it{since}: its agent, or the machine, has probably been stopped. See that "
        "the agent runs, and abort the run in ClearML"
    )
