"""What a policy says: which tasks it is for, what it keeps, and when their stages come. Pure: no I/O.

The file is read by ``settings/policy_file.py``; what it names has been resolved to what records hold by then.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal

from cleanup_job.planning.records import ACTIVE, Task


class Stage(StrEnum):
    """What becomes of a task, in the order of its life."""

    ARCHIVE = "archive"
    SLIM = "slim"
    DELETE = "delete"


class Kind(StrEnum):
    """What slimming can remove. The values are those of the policies file."""

    DEBUG_SAMPLES = "debug_samples"
    PLOTS = "plots"
    ARTIFACTS = "artifacts"
    CHECKPOINTS = "checkpoints"
    CONSOLE = "console"


ENDED = frozenset({"completed", "failed", "stopped", "closed"})
"""Statuses of tasks that have ended and are not published."""
ARCHIVABLE = frozenset({"completed", "failed", "stopped", "created"})
"""Statuses in which a task can be archived by a policy: never running, queued or published ones."""


@dataclass(frozen=True, slots=True)
class Match:
    """Which tasks a policy is for: all conditions that are not None have to hold."""

    projects: frozenset[str] | None = None
    """Ids, sub-projects included."""
    statuses: frozenset[str] | None = None
    users: frozenset[str] | None = None
    """Ids."""
    types: frozenset[str] | None = None
    tags: tuple[str, ...] | None = None
    """Patterns: one of them has to match a tag. ``*`` and ``?`` stand for any text and any character, all else for itself."""
    name: str | None = None
    """A pattern of the same kind, for the whole name."""
    ran_less_than: timedelta | None = None
    """Only tasks that ran for a shorter time; how long others ran has to be known to match."""

    def matches(self, task: Task) -> bool:
        """Whether a task is meant, by its own fields."""
        return (
            _in(task.project, self.projects)
            and _in(task.status, self.statuses)
            and _in(task.user, self.users)
            and _in(task.type, self.types)
            and (self.tags is None or any(is_meant(tag, self.tags) for tag in task.tags))
            and (self.name is None or is_meant(task.name, (self.name,)))
            and (self.ran_less_than is None or _ran_less_than(task, self.ran_less_than))
        )


def _in(value: str, allowed: frozenset[str] | None) -> bool:
    return allowed is None or value in allowed


def is_meant(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text matches one of these, in which ``*`` and ``?`` alone have a meaning of their own; case counts."""
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)


def is_kept(text: str, patterns: tuple[str, ...]) -> bool:
    """The same for what is kept: who means a set of characters by ``[...]`` keeps these, too."""
    return is_meant(text, patterns) or any(fnmatchcase(text, pattern) for pattern in patterns)


def _ran_less_than(task: Task, limit: timedelta) -> bool:
    """Whether a task that has ended ran for a shorter time, from its start to its end, as far as that is known."""
    # Of a run that was resumed, `completed` can be the end of the first part, and `started` is its beginning.
    ends = [moment for moment in (task.completed, task.status_changed) if moment is not None]
    if task.status in ACTIVE or task.started is None or not ends:
        return False
    return timedelta() <= max(ends) - task.started < limit


@dataclass(frozen=True, slots=True)
class Best:
    """Some tasks of a project to keep: those with the best values of a metric."""

    title: str
    series: str
    order: Literal["max", "min"]
    """Whether a higher or a lower value is better."""
    count: int

    @property
    def metric(self) -> str:
        """As people write it."""
        return f"{self.title}/{self.series}"

    @property
    def words(self) -> str:
        """The rule, for people."""
        return f"best {self.count} by {self.metric} ({self.order})"


@dataclass(frozen=True, slots=True)
class Keep:
    """What a policy keeps in its present state, regardless of its stages."""

    all: bool = False
    last: int = 0
    """In each project so many tasks of the policy: those with the newest activity. 0: none."""
    best: tuple[Best, ...] = ()
    tags: tuple[str, ...] = ()
    """Patterns, as in ``Match``."""
    model_tags: frozenset[str] = frozenset()
    """Models with one of these tags are kept."""

    def has_tag(self, tag: str) -> bool:
        """Whether tasks with a tag are kept."""
        return is_kept(tag, self.tags)

    @property
    def is_ranked(self) -> bool:
        """Whether other tasks have to be known to say what is kept."""
        return bool(self.last or self.best)

    @property
    def anything(self) -> bool:
        """Whether it keeps anything."""
        return bool(self.all or self.last or self.best or self.tags or self.model_tags)


