"""Listings that are read to their end while records change, and that don't slow down with their depth.

The server's `page` and `scroll_id` are offsets into a live query: what is deleted or restored meanwhile shifts the rest, and a
record at the edge of a page is skipped; and each offset is counted from the start. So a listing goes on from a time: oldest
`last_update` first, each page from that of the last record on. A record that changes meanwhile moves to the end, where it is
seen. Offsets are left for what this can't tell apart: more records of one moment than fit on a page, and those without the
field, which the server lists last.

A short page is not the end of a listing where a server caps pages lower than asked for. So a listing is read to its empty
page, unless its last page is smaller than one that this server has been seen to give.

Records can be large: a page that would be of more than ``LARGE`` bytes is asked for anew with half as many records, and the
following ones too.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeVar

from msgspec import Raw

from cleanup_job.clearml_api.documents import Entry, text_of, utc, when
from cleanup_job.clearml_api.misread import Misread, Shape, page
from cleanup_job.clearml_api.side_by_side import at_once
from cleanup_job.errors import LargeAnswerError
from cleanup_job.transport.bounded_http import MOST_BYTES

Id = TypeVar("Id", bound=str)
MANY = 500
"""ClearML's own cap on a page."""
FEW = 100
"""On a page that looks for records without the field: there are hardly any."""
FIELD = "last_update"
SEQUENTIAL = 4_000
"""Documents of a stream that are read one page after the other: slices of time would cost more requests than they save time."""
SLICES = 32
"""Slices of time that the rest is read in: more than are read at once, since servers are not equally busy at all times."""
AT_ONCE = 4
"""Slices that are read at once."""
LARGE = 16 * 2**20
"""Bytes of a page that are read at most, unless it is of one record: as many as the server's database holds in a document."""
SPACIOUS = LARGE // 8
"""Bytes of a page after which twice as many records are asked for again."""
MARGIN = timedelta(seconds=2)
"""How far a stream goes back before the newest record that is known."""


Call = Callable[[str, dict[str, Any], int], Mapping[str, Raw]]
"""Calls the API server with a body; the answer may have so many bytes, or is a ``LargeAnswerError``."""


@dataclass(slots=True)
class _Seen:
    """What a server has been seen to do."""

    largest: int = 0
    """The most documents that one page ever brought: the server's cap is no lower."""


class Listings:
    """Reads listings of tasks, models and projects. Safe to use from many threads."""

    def __init__(self, call: Call, page_size: int) -> None:
        """``page_size``: records a listing call returns unless told otherwise, at most 500."""
        self.call = call
        self._page_size = page_size
        self.seen = _Seen()

    def by(self, call: Call) -> "Listings":
        """The same listings, by another way to call the server."""
        other = copy(self)
        other.call = call
        return other

    def read(
        self, service: str, body: Mapping[str, Any], shape: type[Shape], size: int = 0, since: str = ""
    ) -> Iterator[Shape | Misread]:
        """Each document of a listing once; what has no id that can be read, each time that it is met.

        Args:
            service: ``tasks``, ``models`` or ``projects``.
            body: The filters and the fields.
            shape: What each document has to look like.
            size: Documents a page.
            since: The ``last_update`` to begin with; empty: all, those without the field too.

        Raises:
            AnswerError: an answer is no list of documents at all.
        """
        seen: set[str] = set()
        for found in self._read(_Pages(self, service, body, shape, size or self._page_size), when(since)):
            twice = {entry.id for entry in found if isinstance(entry, Misread)}
            for entry in found:
                if not entry.id or entry.id not in seen or entry.id in twice:
                    yield entry
            seen.update(_ids(found) - twice)

    def stream(self, service: str, body: Mapping[str, Any], shape: type[Shape], since: str = "") -> Iterator[Shape | Misread]:
        """Yield each document of a listing, one that changes meanwhile perhaps more than once.

        Remembers no ids, and reads several slices of time at once where there are many documents.

        Args:
            service: ``tasks`` or ``models``.
            body: The filters and the fields.
            shape: What each document has to look like.
            since: The newest ``last_update`` that was read before: begins shortly earlier, since a record is written a
                moment after the time that it bears. Empty: all, those without the field too.

        Raises:
            AnswerError: an answer is not a list of documents at all.
        """
        known = when(since)
        start = known - MARGIN if known is not None else None
        read, last = 0, None
        for found in self._read(_Pages(self, service, body, shape, MANY), start):
            yield from found
            read, last = read + len(found), _last_time(found) or last
            if read >= SEQUENTIAL and last is not None and start is None:
                break
        else:
            return
        newest = self._newest(service, body)
        step = max(newest - last, timedelta(seconds=1)) / SLICES if newest is not None else timedelta(days=36_500)
        edges = [last + step * n for n in range(SLICES if newest is not None else 1)]
        slices = [
            partial(self._slice, _Pages(self, service, body, shape, MANY), begin, end)
            for begin, end in zip(edges, [*edges[1:], None], strict=True)
        ]
        for found in at_once(slices, AT_ONCE):
            read += len(found)
            yield from found
        for found in _Pages(self, service, body, shape, MANY).without_a_time(read):
            yield from found

    def _slice(self, pages: "_Pages[Shape]", begin: datetime, end: datetime | None) -> Iterator[list[Shape | Misread]]:
        """The pages that begin in a slice of time; the last of them may reach beyond its end."""
        for found in self._read(pages, begin):
            yield found
            last = _last_time(found)
            if end is not None and last is not None and last >= end:
                return

    def _newest(self, service: str, body: Mapping[str, Any]) -> datetime | None:
        """The time of the last change of any of the documents."""
        request = {**body, "only_fields": ["id", FIELD], "order_by": [f"-{FIELD}", "id"], "page": 0, "page_size": 1}
        return _last_time(page(self.call(f"{service}.get_all", request, LARGE), service, Entry))

    @staticmethod
    def _read(pages: "_Pages[Shape]", since: datetime | None) -> Iterator[list[Shape | Misread]]:
        found, ends = pages(0, since)
        yield found
        # A first page that is not full ends the listing, if the next one brings nothing new.
        if ends or (len(found) < pages.size and not _ids(pages(pages.size, since)[0]) - _ids(found)):
            return
        yield from pages.after(found, since)


