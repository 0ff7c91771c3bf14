"""Reads which archived tasks become old enough on which day. Changes nothing.

rules -> all archived tasks that the filters can match, in pages -> when each is due -> the sizes that records know

With policies it is all tasks that these can match, archived or not, and each with all of its stages.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import islice

from cleanup_job.passes.ports import Server
from cleanup_job.passes.rules_now import RulesNow
from cleanup_job.planning.claim import task_ids_in
from cleanup_job.planning.forecast import Forecast
from cleanup_job.planning.lifecycle.policy import Kind, Slim, Stage
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Detail, Task, Unreadable
from cleanup_job.planning.sharding import ALONE
from cleanup_job.planning.staged import staged_query
from cleanup_job.transport.splitting import Splitting

PAGE = 500
"""Tasks whose sizes are read together."""


class Forecaster:
    """Reads one forecast."""

    def __init__(self, server: Server, known: RulesNow, progress: Callable[[str], None] = lambda _: None) -> None:
        """Nothing is read yet.

        Args:
            server: Where the records are.
            known: The rules, and the moment that they count from.
            progress: Called after each page with what was read so far.
        """
        self._server = server
        self._known = known
        self._progress = progress
        self._split = Splitting(server, server.with_few_tries, server.probe)

    def read(self, days: int) -> Forecast:
        """The forecast for so many days after today.

        Raises:
            CleanupError: the server gives no usable answer.
        """
        with_policies = self._known.rules.lifecycle is not None
        found = Forecast(self._known.now, days, has_policies=with_policies)
        listing, read = self._listing(), 0
        while page := list(islice(listing, PAGE)):
            read += len(page)
            tasks = list(self._readable(page, found))
            if with_policies:
                self._add_stages(found, tasks)
            else:
                self._add_deletions(found, tasks)
            self._progress(f"{read:,} {'' if with_policies else 'archived '}tasks read")
        return found

    def _add_deletions(self, found: Forecast, tasks: Sequence[Task]) -> None:
        days_of = [(task, found.day_of(self._known.rules, task)) for task in tasks]
        coming = [(task, day) for task, day in days_of if day is not None]
        details = self._details([task.id for task, _ in coming])
        for task, day in coming:
            found.add(day, task.project, _size(details.get(task.id)))

    def _add_stages(self, found: Forecast, tasks: Sequence[Task]) -> None:
        rules = self._known.rules
        coming = [(task, day, event) for task in tasks for day, event in found.events_of(rules, task)]
        sized = [(task, day, event) for task, day, event in coming if event.stage is not Stage.ARCHIVE]
        details = self._details(list(dict.fromkeys(task.id for task, _, _ in sized)))
        slimmed = {task.id: event.policy for task, _, event in coming if event.stage is Stage.SLIM}
        slims = {policy.name: policy.slim for policy in rules.lifecycle.file.policies} if rules.lifecycle is not None else {}
        for task, day, event in coming:
            whole, by_slimming = _size(details.get(task.id)), _size(details.get(task.id), slims.get(slimmed.get(task.id, "")))
            known = {Stage.ARCHIVE: 0, Stage.SLIM: by_slimming, Stage.DELETE: whole - by_slimming}
            found.add(day, task.project, known[event.stage], event.stage)

    def _listing(self) -> Iterator[Task | Unreadable]:
        rules = self._known.rules
        if rules.lifecycle is not None:
            query = staged_query(rules)
            return iter(()) if query is None else self._server.tasks_of(query)
        if rules.finds_nothing:  # the server reads an empty list as no filter at all
            return iter(())
        return self._server.archived_tasks(rules.query(), ALONE)

    @staticmethod
    def _readable(page: Sequence[Task | Unreadable], found: Forecast) -> Iterator[Task]:
        for record in page:
            if isinstance(record, Task):
                yield record
            else:
                found.unreadable += 1

    def _details(self, ids: Sequence[TaskId]) -> dict[TaskId, Detail]:
        read, _ = self._split.each("sizes", ids, lambda server, some: server.details(some)) if ids else ((), {})
        return {task: detail for some in read for task, detail in some.items() if isinstance(detail, Detail)}


_ALL = Slim(timedelta(), frozenset(Kind))


def _size(detail: Detail | None, slim: Slim | None = _ALL) -> int:
    """The bytes of the artifacts in a task's own folders, or of those that slimming removes.

    Of models, debug samples and plots no record has the size.
    """
    if detail is None or slim is None:
        return 0
    mine = (one for one in detail.artifacts if one.mode == "output" and detail.task.id in task_ids_in(one.uri))
    return sum(one.size or 0 for one in mine if slim.removes_artifact(one.key))
