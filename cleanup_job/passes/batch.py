"""One batch of tasks: read, then look again, plan, delete files and delete records, a few tasks at a time.

What takes long to read, the files of debug samples and plots, is read for the whole batch. All else is read right before it is
acted upon, for a chunk of a few dozen tasks: what somebody restores or begins to use then is seen. Safe to run in several
threads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cleanup_job.errors import AnswerError, CleanupError, DownError, LeaseHeldError, UnreachableError
from cleanup_job.passes.candidates import Candidates
from cleanup_job.passes.phases import Phases
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.passes.record_deletion import RecordDeletion
from cleanup_job.planning.claim import Claim
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.deletion import Deletion, kinds_apart
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.order import Unit
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import KINDS, ModelId, OwnedPath, TaskFile, TaskId
from cleanup_job.planning.plan import Kept, Plan, plan_batch
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.protection import Protection, References, protection
from cleanup_job.planning.records import Detail, Listed, Model, Removed, Size, Unreadable
from cleanup_job.transport.splitting import Splitting

CHUNK = 25
"""Tasks between whose last look and whose deletion nothing else is deleted."""
LOOKS = 3
"""How often a chunk is read again because claims on its tasks have come while it was read."""


@dataclass(frozen=True, slots=True)
class Worked:
    """What became of a batch."""

    outcomes: tuple[TaskOutcome, ...] = ()
    dropped: int = 0
    """Tasks that it did not come to."""
    error: CleanupError | None = None
    """What ends the pass, if anything does."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of some tasks at first, and stays true as long as nobody changes them."""

    outputs: dict[TaskId, Outputs]
    models: dict[TaskId, frozenset[ModelId]]


@dataclass(frozen=True, slots=True)
class _Look:
    """A last look at some tasks, and at who else needs what they made."""

    details: Mapping[TaskId, Detail | Unreadable]
    models: Mapping[TaskId, Sequence[Model]]
    references: References
    guard: Protection
    listed: Mapping[TaskId, tuple[Listed, ...]]
    children: frozenset[TaskId]


