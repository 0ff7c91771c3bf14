"""Reads which archived tasks become old enough on which day. Changes nothing.

rules -> all archived tasks that the filters can match, in pages -> when each is due -> the sizes that records know
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from cleanup_job.passes.ports import Server
from cleanup_job.passes.rules_now import RulesNow
from cleanup_job.planning.claim import task_ids_in
from cleanup_job.planning.forecast import Forecast
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Detail, Task, Unreadable
from cleanup_job.planning.sharding import ALONE
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
        found = Forecast(self._known.now, days)
        listing, read = self._listing(), 0
        while page := list(islice(listing, PAGE)):
            read += len(page)
            days_of = [(task, found.day_of(self._known.rules, task)) for task in self._readable(page, found)]
            coming = [(task, day) for task, day in days_of if day is not None]
            sizes = self._sizes([task.id for task, _ in coming])
            for task, day in coming:
                found.add(day, task.project, sizes.get(task.id, 0))
            self._progress(f"{read:,} archived tasks read")
        return found

    def _listing(self) -> Iterator[Task | Unreadable]:
        rules = self._known.rules
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

    def _sizes(self, ids: Sequence[TaskId]) -> dict[TaskId, int]:
        """The bytes of the artifacts in each task's own folders; of models, debug samples and plots no record has the size."""
        read, _ = self._split.each("sizes", ids, lambda server, some: server.details(some)) if ids else ((), {})
        details = {task: detail for some in read for task, detail in some.items() if isinstance(detail, Detail)}
        return {task: _size(detail) for task, detail in details.items()}


def _size(detail: Detail) -> int:
    return sum(one.size or 0 for one in detail.artifacts if one.mode == "output" and detail.task.id in task_ids_in(one.uri))
