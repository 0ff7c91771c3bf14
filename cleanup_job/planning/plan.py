"""What is deleted with a batch of tasks, and what is kept, each with its reason.

The one place that decides on deletion: nothing is deleted that is not in a plan. Pure functions on data, no I/O.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.order import Unit
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import (
    KINDS,
    Kept,
    LinkedFile,
    Locate,
    ModelId,
    OwnedPath,
    PartOfFolder,
    TaskFile,
    TaskFolder,
    TaskId,
    is_clean,
)
from cleanup_job.planning.records import Listed, Model, Size, Task, Unreadable
from cleanup_job.planning.selection import Rules, Selected, age_from, unchanged

STORES_NAMED = 5
"""Unknown stores in the words for why a task is kept."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings allow."""

    rules: Rules
    force: bool = False
    """Whether published children and models may be overruled (``force_delete``)."""
    keep_unknown: bool = True
    """Whether a file on an unknown store keeps its record."""
    links: frozenset[str] = frozenset()
    """Stores where files that a task only links to are deleted, too (``external_files``)."""
    by_file: frozenset[str] = frozenset()
    """Stores that can't delete a folder as a whole."""
    lists: Callable[[str], bool] = field(default=lambda _: False)
    """Tells by its name whether a store can list: there a folder is deleted but for what has to be kept."""
    shared: Mapping[TaskId, frozenset[str]] = field(default_factory=dict)
    """Tasks whose id a project's name ends in, with those of the ``KINDS`` that a sub-project of it is called like: what lies
    there may belong to that project's tasks."""
    steps: frozenset[TaskId] = frozenset()
    """Tasks that are deleted along with their pipeline's controller, archived or not."""
    needed_datasets: Mapping[TaskId, str] = field(default_factory=dict)
    """Dataset versions that something which is kept needs, each with words for it."""
    keep_model_tags: frozenset[str] = frozenset()
    """Models with one of these tags are kept, with their files, although their task is deleted."""

    def still_allows(self, before: Selected, now: Task, *, planned: Task | None = None) -> bool:
        """Whether a task that was selected may still be deleted: nobody touched it, and it is within the rules.

        A parent deleted by this very pass moves ``last_change``, which is taken for the time of archiving: that of ``before``
        counts. With ``planned``, as the task was read right before this pass deleted its models or changed its list of models,
        only what others can have changed is compared.
        """
        allowed = self.rules.allows(
            now, archived_at=before.last_change, is_step=now.id in self.steps, since=age_from(planned) if planned else None
        )
        return allowed and not self.rules.keeps(now) and unchanged(before, now, planned=planned)


@dataclass(slots=True)
class Gone:
    """What a pass has deleted so far (in a dry run: would have)."""

    tasks: set[TaskId] = field(default_factory=set)
    kept_models: set[ModelId] = field(default_factory=set)
    """Models of these tasks that are kept."""

    def takes(self, there: TaskId | Model) -> bool:
        """Whether a task, or a model, is among what is gone."""
        if isinstance(there, Model):
            return there.task in self.tasks and there.id not in self.kept_models
        return there in self.tasks


@dataclass(frozen=True, slots=True)
class Going:
    """A task that is deleted, and all that is deleted with it."""

    task: Task
    unit: Unit
    paths: tuple[OwnedPath, ...] = ()
    others: Mapping[OwnedPath, tuple[OwnedPath, ...]] = field(default_factory=dict)
    """For some of these paths, which others of them their records can mean as well."""
    guesses: frozenset[OwnedPath] = frozenset()
    """Those that no record names in the most usual reading."""
    doubtful: bool = False
    """Whether files are named that are not kept, and none in a way that can be read in one way only: where nothing of it is
    there, nobody knows why."""
    linked: tuple[LinkedFile, ...] = ()
    models: tuple[Model, ...] = ()
    kept_models: tuple[ModelId, ...] = ()
    detached: bool = False
    """Whether a model is kept that the server would delete with the record."""
    listed: tuple[Listed, ...] | None = None
    """Its own output models, where its record lists models of others too: these have to leave the list before the record is
    deleted, or the server deletes them with it. None where nothing has to leave."""
    files: int = 0
    bytes: int = 0
    recorded: Mapping[OwnedPath, Mapping[str, Size]] = field(default_factory=dict)
    """What records say of the ``KINDS`` in folders of stores that can't tell themselves: part of ``files`` and ``bytes``."""
    files_missing: int = 0
    """Files that records name and that were not there; known after the deletion, and only in stores that can't list."""
    protected: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    external_count: int = 0
    unknown_stores: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Staying:
    """A task that is kept, and why. ``task`` is as it was selected where it was not looked at again, or is gone."""

    task: Task | Selected | Unreadable
    reason: Reason
    detail: str
    unknown_stores: tuple[tuple[str, int], ...] = ()
    absent: bool = False
    """Whether a list of tasks lacked it, which alone proves nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass will do with a batch; a dry run prints it and stops."""

    going: tuple[Going, ...] = ()
    staying: tuple[Staying, ...] = ()


