"""Listings that are read to their end while records change, and that don't slow down with their depth.

The server's `page` and `scroll_id` are offsets into a live query: what is deleted or restored meanwhile shifts the rest, and a
record at the edge of a page is skipped; and each offset is counted from the start. So a listing goes on from a time: oldest
`last_update` first, each page from that of the last record on. A record that changes meanwhile moves to the end, where it is
seen. Offsets are left for what this can't tell apart: more records of one moment than fit on a page, and those without the
field, which the server lists last.

A short page is not the end of a listing where a server caps pages lower than asked for. So a listing is read to its empty
page, unless its last page is smaller than one that this server has been seen to give.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from cleanup_job.server.parse import Document, documents, when

Id = TypeVar("Id", bound=str)
MANY = 500
"""ClearML's own cap on a page."""
FEW = 100
"""On a page that looks for records without the field: there are hardly any."""
FIELD = "last_update"


class Listings:
    """Reads listings of tasks, models and projects. Safe to use from many threads."""

    def __init__(self, call: Callable[[str, dict[str, Any]], dict[str, Any]], page_size: int) -> None:
        """``page_size``: records a listing call returns unless told otherwise, at most 500."""
        self.call = call
        self._page_size = page_size
        self.largest = 0
        """The most documents that one page ever brought: the server's cap is no lower."""

    def read(self, service: str, body: Mapping[str, Any], size: int = 0, since: str = "") -> Iterator[Document]:
        """Each document of a listing once.

        Args:
            service: ``tasks``, ``models`` or ``projects``.
            body: The filters and the fields.
            size: Documents a page.
            since: The ``last_update`` to begin with; empty: all, those without the field too.

        Raises:
            AnswerError: an answer is not what the API promises.
        """
        seen: set[str] = set()
        for page in self._read(service, body, size or self._page_size, since):
            for document in page:
                if document["id"] not in seen:
                    seen.add(document["id"])
                    yield document

    def _read(self, service: str, body: Mapping[str, Any], size: int, since: str) -> Iterator[list[Document]]:
        page = _Pages(self, service, body, size)
        found, ends = page(0, since)
        yield found
        # A first page that is not full ends the listing, if the next one brings nothing new.
        if ends or (len(found) < size and not _ids(page(1, since)[0]) - _ids(found)):
            return
        yield from page.after(found, since)


class _Pages:
    """The pages of one listing."""

    def __init__(self, listings: Listings, service: str, body: Mapping[str, Any], size: int) -> None:
        self._listings = listings
        self._service = service
        self._body = {**body, "only_fields": list(dict.fromkeys([*body["only_fields"], FIELD]))}
        self._size = size
        self._before: set[str] = set()

    def __call__(self, number: int, edge: str = "", *, by_id: bool = False, size: int = 0) -> tuple[list[Document], bool]:
        """A page, and whether it is certain to be the last one; offsets need an order in which no two are equal.

        The field alone is what the server has an index for.
        """
        size = size or self._size
        bound = {FIELD: self._from(edge)} if edge else {}
        order = [FIELD, "id"] if by_id else [FIELD]
        request = {**self._body, **bound, "order_by": order, "page": number, "page_size": size}
        listings, service = self._listings, self._service
        found = documents(listings.call(f"{service}.get_all", request), service)
        ids, before = _ids(found), self._before
        self._before = ids
        repeats = number > 0 and ids == before  # a server that gives the same page for ever
        ends = not found or repeats or len(found) < min(size, listings.largest)
        listings.largest = max(listings.largest, len(found))
        return found, ends

    def _from(self, edge: str) -> list[str | None]:
        """The filter for a time and all that come after it.

        Of projects the server takes a range alone, with null for an open end, and refuses a bound with an operator; tasks and
        models take either, but only newer servers know ranges of them.
        """
        return [edge, None] if self._service == "projects" else [f">={edge}"]

    def after(self, found: list[Document], since: str) -> Iterator[list[Document]]:
        """What comes after a first page."""
        read = yield from self._on_from(found)
        if not since or not read:
            yield from self._without_a_time(read)

    def _on_from(self, found: list[Document]) -> Generator[list[Document], None, int]:
        """From time to time; gives how many were read, or 0 where the server ignores the bound."""
        read, edge, number, by_id, ends = len(found), _time(found), 0, False, False
        at_edge = {d["id"] for d in found if d.get(FIELD) == edge}
        while edge and not ends:
            found, ends = self(number, edge, by_id=by_id)
            if any(_is_before(d, edge) for d in found):  # then offsets are all there is
                return 0
            yield found
            read += len(_ids(found) - at_edge)
            last = _time(found) if found else edge
            if last != edge:
                edge, number, by_id, at_edge = last, 0, False, {d["id"] for d in found if d.get(FIELD) == last}
            else:  # all of one moment, or the end
                number, by_id = number + by_id, True
                at_edge |= _ids(found)
        return read

    def _without_a_time(self, read: int) -> Iterator[list[Document]]:
        """Records without the field: from the page that they should begin on, or from before it where others left meanwhile."""
        size = min(FEW if read else self._size, self._size, self._listings.largest)
        number = max(0, read - 1) // size
        found, ends = self(number, by_id=True, size=size)
        while number and not any(d.get(FIELD) for d in found):
            number -= 1
            found, ends = self(number, by_id=True, size=size)
        yield found
        while not ends:
            number += 1
            found, ends = self(number, by_id=True, size=size)
            yield found


def chunks(ids: Iterable[Id], size: int = MANY) -> Iterator[list[Id]]:
    """Lists of at most ``size``; none where there are no ids: the server reads an empty list as no filter at all."""
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk


def _ids(found: list[Document]) -> set[str]:
    return {document["id"] for document in found}


def _time(found: list[Document]) -> str:
    return str(found[-1].get(FIELD) or "")


def _is_before(document: Document, edge: str) -> bool:
    moment, bound = when(document.get(FIELD)), when(edge)
    return moment is not None and bound is not None and moment < bound
