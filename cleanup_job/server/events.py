"""The files of debug samples and plots.

Many tasks are asked for in one call; where an answer may have been cut off, the task alone is read to its end. The sizes keep
an answer small: plots come with all their data. Behaviour measured on ClearML Server 2.3.0 (API 2.34).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

from cleanup_job.errors import AnswerError
from cleanup_job.server.listing import chunks
from cleanup_job.server.parse import Document, event_uris, readable

Done = TypeVar("Done")
Call = Callable[[str, dict[str, Any]], dict[str, Any]]
WINDOW = 10_000
"""Events that Elasticsearch gives in one answer at most, and counts to at most, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event, and how to ask for it in bulk: the call, its tasks at a time, its iterations of each task."""

    type: str
    bulk: str
    since: tuple[int, int]
    tasks: int
    iterations: int
    page: int


IMAGES = Kind("training_debug_image", "events.debug_images", (2, 7), 100, 32, 5_000)
PLOTS = Kind("plot", "events.plots", (2, 20), 25, 10, 100)
KINDS = (IMAGES, PLOTS)
AHEAD = 4
"""Answers with events that a batch asks for at the same time, and holds at most: a server takes about 5 ms a task and kind."""
Files = list[tuple[str, str]]
"""Files that events name, each with the task (or model) that it belongs to."""


def uris(call: Call, version: tuple[int, int], owners: Sequence[str], *, of_models: bool = False) -> Iterator[tuple[str, str]]:
    """Each file that events name, with the task (or model) it belongs to.

    Args:
        call: Calls the API server. Safe to use from many threads.
        version: The server's API version.
        owners: Ids of tasks, or of models.
        of_models: Whether they are models.

    Raises:
        AnswerError: one of the owners does not exist (any more): subcode 101, for a model 201.
    """
    with _Ahead() as ahead:
        some = [partial(having, call, kind, owners, of_models=of_models) for kind in KINDS]
        there = list(zip(KINDS, ahead.all(some), strict=True))
        jobs = (
            partial(_bulk, call, version, kind, chunk, of_models=of_models)
            for kind, having_any in there
            for chunk in chunks((owner for owner in owners if owner in having_any), kind.tasks)
        )
        for kind, found, alone in ahead.all(jobs):
            yield from found
            for owner in alone:
                yield from ((owner, uri) for uri in _one(call, kind, owner, of_models=of_models))


class _Ahead:
    """Does a few jobs at the same time, and gives what they bring in their order."""

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(AHEAD, "events")
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def all(self, jobs: Iterable[Callable[[], Done]]) -> Iterator[Done]:
        """What each job brings; no more than ``AHEAD`` of them were begun and not given yet."""
        waiting: deque[Future[Done]] = deque()
        for job in jobs:
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
            waiting.append(self._pool.submit(job))
        while waiting:
            yield waiting.popleft().result()


def _bulk(
    call: Call, version: tuple[int, int], kind: Kind, owners: list[str], *, of_models: bool
) -> tuple[Kind, Files, list[str]]:
    """The files of some owners from one answer, and those owners whose events it may not hold for certain."""
    if version < kind.since:
        return kind, [], owners
    body = {"metrics": [{"task": i} for i in owners], "iters": kind.iterations, "model_events": of_models}
    data = call(kind.bulk, body)
    with readable(kind.bulk):
        entries = _entries(data, kind.bulk)
        whole = _whole(entries, kind)
        found = [(i, uri) for i in owners if i in whole for event in _events(entries[i]) for uri in event_uris(event)]
    return kind, found, [i for i in owners if i not in whole]


def having(call: Call, kind: Kind, owners: Sequence[str], *, of_models: bool = False) -> set[str]:
    """Those of these tasks, or models, that have any such events.

    A task's own `metric_stats` does not tell: the server sets it to what the last batch of events brought.
    """
    found: set[str] = set()
    for chunk in chunks(owners):
        body = {"tasks": chunk, "event_type": kind.type}
        data = call("events.get_task_metrics", {**body, "model_events": True} if of_models else body)
        metrics = data.get("metrics")
        if not isinstance(metrics, list):
            message = "events.get_task_metrics: an answer without metrics"
            raise AnswerError(message)
        found |= {str(entry.get("task")) for entry in metrics if entry.get("metrics")}
    return found & set(owners)


def any_of_models(call: Call, models: Sequence[str]) -> bool:
    """Whether any of these models has events of whatever kind: one call in place of one a kind, since hardly any has."""
    for chunk in chunks(models):
        data = call("events.get_multi_task_metrics", {"tasks": chunk, "model_events": True})
        if data.get("metrics") != []:
            return True
    return False


def _entries(data: Document, name: str) -> dict[str, list[Document]]:
    entries = data.get("metrics")
    if not isinstance(entries, list):
        message = f"{name}: an answer without metrics"
        raise AnswerError(message)
    found: dict[str, list[Document]] = {}
    for entry in entries:
        found.setdefault(str(entry.get("task")), []).extend(entry.get("iterations") or ())
    return found


def _whole(entries: dict[str, list[Document]], kind: Kind) -> set[str]:
    """The owners whose events an answer holds for certain: fewer iterations than asked for, and room in the window."""
    if sum(len(i.get("events") or ()) for iterations in entries.values() for i in iterations) >= WINDOW:
        return set()
    return {owner for owner, iterations in entries.items() if len(iterations) < kind.iterations}


def _events(iterations: list[Document]) -> Iterator[Document]:
    for iteration in iterations:
        yield from iteration.get("events") or ()


def _one(call: Call, kind: Kind, owner: str, *, of_models: bool) -> Iterator[str]:
    """All events of one task or model, last iteration first.

    The scroll goes on from the last iteration that it gave, and takes iteration 0 for none: after it, the first page comes
    again, for ever. Upwards that would hide all that lies above a full page of iteration 0; downwards it is the end.
    """
    scroll, got, before = "", 0, None
    while True:
        body: Document = {"task": owner, "event_type": kind.type, "order": "desc"}
        body |= {"batch_size": kind.page, "scroll_id": scroll}
        data = call("events.get_task_events", {**body, "model_events": True} if of_models else body)
        events, total = data.get("events"), data.get("total")
        if not isinstance(events, list) or not isinstance(total, int):
            message = f"events.get_task_events of {owner}: an answer without events and their total"
            raise AnswerError(message)
        with readable("events.get_task_events"):
            page = hash(tuple((e.get("metric"), e.get("variant"), e.get("iter"), e.get("url")) for e in events))
            found = [uri for event in events for uri in event_uris(event)]
        if not events or page == before:
            return
        yield from found
        got += len(events)
        if (got >= total and total != WINDOW) or not events[-1].get("iter"):
            return
        scroll, before = str(data.get("scroll_id") or ""), page
        if not scroll:
            return