@dataclass(frozen=True, slots=True)
class Claimed:
    """What others claim of one task folder."""

    inside: Mapping[str, str] = field(default_factory=dict)
    """The paths in it that are kept with everything below, each with the address that claims it; an empty path: all of it."""
    apart: frozenset[str] = frozenset()
    """Those of the ``KINDS`` in which only files that the task's own records name may be deleted."""
    _kept: Kept = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", Kept(self.inside))

    def holds(self, rest: str) -> bool:
        """Whether a path in the folder is, holds or lies in a claimed one."""
        return self._kept.touches(rest)


@dataclass(frozen=True, slots=True)
class Protection:
    """The output models of a batch that are kept, and what surviving records claim."""

    models: frozenset[ModelId] = frozenset()
    claims: Mapping[TaskId, tuple[Claim, ...]] = field(default_factory=dict)
    """For each task the claims on its folders, those of its own models that are kept included."""
    on_links: tuple[Claim, ...] = ()
    """Claims on files outside of all task folders."""
    locate: Locate = field(default=lambda _: None, repr=False)
    used: frozenset[ModelId] = frozenset()
    """Those of the models that a surviving task has as an input: these the server keeps by itself."""

    def of(self, folder: TaskFolder) -> Claimed:
        """What is claimed of a task folder; in whatever store, which may have another name in a record."""
        inside: dict[str, str] = {}
        apart: set[str] = set()
        for claim in self.claims.get(folder.task, ()):
            for path in claim.inside(folder, self.locate):
                if not path and claim.writes:
                    apart |= KINDS
                    continue
                # A path that could be read in two ways can't be told from the rest: all of its folder is kept then.
                inside[path if is_clean(path) else ""] = claim.uri
        touched = {kind for kind in KINDS for path in inside if not path or path.partition("/")[0] == kind}
        return Claimed(inside, frozenset(apart | touched))

    def links_to(self, link: LinkedFile) -> bool:
        """Whether a surviving record names a file outside of all task folders."""
        return any(claim.can_mean(link.path) for claim in self.on_links)


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
    listed: Mapping[TaskId, Collection[Listed]] = field(default_factory=dict)
    """The output models that a task's record lists, its own and existing ones of others."""
    changing: frozenset[TaskId] = frozenset()
    """Those whose models or claims changed each time they were read."""
    published_children: frozenset[TaskId] = frozenset()
    """Those that have a published child; only looked up where that matters."""
    unreadable: Mapping[TaskId, Unreadable] = field(default_factory=dict)
    """Those of which the record, or that of a model, can't be read."""


@dataclass(frozen=True, slots=True)
class References:
    """Who else holds on to a batch's outputs, read after everything else."""

    used_by: Mapping[ModelId, frozenset[TaskId]] = field(default_factory=dict)
    """For each output model, the tasks that have it as an input."""
    listed_by: Mapping[ModelId, frozenset[TaskId]] = field(default_factory=dict)
    """For each output model, the other tasks that list it as their output."""
    claims: Mapping[TaskId, tuple[Claim, ...]] = field(default_factory=dict)
    """For each task, the claims of others on its folders."""
    on_links: tuple[Claim, ...] = ()
    """Claims on files outside of all task folders."""
    keep_tags: frozenset[str] = frozenset()
    """Tags of models that are kept whatever becomes of their task."""


def protection(
    models: Iterable[Model],
    references: References,
    unit_of: Mapping[TaskId, frozenset[TaskId]],
    gone: Gone,
    locate: Locate,
) -> Protection:
    """What surviving records need of a batch.

    References of a task's own unit don't count, nor do those of tasks that are gone (in a dry run: that would be).

    Args:
        models: The batch's own output models.
        references: Who else holds on to its outputs.
        unit_of: The unit of each task of the batch.
        gone: What this pass deleted before.
        locate: Where a URI's bytes are.
    """
    none: frozenset[TaskId] = frozenset()

    def outlive(holders: Iterable[TaskId], unit: frozenset[TaskId]) -> bool:
        return any(holder not in gone.tasks and holder not in unit for holder in holders)

    kept: dict[ModelId, Model] = {}
    used: set[ModelId] = set()
    for model in models:
        unit = unit_of.get(TaskId(model.task), none)
        if outlive(references.used_by.get(model.id, none), unit):
            used.add(model.id)
        tagged = not references.keep_tags.isdisjoint(model.tags)
        if model.ready or tagged or model.id in used or outlive(references.listed_by.get(model.id, none), unit):
            kept[model.id] = model

    def survives(claim: Claim, unit: frozenset[TaskId]) -> bool:
        if claim.is_model and (claim.by in kept or claim.by in gone.kept_models):
            return True
        return claim.maker not in gone.tasks and claim.maker not in unit

    claims = {task: [c for c in found if survives(c, unit_of.get(task, none))] for task, found in references.claims.items()}
    for model in kept.values():
        if model.uri:
            claims.setdefault(TaskId(model.task), []).append(Claim(model.id, TaskId(model.task), model.uri, is_model=True))
    return Protection(
        frozenset(kept),
        {task: tuple(found) for task, found in claims.items() if found},
        tuple(claim for claim in references.on_links if survives(claim, unit_of.get(claim.maker, none))),
        locate,
        frozenset(used),
    )


