"""Who needs what the tasks of a window made: those are deleted first, or these are kept.

A task is a consumer of another one if it uses a model of it, lists one as its own output, names a file in its folder, or is or
used a version of a dataset that is built on it. One that is kept by the rules holds up no task: the planner keeps the very
models and files that it needs. Without a dataset version, though, others can't be read at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from cleanup_job.passes.claim_index import ClaimIndex
from cleanup_job.passes.others import Others
from cleanup_job.passes.ports import Server
from cleanup_job.planning.backlog import Window
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.records import Task
from cleanup_job.transport.splitting import Splitting


class Consumers:
    """Looks up consumers in bulk."""

    def __init__(
        self, server: Server, claims: ClaimIndex, others: Others, split: Splitting[Server], *, protect_used_datasets: bool
    ) -> None:
        """Nothing is read yet; ``protect_used_datasets``: whether a dataset version is kept that a task used."""
        self._server = server
        self._claims = claims
        self._others = others
        self._split = split
        self._protect_used_datasets = protect_used_datasets
        self._built_on: dict[TaskId, set[TaskId]] | None = None
        """For each dataset version, those that can't be read without it; read when the first version is found."""

    def look_up(self, window: Window, tasks: Mapping[TaskId, Task]) -> dict[TaskId, datetime | None]:
        """Note in a window which of its tasks hold others.

        Gives those outside of it that may be deleted by the rules, and that hold some, with their last activity. All others
        outside of it hold nothing.
        """
        window.made = self._models_made(list(tasks))
        holds = self._consumers_of(tasks, window.made)
        versions = [task.id for task in tasks.values() if "dataset" in task.system_tags]
        needing = self._needing_versions(window, tasks, versions)
        outside = self._others.read((holds.keys() | needing.keys()) - tasks.keys())
        to_be_deleted = self._others.to_be_deleted(outside)
        for holder, some in [*holds.items(), *((holder, set(of)) for holder, of in needing.items())]:
            if holder in tasks or holder in to_be_deleted:
                window.holds[holder] |= some - {holder}
        surviving = outside.keys() - to_be_deleted.keys()
        for holder in (holder for holder in needing if holder in surviving):
            for version, why in needing[holder].items():
                window.held.setdefault(version, Kept(tasks[version], Reason.DATASET_IN_USE, why))
        return to_be_deleted

    def _models_made(self, tasks: list[TaskId]) -> dict[TaskId, frozenset[ModelId]]:
        """The models that each task made; without those of which the server does not say it, which their batch finds out."""
        found, failed = self._split.each("models of tasks", tasks, lambda server, some: server.models_of(some))
        models = {task: frozenset(model.id for model in made) for some in found for task, made in some.items()}
        return {task: models.get(task, frozenset()) for task in tasks if task not in failed}

    def _consumers_of(self, tasks: Iterable[TaskId], made: Mapping[TaskId, frozenset[ModelId]]) -> dict[TaskId, set[TaskId]]:
        """For each task that uses or lists a model of these tasks, or names a file in their folders: those that it needs."""
        holds: dict[TaskId, set[TaskId]] = defaultdict(set)
        maker = {model: task for task, models in made.items() for model in models}
        found, _ = self._split.each("users of models", list(maker), lambda server, some: server.users_of(some))
        for some in found:
            for model, users in some.items():
                for user in users:
                    holds[user].add(maker[model])
        for task in tasks:
            for consumer in self._claims.consumers_of(task, made.get(task, ())):
                holds[consumer].add(task)
        return holds

    # -- datasets
    def _needing_versions(
        self, window: Window, tasks: Mapping[TaskId, Task], versions: Iterable[TaskId]
    ) -> dict[TaskId, dict[TaskId, str]]:
        """For each task that can't do without dataset versions of the window: these, each with a text that says why."""
        needing: dict[TaskId, dict[TaskId, str]] = defaultdict(dict)
        for version in versions:
            for newer in self._versions_built_on(version):
                needing[newer][version] = f"version {newer}, which is kept, can't be read without this one"
            if self._protect_used_datasets:
                users, failed = self._split.each("dataset users", [version], lambda server, some: server.dataset_users(some[0]))
                if failed:
                    why = f"the server does not say who used it: {failed[version]}"
                    window.held[version] = Kept(tasks[version], Reason.DATASET_IN_USE, why)
                for user in frozenset[TaskId]().union(*users) - {version}:
                    why = f"task {user}, which is kept, used it (CLEANUP_PROTECT_USED_DATASETS)"
                    needing[user].setdefault(version, why)
        return needing

    def _versions_built_on(self, version: TaskId) -> set[TaskId]:
        if self._built_on is None:
            self._built_on = defaultdict(set)
            for newer, ancestors in self._server.dataset_ancestors():
                for ancestor in ancestors - {newer}:
                    self._built_on[ancestor].add(newer)
        return self._built_on.get(version, set())
