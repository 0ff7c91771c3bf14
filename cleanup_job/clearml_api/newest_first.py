"""A listing of tasks that is read newest first while its reader deletes what it has read.

Ordered by `last_update`, each page reaches from the time of the last record down: never by an offset, which would skip as many
records as were deleted meanwhile. A record that changes moves above, and is left for the next pass. What is remembered are the
ids of the records at that time, and of those without one.

Offsets are used only where times can't tell records apart: more records of one moment than fit on a page, a page on which no
time can be read, and the records without the field, which the server lists last (recording ``list_descending``). Such pages are
read again from the first one on, until each record is found on the same page as before: nothing was deleted in between, so
nothing was skipped.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Generic

from msgspec import UNSET

from cleanup_job.clearml_api.documents import Entry, text_of, utc
from cleanup_job.clearml_api.listed_documents import Malformed, Shape
from cleanup_job.clearml_api.listing import FEW, FIELD, PAGE_CAP, Listings, Pages
from cleanup_job.errors import AnswerError
from cleanup_job.planning.sharding import ALONE, Share

CALL = "tasks.get_all"
ORDER = [f"-{FIELD}", "id"]
"""With the id all records differ, as offsets need it."""
READINGS = 1_000
"""How often the same pages are read before a server counts as one that gives them in another order each time."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A range of time that is still to be listed; without bounds it has records without a time, too."""

    since: datetime | None = None
    until: datetime | None = None
    is_inclusive: bool = True
    """Whether it contains ``until``. ``since`` belongs to it."""

    @property
    def bounds(self) -> list[str]:
        """As the API takes it (recording ``list_descending``)."""
        least = [f">={text_of(self.since)}"] if self.since else []
        most = [f"<{'=' * self.is_inclusive}{text_of(self.until)}"] if self.until else []
        return least + most

    def has(self, moment: datetime) -> bool:
        """Whether a moment is within it."""
        below = self.until is None or moment < self.until or (self.is_inclusive and moment == self.until)
        return below and (self.since is None or moment >= self.since)

    def begins_with(self, moment: datetime) -> bool:
        """Whether it has nothing newer than a moment, which it contains."""
        return self.is_inclusive and self.until == moment

    def down_from(self, moment: datetime, *, is_inclusive: bool = True) -> "_Span":
        """What is left of it from a moment down."""
        return _Span(self.since, moment, is_inclusive)