def plan_batch(batch: Batch, policy: Policy) -> Plan:
    """The plan of a batch. A unit is deleted whole or kept whole."""
    going: list[Going] = []
    staying: list[Staying] = []
    for unit in batch.units:
        stays = {task: found for task in unit if (found := _why_it_stays(task, batch, policy)) is not None}
        for task in unit:
            now = batch.now.get(task)
            if task in stays:
                staying.append(stays[task])
            elif stays:
                other = next(iter(stays))
                detail = f"task {other} and this one use each other's outputs, and {other} is kept"
                staying.append(Staying(now or batch.before[task], Reason.IN_USE, detail))
            elif now is not None:
                going.append(_going(now, unit, batch, policy))
    return Plan(tuple(going), tuple(staying))


def _why_it_stays(task: TaskId, batch: Batch, policy: Policy) -> Staying | None:
    before, now = batch.before[task], batch.now.get(task)
    if task in batch.unreadable:
        return unreadable(now or batch.unreadable[task], batch.unreadable[task].field)
    if now is None:
        return Staying(before, Reason.CHANGED, "the server does not list it any more; the next pass looks again", absent=True)
    if task not in batch.outputs:
        return Staying(now, Reason.CHANGED, "it, or a model of it, was not there while it was read; the next pass looks again")
    if now.public:
        return Staying(now, Reason.PUBLIC, "a public example belongs to the server, not to its users")
    return _changed(now, batch, policy) or _needed(now, batch, policy) or _files_hold_it(now, batch, policy)


def _changed(task: Task, batch: Batch, policy: Policy) -> Staying | None:
    if not policy.still_allows(batch.before[task.id], task):
        what = "somebody restored, re-ran or edited it while the pass ran"
    elif task.id in batch.changing:
        what = "its models, or claims on its files, changed each time it was read"
    else:
        return None
    return Staying(task, Reason.CHANGED, f"{what}; the next pass looks again")


def unreadable(task: Task | Unreadable, what: str) -> Staying:
    """A task that is kept since something of it can't be read."""
    detail = f"{what} is not what ClearML's API promises; open the task in ClearML and correct it"
    return Staying(task, Reason.UNREADABLE, detail)


def _needed(task: Task, batch: Batch, policy: Policy) -> Staying | None:
    """A dataset that others need, or a record that the server would refuse to delete when the files are gone."""
    if task.id in policy.needed_datasets:
        return Staying(task, Reason.DATASET_IN_USE, policy.needed_datasets[task.id])
    published = [model.id for model in batch.models.get(task.id, ()) if model.ready]
    if policy.force or not (published or task.id in batch.published_children):
        return None
    what = f"published model {published[0]}" if published else "published child"
    return Staying(task, Reason.NEEDS_FORCE, f"it has a {what}; CLEANUP_FORCE_DELETE=true deletes it")


def _files_hold_it(task: Task, batch: Batch, policy: Policy) -> Staying | None:
    found = batch.outputs[task.id]
    if found.unreadable is not None:
        what = found.unreadable.field
        return Staying(task, Reason.SERVER_ERROR, what) if found.unreadable.refused else unreadable(task, what)
    if found.unusable:
        return Staying(task, Reason.UNUSABLE_PATH, f"{found.unusable!r}: correct or remove this entry in ClearML")
    if found.unknown and policy.keep_unknown:
        stores = tuple(found.unknown.items())
        named = ", ".join(f"{address} ({files} files)" for address, files in stores[:STORES_NAMED])
        named += f" and {len(stores) - STORES_NAMED:,} more stores" if len(stores) > STORES_NAMED else ""
        return Staying(task, Reason.UNKNOWN_STORE, named, stores)
    return None


