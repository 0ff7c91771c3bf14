"""The tasks that a pass may delete, and who of them needs whose outputs: all pages are read before the first deletion."""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from threading import Lock

from cleanup_job.paths import Location, ModelId, TaskId, in_no_folder, tasks_named_in
from cleanup_job.plan import Staying
from cleanup_job.records import Model, Task
from cleanup_job.report.outcome import Reason
from cleanup_job.rooms import Server, Storage
from cleanup_job.selection import Rules, age_from, is_controller
from cleanup_job.sharding import own, shard_of


class Models:
    """Whose models lie where.

    Every model is looked at: the server can't search for addresses that begin in a certain way, and the same file may stand in
    records under several addresses. Later, only those that were made or changed since. Safe to use from many threads.
    """

    def __init__(self, server: Server, storage: Storage, tasks: Container[TaskId]) -> None:
        """Nothing is read yet; ``tasks`` are the candidates."""
        self._server = server
        self._storage = storage
        self._tasks = tasks
        self._since = ""
        self._lock = Lock()
        self.made: dict[TaskId, set[ModelId]] = {}
        """For each candidate, the models that it made."""
        self.guests: dict[TaskId, set[ModelId]] = {}
        """For each candidate, other tasks' models that lie in its folder."""
        self.loose: dict[Location, set[ModelId]] = {}
        """Models whose file lies in no task's folder, by its place; where such files may be deleted as links at all."""

    def read(self) -> Iterator[tuple[Model, frozenset[TaskId]]]:
        """Look at every model that was made or changed since the last look; gives each with the candidates it is a guest of."""
        with self._lock:
            for model in self._server.all_models(self._since):
                self._since = max(self._since, model.last_update)
                yield model, self._note(model)

    def catch_up(self) -> None:
        """As ``read``."""
        for _ in self.read():
            pass

    def _note(self, model: Model) -> frozenset[TaskId]:
        maker = TaskId(model.task)
        if maker in self._tasks:
            self.made.setdefault(maker, set()).add(model.id)
        place = self._storage.locate(model.uri)
        if place is None:
            return frozenset()
        if place.store in self._storage.links and in_no_folder(place.path):
            self.loose.setdefault(place, set()).add(model.id)
        hosts = frozenset(host for host in tasks_named_in(place.path) if host in self._tasks and host != maker)
        for host in hosts:
            self.guests.setdefault(host, set()).add(model.id)
        return hosts


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a listing brought, judged by each record's own fields."""

    tasks: dict[TaskId, Task]
    """Most recently active first."""
    models: Models
    public: tuple[Task, ...] = ()
    """Those that would be old enough, but are public examples."""
    shared_folders: frozenset[TaskId] = frozenset()
    """Those whose id a project's name ends in: what looks like their folder may hold that project's tasks."""
    kept: tuple[Staying, ...] = ()
    """Those that would be old enough, but stay by a rule or as a part of a pipeline."""
    steps: frozenset[TaskId] = frozenset()
    """Those that go along with their pipeline's controller, archived or not."""
    holds: dict[TaskId, set[TaskId]] = field(default_factory=lambda: defaultdict(set))
    """For each task, those whose outputs it needs."""
    needed_datasets: dict[TaskId, str] = field(default_factory=dict)
    """Dataset versions that one which is no candidate can't be read without, or that somebody used; with words for it."""


def find(
    server: Server, storage: Storage, rules: Rules, projects: Mapping[str, str], *, protect_used_datasets: bool = False
) -> Candidates:
    """Read the listing to its end, and then the references between the tasks that it brought."""
    tasks: dict[TaskId, Task] = {}
    hidden_steps: set[TaskId] = set()
    own_runs = server.children([TaskId(rules.runs_of)]) if rules.runs_of else ()
    for task in chain(server.archived_tasks(rules.query()), own_runs):
        if rules.allows(task):
            tasks[task.id] = task
        elif (
            task.archived
            and task.project in rules.pipeline_projects
            and rules.is_step(task)
            and rules.allows(task, is_step=True)
        ):
            tasks[task.id] = task
            hidden_steps.add(task.id)
    public = tuple(task for task in tasks.values() if task.public)
    ours = {task.id: task for task in tasks.values() if not task.public}
    kept = [Staying(task, Reason.KEEP_RULE, why) for task in ours.values() if (why := rules.keeps(task))]
    for staying in kept:
        del ours[staying.task.id]
    pipelines = _Pipelines(server, rules, ours)
    pipelines.sort_out()
    named = frozenset(one for name in projects.values() for one in tasks_named_in(name)) & ours.keys()
    ordered = dict(sorted(ours.items(), key=lambda item: _most_recent_first(item[1])))
    steps = frozenset((pipelines.steps | hidden_steps) & ours.keys())
    models = Models(server, storage, ordered)
    found = Candidates(ordered, models, public, named, (*kept, *pipelines.kept), steps, pipelines.holds)
    if ours:
        _add_models(found)
        _add_datasets(found, server, protect_used=protect_used_datasets)
    return found


