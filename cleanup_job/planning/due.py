"""When the rules let a task be deleted, if it does not change until then. Pure: no I/O."""

from datetime import datetime

from cleanup_job.planning.course import course, selected_from
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules


def due(rules: Rules, task: Task, now: datetime) -> datetime | None:
    """The first moment from which the rules select a task; None if they never do.

    Only time passes until then: the task, the settings and the projects stay as they are; but where its policy has a notice,
    passes do their work each night, so that it is announced. What other records need may keep the task, or files of it, for
    longer. Held to ``Rules.selects`` by a test: rules that were resolved at a moment select the task if and only if it is due
    at that moment.

    Args:
        rules: As they were resolved at ``now``.
        task: The record as the server holds it.
        now: The moment from which the ages in the rules count, in UTC and by the server's clock.
    """
    policy = rules.lifecycle.file.of(task) if rules.lifecycle is not None else None
    if policy is None or not policy.notice or rules.is_own_run(task):
        return selected_from(rules, task, now)
    if not task.archived:
        return None
    return next((event.when for event in course(rules, task, now) if event.stage is Stage.DELETE), None)