@dataclass(frozen=True, slots=True)
class Batches:
    """Takes batches through a pass; all of it stays the same for the whole pass, but for ``gone``, which grows."""

    server: Server
    storage: Storage
    policy: Policy
    warn: Callable[[str], None]
    outcomes: OutcomeBuilder
    found: Candidates
    split: Splitting[Server]
    keep_on_file_error: bool = True
    keep_missing: bool = True
    """Whether a task is kept of which nothing was there, where its files may have another name."""
    phases: Phases = field(default_factory=Phases)
    deleted: DeletedSoFar = field(default_factory=DeletedSoFar)

    def dry_run(self, units: Sequence[Unit]) -> Worked:
        """Say what would become of a batch; only reads."""
        return self._work(units, sum(map(len, units)), self._measure)

    def delete(self, units: Sequence[Unit]) -> Worked:
        """Delete a batch, chunk by chunk: files first, records last."""
        return self._work(units, CHUNK, self._delete)

    def _work(self, units: Sequence[Unit], size: int, act: Callable[[Plan], list[TaskOutcome]]) -> Worked:
        outcomes: list[TaskOutcome] = []
        left = list(units)
        try:
            with self.phases.phase("plan"):
                read, failed = self._read_all([task for unit in units for task in unit])
        except LeaseHeldError:
            return Worked(dropped=sum(map(len, units)))
        except CleanupError as error:
            return Worked(tuple(self._failed(units, Reason.UNREACHABLE, error)), error=error)
        for unit in units:
            if culprit := next((task for task in unit if task in failed), None):
                outcomes += self._failed([unit], Reason.SERVER_ERROR, failed[culprit])
                left.remove(unit)
        for chunk in list(_chunks(left, size)):
            try:
                with self.phases.phase("plan"):
                    plan, unplanned = self._plan_all(chunk, read)
                for unit, why in unplanned.items():
                    outcomes += self._failed([unit], Reason.SERVER_ERROR, why)
                outcomes += [self._stays(kept) for kept in plan.kept]
                outcomes += act(plan)
            except LeaseHeldError:  # the next pass finds what is left of them
                return Worked(tuple(outcomes), dropped=sum(map(len, left)))
            except AnswerError as error:
                known = {outcome.task for outcome in outcomes}
                rest = [unit for unit in chunk if known.isdisjoint(unit)]
                outcomes += self._failed(rest, Reason.RECORD_ERROR, error)
            except CleanupError as error:
                return Worked((*outcomes, *self._failed(left, Reason.UNREACHABLE, error)), error=error)
            left = left[len(chunk) :]
        return Worked(tuple(outcomes))

    def _failed(self, units: Sequence[Unit], reason: Reason, error: Exception) -> list[TaskOutcome]:
        tasks = [self.found.tasks[task] for unit in units for task in unit]
        return [self.outcomes.of(task, Verdict.FAILED, reason, str(error)) for task in tasks]

    def _stays(self, kept: Kept) -> TaskOutcome:
        """A task that is kept by plan, or whose record somebody else deleted: then the server says so when it is asked."""
        if kept.absent:
            gone, _ = self.split.each("looking", [kept.task.id], lambda server, some: server.is_gone(some[0]))
            if any(gone):
                return self.outcomes.gone_already(kept.task)
        return self.outcomes.kept(kept)

    # -- read
    def _read_all(self, ids: Sequence[TaskId]) -> tuple[_Read, dict[TaskId, Exception]]:
        """What can be read of these, and why the others can't be."""
        read = _Read({}, {})
        found, failed = self.split.each("reading", ids, self._read_those_there)
        for one in found:
            read.outputs.update(one.outputs)
            read.models.update(one.models)
        return read, failed

    def _read_those_there(
        self, server: Server, ids: Sequence[TaskId], apart: Mapping[TaskId, frozenset[str]] | None = None
    ) -> _Read:
        try:
            return self._read(server, ids, apart or {})
        except AnswerError:
            # Bulk calls refuse all of their tasks where one is gone meanwhile: look again without it.
            there = list(server.tasks(ids))
            if len(there) == len(ids):
                raise
            return self._read(server, there, apart or {})

    def _read(self, server: Server, ids: Sequence[TaskId], apart: Mapping[TaskId, frozenset[str]]) -> _Read:
        """The files of debug samples and plots, of tasks and of their models; those in some folders with their names."""
        claims, links, measured = self.found.claims, self.policy.links, self.policy.lists
        outputs = {
            task: Outputs(
                task,
                self.storage.locate,
                apart=apart.get(task) or kinds_apart(task, claims.on(task), self.policy),
                links=links,
                measured=measured,
            )
            for task in ids
        }
        for task, uri in server.event_files(ids):
            outputs[task].add(uri)
        models = server.models_of(ids) if ids else {}
        makers = {model.id: task for task in ids for model in models.get(task, ())}
        for model_id, uri in server.model_event_files(list(makers)) if makers else ():
            outputs[makers[model_id]].add(uri)
        return _Read(outputs, {task: frozenset(model.id for model in models.get(task, ())) for task in ids})

    # -- plan
    def _plan_all(self, units: Sequence[Unit], read: _Read) -> tuple[Plan, dict[Unit, Exception]]:
        """What is deleted and what is kept of a chunk, and the units of which something can't be read; reads only."""
        plans, failed = self.split.each("planning", units, lambda server, some: self._plan(server, some, read))
        deletion = tuple(deletion for plan in plans for deletion in plan.deletions)
        return Plan(deletion, tuple(kept for plan in plans for kept in plan.kept)), failed

    def _plan(self, server: Server, units: Sequence[Unit], read: _Read) -> Plan:
        ids = [task for unit in units for task in unit if task in read.outputs]
        outputs, made = dict(read.outputs), dict(read.models)
        for _ in range(LOOKS):
            look = self._look(server, units, ids)
            apart = {task: kinds_apart(task, look.guard.claims.get(task, ()), self.policy) for task in ids}
            models = {task: frozenset(model.id for model in look.models.get(task, ())) for task in ids}
            again = [task for task in ids if apart[task] & outputs[task].forgotten or models[task] != made[task]]
            if not again:
                break
            fresh = self._read_those_there(server, again, {task: apart[task] | outputs[task].apart for task in again})
            outputs |= fresh.outputs
            made |= fresh.models
            ids = [task for task in ids if task not in again or task in fresh.outputs]
        for task in ids:
            outputs[task].apart |= apart[task]
            self._add_records(outputs[task], look.details.get(task), look.models.get(task, ()))
        batch = Batch(
            units=tuple(units),
            before=self.found.tasks,
            now={task: detail.task for task, detail in look.details.items() if isinstance(detail, Detail)},
            outputs={task: outputs[task] for task in ids if task in look.details},
            models=look.models,
            guard=self._guard_links(look, units, [outputs[task] for task in ids]),
            listed=look.listed,
            changing=frozenset(again),
            published_children=look.children,
            unreadable=self._unreadable(look, ids),
        )
        plan = plan_batch(batch, self.policy)
        self.deleted.add(kept_models=(model for deletion in plan.deletions for model in deletion.kept_models))
        return plan

    def _look(self, server: Server, units: Sequence[Unit], ids: Sequence[TaskId]) -> _Look:
        """Read the models that these tasks made, then who else needs these or their files, then the tasks once more."""
        self._catch_up()
        models = server.models_of(ids) if ids else {}
        own = [model for made in models.values() for model in made]
        claims = self._claims_on(server, ids)
        references = References(
            used_by=server.users_of(model.id for model in own) if own else {},
            listed_by={model.id: self.found.claims.listed_by(model.id) for model in own},
            claims=claims,
            keep_tags=self.policy.keep_model_tags,
        )
        children = frozenset() if self.policy.force else server.published_children(ids)
        details = server.details(ids)
        guard = protection(own, references, _units_of(units), self.deleted, self.storage.locate)
        listed = self._listed(server, details, {model.id for model in own})
        return _Look(details, models, references, guard, listed, children)

    def _catch_up(self) -> None:
        """Read the claims that came since: a failure is no single task's."""
        try:
            self.found.claims.catch_up()
        except (AnswerError, UnreachableError) as error:
            raise DownError(str(error)) from error

    def _unreadable(self, look: _Look, ids: Sequence[TaskId]) -> dict[TaskId, Unreadable]:
        """Tasks of which something can't be read: the record, a model, who uses that, or a record that may need their files."""
        found = {task: one for task, one in look.details.items() if isinstance(one, Unreadable)}
        for task in ids:
            words = [model.unreadable_words for model in look.models.get(task, ()) if model.unreadable]
            words += [
                f"the record of a task that uses model {model.id}"
                for model in look.models.get(task, ())
                if "" in look.references.used_by.get(model.id, ())
            ]
            if what := next(iter([*words, self.found.claims.unreadable(task)]), ""):
                found.setdefault(task, Unreadable(task, what))
        return found

    def _claims_on(self, server: Server, ids: Sequence[TaskId]) -> dict[TaskId, tuple[Claim, ...]]:
        """The claims of others on these tasks' folders; those of models as their records are now."""
        claims = {task: found for task in ids if (found := self.found.claims.on(task))}
        asked = {ModelId(claim.by) for found in claims.values() for claim in found if claim.is_model and claim.by}
        there = {model.id: model for model in server.models(asked)} if asked else {}
        as_now = {task: [claim.as_now(there.get(ModelId(claim.by))) for claim in found] for task, found in claims.items()}
        return {task: tuple(claim for claim in found if claim is not None) for task, found in as_now.items()}

    @staticmethod
    def _listed(
        server: Server, details: Mapping[TaskId, Detail | Unreadable], own: set[ModelId]
    ) -> dict[TaskId, tuple[Listed, ...]]:
        """The output models that the records list and that exist."""
        listed = {task: detail.outputs for task, detail in details.items() if isinstance(detail, Detail)}
        others = {entry.model for entries in listed.values() for entry in entries} - own
        exist = own | {model.id for model in server.models(others)} if others else own
        return {task: tuple(entry for entry in entries if entry.model in exist) for task, entries in listed.items()}

    def _guard_links(self, look: _Look, units: Sequence[Unit], outputs: Iterable[Outputs]) -> Protection:
        """The same protection with the claims on files that these tasks only link to, where such files may be deleted."""
        links = {link.path for found in outputs for link in found.linked if link.store in self.policy.links}
        if not links:
            return look.guard
        references = replace(look.references, on_links=self.found.claims.on_links(links))
        own = [model for made in look.models.values() for model in made]
        return protection(own, references, _units_of(units), self.deleted, self.storage.locate)

    @staticmethod
    def _add_records(found: Outputs, detail: Detail | Unreadable | None, models: Sequence[Model]) -> None:
        """Add what a task's record and those of its models name."""
        for model in models:
            found.add(model.uri)
        for artifact in detail.artifacts if isinstance(detail, Detail) else ():
            if artifact.mode == "output":
                found.add(artifact.uri, artifact.size)
        for asset in detail.assets if isinstance(detail, Detail) else ():
            found.add(asset, asset=True)

    # -- delete
    def _measure(self, plan: Plan) -> list[TaskOutcome]:
        """What would become of a plan: reads how much is there and what would be refused, in stores that can tell."""
        outcomes, ready = self._after_files(
            plan.deletions, self.storage.measure(path for deletion in plan.deletions for path in deletion.paths)
        )
        return outcomes + [self.outcomes.deleted(deletion) for deletion in ready]

    def _delete(self, plan: Plan) -> list[TaskOutcome]:
        """Files first, record last; a unit with a file that can't be deleted keeps its records."""
        records = RecordDeletion(self.policy, self.found.tasks, self.outcomes, self.split, self.warn)
        with self.phases.phase("records"):
            outcomes, plans = records.prepare(plan.deletions)
        with self.phases.phase("files"):
            removed = self.storage.delete(
                (path for deletion in plans for path in deletion.paths),
                (link for deletion in plans for link in deletion.linked),
            )
        kept, ready = self._after_files(plans, removed)
        for deletion in ready:
            for path in (*deletion.paths, *deletion.linked):
                if path in removed.failed:
                    left = f"{path.path}: {removed.failed[path]}"
                    self.warn(f"task {deletion.task.id}: a file is left behind without a record: {left}")
        with self.phases.phase("records"):
            return outcomes + kept + records.delete(ready)

    def _after_files(self, plans: Sequence[Deletion], removed: Removed) -> tuple[list[TaskOutcome], list[Deletion]]:
        """Those that are kept because of a file, and those whose records may be deleted, with what their stores counted."""
        outcomes: list[TaskOutcome] = []
        ready: list[Deletion] = []
        broken = {deletion.unit for deletion in plans if any(path in removed.failed for path in deletion.paths)}
        lost = {deletion.unit: deletion for deletion in plans if self.keep_missing and _is_lost(deletion, removed)}
        for deletion in plans:
            if deletion.unit in lost and deletion.unit not in broken:
                outcomes.append(self.outcomes.kept(_not_found(deletion, lost[deletion.unit])))
            elif deletion.unit in broken and self.keep_on_file_error:
                reasons = [f"{path.path}: {removed.failed[path]}" for path in deletion.paths if path in removed.failed]
                detail = "; ".join(reasons[:3]) or "a file of a task that it is deleted with could not be deleted"
                outcomes.append(self.outcomes.of(deletion.task, Verdict.FAILED, Reason.FILE_ERROR, detail))
            else:
                ready.append(_counted(deletion, removed))
        return outcomes, ready


