"""What policies do with many tasks, tried out: sums by policy and outcome, and how two files differ. Pure: no I/O.

The sums grow with the policies, not with the tasks: of each sum a few examples are remembered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from cleanup_job.planning.course import Event, course
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules

EXAMPLES = 20
"""Tasks that are remembered of each sum: the first ones."""
RULES = 50
"""Keep rules that have a sum of their own: their words may name a tag of a task."""
OTHER_RULES = "other rules"


class Outcome(StrEnum):
    """What becomes of a task by a moment. The values are part of the JSON form."""

    ARCHIVE = "archive"
    SLIM = "slim"
    DELETE = "delete"
    NOTICE = "notice"
    """Its next stage is announced."""
    KEPT = "kept"
    RESTORED = "restored"
    LEFT_OUT = "left_out"
    """The settings leave it out."""
    LATER = "later"
    """Its next stage comes after that moment, and is not announced."""
    NOTHING = "nothing"
    """No stage of its policy ever comes, as the task is now."""
    NO_POLICY = "no_policy"


@dataclass(frozen=True, slots=True)
class Fate:
    """What policies have in store for a task."""

    id: TaskId
    name: str
    project: str
    """Its id."""
    policy: str = ""
    """Empty if none matches it."""
    events: tuple[Event, ...] = ()
    kept: str = ""
    """The rule that keeps it, in words."""
    otherwise: Outcome = Outcome.NOTHING
    """What it is called where nothing comes."""

    @classmethod
    def of(cls, rules: Rules, task: Task, now: datetime) -> "Fate":
        """By rules that were resolved at ``now``."""
        policy, kept = rules.policy_of(task), rules.keeps(task)
        events = course(rules, task, now)
        return cls(task.id, task.name, task.project, policy, events, kept, _otherwise(rules, task, policy, kept))

    def by(self, moment: datetime) -> Iterator[tuple[Outcome, Event | None]]:
        """What has become of it by a moment: each stage that it went through, or else what it waits for."""
        done = [event for event in self.events if event.by(moment)]
        yield from ((Outcome(event.stage.value), event) for event in done)
        coming = next((event for event in self.events if not event.by(moment)), None)
        if coming is not None and coming.is_announced_at(moment):
            yield Outcome.NOTICE, coming
        elif coming is not None and not done:
            yield Outcome.LATER, coming
        elif not done:
            yield self.otherwise, None

    def date_of(self, stage: Stage, until: datetime | None) -> date | None:
        """The date on which it goes through a stage; None if it never does, or after a moment."""
        found = next((event.when for event in self.events if event.stage is stage), None)
        return None if found is None or (until is not None and found > until) else found.date()

    @property
    def why_not(self) -> str:
        """Why a stage does not come, in a word or two."""
        return {Outcome.KEPT: "kept", Outcome.RESTORED: "restored", Outcome.NO_POLICY: "no policy"}.get(self.otherwise, "")


def _otherwise(rules: Rules, task: Task, policy: str, kept: str) -> Outcome:
    if not rules.has_policies(task):
        return Outcome.LEFT_OUT
    if kept:
        return Outcome.KEPT
    if not policy:
        return Outcome.NO_POLICY
    life = rules.lifecycle
    return Outcome.RESTORED if life is not None and life.is_restored(task) else Outcome.NOTHING


@dataclass(slots=True)
class Span:
    """The earliest and the latest of some dates; both None if there are none."""

    first: date | None = None
    last: date | None = None

    def add(self, day: date | None) -> None:
        """Count one in."""
        if day is not None:
            self.first = min(self.first or day, day)
            self.last = max(self.last or day, day)


@dataclass(slots=True)
class Sum:
    """Tasks of which the same becomes."""

    tasks: int = 0
    days: Span = field(default_factory=Span)
    """When; of a notice, what is announced."""
    examples: list[tuple[Fate, date | None]] = field(default_factory=list)
    """The first ones, each with its date."""

    def add(self, fate: Fate, day: date | None) -> None:
        """Count one in."""
        self.tasks += 1
        self.days.add(day)
        if len(self.examples) < EXAMPLES:
            self.examples.append((fate, day))


Key = tuple[str, Outcome, str]
"""The policy, what becomes of its tasks, and more of that: the rule that keeps them, or the stage that is announced."""


@dataclass(slots=True)
class Trial:
    """What some policies have done by a moment."""

    now: datetime
    at: datetime
    tasks: int = 0
    unreadable: int = 0
    """Tasks whose record can't be read: these are left alone."""
    sums: dict[Key, Sum] = field(default_factory=dict)

    def add(self, fate: Fate) -> None:
        """Count a task in. One that goes through two stages by then counts for both."""
        self.tasks += 1
        for outcome, event in fate.by(self.at):
            more = fate.kept if outcome is Outcome.KEPT else event.stage.value if outcome is Outcome.NOTICE and event else ""
            day = None if event is None else event.when.date()
            self.sums.setdefault(self._key(fate.policy, outcome, more), Sum()).add(fate, day)

    def _key(self, policy: str, outcome: Outcome, more: str) -> Key:
        key = policy, outcome, more
        is_new_rule = outcome is Outcome.KEPT and key not in self.sums
        return (policy, outcome, OTHER_RULES) if is_new_rule and len(self.sums) > RULES else key

    def by_policy(self, order: tuple[str, ...]) -> Iterator[tuple[Key, Sum]]:
        """The sums in the order of the policies; those without a policy come last."""
        place = {name: at for at, name in enumerate(order)}
        outcomes = list(Outcome)
        yield from sorted(
            self.sums.items(), key=lambda one: (place.get(one[0][0], len(place)), outcomes.index(one[0][1]), one[0][2])
        )


Change = tuple[str, str, Stage, bool, bool, str, str]
"""Both policies, the stage, whether it comes by each of them, and why not."""


@dataclass(slots=True)
class Changed:
    """Tasks for which a stage comes at another time, or comes no more, or comes for the first time."""

    tasks: int = 0
    before: Span = field(default_factory=Span)
    after: Span = field(default_factory=Span)
    examples: list[tuple[Fate, date | None, date | None]] = field(default_factory=list)

    def add(self, fate: Fate, before: date | None, after: date | None) -> None:
        """Count one in."""
        self.tasks += 1
        self.before.add(before)
        self.after.add(after)
        if len(self.examples) < EXAMPLES:
            self.examples.append((fate, before, after))


@dataclass(slots=True)
class PolicyDifference:
    """How the fate of tasks differs by two files."""

    now: datetime
    at: datetime | None = None
    """Only what comes by this moment counts; None: all of it."""
    tasks: int = 0
    changed: int = 0
    unreadable: int = 0
    changes: dict[Change, Changed] = field(default_factory=dict)

    def add(self, old: Fate, new: Fate) -> list[tuple[Stage, date | None, date | None]]:
        """Count a task in; gives what differs."""
        self.tasks += 1
        found = [(stage, old.date_of(stage, self.at), new.date_of(stage, self.at)) for stage in Stage]
        differing = [(stage, before, after) for stage, before, after in found if before != after]
        self.changed += bool(differing)
        for stage, before, after in differing:
            whys = ("" if before else old.why_not, "" if after else new.why_not)
            key = (old.policy, new.policy, stage, before is not None, after is not None, *whys)
            self.changes.setdefault(key, Changed()).add(new, before, after)
        return differing

    def largest(self) -> list[tuple[Change, Changed]]:
        """The changes; those of the most tasks come first."""
        return sorted(self.changes.items(), key=lambda one: (-one[1].tasks, one[0]))
