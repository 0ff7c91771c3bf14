"""The tasks that a pass may delete, and who of them needs whose outputs: all pages are read before the first deletion.

Of a task no more is remembered than its id, what its place in the order needs, and how to tell whether it was touched since.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from cleanup_job.errors import CleanupError
from cleanup_job.paths import Location, ModelId, TaskId, in_no_folder, tasks_named_in
from cleanup_job.plan import Staying, unreadable
from cleanup_job.records import Model, Task, Unreadable
from cleanup_job.report.outcome import Reason
from cleanup_job.rooms import Server, Storage
from cleanup_job.selection import Rules, Selected, is_controller
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
        self._of: dict[TaskId, str] = {}
        """Ids with a space between them: hardly any task has more than one, and there may be millions."""
        self.unreadable: dict[TaskId, str] = {}
        """Candidates that made a model which can't be read, or in whose folder it lies; with words for it."""
        self.loose: dict[Location, set[ModelId]] = {}
        """Models whose file lies in no task's folder, by its place; where such files may be deleted as links at all."""

    def of(self, task: TaskId) -> list[ModelId]:
        """The models that a candidate made, and other tasks' models that lie in its folder."""
        return [ModelId(model) for model in self._of.get(task, "").split()]

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
        self._add(maker, model.id)
        place = self._storage.locate(model.uri)
        if model.unreadable:
            near = {maker, *tasks_named_in(place.path if place is not None else model.uri)}
            self.unreadable.update(dict.fromkeys((task for task in near if task in self._tasks), model.unreadable_words))
        if place is None:
            return frozenset()
        if place.store in self._storage.links and in_no_folder(place.path):
            self.loose.setdefault(place, set()).add(model.id)
        hosts = frozenset(host for host in tasks_named_in(place.path) if host in self._tasks and host != maker)
        for host in hosts:
            self._add(host, model.id)
        return hosts

    def _add(self, task: TaskId, model: ModelId) -> None:
        if task in self._tasks and model not in self.of(task):
            known = self._of.get(task)
            self._of[task] = f"{known} {model}" if known else model


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a listing brought, judged by each record's own fields."""

    tasks: dict[TaskId, Selected]
    """Most recently active first."""
    models: Models
    shared_folders: frozenset[TaskId] = frozenset()
    """Those whose id a project's name ends in: what looks like their folder may hold that project's tasks."""
    steps: frozenset[TaskId] = frozenset()
    """Those that go along with their pipeline's controller, archived or not."""
    holds: dict[TaskId, set[TaskId]] = field(default_factory=lambda: defaultdict(set))
    """For each task, those whose outputs it needs."""
    needed_datasets: dict[TaskId, str] = field(default_factory=dict)
    """Dataset versions that one which is no candidate can't be read without, or that somebody used; with words for it."""


Tell = Callable[[Staying], None]
"""Is told of each task that is old enough, but stays by a rule, as a part of a pipeline, or as a public example."""


def find(  # noqa: PLR0913 -- the rooms, what is wanted, and who is told
    server: Server,
    storage: Storage,
    rules: Rules,
    projects: Mapping[str, str],
    tell: Tell = lambda _: None,
    *,
    protect_used_datasets: bool = False,
) -> Candidates:
    """Read the listing to its end, and then the references between the tasks that it brought."""
    listed = _Listed(rules, tell)
    listed.read(server)
    pipelines = _Pipelines(server, rules, listed, tell)
    pipelines.sort_out()
    ours = listed.tasks
    shared = frozenset(one for name in projects.values() for one in tasks_named_in(name)) & ours.keys()
    ordered = {one.id: one for one in sorted(ours.values(), key=lambda one: (one.order, one.id))}
    steps = frozenset((pipelines.steps | listed.hidden_steps) & ours.keys())
    found = Candidates(ordered, Models(server, storage, ordered), shared, steps, pipelines.holds)
    if ours:
        _add_models(found, listed.consumers)
        _add_datasets(found, server, listed.versions, protect_used=protect_used_datasets)
    return found


def of_shard(found: Candidates, shard: int, shards: int) -> Candidates:
    """The part of one shard, of as many as there are."""
    if shards == 1:
        return found
    mine = own(found.tasks, found.holds, shard, shards)
    return replace(found, tasks={task: record for task, record in found.tasks.items() if task in mine})


def told_by_shard(tell: Tell, shard: int, shards: int) -> Tell:
    """Tells of the tasks of one shard alone."""

    def tell_own(staying: Staying) -> None:
        if shard_of(staying.task.id, shards) == shard:
            tell(staying)

    return tell_own


