"""Whether a pass is due: it may come earlier than the period that people entered in ClearML. Pure."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cleanup_job.exit_codes import ExitCode
from cleanup_job.planning.records import LEFT_TAG, Run
from cleanup_job.report import json_lines
from cleanup_job.report.formatting import moment
from cleanup_job.service_task.own_task import OwnTask
from cleanup_job.service_task.run_before import NotDone
from cleanup_job.service_task.run_marks import DRY_RUN, began
from cleanup_job.settings.model import Settings

TOLERANCE = 0.1
"""Part of the period: a daily schedule must not skip a day because a pass began some minutes earlier than the one before."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why there is no pass here, in words and as a line of the log."""

    text: str
    line: dict[str, Any]
    not_done: NotDone | None = None
    """The run that an agent was given before, if it did not do its whole pass."""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the Job."""
        return ExitCode.RUN_BEFORE_NOT_DONE if self.not_done else ExitCode.DONE

    def after(self, before: NotDone | None) -> "Skipped":
        """The same, after a run that did not do its whole pass."""
        if before is None:
            return self
        line = json_lines.after_run(self.line, before.as_document(), ExitCode.RUN_BEFORE_NOT_DONE)
        return replace(self, line=line, not_done=before)


def is_scheduled(settings: Settings) -> bool:
    """Whether a CronJob's schedule made this Job: its name is the CronJob's, and the minute at which it was due."""
    found = re.fullmatch(r".+-(\d{8,9})", settings.cluster.job or "")
    due = datetime.fromtimestamp(int(found[1]) * 60, UTC) if found else None
    return due is not None and abs(datetime.now(UTC) - due) < timedelta(days=30)


def too_early(mine: OwnTask, now: datetime) -> Skipped | None:
    """Why a scheduled pass is not due yet; None if it is."""
    if not is_scheduled(mine.settings):
        return None
    days = mine.settings.schedule.cleanup_period_in_days
    period = timedelta(days=days)
    last = max((run.started for run in mine.runs if run.started and _did_everything(run)), default=None)
    if last is None or now - last >= period * (1 - TOLERANCE):
        return None
    due = last + period
    text = (
        f"the last completed pass began at {moment(last.isoformat())}, and cleanup_period_in_days is {days:g} "
        f"(from {mine.origins['cleanup_period_in_days']}); the next one is due at {moment(due.isoformat())}"
    )
    return not_due(text, last=last.isoformat(), due=due.isoformat())


def _did_everything(run: Run) -> bool:
    return run.status == "completed" and began(run) and not {DRY_RUN, LEFT_TAG} & set(run.tags)


def not_due(text: str, **fields: str) -> Skipped:
    """A pass that is not due, for this reason."""
    return Skipped(f"not due: {text}", json_lines.not_due(f"not due: {text}", **fields))