class _Pages(Generic[Shape]):
    """The pages of one listing."""

    def __init__(self, listings: Listings, service: str, body: Mapping[str, Any], shape: type[Shape], size: int) -> None:
        self._listings = listings
        self._service = service
        self._body = {**body, "only_fields": list(dict.fromkeys([*body["only_fields"], FIELD]))}
        self._shape = shape
        self._most = self.size = size
        """Records of a page; fewer after one that was too large."""
        self._is_spacious = False
        self._before: set[str] = set()

    def __call__(self, start: int, edge: datetime | None = None, *, by_id: bool = False) -> tuple[list[Shape | Misread], bool]:
        """The page with the record at an offset, and whether it is certain to be the last one.

        Offsets need an order in which no two are equal. The field alone is what the server has an index for.
        """
        # Of projects the server wants both ends of a range, of which one may be open; it refuses an operator.
        bound = {FIELD: [text_of(edge), None] if self._service == "projects" else [f">={text_of(edge)}"]} if edge else {}
        order = [FIELD, "id"] if by_id else [FIELD]
        data = self._asked({**self._body, **bound, "order_by": order}, start)
        found = page(data, self._service, self._shape)
        self._is_spacious = memoryview(data[self._service]).nbytes < SPACIOUS
        ids, before, listings = _ids(found), self._before, self._listings
        self._before = ids
        repeats = start >= self.size and ids == before  # a server that gives the same page for ever
        ends = not found or repeats or len(found) < min(self.size, listings.seen.largest)
        listings.seen.largest = max(listings.seen.largest, len(found))
        return found, ends

    def _asked(self, request: dict[str, Any], start: int) -> Mapping[str, Raw]:
        """The answer that holds the record at an offset, of as many records as are not too large together."""
        if self._is_spacious:  # not sooner: the size tells where the last page ended
            self.size = min(self._most, self.size * 2)
        while True:
            paged = {**request, "page": start // self.size, "page_size": self.size}
            try:
                return self._listings.call(f"{self._service}.get_all", paged, LARGE if self.size > 1 else MOST_BYTES)
            except LargeAnswerError:
                if self.size == 1:
                    raise
                self.size //= 2

    def next(self, start: int) -> int:
        """The offset of the first record after the page with the record at an offset."""
        return (start // self.size + 1) * self.size

    def after(self, found: list[Shape | Misread], since: datetime | None) -> Iterator[list[Shape | Misread]]:
        """What comes after a first page."""
        read = yield from self._on_from(found)
        if not since or not read:
            yield from self.without_a_time(read)

    def _on_from(self, found: list[Shape | Misread]) -> Generator[list[Shape | Misread], None, int]:
        """From time to time; gives how many were read, or 0 where the server ignores the bound."""
        read, edge, start, by_id, ends = len(found), _last_time(found), 0, False, False
        at_edge = {d.id for d in found if _time(d) == edge}
        while edge and not ends:
            found, ends = self(start, edge, by_id=by_id)
            if any(_is_before(d, edge) for d in found):  # then offsets are all there is
                return 0
            yield found
            read += len(_ids(found) - at_edge)
            last = _last_time(found) if found else edge
            if last != edge:
                edge, start, by_id, at_edge = last, 0, False, {d.id for d in found if _time(d) == last}
            else:  # all of one moment, or the end
                start, by_id = self.next(start) if by_id else 0, True
                at_edge |= _ids(found)
        return read

    def without_a_time(self, read: int) -> Iterator[list[Shape | Misread]]:
        """Yield records without the field: from the page that they should begin on, or earlier where others left meanwhile."""
        self._most = self.size = max(1, min(FEW if read else self.size, self.size, self._listings.seen.largest))
        start, self._before = max(0, read - 1), set()
        found, ends = self(start, by_id=True)
        while start >= self.size and not any(map(_time, found)):
            start -= self.size
            found, ends = self(start, by_id=True)
        yield found
        while not ends:
            start = self.next(start)
            found, ends = self(start, by_id=True)
            yield found


def chunks(ids: Iterable[Id], size: int = MANY) -> Iterator[list[Id]]:
    """Lists of at most ``size``; none where there are no ids: the server reads an empty list as no filter at all."""
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk


def _ids(found: Sequence[Shape | Misread]) -> set[str]:
    return {entry.id for entry in found}


def _time(entry: Shape | Misread) -> datetime | None:
    return utc(entry.last_update)


def _last_time(found: Sequence[Shape | Misread]) -> datetime | None:
    """Of the last one that can be read; None where that has none, as the last ones of a listing."""
    return next((_time(entry) for entry in reversed(found) if not isinstance(entry, Misread)), None)


def _is_before(entry: Shape | Misread, edge: datetime) -> bool:
    moment = _time(entry)
    return moment is not None and moment < edge
