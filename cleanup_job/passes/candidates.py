"""The tasks that a pass may delete, and which of them needs whose outputs: all pages are read before the first deletion.

Of each task only its id, what its place in the order needs, and what shows whether it was touched since are remembered.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from cleanup_job.errors import CleanupError
from cleanup_job.passes.claim_index import ClaimIndex, check_model_tags
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import KINDS, ModelId, TaskId
from cleanup_job.planning.plan import Kept, unreadable
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Rules, Selected
from cleanup_job.planning.sharding import own, shard_of
from cleanup_job.settings.filters import RelatedSettings
from cleanup_job.transport.splitting import Splitting


@dataclass(frozen=True, slots=True)
class Candidates:
    """What was found in a listing, judged by each record's own fields."""

    tasks: dict[TaskId, Selected]
    """Most recently active first."""
    claims: ClaimIndex
    shared: Mapping[TaskId, frozenset[str]] = field(default_factory=dict)
    """Those whose id a project's name ends in, each with those of the ``KINDS`` that a sub-project there has as its name."""
    steps: frozenset[TaskId] = frozenset()
    """Those that are deleted along with their pipeline's controller, archived or not."""
    holds: dict[TaskId, set[TaskId]] = field(default_factory=lambda: defaultdict(set))
    """For each task, those whose outputs it needs."""
    needed_datasets: dict[TaskId, str] = field(default_factory=dict)
    """Dataset versions that a version which is kept can't be read without, or that were used; each with a text that says so."""


Notify = Callable[[Kept], None]
"""Gets each task that is old enough, but is kept by a rule, as a part of a pipeline, or as a public example."""


def find(  # noqa: PLR0913 -- the server, the stores, what is wanted, and who is notified
    server: Server,
    storage: Storage,
    rules: Rules,
    projects: Mapping[str, str],
    notify: Notify = lambda _: None,
    *,
    split: Splitting[Server],
    related: RelatedSettings | None = None,
    links: bool = False,
) -> Candidates:
    """Read the listing to its end, and then who claims what of the tasks in it.

    Args:
        server: Where tasks, models and projects are read.
        storage: Which addresses name the same file.
        rules: Which tasks may be deleted.
        projects: Every project's name by its id.
        notify: Gets each task that is kept.
        split: Divides calls that fail.
        related: Which records protect what other tasks made.
        links: Whether files outside of all task folders may be deleted.

    Raises:
        SettingsError: no model has a tag that models are to be kept by.
    """
    related = related or RelatedSettings()
    listed = _Listed(rules, notify)
    listed.read(server)
    pipelines = _Pipelines(server, rules, listed, notify, split)
    pipelines.sort_out()
    ours = listed.tasks
    shared = _shared_folders(projects.values(), ours)
    ordered = {one.id: one for one in sorted(ours.values(), key=lambda one: (one.order, one.id))}
    steps = frozenset((pipelines.steps | listed.hidden_steps) & ours.keys())
    claims = ClaimIndex(server, storage, related.protect_linked_artifacts, links=links)
    found = Candidates(ordered, claims, shared, steps, pipelines.holds)
    if ours:
        _add_claims(found, server, listed.consumers)
        _add_datasets(found, server, listed.versions, split, protect_used=related.protect_used_datasets)
    if related.keep_model_tags:
        known = claims.model_tags if ours else {tag for model in server.all_models() for tag in model.tags}
        check_model_tags(related.keep_model_tags, known)
    return found


def _shared_folders(projects: Iterable[str], tasks: Container[TaskId]) -> dict[TaskId, frozenset[str]]:
    """Tasks whose folder could be a project's, each with those of the ``KINDS`` that a sub-project there has as its name."""
    shared: dict[TaskId, frozenset[str]] = {}
    for name in projects:
        segments = name.split("/")
        for folder, below in pairwise(segments):
            task = TaskId(folder.rpartition(".")[2])
            if below in KINDS and task in tasks:
                shared[task] = shared.get(task, frozenset()) | {below}
    return shared


