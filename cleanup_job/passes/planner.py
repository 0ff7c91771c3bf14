"""The last look at some tasks, right before they are deleted, and the plan that follows from it.

What was restored, or is used, since the tasks were selected is seen here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cleanup_job.errors import AnswerError, DownError, UnreachableError
from cleanup_job.passes.claim_index import ClaimIndex
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.passes.reading import Read, Reader
from cleanup_job.passes.remembers import Remembers
from cleanup_job.planning.claim import Claim
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.deletion import kinds_apart
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.order import Unit
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.plan import Plan, plan_batch
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.protection import Protection, References, protection
from cleanup_job.planning.records import Detail, Listed, Model, Unreadable
from cleanup_job.planning.selection import Selected
from cleanup_job.transport.splitting import Splitting

LOOKS = 3
"""How often tasks are read again because claims on them have come while they were read."""


@dataclass(frozen=True, slots=True)
class Look:
    """A last look at some tasks, and at who else needs what they made."""

    details: Mapping[TaskId, Detail | Unreadable]
    models: Mapping[TaskId, Sequence[Model]]
    references: References
    guard: Protection
    listed: Mapping[TaskId, tuple[Listed, ...]]
    children: frozenset[TaskId]

    def models_made_by(self, task: TaskId) -> frozenset[ModelId]:
        """The ids of a task's own models."""
        return frozenset(model.id for model in self.models.get(task, ()))


@dataclass(frozen=True, slots=True)
class _Settled:
    """The look that counts, with the outputs, read again if they, or claims on them, had changed."""

    look: Look
    ids: Sequence[TaskId]
    """The tasks that are still there."""
    outputs: Mapping[TaskId, Outputs]
    apart: Mapping[TaskId, frozenset[str]]
    """For each task the ``KINDS`` in which its single files have to be known."""
    changing: frozenset[TaskId]
    """Those that changed each time they were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans some tasks at a time. Safe to use from many threads."""

    reader: Reader
    storage: Storage
    policy: Policy
    tasks: Mapping[TaskId, Selected]
    """The tasks as they were selected."""
    claims: ClaimIndex
    split: Splitting[Server]
    deleted: DeletedSoFar
    remembers: Remembers

    def plan_all(self, units: Sequence[Unit], read: Read) -> tuple[Plan, dict[Unit, Exception]]:
        """What is deleted and what is kept, and the units of which something can't be read. Only reads."""
        plans, failed = self.split.each("planning", units, lambda server, some: self._plan(server, some, read))
        deletions = tuple(deletion for plan in plans for deletion in plan.deletions)
        return Plan(deletions, tuple(kept for plan in plans for kept in plan.kept)), failed

    def _plan(self, server: Server, units: Sequence[Unit], read: Read) -> Plan:
        batch, details = self.last_look(server, units, read)
        plan = plan_batch(batch, self.policy)
        self.remembers.note(plan.deletions, details)
        return plan

    def last_look(
        self, server: Server, units: Sequence[Unit], read: Read
    ) -> tuple[Batch, Mapping[TaskId, Detail | Unreadable]]:
        """All that decides on some tasks, and their records. Only reads."""
        settled = self._look_until_unchanged(server, units, read)
        look, ids, outputs = settled.look, settled.ids, settled.outputs
        for task in ids:
            outputs[task].apart |= settled.apart[task]
            _add_records(outputs[task], look.details.get(task), look.models.get(task, ()))
        batch = Batch(
            units=tuple(units),
            before=self.tasks,
            now={task: detail.task for task, detail in look.details.items() if isinstance(detail, Detail)},
            outputs={task: outputs[task] for task in ids if task in look.details},
            models=look.models,
            guard=self._guard_links(look, units, [outputs[task] for task in ids]),
            listed=look.listed,
            changing=settled.changing,
            published_children=look.children,
            unreadable=self.unreadable(look, ids),
        )
        return batch, look.details

    def _look_until_unchanged(self, server: Server, units: Sequence[Unit], read: Read) -> _Settled:
        """Look at tasks, and read again the outputs of those whose models or claims have changed meanwhile."""
        ids = [task for unit in units for task in unit if task in read.outputs]
        outputs, made = dict(read.outputs), dict(read.models)
        for _ in range(LOOKS):
            look = self.look(server, units, ids)
            apart = self._apart(look, ids)
            again = [task for task in ids if _has_changed(outputs[task], apart[task], look.models_made_by(task), made[task])]
            if not again:
                break
            fresh = self.reader.read_those_there(server, again, {task: apart[task] | outputs[task].apart for task in again})
            outputs |= fresh.outputs
            made |= fresh.models
            ids = [task for task in ids if task not in again or task in fresh.outputs]
        return _Settled(look, ids, outputs, apart, frozenset(again))

    def _apart(self, look: Look, ids: Sequence[TaskId]) -> dict[TaskId, frozenset[str]]:
        """For each task the ``KINDS`` in which its single files have to be known, by the claims on them."""
        return {task: kinds_apart(task, look.guard.claims.get(task, ()), self.policy) for task in ids}

    def look(self, server: Server, units: Sequence[Unit], ids: Sequence[TaskId]) -> Look:
        """Read the models that these tasks made, then who else needs these or their files, then the tasks once more."""
        self._catch_up()
        models = server.models_of(ids) if ids else {}
        own = [model for made in models.values() for model in made]
        claims = self._claims_on(server, ids)
        references = References(
            used_by=server.users_of(model.id for model in own) if own else {},
            listed_by={model.id: self.claims.listed_by(model.id) for model in own},
            claims=claims,
            keep_tags=self.policy.keep_model_tags,
        )
        children = frozenset() if self.policy.rules.force_delete else server.published_children(ids)
        details = server.details(ids)
        guard = protection(own, references, _units_of(units), self.deleted, self.storage.locate)
        listed = _existing_outputs(server, details, {model.id for model in own})
        return Look(details, models, references, guard, listed, children)

    def _catch_up(self) -> None:
        """Read the claims that came since. A failure of that is not a single task's, so it ends the pass."""
        try:
            self.claims.catch_up()
        except (AnswerError, UnreachableError) as error:
            raise DownError(str(error)) from error

    def _claims_on(self, server: Server, ids: Sequence[TaskId]) -> dict[TaskId, tuple[Claim, ...]]:
        """The claims of others on these tasks' folders; those of models as their records are now."""
        claims = {task: found for task in ids if (found := self.claims.on(task))}
        asked = {ModelId(claim.by) for found in claims.values() for claim in found if claim.is_model and claim.by}
        now = {model.id: model for model in server.models(asked)} if asked else {}
        return {task: _as_now(found, now) for task, found in claims.items()}

    def _guard_links(self, look: Look, units: Sequence[Unit], outputs: Iterable[Outputs]) -> Protection:
        """The same protection, with the claims on files that these tasks only link to if such files may be deleted."""
        links = {link.path for found in outputs for link in found.linked if link.store in self.policy.links}
        if not links:
            return look.guard
        references = replace(look.references, on_links=self.claims.on_links(links))
        own = [model for made in look.models.values() for model in made]
        return protection(own, references, _units_of(units), self.deleted, self.storage.locate)

    def unreadable(self, look: Look, ids: Sequence[TaskId]) -> dict[TaskId, Unreadable]:
        """Tasks of which something can't be read: the record, a model, who uses that, or a record that may need their files."""
        found = {task: one for task, one in look.details.items() if isinstance(one, Unreadable)}
        for task in ids:
            what = _unreadable_model(look, task) or self.claims.unreadable(task)
            if what:
                found.setdefault(task, Unreadable(task, what))
        return found


