"""The tasks that a pass may delete, and who of them needs whose outputs: all pages are read before the first deletion."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from cleanup_job.paths import Location, ModelId, TaskId, in_no_folder, tasks_named_in
from cleanup_job.records import Task
from cleanup_job.rooms import Server, Storage
from cleanup_job.selection import Rules, age_from


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a listing brought, judged by each record's own fields."""

    tasks: dict[TaskId, Task]
    """Most recently active first."""
    public: tuple[Task, ...] = ()
    """Those that would be old enough, but are public examples."""
    shared_folders: frozenset[TaskId] = frozenset()
    """Those whose id a project's name ends in: what looks like their folder may hold that project's tasks."""
    steps: frozenset[TaskId] = frozenset()
    """Those whose parent is a pipeline's controller."""
    holds: dict[TaskId, set[TaskId]] = field(default_factory=lambda: defaultdict(set))
    """For each task, those whose outputs it needs."""
    guests: dict[TaskId, set[ModelId]] = field(default_factory=lambda: defaultdict(set))
    """For each task, other tasks' models that lie in its folder."""
    loose: dict[Location, set[ModelId]] = field(default_factory=lambda: defaultdict(set))
    """Models whose file lies in no task's folder, by its place; where such files may be deleted as links at all."""
    needed_by_datasets: set[TaskId] = field(default_factory=set)
    """Dataset versions that a version which is no candidate can't be read without."""


def find(server: Server, storage: Storage, rules: Rules, projects: Mapping[str, str]) -> Candidates:
    """Read the listing to its end, and then the references between the tasks that it brought."""
    tasks: dict[TaskId, Task] = {}
    perhaps: dict[TaskId, Task] = {}
    for task in server.archived_tasks(rules.query()):
        if rules.allows(task):
            tasks[task.id] = task
        elif task.parent and rules.allows(task, parent_is_pipeline=True):
            perhaps[task.id] = task
    steps: frozenset[TaskId] = frozenset()
    if perhaps:
        pipelines = server.pipelines({TaskId(task.parent) for task in perhaps.values()})
        steps = frozenset(task.id for task in perhaps.values() if task.parent in pipelines)
        tasks |= {step: perhaps[step] for step in steps}
    ours = [task for task in tasks.values() if not task.public]
    ours.sort(key=_most_recent_first)
    public = tuple(task for task in tasks.values() if task.public)
    named = frozenset(one for name in projects.values() for one in tasks_named_in(name)) & tasks.keys()
    found = Candidates({task.id: task for task in ours}, public, named, steps)
    if ours:
        _add_models(found, server, storage)
        _add_datasets(found, server)
    return found


def _add_models(found: Candidates, server: Server, storage: Storage) -> None:
    """Who uses a model that a candidate made, and whose model lies in a candidate's folder.

    Every model is looked at: the server can't search for addresses that begin in a certain way, and the same file may stand in
    records under several addresses.
    """
    consumers: dict[ModelId, set[TaskId]] = defaultdict(set)
    for task in found.tasks.values():
        for used in task.input_models:
            consumers[used].add(task.id)
    links = storage.links
    for model in server.all_models():
        maker = TaskId(model.task)
        if maker in found.tasks:
            for consumer in consumers.get(model.id, ()):
                found.holds[consumer].add(maker)
        place = storage.locate(model.uri)
        if place is None:
            continue
        if place.store in links and in_no_folder(place.path):
            found.loose[place].add(model.id)
        for host in tasks_named_in(place.path):
            if host in found.tasks and host != maker:
                found.guests[host].add(model.id)
                found.holds[maker].add(host)


def _add_datasets(found: Candidates, server: Server) -> None:
    if not any("dataset" in task.system_tags for task in found.tasks.values()):
        return
    for version, ancestors in server.dataset_ancestors():
        if version in found.tasks:
            found.holds[version].update(ancestors)
        else:
            found.needed_by_datasets.update(ancestors & found.tasks.keys())


def _most_recent_first(task: Task) -> tuple[float, TaskId]:
    since = age_from(task)
    return (-since.timestamp() if since is not None else 0.0, task.id)
