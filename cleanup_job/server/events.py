"""The files of debug samples and plots.

Many tasks are asked for in one call; where an answer may have been cut off, the task alone is read to its end. The sizes keep
an answer small: plots come with all their data. Behaviour measured on ClearML Server 2.3.0 (API 2.34).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from json import loads
from typing import Annotated, Any, Protocol, Self, TypeVar

from msgspec import Meta, Raw, Struct

from cleanup_job.paths import TaskId
from cleanup_job.records import Unreadable
from cleanup_job.server.envelope import MISSHAPEN, decoded
from cleanup_job.server.listing import chunks

Done = TypeVar("Done")
Shape = TypeVar("Shape")


class Ask(Protocol):
    """Calls the API server, and gives the answer's data in a shape."""

    def __call__(self, name: str, body: dict[str, Any], shape: type[Shape], /) -> Shape: ...  # noqa: D102 -- see above


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
LEVEL = 100
"""Pages in a row that may end with the same iteration: a server of today holds it whole on one."""
AHEAD = 4
"""Answers with events that a batch asks for at the same time, and holds at most: a server takes about 5 ms a task and kind."""
Found = str | Unreadable
"""A file that an event names, or what can't be read of its owner's events."""
Files = list[tuple[str, Found]]
"""Each with the task (or model) that it belongs to."""


class Event(Struct, frozen=True):
    """An event that may name files, and what tells it from others."""

    iter: int
    url: str = ""
    source_urls: tuple[str, ...] | None = None
    plot_str: str = ""
    metric: str | None = ""
    variant: str | None = ""

    def uris(self) -> Iterator[str]:
        """Every file that it names: the image or media file, and all images of a plot."""
        if self.url:
            yield self.url
        sources = self.source_urls
        if sources is None and self.plot_str:
            sources = _plot_sources(self.plot_str)
        for source in sources or ():
            if not source.startswith("data:"):
                yield source


def _plot_sources(plot: str) -> tuple[str, ...]:
    """Servers before ``source_urls`` leave it to the reader to look into the plot; what its user reported may be anything."""
    try:
        images = (loads(plot).get("layout") or {}).get("images") or []
        return tuple(str(image["source"]) for image in images if image.get("source"))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ()


class _Iteration(Struct, frozen=True):
    events: tuple[Event, ...] = ()


class _Entry(Struct, frozen=True):
    """The events of one task, or model."""

    task: str
    iterations: tuple[_Iteration, ...] = ()


class _Bulk(Struct, frozen=True):
    metrics: tuple[_Entry, ...]


class _Page(Struct, frozen=True):
    events: tuple[Event, ...]
    total: Annotated[int, Meta(ge=0)]
    scroll_id: str | None = None


class _Having(Struct, frozen=True):
    task: str
    metrics: tuple[Raw, ...] = ()


class _Metrics(Struct, frozen=True):
    metrics: tuple[_Having, ...]


def uris(ask: Ask, version: tuple[int, int], owners: Sequence[str], *, of_models: bool = False) -> Iterator[tuple[str, Found]]:
    """Each file that events name, with the task (or model) it belongs to; and each owner whose events can't be read.

    Args:
        ask: Calls the API server. Safe to use from many threads.
        version: The server's API version.
        owners: Ids of tasks, or of models.
        of_models: Whether they are models.

    Raises:
        AnswerError: one of the owners does not exist (any more): subcode 101, for a model 201.
    """
    with _Ahead() as ahead:
        some = [partial(having, ask, kind, owners, of_models=of_models) for kind in KINDS]
        there = list(zip(KINDS, ahead.all(some), strict=True))
        jobs = (
            partial(_bulk, ask, version, kind, chunk, of_models=of_models)
            for kind, having_any in there
            for chunk in chunks((owner for owner in owners if owner in having_any), kind.tasks)
        )
        for kind, found, alone in ahead.all(jobs):
            yield from found
            for owner in alone:
                yield from ((owner, uri) for uri in _one(ask, kind, owner, of_models=of_models))


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
    ask: Ask, version: tuple[int, int], kind: Kind, owners: list[str], *, of_models: bool
) -> tuple[Kind, Files, list[str]]:
    """The files of some owners from one answer, and those owners whose events it may not hold for certain."""
    if version < kind.since:
        return kind, [], owners
    body = {"metrics": [{"task": i} for i in owners], "iters": kind.iterations, "model_events": of_models}
    try:
        answer = decoded(ask(kind.bulk, body, Raw), _Bulk)
    except MISSHAPEN:
        return kind, [], owners  # one by one it shows whose events it is
    entries: dict[str, list[_Iteration]] = {}
    for entry in answer.metrics:
        entries.setdefault(entry.task, []).extend(entry.iterations)
    whole = _whole(entries, kind)
    found: Files = [
        (i, uri) for i in owners if i in whole for iteration in entries[i] for event in iteration.events for uri in event.uris()
    ]
    return kind, found, [i for i in owners if i not in whole]


