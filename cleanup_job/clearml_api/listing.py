"""Listings that are read to their end while records change, and that don't become slower the further they get.

The server's `page` and `scroll_id` are offsets into a live query: if records are deleted or restored meanwhile, the rest shifts
and a record at the edge of a page is skipped; and every offset is counted from the start. So a listing continues from a time:
ordered by `last_update`, oldest first, each page starts at the time of the last record. A record that changes meanwhile moves
to the end, where it is seen. Offsets are used only where times can't tell records apart: if more records of one moment exist
than fit on a page, and for records without the field, which the server lists last.

A short page does not mean the end of a listing if a server caps pages below the size asked for. So a listing is read up to its
empty page, unless its last page is smaller than one that this server has already returned.

Records can be large: a page that would exceed ``LARGE`` bytes is asked for again with half as many records, and so are the
following ones.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from threading import Semaphore
from typing import Any, Generic, TypeVar

from msgspec import Raw

from cleanup_job.clearml_api.documents import Entry, text_of, utc, when
from cleanup_job.clearml_api.listed_documents import Malformed, Shape, page
from cleanup_job.clearml_api.parallel import in_parallel
from cleanup_job.errors import LargeAnswerError
from cleanup_job.transport.bounded_http import MOST_BYTES

Id = TypeVar("Id", bound=str)
Record = TypeVar("Record")
PAGE_CAP = 500
"""The most records that ClearML puts on a page."""
FEW = 100
"""Records on a page that looks for records without the field, of which there are hardly any."""
FIELD = "last_update"
SEQUENTIAL = 4_000
"""Documents of a stream that are read page after page: for fewer, slices of time would cost more requests than they save
time."""
SLICES = 32
"""Slices of time in which the rest is read: more than are read at once, since a server's records are not spread evenly."""
AT_ONCE = 4
"""Requests of streams at the same time, all of them together."""
LARGE = 16 * 2**20
"""The most bytes of a page that are read, unless it has a single record: as large as a document in the server's database can
be."""
SPACIOUS = LARGE // 8
"""If a page has fewer bytes than this, the next one is asked for with twice as many records again."""
MARGIN = timedelta(seconds=2)
"""How far before the newest known record a stream starts."""


Call = Callable[[str, dict[str, Any], int], Mapping[str, Raw]]
"""Calls the API server with a body. The last argument is how many bytes the answer may have before it is a
``LargeAnswerError``."""


@dataclass(slots=True)
class _Seen:
    """What is known about a server from its answers."""

    largest: int = 0
    """The most documents that a page ever had: the server's cap is at least that."""


