"""Listings that are read to their end while records change, and that don't slow down with their depth.

The server's `page` and `scroll_id` are offsets into a live query: what is deleted or restored meanwhile shifts the rest, and a record
at the edge of a page is skipped; and each offset is counted from the start. So a listing goes on from a time: oldest
`last_update` first, each page from that of the last record on. A record that changes meanwhile moves to the end, where it is seen.
Offsets are left for what this can't tell apart: more records of one moment than fit on a page, and those without the field, which
the server lists last.

A short page is not the end of a listing where a server caps pages lower than asked for. So a listing is read to its empty
page, unless its last page is smaller than one that this server has been seen to give.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

from cleanup_job.server.parse import Document, documents, when

MANY = 500
"""ClearML's own cap on a page."""
FIELD = "last_update"


class Listings:
    """Reads listings of tasks, models and projects. Safe to use from many threads."""

    def __init__(self, call: Callable[[str, dict[str, Any]], dict[str, Any]], page_size: int) -> None:
        """``page_size``: records a listing call returns unless told otherwise, at most 500."""
        self._call = call
        self._page_size = page_size
        self._largest = 0
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
        for document in self._read(service, body, size or self._page_size, since):
            if document["id"] not in seen:
                seen.add(document["id"])
                yield document

    def _read(self, service: str, body: Mapping[str, Any], size: int, since: str) -> Iterator[Document]:
        def page(number: int, edge: str = "", *, by_id: bool = False) -> tuple[list[Document], bool]:
            """A page, and whether it is certain to be the last one; offsets need an order in which no two are equal.

            The field alone is what the server has an index for.
            """
            bound = {FIELD: [f">={edge}"]} if edge else {}
            fields = list(dict.fromkeys([*body["only_fields"], FIELD]))
            order = [FIELD, "id"] if by_id else [FIELD]
            request = {**body, **bound, "order_by": order, "only_fields": fields, "page": number, "page_size": size}
            found = documents(self._call(f"{service}.get_all", request), service)
            ends = not found or len(found) < min(size, self._largest)
            self._largest = max(self._largest, len(found))
            return found, ends

        found, ends = page(0, since)
        yield from found
        if ends:
            return
        if len(found) < size and not page(1, since)[0]:
            return
        read, edge, number, by_id = len(found), str(found[-1].get(FIELD) or ""), 0, False
        at_edge = {d["id"] for d in found if d.get(FIELD) == edge}
        while edge and not ends:
            found, ends = page(number, edge, by_id=by_id)
            if any(_before(d, edge) for d in found):  # a server that ignores the bound: offsets are all there is
                read = 0
                break
            yield from found
            read += sum(d["id"] not in at_edge for d in found)
            last = str(found[-1].get(FIELD) or "") if found else edge
            if last != edge:
                edge, number, by_id, at_edge = last, 0, False, {d["id"] for d in found if d.get(FIELD) == last}
            else:  # all of one moment, or the end
                number, by_id = number + by_id, True
                at_edge.update(d["id"] for d in found)
        if since and read:
            return
        # Records without the field: a page earlier than they should begin, since others may have left meanwhile.
        for number in count(max(0, read // self._largest - 1)):
            found, ends = page(number, by_id=True)
            yield from found
            if ends:
                return


def _before(document: Document, edge: str) -> bool:
    moment, bound = when(document.get(FIELD)), when(edge)
    return moment is not None and bound is not None and moment < bound
