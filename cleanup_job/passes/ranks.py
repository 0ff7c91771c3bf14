"""Reads which tasks policies keep as the last or the best of their project, before anything is deleted.

One listing of all tasks, or of those in the projects that the policies name; then, for each project and metric, a request whose
answer has the best tasks first. A project of which `last` keeps everything needs none.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from cleanup_job.errors import SettingsError
from cleanup_job.passes.ports import RankServer
from cleanup_job.planning.lifecycle.policy import Best, LifecyclePolicy, PolicyFile
from cleanup_job.planning.lifecycle.ranks import Leaders, Newest, Place, Ranks, ranked
from cleanup_job.planning.metric_key import metric_key
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Query


class RankReader:
    """Reads the ranks of a file with policies."""

    def __init__(
        self,
        server: RankServer,
        file: PolicyFile,
        *,
        projects: Collection[str] | None = None,
        hidden: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare it.

        Args:
            server: ClearML Server.
            file: The policies.
            projects: The ids of the projects whose tasks alone policies may change, by the settings; None: all.
            hidden: Whether hidden tasks have a place, too.
            stopped: Whether the pass has to end. What is not read by then is unknown, and kept.
        """
        self._server = server
        self._file = file
        self._only = projects
        self._hidden = hidden
        self._stopped = stopped
        self._newest: datetime | None = None
        self._last: dict[Place, Newest] = {}
        self._policies: dict[Place, LifecyclePolicy] = {}
        """Where tasks were found, each with the policy."""

    def read(self) -> Ranks:
        """Read all.

        Raises:
            SettingsError: no task has reported a metric.
            CleanupError: the server gives no usable answer: nothing may be deleted then.
        """
        projects = self._projects()
        if projects is not None and not projects:
            return Ranks()
        if not self._list(Query(projects=tuple(sorted(projects or ())), hidden=self._hidden)):
            return Ranks()
        last = {place: newest.boundary for place, newest in self._last.items()}
        return Ranks(last, self._all_best(last), self._newest)

    def _projects(self) -> Collection[str] | None:
        """The projects in which tasks can have a place; None: all."""
        wanted = [policy.match.projects for policy in self._file.policies if policy.keep.is_ranked]
        if any(one is None for one in wanted):
            return self._only
        named = frozenset[str]().union(*(one for one in wanted if one is not None))
        return named if self._only is None else named.intersection(self._only)

    def _list(self, query: Query) -> bool:
        """Find where tasks are, and the newest times there; returns whether it came to the end."""
        for task in self._server.tasks_of(query):
            if self._stopped():
                return False
            self._take(task)
        return True

    def _take(self, task: Task | Unreadable) -> None:
        if isinstance(task, Task) and task.last_update is not None:
            self._newest = max(self._newest or task.last_update, task.last_update)
        policy = ranked(self._file, task)
        if policy is None or isinstance(task, Unreadable):
            return
        place = (policy.name, task.project)
        self._policies[place] = policy
        if policy.keep.last:
            self._last.setdefault(place, Newest(policy.keep.last)).add(task.active)

    def _all_best(self, last: Mapping[Place, datetime | None]) -> dict[tuple[Place, Best], frozenset[TaskId] | None]:
        wanted = [
            (place, best)
            for place, policy in self._policies.items()
            if place not in last or last[place] is not None
            for best in policy.keep.best
        ]
        found: dict[tuple[Place, Best], frozenset[TaskId] | None] = {}
        unseen = {(place[0], best) for place, best in wanted}
        for place, best in wanted:
            leaders = self._leaders(place, best)
            found[place, best] = leaders.ids if leaders is not None else None
            if leaders is None or leaders.has_values:
                unseen.discard((place[0], best))
        for policy, best in sorted(unseen, key=str):
            self._check(policy, best)
        return found

    def _leaders(self, place: Place, best: Best) -> Leaders | None:
        """The best tasks of a project; None if they can't be known."""
        leaders, listed = Leaders(self._file, self._policies[place], best), False
        metric = metric_key(best.title, best.series)
        for found in self._server.best_tasks(place[1], metric, highest=best.order == "max", hidden=self._hidden):
            if self._stopped():
                return None
            listed |= bool(found)
            if not all(map(leaders.add, found)):
                break
        return leaders if listed else None

    def _check(self, policy: str, best: Best) -> None:
        """Check that a metric that no task of the policy's projects has is not misspelled."""
        if self._stopped() or self._server.metric_exists(metric_key(best.title, best.series)):
            return
        message = (
            f"CLEANUP_POLICIES: keep.best of policy {policy!r}: no task has reported the metric {best.metric!r}. Correct or "
            "remove it: an unknown name protects nothing. Case counts; write title: and series: as the Web UI shows them."
        )
        raise SettingsError(message)