class NewestFirst(Generic[Shape]):
    """One listing of tasks. Requests are sent as records are asked for; `read` may be called once."""

    def __init__(self, listings: Listings, body: Mapping[str, Any], shape: type[Shape], share: Share = ALONE) -> None:
        """Prepare it.

        Args:
            listings: How to call the server, and what is known of it.
            body: The filters and the fields.
            shape: What each document has to look like.
            share: Of several pods: whose days to list.
        """
        self._listings = listings
        self._body = body
        self._shape = shape
        self._share = share
        self._pages = self._in_pages(listings.page_size)
        self._edge: dict[str, datetime] = {}
        """Those that came and may be met again, each with its time: that from which the listing continues, or below."""
        self._timeless: set[str] = set()
        """All without a time that can be read."""
        self._listed = 0
        """How many with a time came."""
        self._few = FEW
        """Records of a page that looks for those without a time."""
        self._reached: datetime | None = None
        """The time at which a reading by offsets ended."""

    def read(self) -> Iterator[Shape | Malformed]:
        """Each document once, but one whose id can't be read each time that it is met.

        Raises:
            AnswerError: an answer is not a list of documents at all, or the server ignores the order or the bounds.
        """
        if self._share.shards == 1:
            is_whole = yield from self._span(_Span())
            if is_whole:
                return
        else:
            yield from self._days()
        if self._share.owns(None):
            for found in self._until_stable(self._last_pages):
                yield from self._new(found, timed=False)

    # -- by time
    def _days(self) -> Iterator[Shape | Malformed]:
        """The days of this shard. After one without any record, the next record below says where to continue."""
        newest = self._newest(_Span())
        while newest is not None:
            before = -1
            while self._listed > before:
                before = self._listed
                start, end = self._share.slice_below(newest)
                self._forget_above(end)
                yield from self._span(_Span(start, end, is_inclusive=False))
                newest = start - timedelta(microseconds=1)
            newest = self._newest(_Span(until=start, is_inclusive=False))

    def _newest(self, span: _Span) -> datetime | None:
        """The newest time in a span; None if it has no record with a time."""
        found, _ = self._page(self._in_pages(1), span)
        if not found or not isinstance(found[0], Malformed):
            return _first(found)
        for _ in self._until_stable(partial(self._to_a_time, span)):
            pass
        return self._reached

    def _span(self, span: _Span) -> Generator[Shape | Malformed, None, bool]:
        """All in a span; returns whether the listing ended without a bound above, so that nothing at all is left."""
        while True:
            found, ends = self._page(self._pages, span)
            ends = ends or self._is_all(span, found)
            yield from self._new(found)
            if ends:
                return span.until is None
            last = _last(found)
            if last is None:
                for some in self._until_stable(partial(self._to_a_time, span)):
                    yield from self._new(some, timed=False)
                last = self._reached
                if last is None:
                    return span.until is None
            if span.begins_with(last):
                for some in self._until_stable(partial(self._to_the_end, _Span(last, last))):
                    yield from self._new(some)
                span = span.down_from(last, is_inclusive=False)
            else:
                span = span.down_from(last)
            self._forget_above(last)

    def _is_all(self, span: _Span, found: Sequence[Shape | Malformed]) -> bool:
        """Whether a page that is not full has all of a span: a server may put fewer on a page than it was asked for.

        Asked from the page's last record on, with pages of one less, it gives nothing new, and not a whole page. Then no other
        record can have been behind the page's last one, even if some were deleted in between.
        """
        known = {entry.id for entry in found}
        size = len(found) - 1
        if not 1 < size < self._pages.size - 1 or "" in known:
            return False
        rest, ends = self._page(self._in_pages(size), span, size)
        return ends and bool(rest) and known.issuperset(entry.id for entry in rest)

    # -- by offsets
    @staticmethod
    def _until_stable(read: Callable[[], "_Reading[Shape]"]) -> Iterator[list[Shape | Malformed]]:
        """Pages that are read by offsets, again until each record is found on the same page as before."""
        before: dict[str, int] | None = None
        for _ in range(READINGS):
            now: dict[str, int] = {}
            pages = 0
            for start, found in read():
                yield found
                now.update((entry.id, start) for entry in found)
                pages += 1
            if pages == 1 or (before is not None and before.items() <= now.items()):
                return
            before = now
        message = f"{CALL}: the server gives the same tasks in another order each time, so no page can be found again"
        raise AnswerError(message)

    def _to_the_end(self, span: _Span) -> "_Reading[Shape]":
        """The pages of a span."""
        return self._on_from(self._in_pages(self._whole), span, 0)

    def _to_a_time(self, span: _Span) -> "_Reading[Shape]":
        """The pages of a span, up to the first one that has a time."""
        self._reached = None
        for start, found in self._to_the_end(span):
            yield start, found
            self._reached = _first(found)
            if self._reached:
                return

    def _last_pages(self) -> "_Reading[Shape]":
        """The pages from the last one on that has a time: they have all records that have none."""
        expected, size = self._listed * self._share.shards, min(self._few, self._whole)
        self._few = PAGE_CAP  # the next time, since on one page nothing can be skipped
        # The last page that has a time has to leave space behind it, so that it is the last one of all, and read once.
        pages = self._in_pages(size - 1 if size > 1 and expected % size == 0 else size)
        start, found, ends = self._last_with_a_time(pages, max(0, expected - 1))
        yield start, found
        if not ends:
            yield from self._on_from(pages, _Span(), pages.next(start))

    def _last_with_a_time(self, pages: Pages[Shape], start: int) -> tuple[int, list[Shape | Malformed], bool]:
        """The last page that has a time, or the first page; and whether it ends the listing.

        It is looked for from an offset on, where it would be if nothing was deleted: by ever larger steps, then by halves.
        """
        low, high, step = 0, None, pages.size
        while True:
            found, ends = self._page(pages, _Span(), start)
            start = start // pages.size * pages.size
            if _first(found):
                if ends or (high is not None and pages.next(start) >= high):
                    return start, found, ends
                low = start
            elif start == 0:
                return start, found, ends
            else:
                low, high = (low if low < start else 0), start
            if high is None:
                start, step = start + step, step * 2
            else:
                start = low if pages.next(low) >= high else max((low + high) // 2, pages.next(low))

    def _on_from(self, pages: Pages[Shape], span: _Span, start: int) -> "_Reading[Shape]":
        """The pages from an offset on."""
        ends = False
        while not ends:
            found, ends = self._page(pages, span, start)
            yield start, found
            start = pages.next(start)

    # -- pages
    @property
    def _whole(self) -> int:
        """As many records as a page has without being cut: what offsets count in."""
        return max(1, min(self._listings.page_size, self._listings.seen.largest))

    def _in_pages(self, size: int) -> Pages[Shape]:
        return Pages(self._listings, "tasks", self._body, self._shape, size)

    @staticmethod
    def _page(pages: Pages[Shape], span: _Span, start: int = 0) -> tuple[list[Shape | Malformed], bool]:
        """The page of a span that contains the record at an offset, and whether it is certainly the last one.

        Raises:
            AnswerError: it has a record that the span does not, or is in another order.
        """
        found, ends = pages.at(start, ORDER, span.bounds)
        times = [utc(entry.last_update) for entry in found if not isinstance(entry, Malformed)]
        if stray := [time for time in times if not (span.has(time) if time else not span.bounds)]:
            message = (
                f"{CALL}: the server ignores the bounds {' and '.join(span.bounds)} of {FIELD}: it gave a task of "
                f"{text_of(stray[0] or UNSET) or 'no time'}. Without them the listing can't continue while tasks are deleted."
            )
            raise AnswerError(message)
        if not _descend(times):
            message = (
                f"{CALL}: the server ignores the order by {FIELD}. Without it a listing can't continue while tasks are deleted."
            )
            raise AnswerError(message)
        return found, ends

    def _new(self, found: Iterable[Shape | Malformed], *, timed: bool = True) -> Iterator[Shape | Malformed]:
        """Those that did not come before; only those without a time, unless ``timed``."""
        for entry in found:
            moment = utc(entry.last_update)
            if entry.id in self._edge or entry.id in self._timeless or (moment and not timed):
                continue
            if entry.id and moment:
                self._edge[entry.id] = moment
            elif entry.id:
                self._timeless.add(entry.id)
            self._listed += moment is not None
            yield entry

    def _forget_above(self, moment: datetime) -> None:
        self._edge = {task: time for task, time in self._edge.items() if time <= moment}


_Reading = Iterator[tuple[int, list[Shape | Malformed]]]
"""Pages that are read in a row, each with the offset of its first record."""


def _first(found: Iterable[Entry | Malformed]) -> datetime | None:
    return next((moment for entry in found if (moment := utc(entry.last_update))), None)


def _descend(times: Iterable[datetime | None]) -> bool:
    """Whether none is later than the one before it, and what is without a time comes last."""
    return not any(later and (earlier is None or later > earlier) for earlier, later in pairwise(times))


def _last(found: Sequence[Entry | Malformed]) -> datetime | None:
    """The last time on a page. That of a malformed record counts only if there is no other."""
    well_formed = [entry for entry in found if not isinstance(entry, Malformed)]
    return _first(reversed(well_formed)) or _first(reversed(found))
