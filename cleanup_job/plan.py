"""What goes with a batch of tasks, and what stays, each with its reason.

The one place that decides on deletion: nothing is deleted that is not in a plan. Pure functions on data, no I/O.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cleanup_job.order import Unit
from cleanup_job.outputs import Outputs
from cleanup_job.paths import (
    LinkedFile,
    Locate,
    Location,
    ModelId,
    OwnedPath,
    PartOfFolder,
    TaskFolder,
    TaskId,
    in_no_folder,
    overlaps,
    tasks_named_in,
)
from cleanup_job.records import Model, References, Task, Unreadable
from cleanup_job.report.outcome import Reason
from cleanup_job.selection import Rules, Selected, unchanged


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings allow."""

    rules: Rules
    force: bool = False
    """Whether published children and models may be overruled (``force_delete``)."""
    keep_unknown: bool = True
    """Whether a file on an unknown store keeps its record."""
    links: frozenset[str] = frozenset()
    """Stores where files that a task only links to go, too (``external_files``)."""
    by_file: frozenset[str] = frozenset()
    """Stores that can't delete a folder as a whole."""
    lists: Callable[[str], bool] = field(default=lambda _: False)
    """Tells by its name whether a store can list: there a folder goes but for what has to stay."""
    shared_folders: frozenset[TaskId] = frozenset()
    """Tasks whose id a project's name ends in: what looks like their folder may hold that project's tasks."""
    steps: frozenset[TaskId] = frozenset()
    """Tasks that go along with their pipeline's controller, archived or not."""
    needed_datasets: Mapping[TaskId, str] = field(default_factory=dict)
    """Dataset versions that something which stays needs, each with words for it."""

    def still_allows(self, before: Selected, now: Task, *, models_deleted: bool = False) -> bool:
        """Whether a task that was selected may still be deleted: nobody touched it, and it is within the rules.

        A parent deleted by this very pass moves ``last_change``, which stands in for the time of archiving: that of
        ``before`` counts. ``models_deleted`` is as in ``unchanged``.
        """
        allowed = self.rules.allows(now, archived_at=before.last_change, is_step=now.id in self.steps)
        return allowed and not self.rules.keeps(now) and unchanged(before, now, models_deleted=models_deleted)


@dataclass(slots=True)
class Gone:
    """What a pass has deleted so far (in a dry run: would have)."""

    tasks: set[TaskId] = field(default_factory=set)
    kept_models: set[ModelId] = field(default_factory=set)
    """Models of these tasks that stay."""

    def takes(self, there: TaskId | Model) -> bool:
        """Whether a task, or a model, is among what is gone."""
        if isinstance(there, Model):
            return there.task in self.tasks and there.id not in self.kept_models
        return there in self.tasks


@dataclass(frozen=True, slots=True)
class Going:
    """A task that goes, and all that goes with it."""

    task: Task
    unit: Unit
    paths: tuple[OwnedPath, ...] = ()
    linked: tuple[LinkedFile, ...] = ()
    models: tuple[Model, ...] = ()
    kept_models: tuple[ModelId, ...] = ()
    files: int = 0
    bytes: int = 0
    protected: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    external_count: int = 0
    unknown_stores: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Staying:
    """A task that stays, and why. ``task`` is as it was selected where it was not looked at again, or is gone."""

    task: Task | Selected | Unreadable
    reason: Reason
    detail: str
    unknown_stores: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass will do with a batch; a dry run prints it and stops."""

    going: tuple[Going, ...] = ()
    staying: tuple[Staying, ...] = ()


@dataclass(frozen=True, slots=True)
class Protection:
    """The output models of a batch that stay, and the places of all files that surviving objects need."""

    models: frozenset[ModelId]
    places: Mapping[Location, str] = field(default_factory=dict)
    """Each with the URI that names it."""

    def of(self, path: str) -> list[Location]:
        """The protected places that are, hold or lie in a path; in whatever store, which may have another name there."""
        return [place for place in self.places if overlaps(place.path, path)] if self.places else []


@dataclass(frozen=True, slots=True)
class Batch:
    """All that is known of a batch of tasks."""

    units: tuple[Unit, ...]
    before: Mapping[TaskId, Selected]
    """The tasks as they were selected."""
    now: Mapping[TaskId, Task]
    """The tasks as they are, read last of all; those that are gone or can't be read are missing."""
    outputs: Mapping[TaskId, Outputs]
    models: Mapping[TaskId, Sequence[Model]]
    guard: Protection
    published_children: frozenset[TaskId] = frozenset()
    """Those that have a published child; only looked up where that matters."""
    unreadable: Mapping[TaskId, Unreadable] = field(default_factory=dict)
    """Those of which the record, or that of a model, can't be read."""


def protection(
    models: Iterable[Model],
    references: References,
    unit_of: Mapping[TaskId, frozenset[TaskId]],
    gone: Gone,
    locate: Locate,
) -> Protection:
    """What surviving objects need of a batch.

    References of a task's own unit don't count, nor do those of tasks that are gone (in a dry run: that would be).

    Args:
        models: The batch's own output models.
        references: Who else holds on to its outputs.
        unit_of: The unit of each task of the batch.
        gone: What this pass deleted before.
        locate: Where a URI's bytes are.
    """
    none: frozenset[TaskId] = frozenset()
    stay = {
        m.id: m
        for m in models
        if m.ready or references.used_by.get(m.id, none) - gone.tasks - unit_of.get(TaskId(m.task), none)
    }

    def leaves(other: Model) -> bool:
        maker = TaskId(other.task)
        place = locate(other.uri)
        if place is None or other.id in stay or other.id in gone.kept_models:
            return False
        hosts = tasks_named_in(place.path) if not in_no_folder(place.path) else {maker}
        return maker in gone.tasks or bool(hosts & unit_of.get(maker, none))

    needed = [*stay.values(), *(other for other in references.others if not leaves(other))]
    places = {locate(model.uri): model.uri for model in needed if model.uri}
    return Protection(frozenset(stay), {place: uri for place, uri in places.items() if place is not None})


