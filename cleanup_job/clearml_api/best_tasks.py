"""The tasks of a project in the order of a metric, as the server has it (recording ``list_by_metric``)."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from typing import Any, Final

from msgspec import Raw

from cleanup_job.clearml_api import documents
from cleanup_job.clearml_api.listed_documents import Malformed, page
from cleanup_job.clearml_api.listing import PAGE_CAP
from cleanup_job.clearml_api.task_reader import TaskReader
from cleanup_job.errors import AnswerError
from cleanup_job.planning.records import Scored

FIRST_PAGE = 50
"""Tasks on the first page: few are wanted as a rule."""
READINGS = 10
"""How often a listing begins again, because tasks went away while it was read, before that is an error."""
CALL = "tasks.get_all"


class _ScoredEntry(documents.TaskEntry, frozen=True, kw_only=True):
    """A task with the summary of one metric."""

    last_metrics: Any = None
    """By the hash of the title and that of the series, as far as these are there."""


class _Metrics(documents.Entry, frozen=True, kw_only=True):
    """What a task has reported."""

    last_metrics: Any = None


_Entry = _ScoredEntry | Malformed
_Page = Callable[[int, int], list[_Entry]]
"""Reads a page by its number and size."""


class _Missing:
    """The metric is not in the record at all."""


_MISSING: Final = _Missing()


class BestTasks(TaskReader):
    """Reads the tasks of a project, the best ones first."""

    def best_tasks(self, project: str, metric: str, *, highest: bool, hidden: bool = False) -> Iterator[list[Scored]]:
        """Pages of the tasks of one project, without its sub-projects, the best value of a metric first.

        By the server's own order: the largest value that each task ever reported, descending, or the smallest, ascending; tasks
        with equal values by id. Archived ones are among them; those tagged ``hidden`` are not, unless that is asked for.

        What is not a number comes before or behind all numbers, depending on the direction (NaN counts as less than any), and
        tasks without the metric come last: the iterator ends with the page that has the first of these. A task may be gone, or
        have another value, by the time that it is looked at.

        Args:
            project: The project's id.
            metric: ``<MD5 of the title>.<MD5 of the series>``, as ``planning.metric_key`` gives it.
            highest: Whether the highest value is the best, or the lowest.
            hidden: Whether hidden tasks are listed, too.

        Raises:
            AnswerError: an answer can't be read, the server ignores the order, or tasks go away faster than they can be listed.
        """
        bound = "max_value" if highest else "min_value"
        body = {
            "project": [project],
            "order_by": [f"{'-' * highest}last_metrics.{metric}.{bound}", "id"],
            "only_fields": [*self._task_fields, f"last_metrics.{metric}"],
            **({"search_hidden": True} if hidden else {}),
        }

        def value(entry: _Entry) -> float | _Missing | None:
            return _value(entry, (*metric.split("."), bound))

        def read(number: int, size: int) -> list[_Entry]:
            found = page(self._ask_metrics({**body, "page": number, "page_size": size}), "tasks", _ScoredEntry)
            numbers = [one for one in map(value, found) if isinstance(one, float)]
            if any((later > one) if highest else (later < one) for one, later in pairwise(numbers)):
                message = f"{CALL}: the server ignores the order by last_metrics.{metric}.{bound}"
                raise AnswerError(message)
            self._listings.seen.largest = max(self._listings.seen.largest, len(found))
            return found

        for found in _Pages(read, lambda: self._listings.seen.largest).read():
            values = [value(entry) for entry in found]
            yield [
                Scored(self._task(entry), one if isinstance(one, float) else None)
                for entry, one in zip(found, values, strict=True)
                if isinstance(entry, Malformed) or entry.project == project
            ]
            if isinstance(values[-1], _Missing):
                return

    def metric_exists(self, metric: str) -> bool:
        """Whether any task has reported a metric, including archived and hidden ones, or may have.

        Args:
            metric: As for ``best_tasks``.

        Raises:
            AnswerError: the answer can't be read.
        """
        fields = ["id", f"last_metrics.{metric}"]
        body = {"search_hidden": True, "only_fields": fields, "order_by": [f"-last_metrics.{metric}.max_value", "id"]}
        found = page(self._ask_metrics({**body, "page": 0, "page_size": 10}), "tasks", _Metrics)
        path = (*metric.split("."), "max_value")
        return any(not isinstance(_value(entry, path), _Missing) for entry in found)

    def _ask_metrics(self, body: dict[str, Any]) -> dict[str, Raw]:
        """An answer with values of a metric, among which may be NaN."""
        return self._client.ask(CALL, body, dict[str, Raw], few_tries=self._few_tries, nan_as_null=True)


@dataclass
class _Pages:
    """The pages of one listing by offset, so read that nothing is skipped if tasks are deleted meanwhile.

    Each page begins with the last task of the one before it, or earlier. If that is not there, tasks before it are gone, and
    others may have been skipped: the listing begins again, and gives what it has not given yet.
    """

    page: _Page
    largest: Callable[[], int]
    """The most records that the server ever put on a page."""
    given: set[str] = field(default_factory=set)

    def read(self) -> Iterator[list[_Entry]]:
        """Yield what each page has that was not given before; no page without any.

        Raises:
            AnswerError: a task's id can't be read, or the listing began again too often.
        """
        for _ in range(READINGS):
            whole = yield from self._once()
            if whole:
                return
        message = f"{CALL}: tasks of the project go away faster than their order can be read. Try again later."
        raise AnswerError(message)

    def _once(self) -> Generator[list[_Entry], None, bool]:
        """From the first page on; returns whether it came to the end without losing its place."""
        number, size, last = 0, FIRST_PAGE, ""
        while True:
            found = self.page(number, size)
            ids = [entry.id for entry in found]
            if not all(ids):
                message = f"{CALL}: the id of a task of the project can't be read, so its place in the order can't be known"
                raise AnswerError(message)
            if last and last not in ids:
                return False
            new = [entry for entry in found if entry.id not in self.given]
            self.given.update(ids)
            if new:
                yield new
            if len(found) < max(1, min(size, self.largest())) or ids[-1] == last:
                return True
            last = ids[-1]
            number, size = _next_page(number * size + len(found) - 1)


def _next_page(start: int) -> tuple[int, int]:
    """The number and size of the page that has the task at an offset and the most behind it.

    Among that many sizes there is one that has more than this task left: for offsets below the least common multiple of all.
    """
    size = max(range(PAGE_CAP, PAGE_CAP // 2, -1), key=lambda size: size - start % size)
    return start // size, size


def _value(entry: _Entry | _Metrics, path: Sequence[str]) -> float | _Missing | None:
    """The value by which a task was ordered; None if that is not a finite number, or can't be known."""
    if isinstance(entry, Malformed):
        return None
    found = entry.last_metrics
    for name in path:
        if not isinstance(found, dict):
            return _MISSING if found is None else None
        if name not in found:
            return _MISSING
        found = found[name]
    if isinstance(found, bool) or not isinstance(found, int | float) or not isfinite(found):
        return None
    return float(found)
