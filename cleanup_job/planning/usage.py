"""What takes the space on a server: sums of files and bytes by task, project, user, status, age and kind. Pure: no I/O.

Every sum is made while records and listings stream past, so their size does not depend on the number of tasks or files.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, product
from typing import Self, TypeVar

from cleanup_job.planning.course import course
from cleanup_job.planning.due import due
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.orphans import Entry, folder_of
from cleanup_job.planning.paths import KINDS, TaskFolder, TaskId
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Rules

LARGEST = 50
"""Tasks that are named."""
AGES = (30, 90, 180, 365, 730)
"""Ages in days at which another row begins."""
HORIZONS = (0, 30, 90)
"""In how many days from now what the rules free is looked at."""
UNREADABLE = "unreadable"
"""In place of the status of a task whose record can't be read."""


class Kind(StrEnum):
    """What a file is, by its path. The values are part of the JSON form."""

    ARTIFACTS = "artifacts"
    MODELS = "models"
    METRICS = "metrics"
    """Debug samples and plots: the SDK writes both to the same folder."""
    REPORTS = "reports"
    """Images of reports."""
    BESIDE = "beside"
    """Other files in a task's folder: no pass deletes them unless a record names them."""
    ORPHANS = "orphans"
    """Files in folders of tasks without a record."""
    OTHER = "other"
    """Files outside of all task folders."""


WITH_THEIR_TASK = frozenset({Kind.ARTIFACTS, Kind.MODELS, Kind.METRICS, Kind.REPORTS})
"""Kinds that are deleted with their task."""


@dataclass(slots=True)
class Space:
    """What something takes."""

    tasks: int = 0
    files: int = 0
    bytes: int = 0
    """As far as sizes are known."""
    unsized: int = 0
    """Of these files, those whose size is unknown."""

    def add(self, other: "Space") -> None:
        """Count another one in."""
        self.tasks += other.tasks
        self.files += other.files
        self.bytes += other.bytes
        self.unsized += other.unsized

    def add_file(self, size: int | None) -> None:
        """Count a file in; ``size`` is in bytes, None if it is unknown."""
        self.files += 1
        self.bytes += size or 0
        self.unsized += size is None


@dataclass(frozen=True, slots=True)
class Owner:
    """A task, as far as its space is looked at."""

    id: TaskId
    name: str
    project: str
    """Its id; empty if it has none."""
    user: str
    status: str
    archived: bool
    active: datetime | None
    """The moment from which its age counts."""
    due: tuple[datetime | None, ...]
    """For each of the rules that are looked at when they let it be deleted; None: never."""
    slimmed: tuple[datetime | None, ...] = ()
    """With policies: the same of when it is slimmed."""

    @classmethod
    def of(cls, task: Task | Unreadable, rules: Iterable[Rules], now: datetime) -> Self:
        """From a record. One that can't be read belongs to no user, has no age and is never due."""
        if isinstance(task, Unreadable):
            return cls(task.id, task.name, task.project, "", UNREADABLE, archived=False, active=None, due=())
        moments = [_moments(some, task, now) for some in rules]
        deleted, slimmed = tuple(one for one, _ in moments), tuple(one for _, one in moments)
        return cls(task.id, task.name, task.project, task.user, task.status, task.archived, task.active, deleted, slimmed)


def _moments(rules: Rules, task: Task, now: datetime) -> tuple[datetime | None, datetime | None]:
    """When a task is deleted, and when it is slimmed; with policies, passes do their work each night until then."""
    if rules.lifecycle is None:
        return due(rules, task, now), None
    found = {event.stage: event.when for event in course(rules, task, now)}
    return found.get(Stage.DELETE), found.get(Stage.SLIM)


@dataclass(slots=True)
class Row:
    """One of the largest tasks."""

    owner: Owner
    space: Space

    @property
    def weight(self) -> tuple[int, int, str]:
        """What it is ordered by."""
        return self.space.bytes, self.space.files, self.owner.id


class Largest:
    """The tasks with the most known bytes.

    A task may come in parts, one for each of its folders. So several times as many are remembered as are named: a task is
    missed only if so many others are larger than each single part of it.
    """

    def __init__(self, most: int = LARGEST, remembered: int = 20 * LARGEST) -> None:
        """``most`` are named."""
        self._most = most
        self._remembered = remembered
        self._rows: dict[TaskId, Row] = {}

    def add(self, owner: Owner, space: Space) -> None:
        """Count in a part of what a task has."""
        row = self._rows.setdefault(owner.id, Row(owner, Space(tasks=1)))
        row.space.add(space)
        if len(self._rows) > 2 * self._remembered:
            self._rows = {row.owner.id: row for row in self._top(self._remembered)}

    def rows(self) -> list[Row]:
        """The largest first. Tasks without any known byte are left out."""
        return [row for row in self._top(self._most) if row.space.bytes]

    def _top(self, most: int) -> list[Row]:
        return heapq.nlargest(most, self._rows.values(), key=lambda row: row.weight)


KeyT = TypeVar("KeyT")
Key = str | None
"""What a row is about; None for files without a task that has a record."""


