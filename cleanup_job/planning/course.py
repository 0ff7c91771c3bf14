"""What becomes of a task, if only time passes and passes do their work each night. Pure: no I/O.

``Rules`` decide: they are asked at each moment from which their answer can be another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from cleanup_job.planning.lifecycle.fate import Lifecycle, Step, TagChange
from cleanup_job.planning.lifecycle.marks import Marks, begins, ends
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.records import ARCHIVED_BY, Task
from cleanup_job.planning.selection import Rules

MOST = 12
"""Changes of a task that are followed: an archiving, a slimming and a deletion, each with its notice, and tags put right."""
_SOON = timedelta.resolution


@dataclass(frozen=True, slots=True)
class Event:
    """A stage of a task, when it comes."""

    stage: Stage
    when: datetime
    """The first moment at which a pass does it."""
    policy: str = ""
    """The name of the policy that counts; empty if there are none, and for the job's own runs."""
    announced: date | None = None
    """The date for which it is announced, or will be; None without a notice."""
    noticed: datetime | None = None
    """When it was announced, or will be."""

    def by(self, moment: datetime) -> bool:
        """Whether it has come by a moment."""
        return self.when <= moment

    def is_announced_at(self, moment: datetime) -> bool:
        """Whether it is announced at a moment, and has not come yet."""
        return self.noticed is not None and self.noticed <= moment < self.when


def rules_at(rules: Rules, now: datetime, then: datetime) -> Rules:
    """The rules that were resolved at a moment, at another one: days count from there."""
    passed = then - now
    return replace(
        rules,
        cutoff=rules.cutoff + passed,
        archived_before=rules.archived_before and rules.archived_before + passed,
        thresholds=tuple(one if one.cutoff is None else replace(one, cutoff=one.cutoff + passed) for one in rules.thresholds),
        lifecycle=rules.lifecycle and rules.lifecycle.at(then),
    )


def turning_points(rules: Rules, task: Task, now: datetime) -> Iterator[datetime]:
    """The moments from which the answer of rules can be another one, if nothing but time changes; in no order.

    A task has to be older than its threshold, by the least that two times can differ; a grace period only has to be over.
    """
    if task.active is not None:
        yield task.active + (now - rules.cutoff_of(task)) + _SOON
    if rules.archived_before is not None and task.last_change is not None:
        yield task.last_change + (now - rules.archived_before)
    life = rules.lifecycle
    policy = life.file.of(task) if life is not None else None
    if life is None or policy is None:
        return
    for stage in policy.stages:
        due = life.due(task, stage)
        if due is not None:
            yield due
            yield due - policy.notice
        day = life.announced(task, stage)
        if day is not None:
            yield begins(day)


def selected_from(rules: Rules, task: Task, now: datetime) -> datetime | None:
    """The first moment from which rules select a task that does not change, past or not; None if they never do."""
    moments = sorted(turning_points(rules, task, now))
    return next((moment for moment in moments if rules_at(rules, now, moment).selects(task)), None)


def course(rules: Rules, task: Task, now: datetime) -> tuple[Event, ...]:
    """The stages that a task goes through from now on; none if it is kept, or if nothing applies to it.

    What other records need may keep it for longer. After an archiving or slimming, the next stage comes on another day.

    Args:
        rules: As they were resolved at ``now``.
        task: The record as the server holds it.
        now: The moment from which the ages in the rules count, in UTC and by the server's clock.
    """
    return tuple(_events(rules, task, now))


def _events(rules: Rules, task: Task, now: datetime) -> Iterator[Event]:
    if _is_left_alone(rules, task):
        return
    noticed, at = _noticed(task), now
    policy = "" if rules.is_own_run(task) else rules.policy_of(task)
    for _ in range(MOST):
        found = _next(rules, task, now, at)
        if found is None:
            return
        at, step = found
        life = rules_at(rules, now, at).lifecycle
        if step is None or life is None:
            yield _event(Stage.DELETE, at, policy, task, noticed)
            return
        if step.announced is not None or step.stage is None:
            noticed = at if step.announced is not None else noticed
            task = _changed(task, step.tags, life)
            continue
        yield _event(step.stage, at, policy, task, noticed)
        task, noticed = _after(task, step.stage, life), None
        at = max(at, ends(at.date()))


def _is_left_alone(rules: Rules, task: Task) -> bool:
    """Whether that is certain at any time, which is so for most tasks of many servers: there is nothing to look for then."""
    if task.public or rules.keeps(task):
        return True
    life = rules.lifecycle
    return life is not None and not rules.is_own_run(task) and life.file.of(task) is None


def _noticed(task: Task) -> datetime | None:
    return task.last_change if Marks.of(task.tags).notice is not None else None


def _event(stage: Stage, when: datetime, policy: str, task: Task, noticed: datetime | None) -> Event:
    notice = Marks.of(task.tags).notice
    if notice is None or notice[0] is not stage or begins(notice[1]) > when:
        return Event(stage, when, policy)
    return Event(stage, when, policy, notice[1], noticed)


def _next(rules: Rules, task: Task, now: datetime, at: datetime) -> tuple[datetime, Step | None] | None:
    """When something is done next, and what: None for deletion. None at all if nothing ever is."""
    life = rules.lifecycle if rules.has_policies(task) else None
    deletion = rules.lifecycle.due(task, Stage.DELETE) if rules.lifecycle is not None and not rules.is_own_run(task) else at
    later = {moment for moment in turning_points(rules, task, now) if moment > at}
    for moment in sorted({at, *later}):
        then = rules_at(rules, now, moment)
        if deletion is not None and deletion <= moment and then.selects(task):
            return moment, None
        step = then.step(task) if life is not None else None
        if step is not None:
            return moment, step
    return None


def _after(task: Task, stage: Stage, life: Lifecycle) -> Task:
    """A task that was archived or slimmed. Neither moves the time from which its age counts."""
    task = _changed(task, life.tags_before(task), life)
    if stage is Stage.ARCHIVE:
        task = replace(task, system_tags=(*task.system_tags, "archived"), status_reason=ARCHIVED_BY)
    return _changed(task, life.tags_after(task, stage), life)


def _changed(task: Task, tags: TagChange, life: Lifecycle) -> Task:
    left = [one for one in task.tags if one not in tags.remove]
    return replace(task, tags=(*left, *tags.add), last_change=life.now, last_changed_by=life.me)