def kinds_apart(task: TaskId, claims: Iterable[Claim], policy: Policy) -> frozenset[str]:
    """The ``KINDS`` in which a task's single files have to be known, since its folders may not be deleted as a whole there."""
    if policy.by_file:
        return KINDS
    return policy.shared.get(task, frozenset()).union(*(claim.kinds(task) for claim in claims))


def _going(task: Task, unit: Unit, batch: Batch, policy: Policy) -> Going:
    found, guard, models = batch.outputs[task.id], batch.guard, batch.models.get(task.id, ())
    guesses = {other for others in found.others.values() for other in others}
    folders = found.folders | {other for other in guesses if isinstance(other, TaskFolder)}
    files = found.files | {other for other in guesses if isinstance(other, TaskFile)}
    folders |= {file.folder for file in files}
    claimed = {folder: guard.of(folder) for folder in folders}
    whole: dict[TaskFolder | TaskFile, TaskFolder | PartOfFolder] = {}
    apart: dict[TaskFolder, frozenset[str]] = {}
    for folder in folders:
        path, apart[folder] = _as_a_whole(folder, claimed[folder], policy)
        if path is not None:
            whole[folder] = path
    named = [file for file in files if _is_named(file, apart[file.folder])]
    by_name: dict[TaskFolder, set[str]] = defaultdict(set)
    for file in named:
        by_name[file.folder].add(file.kind)
    free = [file for file in named if not claimed[file.folder].holds(file.rest)]
    own = {model.id for model in models}
    listed = batch.listed.get(task.id, ())
    kept = [model for model in models if model.id in guard.models]
    paths: list[OwnedPath] = [*whole.values(), *free]
    of: dict[TaskFolder | TaskFile, OwnedPath] = {**whole, **{file: file for file in free}}
    sure = found.folders | found.files
    return Going(
        task=task,
        unit=unit,
        paths=tuple(sorted(paths, key=lambda owned: (owned.store, owned.path))),
        linked=tuple(sorted(link for link in found.linked if link.store in policy.links and not guard.links_to(link))),
        models=tuple(model for model in models if model.id not in guard.models),
        kept_models=tuple(model.id for model in kept),
        detached=any(not model.ready and model.id not in guard.used for model in kept),
        listed=tuple(one for one in listed if one.model in own) if any(one.model not in own for one in listed) else None,
        others={of[one]: tuple(of[other] for other in some if other in of) for one, some in found.others.items() if one in of},
        guesses=frozenset(of[one] for one in of.keys() - sure),
        doubtful=bool(found.forgotten or found.files.intersection(free)) and not found.certain,
        files=found.count - sum(not policy.lists(file.store) for file in (set(named) - set(free)) & found.files),
        bytes=found.bytes,
        recorded={path: _recorded(path, by_name, found) for path in whole.values()},
        protected=tuple(sorted({uri for one in claimed.values() for uri in one.inside.values()})),
        external=tuple(found.external),
        external_count=found.external_count,
        unknown_stores=tuple(found.unknown.items()),
    )


def _as_a_whole(
    folder: TaskFolder, claimed: Claimed, policy: Policy
) -> tuple[TaskFolder | PartOfFolder | None, frozenset[str]]:
    """What of a folder is deleted without naming its files; and the ``KINDS`` in which each file has to be named."""
    if folder.store in policy.by_file:
        return None, KINDS
    if policy.lists(folder.store):
        if "" in claimed.inside:
            return None, frozenset()
        return (PartOfFolder(folder, tuple(sorted(claimed.inside))) if claimed.inside else folder), frozenset()
    if folder.is_report:
        return (None, KINDS) if claimed.inside or claimed.apart else (folder, frozenset())
    apart = claimed.apart | policy.shared.get(folder.task, frozenset())
    if apart >= KINDS:
        return None, apart
    return (PartOfFolder(folder, tuple(sorted(apart))) if apart else folder), apart


def _is_named(file: TaskFile, apart: frozenset[str]) -> bool:
    """Whether a file has to be named to be deleted, of a folder in which these ``KINDS`` are not deleted as a whole."""
    return bool(apart) if file.folder.is_report else file.is_beside or file.kind in apart


def _recorded(
    path: TaskFolder | PartOfFolder, by_name: Mapping[TaskFolder, Collection[str]], found: Outputs
) -> dict[str, Size]:
    """What records say of the files that are deleted with a folder without being named, by their kind."""
    folder = path.folder if isinstance(path, PartOfFolder) else path
    sums = {kind: found.sums.get((folder, kind)) for kind in (*KINDS, "") if kind not in by_name.get(folder, ())}
    return {kind: Size(known.files, known.bytes) for kind, known in sums.items() if known is not None}