def of_shard(found: Candidates, shard: int, shards: int) -> Candidates:
    """Those of one shard."""
    if shards == 1:
        return found
    mine = own(found.tasks, found.holds, shard, shards)
    return replace(found, tasks={task: record for task, record in found.tasks.items() if task in mine})


def of_shard_only(notify: Notify, shard: int, shards: int) -> Notify:
    """Notifies of the tasks of one shard alone."""

    def notify_of_own(kept: Kept) -> None:
        if shard_of(kept.task.id, shards) == shard:
            notify(kept)

    return notify_of_own


class _Listed:
    """The candidates of a listing, with what the records say of their part in pipelines, datasets and each other."""

    def __init__(self, rules: Rules, notify: Notify) -> None:
        self._rules = rules
        self._notify = notify
        self.tasks: dict[TaskId, Selected] = {}
        self._reported: set[TaskId] = set()
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
        draft = self._rules.own.runs_of
        runs = list(server.children([TaskId(draft)])) if draft else []
        for task in runs:
            self._judge(task)
        if self._rules.finds_nothing:  # the server reads an empty list as no filter at all
            return
        judged = {task.id for task in runs}
        for task in server.archived_tasks(self._rules.query()):
            if task.id not in judged:
                self._judge(task)

    def _judge(self, task: Task | Unreadable) -> None:
        if isinstance(task, Unreadable):
            if task.id not in self._reported:
                self._notify(unreadable(task, task.field))
            self._reported.add(task.id)
            return
        rules = self._rules
        allowed = rules.allows(task)
        if not allowed:
            may_be_step = task.archived and task.project in rules.pipeline_projects and rules.is_step(task)
            if not (may_be_step and rules.allows(task, is_step=True)):
                return
        if task.public:
            self._notify(Kept(task, Reason.PUBLIC, "it belongs to the server, not to its users"))
        elif why := rules.keeps(task):
            self._notify(Kept(task, Reason.KEEP_RULE, why))
        else:
            self.add(task)
            if not allowed:
                self.hidden_steps.add(task.id)

    def add(self, task: Task) -> None:
        """Add a task that is to be deleted: judged here, or a step of a controller."""
        self.tasks[task.id] = Selected.of(task)
        if task.is_controller:
            self.controllers.add(task.id)
        elif task.parent and self._rules.is_step(task):
            self.steps.add(task.id)
        if "dataset" in task.system_tags:
            self.versions.append(task.id)
        for model in task.input_models:
            self.consumers[model].add(task.id)