def plan_batch(batch: Batch, policy: Policy) -> Plan:
    """The plan of a batch. A unit goes whole or stays whole."""
    going: list[Going] = []
    staying: list[Staying] = []
    for unit in batch.units:
        stays = {task: found for task in unit if (found := _why_it_stays(task, batch, policy)) is not None}
        for task in unit:
            if task in stays:
                staying.append(stays[task])
            elif stays:
                other = next(iter(stays))
                detail = f"task {other} and this one use each other's outputs, and {other} stays"
                staying.append(Staying(batch.now[task], Reason.IN_USE, detail))
            else:
                going.append(_going(task, unit, batch, policy))
    return Plan(tuple(going), tuple(staying))


def _why_it_stays(task: TaskId, batch: Batch, policy: Policy) -> Staying | None:
    before, now = batch.before[task], batch.now.get(task)
    if task in batch.unreadable:
        return unreadable(now or batch.unreadable[task], batch.unreadable[task].field)
    if now is None or task not in batch.outputs:
        return Staying(before, Reason.CHANGED, "it is no longer there")
    if now.public:
        return Staying(now, Reason.PUBLIC, "a public example belongs to the server, not to its users")
    if not policy.still_allows(before, now):
        return Staying(
            now, Reason.CHANGED, "somebody restored, re-ran or edited it while the pass ran; the next pass looks again"
        )
    if task in policy.needed_datasets:
        return Staying(now, Reason.DATASET_IN_USE, policy.needed_datasets[task])
    return _needs_force(now, batch, policy) or _files_hold_it(now, batch, policy)


def unreadable(task: Task | Unreadable, what: str) -> Staying:
    """A task that stays since something of it can't be read."""
    return Staying(
        task, Reason.UNREADABLE, f"{what} is not what ClearML's API promises; open the task in ClearML and correct it"
    )


def _needs_force(task: Task, batch: Batch, policy: Policy) -> Staying | None:
    """The server would refuse the record, and the files would be gone by then."""
    published = [model.id for model in batch.models.get(task.id, ()) if model.ready]
    if policy.force or not (published or task.id in batch.published_children):
        return None
    what = f"published model {published[0]}" if published else "published child"
    return Staying(task, Reason.NEEDS_FORCE, f"it has a {what}; CLEANUP_FORCE_DELETE=true deletes it")


def _files_hold_it(task: Task, batch: Batch, policy: Policy) -> Staying | None:
    found = batch.outputs[task.id]
    if found.unreadable:
        return unreadable(task, found.unreadable)
    if found.unusable:
        return Staying(task, Reason.UNUSABLE_PATH, f"{found.unusable!r}: correct or remove this entry in ClearML")
    if found.unknown and policy.keep_unknown:
        stores = tuple(found.unknown.items())
        named = ", ".join(f"{address} ({files} files)" for address, files in stores)
        return Staying(task, Reason.UNKNOWN_STORE, named, stores)
    unlisted = [folder for folder in found.folders if not policy.lists(folder.store)]
    if not found.by_file and any(batch.guard.of(folder.path) for folder in unlisted):
        return Staying(task, Reason.CHANGED, "a file of it came into use while the pass ran; the next pass looks again")
    return None


def _going(task: TaskId, unit: Unit, batch: Batch, policy: Policy) -> Going:
    found, guard, models = batch.outputs[task], batch.guard, batch.models.get(task, ())
    needed = {folder: guard.of(folder.path) for folder in found.folders}
    apart_here = policy.by_file if task not in policy.shared_folders else {folder.store for folder in found.folders}
    whole: list[OwnedPath] = []
    named: set[TaskFolder] = set()
    """Folders in which every file has to be named."""
    for folder, places in needed.items():
        if folder.store in apart_here or (places and not policy.lists(folder.store)):
            named.add(folder)
        elif not places:
            whole.append(folder)
        elif all(place.path.startswith(folder.path + "/") for place in places):
            whole.append(PartOfFolder(folder, tuple(sorted(place.path[len(folder.path) + 1 :] for place in places))))
    apart = [file for file in found.files if file.folder in named]
    free = [file for file in apart if not guard.of(file.path)]
    return Going(
        task=batch.now[task],
        unit=unit,
        paths=tuple(sorted([*whole, *free], key=lambda owned: (owned.store, owned.path))),
        linked=tuple(sorted(link for link in found.linked if link.store in policy.links and not guard.of(link.path))),
        models=tuple(model for model in models if model.id not in guard.models),
        kept_models=tuple(model.id for model in models if model.id in guard.models),
        files=found.count - sum(not policy.lists(file.store) for file in set(apart) - set(free)),
        bytes=found.bytes,
        protected=tuple(sorted({guard.places[place] for places in needed.values() for place in places})),
        external=tuple(found.external),
        external_count=found.external_count,
        unknown_stores=tuple(found.unknown.items()),
    )
