"""Every rule's verdict on one task, for people who ask why it is kept or deleted. Pure: no I/O.

``Rules`` decides; this says the same in words, and a property test holds both together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cleanup_job.planning.filters import RULES, ActiveFilter, Effect, variable
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.marks import begins
from cleanup_job.planning.lifecycle.policy import LifecyclePolicy, Stage, duration_text
from cleanup_job.planning.records import ACTIVE, DRAFT, Task
from cleanup_job.planning.selection import Rules

CUTOFF = "CLEANUP_DELETE_THRESHOLD_DAYS"
GRACE = "CLEANUP_ARCHIVED_FOR_DAYS"
FORCE = "CLEANUP_FORCE_DELETE"
HIDDEN = "CLEANUP_INCLUDE_HIDDEN"
STEPS = "CLEANUP_INCLUDE_PIPELINE_STEPS"
POLICIES = "CLEANUP_POLICIES"
_VERBS = {
    Effect.ONLY: ("is selected by", "is not selected by"),
    Effect.EXCLUDE: ("is not left out by", "is left out by"),
    Effect.KEEP: ("is not kept by", "is kept by"),
}
"""What a filter does with a task, where the task may be deleted and where not."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one rule says of a task."""

    setting: str
    """The variable of the setting; empty for what no setting decides."""
    allows: bool
    text: str
    """One clause for people, whose subject is the task."""


def judge(rules: Rules, task: Task) -> tuple[Judgement, ...]:
    """What each rule says of a task; it may be deleted if all allow it (``Rules.selects``)."""
    return tuple(_judged(rules, task))


