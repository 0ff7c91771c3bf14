"""What a living pipeline, dataset or model registry needs, and is not archived for that.

Archiving deletes nothing, but it hides: a pipeline would be shown without some of its steps, and the SDK no longer finds an
archived version of a dataset by its name. Living is all that is not archived, and not archived together with it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cleanup_job.passes.others import Others
from cleanup_job.passes.ports import Server
from cleanup_job.planning.in_use import InUse
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.records import Model, Task, Unreadable
from cleanup_job.planning.selection import Rules
from cleanup_job.transport.splitting import Splitting

Record = Task | Unreadable


@dataclass(slots=True)
class ArchiveNeeds:
    """Looks up in bulk what must not be archived. For one thread."""

    server: Server
    rules: Rules
    split: Splitting[Server]
    others: Others
    keep_model_tags: Collection[str] = ()
    """Models with one of these tags are needed, as published ones are."""
    dry_run: bool = False
    _kept: set[TaskId] = field(default_factory=set, init=False)
    """In a dry run, those that were due and are not archived. All others that were due before would be archived by now."""
    _built_on: dict[TaskId, set[TaskId]] | None = field(default=None, init=False)
    """For each dataset version, those that can't be read without it; read when the first version is found."""

    def find(self, tasks: Sequence[Task]) -> dict[TaskId, Kept]:
        """Those of some tasks, all of them due, that must not be archived.

        Raises:
            CleanupError: the server gives no usable answer.
        """
        controllers = self._controllers_of(tasks)
        steps, unknown = self._steps_of(controllers)
        members = [one for one in (*controllers.values(), *steps) if isinstance(one, Task) and self._is_due(one)]
        use = InUse({task.id: task for task in (*members, *tasks)})
        for controller, why in unknown.items():
            use.hold(controller, Reason.IN_USE, why)
        self._note_pipelines(use, controllers, [*steps, *tasks])
        self._note_models(use)
        self._note_datasets(use)
        held = use.held()
        if self.dry_run:
            self._kept.update(held)
        wanted = {task.id for task in tasks}
        return {task: kept for task, kept in held.items() if task in wanted}

    def _is_due(self, task: Task) -> bool:
        """Whether its policy archives a task now, if nothing needs it."""
        step = self.rules.step(task)
        return step is not None and step.stage is Stage.ARCHIVE and step.is_now

    def _lives(self, task: Record | None, beside: Task) -> bool:
        """Whether a task that is not archived together with another one is not in the archive by now; None: it is gone."""
        if not isinstance(task, Task):
            return task is not None
        return not (task.archived or (self.dry_run and self._would_be_archived(task, beside)))

    def _would_be_archived(self, task: Task, beside: Task) -> bool:
        came_before = task.last_update is not None and beside.last_update is not None and task.last_update >= beside.last_update
        return came_before and task.id not in self._kept and self._is_due(task)

    # -- pipelines
    def _controllers_of(self, tasks: Sequence[Task]) -> dict[TaskId, Record]:
        """The controllers among some tasks, and those of the steps among them."""
        found: dict[TaskId, Record] = {task.id: task for task in tasks if task.is_controller}
        parents = {TaskId(task.parent) for task in tasks if _is_step(task)} - found.keys()
        read = self.others.read(parents)
        return found | {i: one for i, one in read.items() if isinstance(one, Unreadable) or one.is_controller}

    def _steps_of(self, controllers: Iterable[TaskId]) -> tuple[list[Task], dict[TaskId, str]]:
        """The steps of pipelines; and the controllers of which a step can't be known, each with the reason."""
        found, failed = self.split.each("children", list(controllers), lambda server, some: list(server.children(some)))
        unknown = {controller: f"the server does not say which steps it has: {error}" for controller, error in failed.items()}
        steps: list[Task] = []
        for child in (child for some in found for child in some):
            if isinstance(child, Unreadable):
                unknown[TaskId(child.parent)] = f"its step {child.id} can't be read ({child.field})"
            elif _is_step(child):
                steps.append(child)
        return steps, unknown

    def _note_pipelines(self, use: InUse, controllers: Mapping[TaskId, Record], steps: Sequence[Task]) -> None:
        """A pipeline is archived as a whole, or not at all."""
        for step in steps:
            parent = TaskId(step.parent)
            controller = controllers.get(parent)
            if controller is None or not _is_step(step):
                continue
            of_controller = f"the controller is task {parent}"
            if step.id in use.tasks:
                use.needs(parent, step.id, Reason.PIPELINE_STEP, of_controller)
                if parent not in use.tasks and self._lives(controller, step):
                    use.hold(step.id, Reason.PIPELINE_STEP, f"{of_controller}, which is not archived")
                use.needs(step.id, parent, Reason.IN_USE, f"its step {step.id} is kept")
            elif not step.archived:
                use.hold(parent, Reason.IN_USE, f"its step {step.id} is not archived, and not due")

    # -- models
    def _note_models(self, use: InUse) -> None:
        """A task is needed if a model that it made is published, tagged to be kept, or used by a task that lives."""
        made = self._models_made(use)
        for task, models in made.items():
            for why in filter(None, map(self._why_needed, models)):
                use.hold(task, Reason.IN_USE, why)
        maker = {model.id: task for task, models in made.items() for model in models}
        found, failed = self.split.each("users of models", list(maker), lambda server, some: server.users_of(some))
        for one, error in failed.items():
            use.hold(maker[one], Reason.IN_USE, f"the server does not say who uses its model {one}: {error}")
        users: dict[TaskId, dict[TaskId, str]] = defaultdict(dict)
        for used in found:
            for one, by in used.items():
                for user in by:
                    users[user][maker[one]] = f"uses its model {one}"
        self._note_users(use, users, Reason.IN_USE)

    def _models_made(self, use: InUse) -> dict[TaskId, list[Model]]:
        found, failed = self.split.each("models of tasks", list(use.tasks), lambda server, some: server.models_of(some))
        for task, error in failed.items():
            use.hold(task, Reason.IN_USE, f"the server does not say which models it made: {error}")
        return {task: models for some in found for task, models in some.items() if task in use.tasks}

    def _why_needed(self, model: Model) -> str:
        if model.unreadable:
            return f"{model.unreadable_words} can't be read"
        if model.ready:
            return f"its model {model.id} is published"
        tag = next((tag for tag in model.tags if tag in self.keep_model_tags), "")
        return f"its model {model.id} has the tag {tag!r}, by which models are kept" if tag else ""

    def _note_users(self, use: InUse, users: Mapping[TaskId, Mapping[TaskId, str]], reason: Reason) -> None:
        """Note who uses what: for each user, the tasks that it needs, each with the words for that."""
        outside = self.others.read({user for user in users if user and user not in use.tasks})
        for user, needed in users.items():
            for task, words in needed.items():
                if user in use.tasks:
                    use.needs(user, task, reason, f"task {user}, which is kept, {words}")
                elif not user or self._lives(outside.get(user), use.tasks[task]):
                    use.hold(task, reason, f"task {user or '(its id)'}, which is not archived, {words}")

    # -- datasets
    def _note_datasets(self, use: InUse) -> None:
        """A dataset version is needed by versions that are built on it, and by tasks that used it."""
        users: dict[TaskId, dict[TaskId, str]] = defaultdict(dict)
        for version in [task.id for task in use.tasks.values() if "dataset" in task.system_tags]:
            for newer in self._versions_built_on(version):
                users[newer][version] = "is a dataset version that can't be read without this one"
            found, failed = self.split.each("dataset users", [version], lambda server, some: server.dataset_users(some[0]))
            if failed:
                use.hold(version, Reason.DATASET_IN_USE, f"the server does not say who used it: {failed[version]}")
            for user in frozenset[TaskId]().union(*found) - {version}:
                users[user].setdefault(version, "used it")
        self._note_users(use, users, Reason.DATASET_IN_USE)

    def _versions_built_on(self, version: TaskId) -> set[TaskId]:
        if self._built_on is None:
            self._built_on = defaultdict(set)
            for newer, ancestors in self.server.dataset_ancestors():
                for ancestor in ancestors - {newer}:
                    self._built_on[ancestor].add(newer)
        return self._built_on.get(version, set())


def _is_step(task: Task) -> bool:
    """Whether a task is a step if its parent is a controller: in any project, but not a clone of a controller."""
    return bool(task.parent) and not task.is_controller
