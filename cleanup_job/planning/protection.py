"""What surviving records need of a batch of tasks. Pure functions on data, no I/O."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.paths import KINDS, KeptPaths, LinkedFile, Locate, ModelId, TaskFolder, TaskId, is_clean
from cleanup_job.planning.records import Model

_NONE: frozenset[TaskId] = frozenset()


@dataclass(frozen=True, slots=True)
class Claimed:
    """What others claim of one task folder."""

    inside: Mapping[str, str] = field(default_factory=dict)
    """The paths in it that are kept with everything below, each with the address that claims it; an empty path: all of it."""
    apart: frozenset[str] = frozenset()
    """Those of the ``KINDS`` in which only files that the task's own records name may be deleted."""
    _kept: KeptPaths = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", KeptPaths(self.inside))

    def holds(self, rest: str) -> bool:
        """Whether a path in the folder is, holds or lies in a claimed one."""
        return self._kept.touches(rest)


@dataclass(frozen=True, slots=True)
class Protection:
    """The output models of a batch that are kept, and what surviving records claim."""

    models: frozenset[ModelId] = frozenset()
    claims: Mapping[TaskId, tuple[Claim, ...]] = field(default_factory=dict)
    """For each task the claims on its folders, including those of its own models that are kept."""
    on_links: tuple[Claim, ...] = ()
    """Claims on files outside of all task folders."""
    locate: Locate = field(default=lambda _: None, repr=False)
    used: frozenset[ModelId] = frozenset()
    """Those of the models that a surviving task has as an input: these the server keeps by itself."""

    def of(self, folder: TaskFolder) -> Claimed:
        """What is claimed of a task folder; the store may have another name in a record."""
        inside: dict[str, str] = {}
        apart: set[str] = set()
        for claim in self.claims.get(folder.task, ()):
            for path in claim.inside(folder, self.locate):
                if not path and claim.writes:
                    apart |= KINDS
                    continue
                # It can't be known which files a path means that could be read in two ways: all of its folder is kept then.
                inside[path if is_clean(path) else ""] = claim.uri
        touched = {kind for kind in KINDS for path in inside if not path or path.partition("/")[0] == kind}
        return Claimed(inside, frozenset(apart | touched))

    def links_to(self, link: LinkedFile) -> bool:
        """Whether a surviving record names a file outside of all task folders."""
        return any(claim.can_mean(link.path) for claim in self.on_links)


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
    """Tags of models that are kept even if their task is deleted."""


def protection(
    models: Iterable[Model],
    references: References,
    unit_of: Mapping[TaskId, frozenset[TaskId]],
    deleted: DeletedSoFar,
    locate: Locate,
) -> Protection:
    """What surviving records need of a batch.

    References of a task's own unit don't count, nor do those of tasks that are deleted (in a dry run: would be).

    Args:
        models: The batch's own output models.
        references: Who else holds on to its outputs.
        unit_of: The unit of each task of the batch.
        deleted: What this pass deleted before.
        locate: Where a URI's bytes are.
    """
    ends = _Ends(unit_of, deleted)
    kept, used = _kept_models(models, references, ends)
    return Protection(
        frozenset(kept),
        _surviving_claims(references, kept, ends),
        tuple(claim for claim in references.on_links if ends.outlives(claim, claim.maker, kept)),
        locate,
        frozenset(used),
    )


@dataclass(frozen=True, slots=True)
class _Ends:
    """Which records end with this pass, or with the unit that a task is deleted in."""

    unit_of: Mapping[TaskId, frozenset[TaskId]]
    deleted: DeletedSoFar

    def any_outlives(self, holders: Iterable[TaskId], task: TaskId) -> bool:
        """Whether any of these tasks is still there when a task is deleted with its unit."""
        unit = self.unit_of.get(task, _NONE)
        return any(not self.deleted.has(holder) and holder not in unit for holder in holders)

    def outlives(self, claim: Claim, task: TaskId, kept: Container[str]) -> bool:
        """Whether a claim is still there when a task is deleted with its unit; ``kept``: the batch's models that are kept."""
        # Asked in this order, since a kept model is noted before its task is deleted.
        maker_deleted = self.deleted.has(claim.maker)
        if claim.is_model and (claim.by in kept or self.deleted.keeps(ModelId(claim.by))):
            return True
        return not maker_deleted and claim.maker not in self.unit_of.get(task, _NONE)


def _kept_models(models: Iterable[Model], references: References, ends: _Ends) -> tuple[dict[ModelId, Model], set[ModelId]]:
    """The models that are kept; and those of them that the server keeps by itself, since a surviving task uses them."""
    kept: dict[ModelId, Model] = {}
    used: set[ModelId] = set()
    for model in models:
        maker = TaskId(model.task)
        if ends.any_outlives(references.used_by.get(model.id, _NONE), maker):
            used.add(model.id)
        tagged = not references.keep_tags.isdisjoint(model.tags)
        listed = ends.any_outlives(references.listed_by.get(model.id, _NONE), maker)
        if model.ready or tagged or listed or model.id in used:
            kept[model.id] = model
    return kept, used


def _surviving_claims(references: References, kept: Mapping[ModelId, Model], ends: _Ends) -> dict[TaskId, tuple[Claim, ...]]:
    """For each task the claims on its folders that outlive it, and those of its own models that are kept."""
    claims = {task: [claim for claim in found if ends.outlives(claim, task, kept)] for task, found in references.claims.items()}
    for model in kept.values():
        if model.uri:
            claims.setdefault(TaskId(model.task), []).append(Claim(model.id, TaskId(model.task), model.uri, is_model=True))
    return {task: tuple(found) for task, found in claims.items() if found}
