"""ClearML events as the server returns them, and all events of one task or model, page by page.

Behaviour measured on ClearML Server 2.3.0 (API 2.34).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from json import loads
from typing import Annotated, Any, Protocol, TypeVar

from msgspec import Meta, Raw, Struct

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, decoded
from cleanup_job.clearml_api.listing import LARGE
from cleanup_job.errors import AnswerError, LargeAnswerError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Unreadable
from cleanup_job.transport.bounded_http import MOST_BYTES

Shape = TypeVar("Shape")


class Ask(Protocol):
    """Calls the API server and returns the answer's data in a shape. An answer of more than ``most`` bytes is an error."""

    def __call__(self, name: str, body: dict[str, Any], shape: type[Shape], /, *, most: int = MOST_BYTES) -> Shape: ...  # noqa: D102 -- see above


WINDOW = 10_000
"""The most events that Elasticsearch returns in one answer. Older servers count only this far, and report this number for
more."""
PAGES = 10_000
"""The most pages of one task. A server that returns more would never end."""
Found = str | Unreadable
"""A file that an event names, or what can't be read of its owner's events."""
Files = list[tuple[str, Found]]
"""Each with the task or model that it belongs to."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event that may name files."""

    type: str
    label: str
    """Its name for people."""
    page: int
    """Events per page: for an image the server returns only the address, for a plot all of its data."""


IMAGES = Kind("training_debug_image", "debug samples", 5_000)
PLOTS = Kind("plot", "plots", 100)


class Event(Struct, frozen=True):
    """An event that may name files, with the fields that distinguish it from others."""

    iter: int
    url: str = ""
    source_urls: tuple[str, ...] | None = None
    plot_str: str = ""
    metric: str | None = ""
    variant: str | None = ""

    def uris(self) -> Iterator[str]:
        """Every file that it names: the image or media file, or all images of a plot."""
        if self.url:
            yield self.url
        sources = self.source_urls
        if sources is None and self.plot_str:
            sources = _plot_sources(self.plot_str)
        for source in sources or ():
            if not source.startswith("data:"):
                yield source


def _plot_sources(plot: str) -> tuple[str, ...]:
    """The images in a plot itself, for servers that have no ``source_urls``. A user may have reported anything as a plot."""
    try:
        images = (loads(plot).get("layout") or {}).get("images") or []
        return tuple(str(image["source"]) for image in images if image.get("source"))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ()


class _Page(Struct, frozen=True):
    events: tuple[Event, ...]
    total: Annotated[int, Meta(ge=0)]
    scroll_id: str | None = None

    def fingerprint(self) -> int:
        """Distinguishes this page from others of the same task."""
        return hash(tuple((e.metric, e.variant, e.iter, e.url, e.plot_str) for e in self.events))


@dataclass(frozen=True, slots=True)
class Pages:
    """Reads all events of one task or model after the other: no answer about many of them is certain to be complete."""

    ask: Ask
    of_models: bool = False

    def read(self, kind: Kind, owner: str) -> Iterator[Files]:
        """The files of one owner, page by page; or what can't be read of it, or what the server refused.

        Raises:
            AnswerError: the owner does not exist (any more).
            UnreachableError: the server gives no usable answer.
        """
        try:
            yield from self._read(kind, owner)
        except DECODING_ERRORS as error:
            yield [(owner, Unreadable(TaskId(owner), f"{kind.label}: {str(error)[:100]}"))]
        except AnswerError as error:
            if error.says_missing:
                raise
            yield _not_given(owner, kind, str(error))

    def _read(self, kind: Kind, owner: str) -> Iterator[Files]:
        """All pages. By ``total`` the server says how many events there are; if it can't count that far, the pages must end."""
        scroll = _Scroll(self, kind, owner, kind.page)
        for _ in range(PAGES):
            page = scroll.next()
            if page is not None:
                yield [(owner, uri) for event in page.events for uri in event.uris()]
            if scroll.ends:
                break
        else:
            yield _not_given(owner, kind, "the server's pages never end")
            return
        if scroll.got < scroll.total:
            yield _not_given(owner, kind, f"the server gives {scroll.got} of {scroll.total}")

    def body(self, body: dict[str, Any]) -> dict[str, Any]:
        """A request about tasks or about models."""
        return {**body, "model_events": True} if self.of_models else body


@dataclass(slots=True)
class _Scroll:
    """The position in the events of one owner.

    Servers scroll in two ways: older ones by time, up to an empty page; current ones from iteration to iteration, where
    iteration 0 counts as none, so that after it the first page would come again, forever. In descending order nothing
    follows it.
    """

    pages: Pages
    kind: Kind
    owner: str
    size: int
    """Events per page; fewer after a page that was too large."""
    id: str = ""
    got: int = 0
    total: int = 0
    ends: bool = False
    _seen: set[int] = field(default_factory=set)

    def next(self) -> _Page | None:
        """The next page; None if nothing new follows."""
        page = decoded(self._ask(), _Page)
        self.total = page.total
        fingerprint = page.fingerprint()
        if not page.events or fingerprint in self._seen:
            self.ends = True
            return None
        self._seen.add(fingerprint)
        self.got += len(page.events)
        self.id = page.scroll_id or ""
        self.ends = not self.id or (self.got >= page.total and page.total != WINDOW)
        return page

    def _ask(self) -> Raw:
        """The answer with a page that is not too large."""
        while True:
            body: dict[str, Any] = {"task": self.owner, "event_type": self.kind.type, "order": "desc"}
            body |= {"batch_size": self.size, "scroll_id": self.id}
            most = LARGE if self.size > 1 else MOST_BYTES
            try:
                return self.pages.ask("events.get_task_events", self.pages.body(body), Raw, most=most)
            except LargeAnswerError:
                if self.size == 1:
                    raise
                self.size = max(1, self.size // 10)


def _not_given(owner: str, kind: Kind, why: str) -> Files:
    return [(owner, Unreadable(TaskId(owner), f"its {kind.label} can't be read: {why}", refused=True))]
