"""One batch of tasks: read, plan, delete files, delete records. Safe to run in several threads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cleanup_job.candidates import Candidates
from cleanup_job.errors import AnswerError
from cleanup_job.order import Unit
from cleanup_job.outcomes import Outcomes
from cleanup_job.outputs import Outputs
from cleanup_job.paths import Location, ModelId, TaskId, tasks_named_in
from cleanup_job.phases import Phases
from cleanup_job.plan import Batch, Going, Gone, Plan, Policy, plan_batch, protection
from cleanup_job.records import Deleted, Detail, Model, NotDeleted, References, Removed, Task, Unreadable
from cleanup_job.report.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.rooms import Server, Storage
from cleanup_job.selection import Selected


@dataclass(frozen=True, slots=True)
class Batches:
    """Takes batches through a pass; all of it stays the same for the whole pass, but for ``gone``, which grows."""

    server: Server
    storage: Storage
    policy: Policy
    warn: Callable[[str], None]
    outcomes: Outcomes
    found: Candidates
    keep_on_file_error: bool = True
    phases: Phases = field(default_factory=Phases)
    gone: Gone = field(default_factory=Gone)

    def plan(self, units: list[Unit]) -> Plan:
        """What goes and what stays of a batch; reads only.

        Raises:
            AnswerError: the server refused a call.
            UnreachableError: it gives no usable answer.
        """
        ids = [task for unit in units for task in unit]
        with self.phases.phase("plan"):
            try:
                return self._plan(units, ids)
            except AnswerError:
                # Bulk calls refuse all of their tasks where one is gone meanwhile: look again without it.
                return self._plan(units, list(self.server.tasks(ids)))

    def _plan(self, units: list[Unit], ids: list[TaskId]) -> Plan:
        """Read a batch's outputs, then who else needs them, then the tasks once more, and decide."""
        unit_of = {task: frozenset(unit) for unit in units for task in unit}
        by_file = self.policy.shared_folders
        outputs: dict[TaskId, Outputs] = {}
        some = ids
        while True:
            read = self._events(some, by_file)
            models, others = self._models(ids)
            self._add_models(read, models)
            own = {model.id: model for made in models.values() for model in made}
            used_by = self.server.users_of(own)
            children = frozenset() if self.policy.force else self.server.published_children(ids)
            read_again = self.server.details(ids)
            details = {task: detail for task, detail in read_again.items() if isinstance(detail, Detail)}
            outputs = {i: found for i, found in (outputs | self._with_artifacts(read, details)).items() if i in details}
            linked = {Location(link.store, link.path) for found in outputs.values() for link in found.linked}
            others += self.server.models({one for place in linked for one in self.found.models.loose.get(place, ())})
            references = References(used_by, tuple({model.id: model for model in others}.values()))
            guard = protection(own.values(), references, unit_of, self.gone, self.storage.locate)
            unlisted = [place.path for place in guard.places if not self.storage.lists(place.store)]
            apart = {task for path in unlisted for task in tasks_named_in(path)} & outputs.keys()
            if apart <= by_file or self.policy.by_file:
                break
            by_file |= apart  # their folders can't go as a whole: look again, this time file by file
            some = sorted(apart)
        now = {task: detail.task for task, detail in details.items()}
        misread = self._misread(ids, own, used_by) | {
            task: one for task, one in read_again.items() if isinstance(one, Unreadable)
        }
        plan = plan_batch(Batch(tuple(units), self.found.tasks, now, outputs, models, guard, children, misread), self.policy)
        self.gone.kept_models.update(model for going in plan.going for model in going.kept_models)
        return plan

    def _misread(
        self, ids: list[TaskId], own: Mapping[ModelId, Model], used_by: Mapping[ModelId, frozenset[TaskId]]
    ) -> dict[TaskId, Unreadable]:
        """Tasks of which a model can't be read, or who uses it."""
        known = self.found.models.unreadable
        found = {task: Unreadable(task, known[task]) for task in ids if task in known}
        for model, users in used_by.items():
            if "" in users:  # a task that uses it, and of which not even the id can be read
                maker = TaskId(own[model].task)
                found[maker] = Unreadable(maker, f"the record of a task that uses model {model}")
        return found

    def _events(self, ids: list[TaskId], by_file: frozenset[TaskId]) -> dict[TaskId, Outputs]:
        """The files of debug samples and plots; of the tasks in `by_file`, file by file."""
        every, links, measured = bool(self.policy.by_file), self.policy.links, self.policy.lists
        outputs = {
            task: Outputs(task, self.storage.locate, by_file=every or task in by_file, links=links, measured=measured)
            for task in ids
        }
        for task, uri in self.server.event_files([task for task in ids if self.found.tasks[task].reported]):
            outputs[task].add(uri)
        return outputs

    def _models(self, ids: list[TaskId]) -> tuple[dict[TaskId, list[Model]], list[Model]]:
        """As they are now: the models that these tasks made, and all others that lie in their folders."""
        index = self.found.models
        index.catch_up()
        wanted = {model for task in ids for model in index.of(task)}
        models: dict[TaskId, list[Model]] = {}
        others: list[Model] = []
        batch = set(ids)
        for model in self.server.models(wanted):
            if model.unreadable:
                index.unreadable.update({task: model.unreadable_words for task in ids if model.id in index.of(task)})
            if model.task in batch:
                models.setdefault(TaskId(model.task), []).append(model)
            if model.id in wanted:
                others.append(model)
        return models, others

    def _add_models(self, outputs: Mapping[TaskId, Outputs], models: Mapping[TaskId, Sequence[Model]]) -> None:
        makers = {model.id: task for task in outputs for model in models.get(task, ())}
        for task, found in outputs.items():
            for model in models.get(task, ()):
                found.add(model.uri)
        for made_model, uri in self.server.model_event_files(list(makers)):
            outputs[makers[made_model]].add(uri)

    @staticmethod
    def _with_artifacts(outputs: Mapping[TaskId, Outputs], details: Mapping[TaskId, Detail]) -> dict[TaskId, Outputs]:
        """The outputs of the tasks that are still there, with those that their records name."""
        there = {task: found for task, found in outputs.items() if task in details}
        for task, found in there.items():
            for artifact in details[task].artifacts:
                if artifact.mode == "output":
                    found.add(artifact.uri, artifact.size)
        return there

    # -- delete
    def measure(self, plan: Plan) -> list[TaskOutcome]:
        """What would become of a plan: reads how much is there and what would be refused, in stores that can tell."""
        outcomes, ready = self._after_files(plan, self.storage.measure(path for going in plan.going for path in going.paths))
        return outcomes + [self.outcomes.goes(going) for going in ready]

    def delete(self, plan: Plan) -> list[TaskOutcome]:
        """Files first, record last; a unit with a file that can't be deleted keeps its records."""
        with self.phases.phase("files"):
            removed = self.storage.delete(
                (path for going in plan.going for path in going.paths),
                (link for going in plan.going for link in going.linked),
            )
        outcomes, ready = self._after_files(plan, removed)
        for going in ready:
            for path in (*going.paths, *going.linked):
                if path in removed.failed:
                    left = f"{path.path}: {removed.failed[path]}"
                    self.warn(f"task {going.task.id}: a file stays behind without a record: {left}")
        with self.phases.phase("records"):
            return outcomes + self._delete_records(ready)

    def _after_files(self, plan: Plan, removed: Removed) -> tuple[list[TaskOutcome], list[Going]]:
        """Those that stay because of a file, and those whose records may go, with what their stores counted."""
        outcomes: list[TaskOutcome] = []
        ready: list[Going] = []
        broken = {going.unit for going in plan.going if any(path in removed.failed for path in going.paths)}
        for going in plan.going:
            if going.unit in broken and self.keep_on_file_error:
                reasons = [f"{path.path}: {removed.failed[path]}" for path in going.paths if path in removed.failed]
                detail = "; ".join(reasons[:3]) or "a file of a task that it goes with could not be deleted"
                outcomes.append(self.outcomes.of(going.task, Verdict.FAILED, Reason.FILE_ERROR, detail))
            else:
                sizes = [removed.sizes[path] for path in going.paths if path in removed.sizes]
                files, size = sum(one.files for one in sizes), sum(one.bytes for one in sizes)
                ready.append(replace(going, files=going.files + files, bytes=going.bytes + size) if sizes else going)
        return outcomes, ready

    def _delete_records(self, ready: list[Going]) -> list[TaskOutcome]:
        mutual = [model.id for going in ready if len(going.unit) > 1 for model in going.models]
        if mutual:
            # The server keeps a model that another task uses, and in a circle there always is one.
            self.server.delete_models(mutual)
        with_steps = {going.unit for going in ready if going.task.id in self.policy.steps}
        last = {going.task.id: going for going in ready if going.unit in with_steps and going.task.id not in self.policy.steps}
        first = [going for going in ready if going.task.id not in last]
        answers = self._delete_some(first)
        # A controller is what the next pass finds its steps by: its record goes when theirs are gone.
        left = {going.unit for going in first if not isinstance(answers.get(going.task.id), Deleted)}
        answers |= self._delete_some([going for going in last.values() if going.unit not in left])
        answers |= {i: NotDeleted(0, 0, "a step of it is still there") for i, going in last.items() if going.unit in left}
        return [self._record_outcome(going, answers.get(going.task.id)) for going in ready]

    def _delete_some(self, ready: list[Going]) -> dict[TaskId, Deleted | NotDeleted]:
        reported = {going.task.id for going in ready if going.task.reported}
        ids = [going.task.id for going in ready]
        answers = self.server.delete_tasks(ids, force=False, reported=reported) if ready else {}
        refused = {
            task
            for task, answer in answers.items()
            if isinstance(answer, NotDeleted)
            and ((answer.needs_force and self.policy.force) or (answer.not_archived and task in self.policy.steps))
        }
        if refused:
            answers |= self._force({going.task.id: going for going in ready if going.task.id in refused})
        return answers

    def _force(self, refused: Mapping[TaskId, Going]) -> dict[TaskId, Deleted | NotDeleted]:
        """Delete published children and models, and steps that are not archived; force would delete restored tasks, too."""
        now = self.server.tasks(refused)
        still = [
            task.id
            for task in now.values()
            if isinstance(task, Task)
            and self.policy.still_allows(
                Selected.of(refused[task.id].task), task, models_deleted=len(refused[task.id].unit) > 1
            )
        ]
        reported = {task.id for task in now.values() if isinstance(task, Task) and task.reported}
        return self.server.delete_tasks(still, force=True, reported=reported) if still else {}

    def _record_outcome(self, going: Going, answer: Deleted | NotDeleted | None) -> TaskOutcome:
        task = going.task
        if isinstance(answer, Deleted):
            if answer.models is not None and len(going.unit) == 1 and answer.models != len(going.models):
                planned = len(going.models)
                self.warn(f"task {task.id}: {planned} models planned, {answer.models} deleted by the server")
            return self.outcomes.goes(going)
        if answer is None:
            detail = "the server's answer does not mention it; its files are gone already"
            return self.outcomes.of(task, Verdict.FAILED, Reason.RECORD_ERROR, detail)
        if answer.not_ours:
            return self.outcomes.of(task, Verdict.NOT_OURS, Reason.FORBIDDEN, answer.message)
        detail = f"{answer.message} ({answer.status}/{answer.subcode}); its files are gone already"
        return self.outcomes.of(task, Verdict.FAILED, Reason.RECORD_ERROR, detail)