def _has_changed(found: Outputs, apart: frozenset[str], models: frozenset[ModelId], models_before: frozenset[ModelId]) -> bool:
    """Whether outputs have to be read again: files are claimed that were only counted, or the task made other models."""
    return bool(apart & found.forgotten) or models != models_before


def _unreadable_model(look: Look, task: TaskId) -> str:
    """What can't be read of a task's models or of the tasks that use them; empty if there is nothing."""
    models = look.models.get(task, ())
    for model in models:
        if model.unreadable:
            return model.unreadable_words
    for model in models:
        if "" in look.references.used_by.get(model.id, ()):
            return f"the record of a task that uses model {model.id}"
    return ""


def _as_now(claims: Iterable[Claim], models: Mapping[ModelId, Model]) -> tuple[Claim, ...]:
    """Those of the claims that have not ended, by the records of models as they are now."""
    now = (claim.as_now(models.get(ModelId(claim.by))) for claim in claims)
    return tuple(claim for claim in now if claim is not None)


def _existing_outputs(
    server: Server, details: Mapping[TaskId, Detail | Unreadable], own: set[ModelId]
) -> dict[TaskId, tuple[Listed, ...]]:
    """The output models that the records list and that exist."""
    listed = {task: detail.outputs for task, detail in details.items() if isinstance(detail, Detail)}
    others = {entry.model for entries in listed.values() for entry in entries} - own
    exist = own | {model.id for model in server.models(others)} if others else own
    return {task: tuple(entry for entry in entries if entry.model in exist) for task, entries in listed.items()}


def _add_records(found: Outputs, detail: Detail | Unreadable | None, models: Sequence[Model]) -> None:
    """Add what a task's record and those of its models name."""
    for model in models:
        found.add(model.uri)
    for artifact in detail.artifacts if isinstance(detail, Detail) else ():
        if artifact.mode == "output":
            found.add(artifact.uri, artifact.size)
    for asset in detail.assets if isinstance(detail, Detail) else ():
        found.add(asset, asset=True)


def _units_of(units: Sequence[Unit]) -> dict[TaskId, frozenset[TaskId]]:
    return {task: frozenset(unit) for unit in units for task in unit}