class _Listed:
    """The candidates of a listing, with what the records say of their part in pipelines, datasets and each other."""

    def __init__(self, rules: Rules, tell: Tell) -> None:
        self._rules = rules
        self._tell = tell
        self.tasks: dict[TaskId, Selected] = {}
        self._told: set[TaskId] = set()
        """Those that can't be read."""
        self.controllers: set[TaskId] = set()
        self.steps: set[TaskId] = set()
        """Tasks that are steps if their parent is a controller."""
        self.hidden_steps: set[TaskId] = set()
        """Hidden steps that are archived themselves."""
        self.versions: list[TaskId] = []
        """Dataset versions."""
        self.consumers: dict[ModelId, set[TaskId]] = defaultdict(set)
        """For each model, the candidates that use it."""

    def read(self, server: Server) -> None:
        """Judge each archived task, and each run of the job itself."""
        runs = list(server.children([TaskId(self._rules.runs_of)])) if self._rules.runs_of else []
        for task in runs:
            self._judge(task)
        judged = {task.id for task in runs}
        for task in server.archived_tasks(self._rules.query()):
            if task.id not in judged:
                self._judge(task)

    def _judge(self, task: Task | Unreadable) -> None:
        if isinstance(task, Unreadable):
            if task.id not in self._told:
                self._tell(unreadable(task, task.field))
            self._told.add(task.id)
            return
        rules = self._rules
        allowed = rules.allows(task)
        if not allowed:
            may_be_step = task.archived and task.project in rules.pipeline_projects and rules.is_step(task)
            if not (may_be_step and rules.allows(task, is_step=True)):
                return
        if task.public:
            self._tell(Staying(task, Reason.PUBLIC, "it belongs to the server, not to its users"))
        elif why := rules.keeps(task):
            self._tell(Staying(task, Reason.KEEP_RULE, why))
        else:
            self.add(task)
            if not allowed:
                self.hidden_steps.add(task.id)

    def add(self, task: Task) -> None:
        """One that goes: judged here, or a step that its controller brings along."""
        self.tasks[task.id] = Selected.of(task)
        if is_controller(task):
            self.controllers.add(task.id)
        elif task.parent and self._rules.is_step(task):
            self.steps.add(task.id)
        if "dataset" in task.system_tags:
            self.versions.append(task.id)
        for model in task.input_models:
            self.consumers[model].add(task.id)


class _Pipelines:
    """Steps stay as long as their controller does; with ``include_pipeline_steps`` they go with it, all of them or none."""

    def __init__(self, server: Server, rules: Rules, listed: _Listed, tell: Tell) -> None:
        self._server = server
        self._rules = rules
        self._listed = listed
        self._tasks = listed.tasks
        self._tell = tell
        self.steps: set[TaskId] = set()
        self.holds: dict[TaskId, set[TaskId]] = defaultdict(set)

    def sort_out(self) -> None:
        """Add the steps of controllers that go, and take out the controllers and steps that have to stay."""
        if self._rules.include_pipeline_steps:
            self._add_steps()
        self._keep_steps_of_others()

    def _add_steps(self) -> None:
        controllers = list(self._listed.controllers)
        found = list(self._server.children(controllers))
        steps = [task for task in found if isinstance(task, Task) and self._rules.is_step(task)]
        stay: dict[TaskId, str] = {}
        for one in found:
            if isinstance(one, Unreadable):
                stay[TaskId(one.parent)] = f"its step {one.id} can't be read: {one.field}"
        for step in steps:
            why = self._rules.keeps(step)
            if (step.public or why or not self._rules.allows(step, is_step=True)) and step.parent in self._tasks:
                why = why or "it is active, too young, or left out by a filter"
                stay.setdefault(TaskId(step.parent), f"its step {step.id} has to stay: {why}")
        self._keep(stay, Reason.IN_USE)
        for step in steps:
            if step.parent in self._tasks:
                self._listed.add(step)
                self.steps.add(step.id)
                self.holds[step.id].add(TaskId(step.parent))

    def _keep_steps_of_others(self) -> None:
        steps = [self._tasks[task] for task in sorted(self._listed.steps) if task in self._tasks]
        controllers = self._server.pipelines({TaskId(step.parent) for step in steps}) if steps else frozenset()
        stay: dict[TaskId, str] = {}
        for step in steps:
            controller = TaskId(step.parent)
            if controller in self._tasks:
                self.holds[controller].add(step.id)
            elif controller in controllers:
                stay[step.id] = f"the controller is task {controller}"
        self._keep(stay, Reason.PIPELINE_STEP)

    def _keep(self, stay: Mapping[TaskId, str], reason: Reason) -> None:
        for task in with_names(self._server, [self._tasks.pop(task) for task in stay]):
            self._tell(Staying(task, reason, stay[task.id]))


def with_names(server: Server, tasks: Iterable[Selected]) -> Iterator[Task | Selected | Unreadable]:
    """Tasks that stay without being looked at again, with their names where the server still has them: people read them."""
    some = {task.id: task for task in tasks}
    try:
        there: Mapping[TaskId, Task | Unreadable] = server.tasks(some) if some else {}
    except CleanupError:
        there = {}
    yield from (there.get(task, some[task]) for task in some)


def _add_models(found: Candidates, consumers: Mapping[ModelId, Iterable[TaskId]]) -> None:
    """Who uses a model that a candidate made, and whose model lies in a candidate's folder."""
    for model, hosts in found.models.read():
        maker = TaskId(model.task)
        if maker in found.tasks:
            for consumer in consumers.get(model.id, ()):
                found.holds[consumer].add(maker)
        if hosts:
            found.holds[maker].update(hosts)


def _add_datasets(found: Candidates, server: Server, listed: Iterable[TaskId], *, protect_used: bool) -> None:
    versions = [task for task in listed if task in found.tasks]
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