class _Pipelines:
    """Steps are kept as long as their controller is; ``include_pipeline_steps`` deletes all of them with it, or none."""

    def __init__(self, server: Server, rules: Rules, listed: _Listed, notify: Notify, split: Splitting[Server]) -> None:
        self._server = server
        self._split = split
        self._rules = rules
        self._listed = listed
        self._tasks = listed.tasks
        self._notify = notify
        self.steps: set[TaskId] = set()
        self.holds: dict[TaskId, set[TaskId]] = defaultdict(set)

    def sort_out(self) -> None:
        """Add the steps of controllers that are deleted, and take out the controllers and steps that have to be kept."""
        if self._rules.include_pipeline_steps:
            self._add_steps()
        self._keep_steps_of_others()

    def _add_steps(self) -> None:
        """Add the steps of the controllers, and keep the controllers of which a step is kept or can't be read."""
        children, failed = self._split.each(
            "children", list(self._listed.controllers), lambda server, some: list(server.children(some))
        )
        found = [child for some in children for child in some]
        steps = [task for task in found if isinstance(task, Task) and self._rules.is_step(task)]
        kept = self._controllers_with_unreadable_steps(found)
        kept |= {controller: f"the server does not say which steps it has: {error}" for controller, error in failed.items()}
        for step in steps:
            if step.parent in self._tasks and (why := self._why_kept(step)):
                kept.setdefault(TaskId(step.parent), f"its step {step.id} is kept: {why}")
        self._keep(kept, Reason.IN_USE)
        for step in steps:
            if step.parent in self._tasks:
                self._listed.add(step)
                self.steps.add(step.id)
                self.holds[step.id].add(TaskId(step.parent))

    def _controllers_with_unreadable_steps(self, children: Iterable[Task | Unreadable]) -> dict[TaskId, str]:
        return {
            TaskId(one.parent): f"its step {one.id} can't be read ({one.field})"
            for one in children
            if isinstance(one, Unreadable) and one.parent in self._tasks
        }

    def _why_kept(self, step: Task) -> str:
        """Why a step is kept; empty if it may be deleted."""
        if why := self._rules.keeps(step):
            return why
        allowed = not step.public and self._rules.allows(step, is_step=True)
        return "" if allowed else "it is active, too young, or left out by a filter"

    def _keep_steps_of_others(self) -> None:
        steps = [self._tasks[task] for task in sorted(self._listed.steps) if task in self._tasks]
        parents, failed = self._split.each(
            "parents", sorted({TaskId(step.parent) for step in steps}), lambda server, some: server.pipelines(some)
        )
        controllers = frozenset(failed).union(*parents)  # one that can't be asked for may be a controller
        kept: dict[TaskId, str] = {}
        for step in steps:
            controller = TaskId(step.parent)
            if controller in self._tasks:
                self.holds[controller].add(step.id)
            elif controller in controllers:
                kept[step.id] = f"the controller is task {controller}"
        self._keep(kept, Reason.PIPELINE_STEP)

    def _keep(self, kept: Mapping[TaskId, str], reason: Reason) -> None:
        for task in with_names(self._server, [self._tasks.pop(task) for task in kept]):
            self._notify(Kept(task, reason, kept[task.id]))


def with_names(server: Server, tasks: Iterable[Selected]) -> Iterator[Task | Selected | Unreadable]:
    """Tasks that are kept without being looked at again, with their names, for people, if the server still has them."""
    some = {task.id: task for task in tasks}
    try:
        there: Mapping[TaskId, Task | Unreadable] = server.tasks(some) if some else {}
    except CleanupError:
        there = {}
    yield from (there.get(task, some[task]) for task in some)


def _add_claims(found: Candidates, server: Server, consumers: Mapping[ModelId, Iterable[TaskId]]) -> None:
    """Note who uses or lists a model that a candidate made, and whose record names a file in a candidate's folder."""
    found.claims.read()
    made = server.models_of(found.tasks)
    for task in found.tasks:
        models = [model.id for model in made.get(task, ())]
        users = (user for model in models for user in consumers.get(model, ()))
        for consumer in found.claims.consumers_of(task, models).union(users):
            if consumer in found.tasks:
                found.holds[consumer].add(task)


def _add_datasets(
    found: Candidates, server: Server, listed: Iterable[TaskId], split: Splitting[Server], *, protect_used: bool
) -> None:
    versions = [task for task in listed if task in found.tasks]
    if not versions:
        return
    for version, ancestors in server.dataset_ancestors():
        if version in found.tasks:
            found.holds[version].update(ancestors)
        else:
            why = f"version {version}, which is kept, can't be read without this one"
            found.needed_datasets.update(dict.fromkeys(ancestors & found.tasks.keys(), why))
    for version in versions if protect_used else ():
        users, failed = split.each("dataset users", [version], lambda server, some: server.dataset_users(some[0]))
        if failed:
            found.needed_datasets.setdefault(version, f"the server does not say who used it: {failed[version]}")
        for user in frozenset().union(*users) - {version}:
            if user in found.tasks:
                found.holds[user].add(version)
            else:
                found.needed_datasets.setdefault(
                    version, f"task {user}, which is kept, used it (CLEANUP_PROTECT_USED_DATASETS)"
                )