@dataclass(frozen=True, slots=True)
class Slim:
    """What is removed from a task, and from what age on."""

    after: timedelta
    remove: frozenset[Kind]
    keep_last: int = 1
    """Checkpoints of each task that are kept: the newest."""
    artifacts_only: tuple[str, ...] = ()
    """Patterns of names: no other artifacts are removed. Empty: all may be."""
    artifacts_except: tuple[str, ...] = ()
    """Patterns of names of artifacts that are not removed."""
    also_not_archived: bool = False
    """Whether tasks are slimmed that are not archived."""

    def removes_artifact(self, name: str) -> bool:
        """Whether an artifact with this name may be removed."""
        if Kind.ARTIFACTS not in self.remove or is_kept(name, self.artifacts_except):
            return False
        return not self.artifacts_only or is_meant(name, self.artifacts_only)


@dataclass(frozen=True, slots=True)
class LifecyclePolicy:
    """One policy of the file."""

    name: str
    match: Match = Match()
    keep: Keep = Keep()
    archive: timedelta | None = None
    """The age from which tasks are archived; None: never."""
    slim: Slim | None = None
    delete: timedelta | None = None
    """The age from which archived tasks are deleted; None: never."""
    archived_for: timedelta = timedelta()
    """How long a task has to be in the archive before it is deleted."""
    notice: timedelta = timedelta()
    """How long before each stage a task gets a tag that says so; zero: there is no notice."""
    allow_shorter: bool = False
    """Whether a tag of the task can make its stages come sooner."""
    max_ttl: timedelta | None = None
    """The age up to which a tag of the task can make them come later; None: any."""

    def after(self, stage: Stage) -> timedelta | None:
        """The age from which a stage comes; None: never."""
        if stage is Stage.ARCHIVE:
            return self.archive
        if stage is Stage.SLIM:
            return self.slim.after if self.slim else None
        return self.delete

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that it has, in the order of a task's life."""
        return tuple(stage for stage in Stage if self.after(stage) is not None)


@dataclass(frozen=True, slots=True)
class TagNames:
    """The names of tags that the owner of a task can set."""

    keep: str = "keep"
    ttl: str = "ttl"
    """With a duration: ``ttl=14d``."""
    expires: str = "expires"
    """With a date: ``expires=2026-12-31``."""

    @property
    def folded(self) -> frozenset[str]:
        """All of them in the form that tells which of them a tag in another spelling means."""
        return frozenset(name.casefold() for name in (self.keep, self.ttl, self.expires))


Ranked = Callable[[LifecyclePolicy, Task], str]
"""Gives the rule by which a task is among the last or the best of its project; empty if it is not."""

_DURATION = re.compile(r"(\d{1,6})(m|h|d|w)")
_LONGEST = timedelta(days=36_500)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """A duration such as ``10m``, ``12h``, ``14d`` or ``8w``.

    Raises:
        ValueError: it is not one.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        message = f"{text!r} is not a duration; write a number with m, h, d or w: 10m, 12h, 14d, 8w"
        raise ValueError(message)
    value = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if value > _LONGEST:
        message = f"{text!r} is too long; the longest duration is {_LONGEST.days}d"
        raise ValueError(message)
    return value


def duration_text(value: timedelta) -> str:
    """A duration as people write it in the file."""
    seconds = int(value.total_seconds())
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600)):
        if seconds and seconds % size == 0 and not (unit == "w" and seconds < 8 * size):
            return f"{seconds // size}{unit}"
    return f"{seconds // 60}m"


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """All policies, in their order: the first one that matches a task counts."""

    policies: tuple[LifecyclePolicy, ...] = ()
    tag_names: TagNames | None = None
    """Those by which owners decide; None if tags of tasks decide nothing."""
    kept_by_rank: Ranked = field(default=lambda _policy, _task: "", repr=False, compare=False)

    def of(self, task: Task) -> LifecyclePolicy | None:
        """The policy that counts for a task; None if there is none."""
        return next((policy for policy in self.policies if policy.match.matches(task)), None)
