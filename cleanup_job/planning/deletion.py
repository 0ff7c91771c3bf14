"""What is deleted with a task: folders, single files, models, and what its record has to list no more.

Only a task that the plan deletes gets here. Nothing that a surviving record claims is in a ``Deletion``. Pure: no I/O.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.order import Unit
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import KINDS, LinkedFile, ModelId, OwnedPath, PartOfFolder, TaskFile, TaskFolder, TaskId
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.protection import Claimed, Protection
from cleanup_job.planning.records import Listed, Model, Size, Task


@dataclass(frozen=True, slots=True)
class Deletion:
    """A task that is deleted, and all that is deleted with it."""

    task: Task
    unit: Unit
    paths: tuple[OwnedPath, ...] = ()
    others: Mapping[OwnedPath, tuple[OwnedPath, ...]] = field(default_factory=dict)
    """For some of these paths, which others of them their records can also mean."""
    guesses: frozenset[OwnedPath] = frozenset()
    """Those that no record names in the most usual reading."""
    doubtful: bool = False
    """Whether files are named that are not kept, and none in a way that can be read in one way only: if nothing of it is
    there, the reason can't be known."""
    linked: tuple[LinkedFile, ...] = ()
    models: tuple[Model, ...] = ()
    kept_models: tuple[ModelId, ...] = ()
    detached: bool = False
    """Whether a model is kept that the server would delete with the record."""
    listed: tuple[Listed, ...] | None = None
    """Its own output models, where its record lists models of others too: these have to leave the list before the record is
    deleted, or the server deletes them with it. None if nothing has to leave."""
    files: int = 0
    bytes: int = 0
    unsized: int = 0
    """Those of ``files`` whose size is not known."""
    recorded: Mapping[OwnedPath, Mapping[str, Size]] = field(default_factory=dict)
    """What records say of the ``KINDS`` in folders of stores that don't count themselves: part of ``files`` and ``bytes``."""
    files_missing: int = 0
    """Files that records name and that were not there; known after the deletion, and only in stores that can't list."""
    protected: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    external_count: int = 0
    unknown_stores: tuple[tuple[str, int], ...] = ()


def deletion_of(task: Task, unit: Unit, batch: Batch, policy: Policy) -> Deletion:
    """All that is deleted with a task."""
    found = batch.outputs[task.id]
    files = _plan_files(found, batch.guard, policy)
    models = _plan_models(task.id, batch)
    return Deletion(
        task=task,
        unit=unit,
        paths=files.paths,
        others=files.others,
        guesses=files.guesses,
        doubtful=files.doubtful,
        linked=_deletable_links(found, batch.guard, policy),
        models=models.deleted,
        kept_models=models.kept,
        detached=models.detached,
        listed=models.listed,
        files=files.count,
        bytes=found.bytes,
        unsized=min(found.unsized, files.count),
        recorded=files.recorded,
        protected=files.protected,
        external=tuple(found.external),
        external_count=found.external_count,
        unknown_stores=tuple(found.unknown.items()),
    )


def digest_of(deletion: Deletion) -> str:
    """A digest of a task's record, of those of its models, and of what is kept of it, in hexadecimal digits.

    It differs if anyone changed a record, or if more or less of the task is needed by others: so that what was approved is
    deleted, and not a file more. The parent is not in it, since it is renamed when it is deleted.
    """
    task = deletion.task
    record = (task.name, task.last_update, task.status, task.status_changed, task.tags, task.system_tags, task.project)
    models = sorted((model.id, model.uri, model.ready, model.tags) for model in deletion.models)
    kept = (sorted(deletion.kept_models), deletion.protected, sorted(deletion.unknown_stores))
    return blake2b(repr((record, models, kept)).encode(), digest_size=16).hexdigest()


def kinds_apart(task: TaskId, claims: Iterable[Claim], policy: Policy) -> frozenset[str]:
    """The ``KINDS`` in which a task's single files have to be known, since its folders may not be deleted as a whole there."""
    if policy.by_file:
        return KINDS
    return policy.shared.get(task, frozenset()).union(*(claim.kinds(task) for claim in claims))


# -- models
@dataclass(frozen=True, slots=True)
class _Models:
    """What becomes of a task's output models; as the fields of the same names in ``Deletion``."""

    deleted: tuple[Model, ...]
    kept: tuple[ModelId, ...]
    detached: bool
    listed: tuple[Listed, ...] | None


def _plan_models(task: TaskId, batch: Batch) -> _Models:
    made, guard = batch.models.get(task, ()), batch.guard
    kept = [model for model in made if model.id in guard.models]
    return _Models(
        deleted=tuple(model for model in made if model.id not in guard.models),
        kept=tuple(model.id for model in kept),
        detached=any(not model.ready and model.id not in guard.used for model in kept),
        listed=_own_entries(batch.listed.get(task, ()), {model.id for model in made}),
    )


def _own_entries(listed: Collection[Listed], own: Collection[ModelId]) -> tuple[Listed, ...] | None:
    """The entries of a task's list of output models that are its own; None if all of them are."""
    mine = tuple(entry for entry in listed if entry.model in own)
    return mine if len(mine) < len(listed) else None


