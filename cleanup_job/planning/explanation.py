"""Why a task is, or is not, deleted: all that decides on it, put together for people. Pure: no I/O."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.due import due
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.judgement import Judgement
from cleanup_job.planning.outcome import TaskOutcome
from cleanup_job.planning.outlook import Outlook
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import ACTIVE, Removed, Size, Task, Unreadable
from cleanup_job.planning.selection import Rules

BESIDE = "other files"
"""What is called a kind here: files beside the ``KINDS``, which are deleted by their names."""


class Need(StrEnum):
    """What another record has to do with a task. The values are part of the JSON form."""

    USES_MODEL = "uses_model"
    LISTS_MODEL = "lists_model"
    NAMES_FILE = "names_file"
    WRITES_HERE = "writes_here"
    CONTROLLER = "controller"
    STEP = "step"
    CHILD = "child"
    BUILT_ON = "built_on"
    USED_DATASET = "used_dataset"


class State(StrEnum):
    """What is known of the other record."""

    GOES_FIRST = "goes_first"
    """A pass would delete it first, so that it needs nothing any more."""
    ARCHIVED = "archived"
    LIVING = "living"
    """It is not archived."""
    UNREADABLE = "unreadable"
    GONE = "gone"
    """The server does not list it."""
    MODEL = "model"
    """It is a model."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A record that has to do with a task."""

    need: Need
    by: str
    """Its id."""
    what: str = ""
    """The model's id, or the address of the file or place."""
    name: str = ""
    """The other task's."""
    state: State = State.GONE


@dataclass(frozen=True, slots=True)
class ModelFate:
    """An output model of a task."""

    id: str
    uri: str
    kept: str = ""
    """Why it is kept if the task is deleted; empty if it is deleted with it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Files of a task in one place, as far as they are deleted with it."""

    store: str
    path: str
    """A folder, or a file, in the store."""
    size: Size
    kind: str = ""
    """Which of the ``KINDS`` in it; empty for all of it."""
    missing: bool = False
    """Whether the store says that nothing is there."""
    trouble: str = ""
    """Why it could not be deleted."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a task's records name."""

    places: tuple[Place, ...] = ()
    protected: tuple[str, ...] = ()
    """Files in its folder that are kept, since other records need them that are not deleted."""
    external: tuple[str, ...] = ()
    """Files outside of its folder that it only links to (at most ``outputs.NAMED``)."""
    external_count: int = 0
    unknown_stores: Mapping[str, int] = field(default_factory=dict)
    """Files by the address of a store that the job does not know."""
    unusable: str = ""
    """A path that may mean more than one file."""
    unreadable: str = ""
    """What can't be read of them."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a task that the server does not have."""

    confirmed: bool
    """Whether the server says that there is no such task."""
    models: tuple[ModelFate, ...] = ()
    """Models that name it as their maker."""
    places: tuple[Place, ...] = ()
    """Its folders in mounted folders."""
    searched: tuple[str, ...] = ()
    """The mounted folders that were searched."""
    deletions: tuple[Mapping[str, Any], ...] = ()
    """What audit logs say of its deletion, each with a ``text`` for people."""
    logs: int = 0
    """How many audit logs were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """All that decides on one task."""

    id: TaskId
    asked: bool = True
    """Whether it was asked for. If not, one that was is a step of this controller."""
    task: Task | Unreadable | None = None
    """None if the server does not have it."""
    project: str = ""
    owner: str = ""
    judgements: tuple[Judgement, ...] = ()
    due: datetime | None = None
    """From when on the rules let it be deleted; None if they never do, as the task is now."""
    due_if_archived: datetime | None = None
    """The same, if someone archived it now; None if it is archived, or if that would change nothing."""
    outlook: Outlook | None = None
    """What the policies have in store for it; None if there are none."""
    outcome: TaskOutcome | None = None
    """What a pass would do with it now; None if that is not known."""
    files: Files | None = None
    """None if they could not be read."""
    models: tuple[ModelFate, ...] = ()
    holders: tuple[Holder, ...] = ()
    """Who needs something of it: of each need, the first ones."""
    counts: Mapping[Need, int] = field(default_factory=Counter)
    """How many there are of each need."""
    trouble: str = ""
    """What could not be read of it, or why no pass would run at all."""
    remains: Remains | None = None
    """Of a task that the server does not have."""


def due_if_archived(rules: Rules, task: Task, now: datetime) -> datetime | None:
    """From when on the rules would let a task be deleted, if someone archived it now and nothing else changed.

    Archiving a task that runs, or is queued, ends it: its age counts from then on.
    """
    if task.archived:
        return None
    tags = (*task.system_tags, "archived")
    then = replace(task, system_tags=tags, last_change=now)
    if task.status in ACTIVE:
        then = replace(then, status="stopped", status_changed=now, last_update=now)
    return due(rules, then, now)


def models_of(task: TaskId, batch: Batch, deletion: Deletion, keep_tags: frozenset[str]) -> tuple[ModelFate, ...]:
    """What becomes of each output model of a task, and why."""
    kept = frozenset(deletion.kept_models)
    found: list[ModelFate] = []
    for model in batch.models.get(task, ()):
        why = ""
        if model.id in kept:
            tags = keep_tags.intersection(model.tags)
            if model.ready:
                why = "it is published"
            elif tags:
                why = f"it has the tag {min(tags)!r} (CLEANUP_KEEP_MODEL_TAGS)"
            else:
                why = "a task that is kept uses it" if model.id in batch.guard.used else "a task that is kept lists it"
        found.append(ModelFate(model.id, model.uri, why))
    return tuple(found)


def files_of(outputs: Outputs, deletion: Deletion, measured: Removed) -> Files:
    """A task's files by their places: as the stores that can list have counted them, else as the records have."""
    return Files(
        places=(*_listed(deletion, measured), *_recorded(outputs)),
        protected=deletion.protected,
        external=tuple(outputs.external),
        external_count=outputs.external_count,
        unknown_stores=dict(outputs.unknown),
        unusable=outputs.unusable,
        unreadable=outputs.unreadable.field if outputs.unreadable is not None else "",
    )


def _listed(deletion: Deletion, measured: Removed) -> Iterator[Place]:
    for path in deletion.paths:
        size, trouble = measured.sizes.get(path), measured.failed.get(path, "")
        missing = path in measured.missing
        if size is not None or trouble or missing:
            yield Place(path.store, path.path, size or Size(), missing=missing and not trouble, trouble=trouble)


def _recorded(outputs: Outputs) -> Iterator[Place]:
    """Files in stores that can't list: what records say."""
    for (folder, kind), known in sorted(outputs.sums.items()):
        yield Place(folder.store, folder.path, Size(known.files, known.bytes, known.unsized), kind)
    if outputs.named.files:
        store, path = min((file.store, file.folder.path) for file in outputs.files)
        yield Place(store, path, Size(outputs.named.files, outputs.named.bytes, outputs.named.unsized), BESIDE)


def first_of_each(holders: Sequence[Holder], limit: int) -> tuple[Holder, ...]:
    """At most so many holders of each need; those that a pass would not delete first come first."""
    taken: Counter[Need] = Counter()
    found: list[Holder] = []
    for holder in sorted(holders, key=lambda one: (list(Need).index(one.need), one.state is State.GOES_FIRST, one.by)):
        taken[holder.need] += 1
        if taken[holder.need] <= limit:
            found.append(holder)
    return tuple(found)