def _is_lost(deletion: Deletion, removed: Removed) -> bool:
    """Whether nothing of a task was there, and its files may be there all the same, under another name."""
    return deletion.doubtful and bool(deletion.paths) and removed.missing.issuperset(deletion.paths)


def _not_found(deletion: Deletion, lost: Deletion) -> Kept:
    if deletion is not lost:
        return Kept(
            deletion.task, Reason.FILES_NOT_FOUND, f"task {lost.task.id}, with which it is deleted, has files like that"
        )
    detail = (
        f"{lost.paths[0].path}: neither this nor another reading of its address is there. If its files are gone, "
        "CLEANUP_MISSING_FILES=delete_record deletes the record; if they are there under another name, remove them first"
    )
    return Kept(deletion.task, Reason.FILES_NOT_FOUND, detail)


def _counted(deletion: Deletion, removed: Removed) -> Deletion:
    """A task with what its stores counted, and without what was not there under any of its names."""
    sizes = [removed.sizes[path] for path in deletion.paths if path in removed.sizes]
    known: list[Size] = []
    for path in deletion.paths:
        if path in removed.sizes or path in deletion.guesses:
            continue
        absent = _absent(path, removed).intersection(*(_absent(other, removed) for other in deletion.others.get(path, ())))
        parts = {"": Size(1)} if isinstance(path, TaskFile) else deletion.recorded.get(path, {})
        known += [size for kind, size in parts.items() if kind in absent]
    missing = min(deletion.files, sum(one.files for one in known))
    return replace(
        deletion,
        files=deletion.files - missing + sum(one.files for one in sizes),
        bytes=deletion.bytes - sum(one.bytes for one in known) + sum(one.bytes for one in sizes),
        files_missing=missing,
    )


def _absent(path: OwnedPath, removed: Removed) -> frozenset[str]:
    """Those of the ``KINDS`` in a folder that were not there; of a file, an empty text."""
    return KINDS | {""} if path in removed.missing else removed.parts.get(path, frozenset())


def _units_of(units: Sequence[Unit]) -> dict[TaskId, frozenset[TaskId]]:
    return {task: frozenset(unit) for unit in units for task in unit}


def _chunks(units: Sequence[Unit], size: int) -> Iterator[Sequence[Unit]]:
    """Units of at most so many tasks together; a larger one comes alone."""
    chunk: list[Unit] = []
    tasks = 0
    for unit in units:
        if chunk and tasks + len(unit) > size:
            yield chunk
            chunk, tasks = [], 0
        chunk.append(unit)
        tasks += len(unit)
    if chunk:
        yield chunk