# -- files
@dataclass(frozen=True, slots=True)
class _Folder:
    """How the files in one folder of the task are deleted."""

    claimed: Claimed
    whole: TaskFolder | PartOfFolder | None
    """What is deleted without naming its files; None if each has to be named."""
    apart: frozenset[str]
    """The ``KINDS`` in which each file has to be named."""

    def must_name(self, file: TaskFile) -> bool:
        """Whether a file has to be named to be deleted: it is not deleted with the folder."""
        return bool(self.apart) if file.folder.is_report else file.is_beside or file.kind in self.apart


@dataclass(frozen=True, slots=True)
class _Files:
    """What of a task's files is deleted; as the fields of the same names in ``Deletion``."""

    paths: tuple[OwnedPath, ...]
    others: dict[OwnedPath, tuple[OwnedPath, ...]]
    guesses: frozenset[OwnedPath]
    doubtful: bool
    count: int
    recorded: dict[OwnedPath, Mapping[str, Size]]
    protected: tuple[str, ...]


def _plan_files(found: Outputs, guard: Protection, policy: Policy) -> _Files:
    all_folders, files = _every_reading(found)
    folders = {folder: _plan_folder(folder, guard.of(folder), policy) for folder in all_folders}
    named = {file for file in files if folders[file.folder].must_name(file)}
    free = {file for file in named if not folders[file.folder].claimed.holds(file.rest)}
    whole = {folder: plan.whole for folder, plan in folders.items() if plan.whole is not None}
    path_of: dict[TaskFolder | TaskFile, OwnedPath] = dict([*whole.items(), *zip(free, free, strict=True)])
    return _Files(
        paths=tuple(sorted(path_of.values(), key=lambda path: (path.store, path.path))),
        others=_other_readings(found, path_of),
        guesses=frozenset(path_of[one] for one in path_of.keys() - (found.folders | found.files)),
        doubtful=_is_doubtful(found, free),
        count=found.count - _counted_but_kept(found, named - free, policy),
        recorded=_recorded(whole, named, found),
        protected=tuple(sorted({uri for plan in folders.values() for uri in plan.claimed.inside.values()})),
    )


def _every_reading(found: Outputs) -> tuple[set[TaskFolder], set[TaskFile]]:
    """The folders and files that records can mean, in their most usual reading or another one."""
    others = {other for others in found.others.values() for other in others}
    files = found.files | {other for other in others if isinstance(other, TaskFile)}
    folders = found.folders | {other for other in others if isinstance(other, TaskFolder)}
    return folders | {file.folder for file in files}, files


def _plan_folder(folder: TaskFolder, claimed: Claimed, policy: Policy) -> _Folder:
    if folder.store in policy.by_file:
        return _Folder(claimed, None, KINDS)
    if policy.lists(folder.store):
        return _Folder(claimed, _all_but_claimed(folder, claimed), frozenset())
    if folder.is_report:
        touched = bool(claimed.inside or claimed.apart)
        return _Folder(claimed, None if touched else folder, KINDS if touched else frozenset())
    apart = claimed.apart | policy.shared.get(folder.task, frozenset())
    return _Folder(claimed, _all_but_kinds(folder, apart), apart)


def _all_but_claimed(folder: TaskFolder, claimed: Claimed) -> TaskFolder | PartOfFolder | None:
    """A folder without the claimed paths in it, in a store that can list."""
    if "" in claimed.inside:
        return None
    return PartOfFolder(folder, tuple(sorted(claimed.inside))) if claimed.inside else folder


def _all_but_kinds(folder: TaskFolder, apart: frozenset[str]) -> TaskFolder | PartOfFolder | None:
    """A folder without those of the ``KINDS`` in which each file has to be named."""
    if apart >= KINDS:
        return None
    return PartOfFolder(folder, tuple(sorted(apart))) if apart else folder


def _other_readings(
    found: Outputs, path_of: Mapping[TaskFolder | TaskFile, OwnedPath]
) -> dict[OwnedPath, tuple[OwnedPath, ...]]:
    """For each path that is deleted, the others of them that the same records can mean."""
    return {
        path_of[one]: tuple(path_of[other] for other in others if other in path_of)
        for one, others in found.others.items()
        if one in path_of
    }


def _is_doubtful(found: Outputs, free: Collection[TaskFile]) -> bool:
    """Whether files are deleted, and no record names one in a way that can be read in one way only."""
    return bool(found.forgotten or found.files.intersection(free)) and not found.certain


def _counted_but_kept(found: Outputs, kept: Collection[TaskFile], policy: Policy) -> int:
    """How many kept files are in the count of the outputs: those in stores that don't count themselves."""
    return sum(not policy.lists(file.store) for file in found.files.intersection(kept))


def _recorded(
    whole: Mapping[TaskFolder, TaskFolder | PartOfFolder], named: Iterable[TaskFile], found: Outputs
) -> dict[OwnedPath, Mapping[str, Size]]:
    """What records say of the files that are deleted with each folder without being named, by their kind."""
    by_name = {(file.folder, file.kind) for file in named}
    recorded: dict[OwnedPath, dict[str, Size]] = {path: {} for path in whole.values()}
    for (folder, kind), known in found.sums.items():
        if folder in whole and (folder, kind) not in by_name:
            recorded[whole[folder]][kind] = Size(known.files, known.bytes, known.unsized)
    return {**recorded}  # as a dictionary of mappings, for the type checker


def _deletable_links(found: Outputs, guard: Protection, policy: Policy) -> tuple[LinkedFile, ...]:
    """The files outside of all task folders that the settings allow to delete, and that no surviving record names."""
    return tuple(sorted(link for link in found.linked if link.store in policy.links and not guard.links_to(link)))