def moment(time: datetime | None) -> str:
    """A time for people: to the minute, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if time is not None else "an unknown time"


def _judged(rules: Rules, task: Task) -> Iterator[Judgement]:
    if task.id in rules.own.never:
        yield Judgement("", allows=False, text="is the job's own task")
    if rules.chosen is not None:
        chosen = task.id in rules.chosen.digests
        yield Judgement("", allows=chosen, text="was chosen by its ID" if chosen else "is not among the tasks that were chosen")
    yield _put_away(rules, task)
    yield _age(rules, task)
    if rules.archived_before is not None:
        yield _grace(rules, rules.archived_before, task)
    if rules.is_own_run(task):
        yield Judgement("", allows=True, text="is an earlier run of this job, to which no filter applies")
    else:
        yield _status(rules, task)
        yield from (_filtered(rules, one, task) for one in rules.only)
    yield from (_filtered(rules, one, task) for one in rules.exclude)
    if task.public:
        yield Judgement("", allows=False, text="is a public example, which belongs to the server")
    yield from (_filtered(rules, one, task) for one in rules.keep)
    yield from _by_threshold_rule(rules, task)
    if rules.lifecycle is not None and not rules.is_own_run(task):
        yield from _by_policies(rules, rules.lifecycle, task)


def _by_threshold_rule(rules: Rules, task: Task) -> Iterator[Judgement]:
    """What threshold rules say beside the age."""
    threshold = rules.threshold(task)
    if threshold is not None and threshold.cutoff is None:
        yield Judgement(variable(RULES), allows=False, text=f"is kept by {threshold.text!r} in {variable(RULES)}")
    elif rules.thresholds and rules.is_new_project(task.project):
        yield Judgement(
            variable(RULES), allows=False, text="is in a project that is new: which threshold it has is not known yet"
        )


def _by_policies(rules: Rules, life: Lifecycle, task: Task) -> Iterator[Judgement]:
    policy = life.file.of(task)
    if life.by_project and rules.is_new_project(task.project):
        yield Judgement(POLICIES, allows=False, text="is in a project that is new: which policy counts for it is not known yet")
    if policy is None:
        yield Judgement(POLICIES, allows=False, text="is matched by no policy, so it is left alone")
        return
    if kept := life.keeps(task):
        yield Judgement(POLICIES, allows=False, text=f"is kept: {kept}")
    due = life.due(task, Stage.DELETE)
    if due is None:
        never = "which deletes nothing" if policy.delete is None else "and of an unknown age"
        yield Judgement(POLICIES, allows=False, text=f"is matched by policy {policy.name!r}, {never}")
        return
    allows = due <= life.now
    verb = "is due since" if allows else "is not due before"
    yield Judgement(POLICIES, allows=allows, text=f"{verb} {moment(due)} (policy {policy.name!r})")
    if policy.notice:
        yield _notice(life, policy, task)


def _notice(life: Lifecycle, policy: LifecyclePolicy, task: Task) -> Judgement:
    day = life.announced(task, Stage.DELETE)
    if day is None:
        text = f"is not announced yet, which policy {policy.name!r} does {duration_text(policy.notice)} before"
        return Judgement(POLICIES, allows=False, text=text)
    return Judgement(POLICIES, allows=begins(day) <= life.now, text=f"is announced for {day} (policy {policy.name!r})")


def _put_away(rules: Rules, task: Task) -> Judgement:
    if not task.archived:
        step = " (and no controller that is deleted with its steps)" if rules.include_pipeline_steps else ""
        return Judgement("", allows=False, text=f"is not archived{step}")
    if "hidden" not in task.system_tags or rules.include_hidden:
        return Judgement("", allows=True, text="is archived")
    if task.project in rules.pipeline_projects and rules.is_step(task) and rules.include_pipeline_steps:
        return Judgement(STEPS, allows=True, text=f"is an archived step of a pipeline, and {STEPS} is true")
    return Judgement(HIDDEN, allows=False, text=f"is archived but hidden, and {HIDDEN} is false")


def _age(rules: Rules, task: Task) -> Judgement:
    cutoff, setting, of = _cutoff(rules, task)
    by = "last reported" if task.status in ACTIVE else "was last active"
    allows = task.active is not None and task.active < cutoff
    if not setting:
        return Judgement("", allows, f"{by} {moment(task.active)}{'' if allows else ', which is not past'}")
    return Judgement(setting, allows, f"{by} {moment(task.active)}, {'' if allows else 'not '}before {moment(cutoff)} ({of})")


def _cutoff(rules: Rules, task: Task) -> tuple[datetime, str, str]:
    """The moment before which a task is old enough, by which setting, and this in words; with policies, it may be by none."""
    threshold = rules.threshold(task)
    if threshold is not None and threshold.cutoff is not None:
        return threshold.cutoff, variable(RULES), f"{threshold.text!r} in {variable(RULES)}"
    if rules.lifecycle is None or rules.is_own_run(task):
        return rules.cutoff, CUTOFF, CUTOFF
    floor = rules.lifecycle.floor
    return (rules.lifecycle.now, "", "") if floor is None else (floor, CUTOFF, CUTOFF)


def _grace(rules: Rules, before: datetime, task: Task) -> Judgement:
    allows = rules.grace_is_over(task, task.last_change)
    verb = "has not changed" if allows else "was archived or changed"
    return Judgement(GRACE, allows, f"{verb} since {moment(before if allows else task.last_change)} ({GRACE})")


def _status(rules: Rules, task: Task) -> Judgement:
    if task.status == DRAFT:
        return Judgement("", allows=True, text="is a draft")
    if rules.force_delete:
        return Judgement(FORCE, allows=True, text=f"is {task.status!r}, and {FORCE} is true")
    return Judgement(FORCE, allows=False, text=f"is {task.status!r}, not a draft, and {FORCE} is false")


def _filtered(rules: Rules, one: ActiveFilter, task: Task) -> Judgement:
    matches = one.matches(task)
    unknown = not matches and one.by_project and one.effect is not Effect.ONLY and rules.is_new_project(task.project)
    allows = matches if one.effect is Effect.ONLY else not (matches or unknown)
    setting = variable(one.name)
    text = "is in a project that is new: whether it is covered is not known yet" if unknown else _VERBS[one.effect][not allows]
    return Judgement(setting, allows, text if unknown else f"{text} {setting}")
