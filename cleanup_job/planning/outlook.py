"""What the policies have in store for one task, and what they go by; for people who ask. Pure: no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cleanup_job.planning.course import Event, course
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.marks import Marks, OwnersWish
from cleanup_job.planning.lifecycle.policy import Keep, LifecyclePolicy, Stage, duration_text
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a task, if only time passes and passes do their work each night."""

    policy: str = ""
    """The name of the policy that counts; empty if none matches the task."""
    events: tuple[Event, ...] = ()
    """Its stages in their order, each with the moment from which a pass does it."""
    never: tuple[Stage, ...] = ()
    """Stages of the policy that don't come, as the task is now."""
    kept: str = ""
    """The rule that keeps the task, in words; empty if none does."""
    restored: bool = False
    """Whether it was taken out of the archive after a policy had put it there, or had noted it there."""
    left_out: bool = False
    """Whether the settings leave it out: policies change nothing of it."""
    keep_rules: tuple[str, ...] = ()
    """What the policy keeps, by its rules in words."""
    wishes: tuple[str, ...] = ()
    """What its owner asks for with tags, in words."""
    notice: timedelta = timedelta()
    """How long before each stage it is announced; zero if it is not."""
    archived_at: datetime | None = None
    """The moment from which its time in the archive counts; None if it is not there, or if that is not known."""
    archived_for: timedelta = timedelta()
    """How long it has to be in the archive before it is deleted."""
    slimmed: date | None = None
    """When it was slimmed, by its tag."""
    floor: datetime | None = None
    """By the settings, its age has to count from before this moment for it to be slimmed or deleted."""


def outlook(rules: Rules, task: Task, now: datetime) -> Outlook | None:
    """What the policies have in store for a task; None if there are none, and for the job's own runs.

    Args:
        rules: As they were resolved at ``now``.
        task: The record as the server holds it.
        now: The moment from which the ages in the rules count, in UTC and by the server's clock.
    """
    life = rules.lifecycle
    if life is None or rules.is_own_run(task):
        return None
    policy = life.file.of(task)
    if policy is None:
        return Outlook(left_out=not rules.has_policies(task))
    events = course(rules, task, now)
    there = {event.stage for event in events}
    return Outlook(
        policy=policy.name,
        events=events,
        never=tuple(stage for stage in policy.stages if stage not in there and not (stage is Stage.ARCHIVE and task.archived)),
        kept=rules.keeps(task),
        restored=life.is_restored(task),
        left_out=not rules.has_policies(task),
        keep_rules=tuple(keep_rules(policy.keep)),
        wishes=tuple(_wishes(life, policy, task)),
        notice=policy.notice,
        archived_at=life.archived_at(task),
        archived_for=max(policy.archived_for, life.archived_for) if policy.delete is not None else timedelta(),
        slimmed=Marks.of(task.tags).slimmed,
        floor=min(life.floors_of(task), default=None),
    )


def keep_rules(keep: Keep) -> Iterator[str]:
    """The rules by which a policy keeps tasks and models, in words."""
    if keep.all:
        yield "all"
    if keep.last:
        yield f"the last {keep.last:,} of each project"
    yield from (f"the {one.words} of each project" for one in keep.best)
    if keep.tags:
        yield f"tasks with a tag among {', '.join(keep.tags)}"
    if keep.model_tags:
        yield f"models with a tag among {', '.join(sorted(keep.model_tags))}"


def _wishes(life: Lifecycle, policy: LifecyclePolicy, task: Task) -> Iterator[str]:
    wish = OwnersWish.of(task.tags, life.file.tag_names)
    if wish.malformed:
        yield f"the tag {wish.malformed!r}, which can't be read"
    if wish.keep:
        yield f"the tag {wish.keep!r}"
    if wish.lifetime is not None:
        yield f"a lifetime of {duration_text(wish.lifetime)}"
    if wish.expires is not None:
        yield f"a life until the end of {wish.expires - timedelta(days=1):%Y-%m-%d} (UTC)"
    if wish.lifetime is not None or wish.expires is not None:
        limit = f" up to an age of {duration_text(policy.max_ttl)}" if policy.max_ttl is not None else ""
        yield f"stages that come later{limit}" + (", or sooner" if policy.allow_shorter else "; not sooner than by the policy")