class Listings:
    """Reads listings of tasks, models and projects. Safe to use from many threads."""

    def __init__(self, call: Call, page_size: int) -> None:
        """``page_size``: records that a listing call returns unless told otherwise, at most 500."""
        self.call = call
        self.page_size = page_size
        self.seen = _Seen()
        self._turns = Semaphore(AT_ONCE)

    def in_turn(self, name: str, body: dict[str, Any], most: int) -> Mapping[str, Raw]:
        """Call the server as one of the ``AT_ONCE`` requests of streams."""
        with self._turns:
            return self.call(name, body, most)

    def by(self, call: Call) -> "Listings":
        """The same listings with another way to call the server."""
        other = copy(self)
        other.call = call
        return other

    def read(self, service: str, body: Mapping[str, Any], shape: type[Shape], size: int = 0) -> Iterator[Shape | Malformed]:
        """Each document of a listing once. A document whose id can't be read comes each time that it is met.

        Args:
            service: ``tasks``, ``models`` or ``projects``.
            body: The filters and the fields.
            shape: What each document has to look like.
            size: Documents per page.

        Raises:
            AnswerError: an answer is not a list of documents at all.
        """
        seen: set[str] = set()
        for found in self._pages(Pages(self, service, body, shape, size or self.page_size)):
            twice = {entry.id for entry in found if isinstance(entry, Malformed)}
            for entry in found:
                if not entry.id or entry.id not in seen or entry.id in twice:
                    yield entry
            seen.update(_ids(found) - twice)

    def stream(
        self,
        service: str,
        body: Mapping[str, Any],
        shape: type[Shape],
        turned: Callable[[list[Shape | Malformed]], Sequence[Record]],
        since: str = "",
    ) -> Iterator[Record]:
        """Yield each document of a listing, as a record; one that changes meanwhile may come more than once.

        Remembers no ids, and reads several slices of time at once if there are many documents.

        Args:
            service: ``tasks`` or ``models``.
            body: The filters and the fields.
            shape: What each document has to look like.
            turned: Turns a page of documents into as many records. Called in the thread that has read the page, so what it
                asks the server for (``in_turn``) does not hold up the other slices.
            since: The newest ``last_update`` that was read before. The stream starts a little earlier, since a record is
                written a moment after the time that it carries. Empty: all, including documents without the field.

        Raises:
            AnswerError: an answer is not a list of documents at all.
        """
        pages = partial(Pages, self.by(self.in_turn), service, body, shape, PAGE_CAP)
        known = when(since)
        start = known - MARGIN if known is not None else None
        read, last = 0, None
        is_long = False
        for found in self._pages(pages(), start):
            yield from turned(found)
            read, last = read + len(found), _last_time(found) or last
            is_long = read >= SEQUENTIAL and last is not None and start is None
            if is_long:
                break
        if not is_long or last is None:
            return
        edges = self._edges(last, self._newest(service, body))
        slices = [partial(self._slice, pages(), *edge, turned) for edge in edges]
        for records, new in in_parallel(slices, AT_ONCE):
            read += new
            yield from records
        for found in pages().without_a_time(read):
            yield from turned(found)

    @staticmethod
    def _edges(begin: datetime, newest: datetime | None) -> list[tuple[datetime, datetime | None]]:
        """Slices of equal length from a time to the newest document; the last one has no end."""
        if newest is None:
            return [(begin, None)]
        step = max(newest - begin, timedelta(seconds=1)) / SLICES
        starts = [begin + step * n for n in range(SLICES)]
        return list(zip(starts, [*starts[1:], None], strict=True))

    def _slice(
        self,
        pages: "Pages[Shape]",
        begin: datetime,
        end: datetime | None,
        turned: Callable[[list[Shape | Malformed]], Sequence[Record]],
    ) -> Iterator[tuple[Sequence[Record], int]]:
        """The records of pages that start in a slice of time, and about how many of a page are on no other one.

        The last page may reach beyond the end of the slice, and each begins with the last document of the one before it.
        """
        for found in self._pages(pages, begin):
            last = _last_time(found)
            if end is not None and last is not None and last >= end:
                yield turned(found), max(0, sum(_is_before(entry, end) for entry in found) - 1)
                return
            yield turned(found), max(0, len(found) - 1)

    def _newest(self, service: str, body: Mapping[str, Any]) -> datetime | None:
        """When any of the documents was last changed."""
        request = {**body, "only_fields": ["id", FIELD], "order_by": [f"-{FIELD}", "id"], "page": 0, "page_size": 1}
        return _last_time(page(self.in_turn(f"{service}.get_all", request, LARGE), service, Entry))

    @staticmethod
    def _pages(pages: "Pages[Shape]", since: datetime | None = None) -> Iterator[list[Shape | Malformed]]:
        found, ends = pages(0, since)
        yield found
        # If the first page is not full, it is the only one, provided that the next one has nothing new.
        if ends or (len(found) < pages.size and not _ids(pages(pages.size, since)[0]) - _ids(found)):
            return
        yield from pages.after(found, since)


