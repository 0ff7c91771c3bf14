"""Events as the server gives them, and those of one task or model: all of them, page after page.

Behaviour measured on ClearML Server 2.3.0 (API 2.34).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from json import loads
from typing import Annotated, Any, Protocol, TypeVar

from msgspec import Meta, Raw, Struct

from cleanup_job.clearml_api.envelope import MISSHAPEN, decoded
from cleanup_job.clearml_api.listing import LARGE
from cleanup_job.errors import AnswerError, LargeAnswerError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Unreadable
from cleanup_job.transport.bounded_http import MOST_BYTES

Shape = TypeVar("Shape")


class Ask(Protocol):
    """Calls the API server, and gives the answer's data in a shape; an answer of more than ``most`` bytes is an error."""

    def __call__(self, name: str, body: dict[str, Any], shape: type[Shape], /, *, most: int = MOST_BYTES) -> Shape: ...  # noqa: D102 -- see above


WINDOW = 10_000
"""Events that Elasticsearch gives in one answer at most; older servers count to there, and say so much where there are more."""
PAGES = 10_000
"""Pages of one task: more come from a server that never ends."""
Found = str | Unreadable
"""A file that an event names, or what can't be read of its owner's events."""
Files = list[tuple[str, Found]]
"""Each with the task (or model) that it belongs to."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event that may name files."""

    type: str
    words: str
    page: int
    """Events in a page: images are addresses alone, while a plot comes with all its data."""


IMAGES = Kind("training_debug_image", "debug samples", 5_000)
PLOTS = Kind("plot", "plots", 100)


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


class _Page(Struct, frozen=True):
    events: tuple[Event, ...]
    total: Annotated[int, Meta(ge=0)]
    scroll_id: str | None = None


@dataclass(frozen=True, slots=True)
class Pages:
    """Reads all events of one task or model after the other: what no answer about many of them is sure to hold."""

    ask: Ask
    of_models: bool = False

    def read(self, kind: Kind, owner: str) -> Iterator[Files]:
        """The files of one owner, a page at a time; or what can't be read of it, or what the server refused.

        Raises:
            AnswerError: the owner does not exist (any more).
            UnreachableError: the server gives no usable answer.
        """
        try:
            yield from self._read(kind, owner)
        except MISSHAPEN as error:
            yield [(owner, Unreadable(TaskId(owner), f"{kind.words}: {str(error)[:100]}"))]
        except AnswerError as error:
            if error.says_missing:
                raise
            yield _not_given(owner, kind, str(error))

    def _read(self, kind: Kind, owner: str) -> Iterator[Files]:
        """All pages. The server counts them as whole by ``total``; what it can't count to has to come to an end.

        Servers scroll in two ways: older ones by time, to an empty page; those of today from iteration to iteration, where
        iteration 0 counts as none: after it the first page comes again, for ever. Downwards nothing comes after it.
        """
        scroll, got, size, seen = "", 0, kind.page, set[int]()
        for _ in range(PAGES):
            try:
                page = decoded(self._ask(kind, owner, scroll, size), _Page)
            except LargeAnswerError:
                if size == 1:
                    raise
                size = max(1, size // 10)
                continue
            this = hash(tuple((e.metric, e.variant, e.iter, e.url, e.plot_str) for e in page.events))
            if not page.events or this in seen:
                break
            yield [(owner, uri) for event in page.events for uri in event.uris()]
            seen.add(this)
            got += len(page.events)
            scroll = page.scroll_id or ""
            if not scroll or (got >= page.total and page.total != WINDOW):
                break
        else:
            yield _not_given(owner, kind, "the server's pages never end")
            return
        if got < page.total:
            yield _not_given(owner, kind, f"the server gives {got} of {page.total}")

    def _ask(self, kind: Kind, owner: str, scroll: str, size: int) -> Raw:
        body: dict[str, Any] = {"task": owner, "event_type": kind.type, "order": "desc"}
        body |= {"batch_size": size, "scroll_id": scroll}
        return self.ask("events.get_task_events", self.body(body), Raw, most=LARGE if size > 1 else MOST_BYTES)

    def body(self, body: dict[str, Any]) -> dict[str, Any]:
        """A request, of tasks or of models."""
        return {**body, "model_events": True} if self.of_models else body


def _not_given(owner: str, kind: Kind, why: str) -> Files:
    return [(owner, Unreadable(TaskId(owner), f"its {kind.words} can't be read: {why}", refused=True))]