def having(ask: Ask, kind: Kind, owners: Sequence[str], *, of_models: bool = False) -> set[str]:
    """Those of these tasks, or models, that have any such events; all of them where the answer can't be read.

    A task's own `metric_stats` does not tell: the server sets it to what the last batch of events brought.
    """
    found: set[str] = set()
    for chunk in chunks(owners):
        body = {"tasks": chunk, "event_type": kind.type}
        data = ask("events.get_task_metrics", {**body, "model_events": True} if of_models else body, Raw)
        try:
            found |= {entry.task for entry in decoded(data, _Metrics).metrics if entry.metrics}
        except MISSHAPEN:
            found.update(chunk)
    return found & set(owners)


def any_of_models(ask: Ask, models: Sequence[str]) -> bool:
    """Whether any of these models has events of whatever kind: one call in place of one a kind, since hardly any has."""
    return any(
        _has_any(ask("events.get_multi_task_metrics", {"tasks": chunk, "model_events": True}, Raw)) for chunk in chunks(models)
    )


def _has_any(data: Raw) -> bool:
    try:
        return bool(decoded(data, _Any).metrics)
    except MISSHAPEN:
        return True


class _Any(Struct, frozen=True):
    metrics: tuple[Raw, ...]


def _whole(entries: dict[str, list[_Iteration]], kind: Kind) -> set[str]:
    """The owners whose events an answer holds for certain: fewer iterations than asked for, and room in the window."""
    if sum(len(i.events) for iterations in entries.values() for i in iterations) >= WINDOW:
        return set()
    return {owner for owner, iterations in entries.items() if len(iterations) < kind.iterations}


def _one(ask: Ask, kind: Kind, owner: str, *, of_models: bool) -> Iterator[Found]:
    """All events of one task or model, last iteration first.

    The scroll goes on from the last iteration that it gave, and takes iteration 0 for none: after it, the first page comes
    again, for ever. Upwards that would hide all that lies above a full page of iteration 0; downwards it is the end. Pages
    that lead upwards, or nowhere, can't be read.
    """
    scroll, got, before, reached, level = "", 0, None, None, 0
    while True:
        body: dict[str, Any] = {"task": owner, "event_type": kind.type, "order": "desc"}
        body |= {"batch_size": kind.page, "scroll_id": scroll}
        data = ask("events.get_task_events", {**body, "model_events": True} if of_models else body, Raw)
        try:
            page = decoded(data, _Page)
        except MISSHAPEN as error:
            yield Unreadable(TaskId(owner), f"{kind.type} events: {str(error)[:100]}")
            return
        events = page.events
        this = hash(tuple((e.metric, e.variant, e.iter, e.url) for e in events))
        if not events or this == before:
            return
        last = events[-1].iter
        level = level + 1 if last == reached else 0
        if (reached is not None and last > reached) or level > LEVEL:
            yield Unreadable(TaskId(owner), f"{kind.type} events: pages that never end")
            return
        yield from (uri for event in events for uri in event.uris())
        got += len(events)
        if (got >= page.total and page.total != WINDOW) or not last:
            return
        scroll, before, reached = page.scroll_id or "", this, last
        if not scroll:
            return
