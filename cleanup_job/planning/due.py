"""When the rules let a task be deleted, if it does not change until then. Pure: no I/O."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules

_END = datetime.max.replace(tzinfo=UTC)


def due(rules: Rules, task: Task, now: datetime) -> datetime | None:
    """The first moment from which the rules select a task; None if they never do.

    Only time passes until then: the task, the settings and the projects stay as they are. What other records need may keep the
    task, or files of it, for longer. Held to ``Rules.selects`` by a test: rules that were resolved at a moment select the task
    if and only if it is due at that moment.

    Args:
        rules: As they were resolved at ``now``.
        task: The record as the server holds it.
        now: The moment from which the ages in the rules count, in UTC and by the server's clock.
    """
    since = task.active
    if since is None or not _with_all_time_passed(rules).selects(task):
        return None
    # A task has to be older than its threshold, by the least that two times can differ; a grace period only has to be over.
    old_enough = since + (now - rules.cutoff_of(task)) + timedelta.resolution
    if rules.archived_before is None or task.last_change is None:
        return old_enough
    return max(old_enough, task.last_change + (now - rules.archived_before))


def _with_all_time_passed(rules: Rules) -> Rules:
    thresholds = tuple(one if one.cutoff is None else replace(one, cutoff=_END) for one in rules.thresholds)
    return replace(rules, cutoff=_END, archived_before=None, thresholds=thresholds)