class Pages(Generic[Shape]):
    """The pages of one listing, each as large as the server lets it be."""

    def __init__(self, listings: Listings, service: str, body: Mapping[str, Any], shape: type[Shape], size: int) -> None:
        self._listings = listings
        self._service = service
        self._body = {**body, "only_fields": list(dict.fromkeys([*body["only_fields"], FIELD]))}
        self._shape = shape
        self._most = self.size = size
        """Records of a page; fewer after one that was too large."""
        self._is_spacious = False
        self._before: set[str] = set()
        self._same = 0
        """How many pages in a row had what the page before had."""

    def __call__(
        self, start: int, edge: datetime | None = None, *, by_id: bool = False
    ) -> tuple[list[Shape | Malformed], bool]:
        """The page that contains the record at an offset, and whether it is certainly the last one.

        Offsets need an order in which all records differ. For the field alone the server has an index.
        """
        # For projects the server expects both ends of a range, of which one may be open; it refuses an operator.
        bounds = ([text_of(edge), None] if self._service == "projects" else [f">={text_of(edge)}"]) if edge else []
        return self.at(start, [FIELD, "id"] if by_id else [FIELD], bounds)

    def at(self, start: int, order: Sequence[str], bounds: Sequence[str | None] | None) -> tuple[list[Shape | Malformed], bool]:
        """The page that contains the record at an offset, and whether it is certainly the last one.

        Args:
            start: The offset, in records.
            order: The fields to order by, in the API's form.
            bounds: The range of ``last_update``, in the API's form; may be empty.

        Raises:
            AnswerError: the answer is not a list of documents at all.
        """
        bound = {FIELD: list(bounds)} if bounds else {}
        data = self._ask({**self._body, **bound, "order_by": order}, start)
        found = page(data, self._service, self._shape)
        self._is_spacious = memoryview(data[self._service]).nbytes < SPACIOUS
        ids, listings = _ids(found), self._listings
        self._same = self._same + 1 if start >= self.size and ids == self._before else 0
        self._before = ids
        repeats = self._same > 1  # a server that returns the same page forever; once, as many records may have come before it
        ends = not found or repeats or len(found) < min(self.size, listings.seen.largest)
        listings.seen.largest = max(listings.seen.largest, len(found))
        return found, ends

    def _ask(self, request: dict[str, Any], start: int) -> Mapping[str, Raw]:
        """The answer that contains the record at an offset, with as many records as are not too large together."""
        if self._is_spacious:  # not earlier: the size is needed to know where the last page ended
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
        """The offset of the first record after the page that contains the record at an offset."""
        return (start // self.size + 1) * self.size

    def after(self, found: list[Shape | Malformed], since: datetime | None) -> Iterator[list[Shape | Malformed]]:
        """What follows a first page."""
        read = yield from self._on_from(found)
        if not since or not read:
            yield from self.without_a_time(read)

    def _on_from(self, found: list[Shape | Malformed]) -> Generator[list[Shape | Malformed], None, int]:
        """Continue from time to time; return how many were read, or 0 if the server ignores the bound."""
        read, edge, start, by_id, ends = len(found), _last_time(found), 0, False, False
        at_edge = _ids_at(edge, found)
        while edge and not ends:
            found, ends = self(start, edge, by_id=by_id)
            if any(_is_before(d, edge) for d in found):  # then only offsets work
                return 0
            yield found
            read += len(_ids(found) - at_edge)
            last = _last_time(found) if found else edge
            if start and (ends or last != edge):
                yield from self._skipped(edge, at_edge | _ids(found))
            if last != edge:
                edge, start, by_id, at_edge = last, 0, False, _ids_at(last, found)
            else:  # all of one moment, or the end
                start, by_id = self.next(start) if by_id else 0, True
                at_edge |= _ids(found)
        return read

    def _skipped(self, moment: datetime, known: set[str]) -> Iterator[list[Shape | Malformed]]:
        """Yield records of a moment that offsets skipped, since others left meanwhile: read again until none is new."""
        is_new = True
        while is_new:
            is_new, start, ends = False, 0, False
            while not ends:
                found, ends = self(start, moment, by_id=True)
                new = [entry for entry in found if entry.id not in known and _time(entry) == moment]
                if new:
                    is_new = True
                    known |= _ids(new)
                    yield new
                ends = ends or _last_time(found) != moment
                start = self.next(start)

    def without_a_time(self, read: int) -> Iterator[list[Shape | Malformed]]:
        """Yield records without the field: from the page where they should begin, or earlier if records left meanwhile."""
        self._most = self.size = max(1, min(FEW if read else self.size, self.size, self._listings.seen.largest))
        start, self._before = max(0, read - 1), set()
        found, ends = self(start, by_id=True)
        while start >= self.size and not any(map(_time, found)):  # again, if others left while it was looked for
            start = self._last_with_a_time(start)
            found, ends = self(start, by_id=True)
        yield found
        while not ends:
            start = self.next(start)
            found, ends = self(start, by_id=True)
            yield found

    def _last_with_a_time(self, high: int) -> int:
        """The offset of the last page before one without any time that has a time; 0 if there is none.

        Looked for by ever larger steps down, and then by halves: a stream's estimate may be too high by many pages, where
        several records have the same time.
        """
        high, step = high // self.size * self.size, self.size
        low = max(0, high - step)
        while low >= self.size and not self._has_a_time(low):
            high, low, step = low, max(0, low - 2 * step), 2 * step
        while self.next(low) < high:
            middle = max(self.next(low), (low + high) // 2)
            low, high = (middle, high) if self._has_a_time(middle) else (low, middle)
        return low

    def _has_a_time(self, start: int) -> bool:
        return any(map(_time, self(start, by_id=True)[0]))


def chunks(ids: Iterable[Id], size: int = PAGE_CAP) -> Iterator[list[Id]]:
    """Lists of at most ``size`` ids. None if there are no ids: the server treats an empty list as no filter at all."""
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk


def _ids(found: Sequence[Shape | Malformed]) -> set[str]:
    return {entry.id for entry in found}


def _ids_at(moment: datetime | None, found: Sequence[Shape | Malformed]) -> set[str]:
    return {entry.id for entry in found if _time(entry) == moment}


def _time(entry: Shape | Malformed) -> datetime | None:
    return utc(entry.last_update)


def _last_time(found: Sequence[Shape | Malformed]) -> datetime | None:
    """The time of the last document that can be read; None if it has none, like the last ones of a listing."""
    return next((_time(entry) for entry in reversed(found) if not isinstance(entry, Malformed)), None)


def _is_before(entry: Shape | Malformed, edge: datetime) -> bool:
    moment = _time(entry)
    return moment is not None and moment < edge