def of_shard(found: Candidates, shard: int, shards: int) -> Candidates:
    """The part of one shard, of as many as there are."""
    if shards == 1:
        return found
    mine = own(found.tasks, found.holds, shard, shards)
    return replace(
        found,
        tasks={task: record for task, record in found.tasks.items() if task in mine},
        public=tuple(task for task in found.public if shard_of(task.id, shards) == shard),
        kept=tuple(staying for staying in found.kept if shard_of(staying.task.id, shards) == shard),
    )


class _Pipelines:
    """Steps stay as long as their controller does; with ``include_pipeline_steps`` they go with it, all of them or none."""

    def __init__(self, server: Server, rules: Rules, tasks: dict[TaskId, Task]) -> None:
        self._server = server
        self._rules = rules
        self._tasks = tasks
        self.kept: list[Staying] = []
        self.steps: set[TaskId] = set()
        self.holds: dict[TaskId, set[TaskId]] = defaultdict(set)

    def sort_out(self) -> None:
        """Add the steps of controllers that go, and take out the controllers and steps that have to stay."""
        if self._rules.include_pipeline_steps:
            self._add_steps()
        self._keep_steps_of_others()

    def _add_steps(self) -> None:
        controllers = [task.id for task in self._tasks.values() if is_controller(task)]
        steps = [task for task in self._server.children(controllers) if self._rules.is_step(task)]
        for step in steps:
            why = self._rules.keeps(step)
            if step.public or why or not self._rules.allows(step, is_step=True):
                controller = self._tasks.pop(TaskId(step.parent), None)
                if controller is not None:
                    why = why or "it is active, too young, or left out by a filter"
                    detail = f"its step {step.id} has to stay: {why}"
                    self.kept.append(Staying(controller, Reason.IN_USE, detail))
        for step in steps:
            if step.parent in self._tasks:
                self._tasks[step.id] = step
                self.steps.add(step.id)
                self.holds[step.id].add(TaskId(step.parent))

    def _keep_steps_of_others(self) -> None:
        steps = [task for task in self._tasks.values() if task.parent and self._rules.is_step(task)]
        controllers = self._server.pipelines({TaskId(step.parent) for step in steps}) if steps else frozenset()
        for step in steps:
            controller = TaskId(step.parent)
            if controller in self._tasks:
                self.holds[controller].add(step.id)
            elif controller in controllers:
                del self._tasks[step.id]
                self.kept.append(Staying(step, Reason.PIPELINE_STEP, f"the controller is task {controller}"))


def _add_models(found: Candidates) -> None:
    """Who uses a model that a candidate made, and whose model lies in a candidate's folder."""
    consumers: dict[ModelId, set[TaskId]] = defaultdict(set)
    for task in found.tasks.values():
        for used in task.input_models:
            consumers[used].add(task.id)
    for model, hosts in found.models.read():
        maker = TaskId(model.task)
        if maker in found.tasks:
            for consumer in consumers.get(model.id, ()):
                found.holds[consumer].add(maker)
        if hosts:
            found.holds[maker].update(hosts)


def _add_datasets(found: Candidates, server: Server, *, protect_used: bool) -> None:
    versions = [task.id for task in found.tasks.values() if "dataset" in task.system_tags]
    if not versions:
        return
    for version, ancestors in server.dataset_ancestors():
        if version in found.tasks:
            found.holds[version].update(ancestors)
        else:
            why = f"version {version}, which stays, can't be read without this one"
            found.needed_datasets.update(dict.fromkeys(ancestors & found.tasks.keys(), why))
    for version in versions if protect_used else ():
        for user in server.dataset_users(version) - {version}:
            if user in found.tasks:
                found.holds[user].add(version)
            else:
                found.needed_datasets.setdefault(version, f"task {user}, which stays, used it (CLEANUP_PROTECT_USED_DATASETS)")


def _most_recent_first(task: Task) -> tuple[float, TaskId]:
    since = age_from(task)
    return (-since.timestamp() if since is not None else 0.0, task.id)