@dataclass(slots=True)
class Usage:
    """The sums. ``add_task`` and ``add`` are the only things that change them."""

    now: datetime
    """The moment from which ages count, by the server's clock."""
    projects: dict[tuple[Key, Kind | None], Space] = field(default_factory=dict)
    """By project and kind. Tasks are counted under no kind."""
    users: dict[Key, Space] = field(default_factory=dict)
    statuses: dict[Key, Space] = field(default_factory=dict)
    ages: dict[int | None, Space] = field(default_factory=dict)
    """By the index of the first of ``AGES`` that is not reached; -1 if a record has no time."""
    archived: dict[bool | None, Space] = field(default_factory=dict)
    frees: dict[tuple[int, int], Space] = field(default_factory=dict)
    """What may be deleted by each of the rules, in each of so many days from now."""
    slims: dict[tuple[int, int], Space] = field(default_factory=dict)
    """With policies: the artifacts, by name, of tasks that are slimmed and not deleted by each of these days."""
    stores: dict[str, Space] = field(default_factory=dict)
    """What was listed in each store."""
    largest: Largest = field(default_factory=Largest)
    elsewhere: int = 0
    """Files outside of its folder that a record links to. They are in no sum: each may have many links."""

    @property
    def total(self) -> Space:
        """All of it."""
        return total(self.projects.values())

    def by_project(self) -> dict[Key, Space]:
        """The sums by project."""
        return _summed((project, space) for (project, _), space in self.projects.items())

    def by_kind(self) -> dict[Kind, Space]:
        """The sums by kind, without counts of tasks."""
        return _summed((kind, space) for (_, kind), space in self.projects.items() if kind is not None)

    def add_task(self, owner: Owner) -> None:
        """Count a task in, without its files; each task once."""
        one = Space(tasks=1)
        self.projects.setdefault((owner.project, None), Space()).add(one)
        self._count(owner, one, with_task=True)

    def add(self, owner: Owner | None, kind: Kind, space: Space) -> None:
        """Count files in. ``owner``: their task; None if it has no record."""
        if not space.files:
            return
        key = owner.project if owner is not None else None
        self.projects.setdefault((key, kind), Space()).add(space)
        self._count(owner, space, with_task=kind in WITH_THEIR_TASK)
        if owner is not None:
            self.largest.add(owner, space)

    def add_slimmed(self, owner: Owner, artifacts: Iterable[Space]) -> None:
        """Count in a task with the artifacts that slimming removes by each of the rules; each task once."""
        for (rules, space), days in product(enumerate(artifacts), HORIZONS):
            end, when, gone = self.now + timedelta(days=days), owner.slimmed[rules], owner.due[rules]
            if when is not None and when <= end and (gone is None or gone > end):
                self.slims.setdefault((rules, days), Space()).add(replace(space, tasks=1))

    def _count(self, owner: Owner | None, space: Space, *, with_task: bool) -> None:
        self.users.setdefault(owner.user if owner else None, Space()).add(space)
        self.statuses.setdefault(owner.status if owner else None, Space()).add(space)
        self.ages.setdefault(self._age(owner) if owner else None, Space()).add(space)
        self.archived.setdefault(owner.archived if owner else None, Space()).add(space)
        for (rules, when), days in product(enumerate(owner.due if owner and with_task else ()), HORIZONS):
            if when is not None and when <= self.now + timedelta(days=days):
                self.frees.setdefault((rules, days), Space()).add(space)

    def _age(self, owner: Owner) -> int:
        if owner.active is None:
            return -1
        days = (self.now - owner.active) / timedelta(days=1)
        return next((n for n, limit in enumerate(AGES) if days < limit), len(AGES))


def total(spaces: Iterable[Space]) -> Space:
    """The sum of several."""
    found = Space()
    for space in spaces:
        found.add(space)
    return found


def _summed(spaces: Iterable[tuple[KeyT, Space]]) -> dict[KeyT, Space]:
    found: dict[KeyT, Space] = {}
    for key, space in spaces:
        found.setdefault(key, Space()).add(space)
    return found


@dataclass(frozen=True, slots=True)
class Measured:
    """Files of one kind in a listing, in one folder."""

    folder: TaskFolder | None
    """None for files outside of all task folders."""
    kind: Kind
    space: Space


def measured(store: str, entries: Iterable[Entry]) -> Iterator[Measured]:
    """The files of a listing by folder and kind; one folder is in memory at a time.

    Args:
        store: Its name.
        entries: The files; those of one folder come one after the other. A path that ends in ``/`` is of a file that is there
            and can't be looked at, so its size is unknown.
    """
    for folder, files in groupby(entries, lambda entry: folder_of(store, entry.path)):
        kinds: dict[Kind, Space] = {}
        for file in files:
            space = kinds.setdefault(_kind(folder, file.path), Space())
            space.add_file(None if file.path.endswith("/") else file.size)
        for kind, space in kinds.items():
            yield Measured(folder, kind, space)


def _kind(folder: TaskFolder | None, path: str) -> Kind:
    if folder is None:
        return Kind.OTHER
    if folder.is_report:
        return Kind.REPORTS
    kind, _, below = path[len(folder.path) + 1 :].partition("/")
    return Kind(kind) if below and kind in KINDS else Kind.BESIDE
