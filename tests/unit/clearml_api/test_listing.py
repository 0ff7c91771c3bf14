"""A stream turns each page into records in the thread that has read it, and keeps to its share of requests."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Lock, current_thread
from time import sleep
from typing import Any

import pytest
from msgspec import Raw

from cleanup_job.clearml_api import listing
from cleanup_job.clearml_api.documents import Entry
from cleanup_job.clearml_api.listed_documents import Malformed
from cleanup_job.clearml_api.listing import AT_ONCE, Listings, Pages

START = datetime(2026, 1, 1, tzinfo=UTC)
BODY = {"only_fields": ["id"]}


class Tasks:
    """A server with so many tasks, one each minute, and some without a time."""

    def __init__(self, count: int, timeless: int = 0) -> None:
        times = [(START + timedelta(minutes=n)).isoformat() for n in range(count)]
        self.documents = [{"id": f"{n:032x}", "last_update": time} for n, time in enumerate(times)]
        self.timeless = [{"id": f"f{n:031x}"} for n in range(timeless)]
        self.now = self.most = self.asked = 0
        self._lock = Lock()

    def call(self, _: str, body: dict[str, Any], __: int) -> Mapping[str, Raw]:
        with self._lock:
            self.now += 1
            self.asked += 1
            self.most = max(self.most, self.now)
        sleep(0.001)  # so that others come meanwhile
        since = body.get("last_update", [">="])[0].removeprefix(">=")
        found = [*(one for one in self.documents if one["last_update"] >= since), *([] if since else self.timeless)]
        if body["order_by"][0].startswith("-"):
            found = list(reversed(self.documents))
        start = body["page"] * body["page_size"]
        with self._lock:
            self.now -= 1
        return {"tasks": Raw(json.dumps(found[start : start + body["page_size"]]).encode())}


Found = Sequence[Entry | Malformed]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE_CAP", 10)
    monkeypatch.setattr(listing, "SEQUENTIAL", 40)


def ids(found: Found) -> list[str]:
    return [entry.id for entry in found]


@pytest.mark.parametrize(("count", "timeless"), [(0, 0), (7, 3), (40, 0), (400, 0), (405, 25)])
def test_each_document_comes_as_the_record_that_it_is_turned_into(count: int, timeless: int) -> None:
    server = Tasks(count, timeless)
    found = set(Listings(server.call, 10).stream("tasks", BODY, Entry, ids))
    assert found == {one["id"] for one in (*server.documents, *server.timeless)}


def test_a_stream_since_a_time_is_turned_too() -> None:
    since = (START + timedelta(minutes=30)).isoformat()
    found = set(Listings(Tasks(100).call, 10).stream("tasks", BODY, Entry, ids, since))
    assert found == {f"{n:032x}" for n in range(30, 100)}


def test_pages_of_slices_are_turned_side_by_side() -> None:
    """What one of them waits for does not hold up the others."""
    together, there = Barrier(AT_ONCE), set()

    def turned(found: Found) -> list[str]:
        name = current_thread().name
        if name.startswith("slice") and name not in there:
            there.add(name)
            together.wait(60)
        return ids(found)

    assert len(set(Listings(Tasks(400).call, 10).stream("tasks", BODY, Entry, turned))) == 400
    assert len(there) == AT_ONCE


def test_several_streams_and_what_they_look_up_share_the_requests_at_a_time() -> None:
    server = Tasks(400)
    listings = Listings(server.call, 10)

    def turned(found: Found) -> list[str]:
        listings.in_turn("tasks.get_all", {"order_by": ["id"], "page": 0, "page_size": 1}, 0)
        return ids(found)

    def read(_: int) -> int:
        return len(set(listings.stream("tasks", BODY, Entry, turned)))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(read, range(3))) == [400, 400, 400]
    assert 1 < server.most <= AT_ONCE


@pytest.mark.parametrize("timeless", [0, 3, 10, 25])
@pytest.mark.parametrize("read", [1, 204, 205, 206, 210, 231, 399, 9_999])
def test_documents_without_a_time_are_found_by_an_estimate_that_is_wrong_by_thousands(read: int, timeless: int) -> None:
    server = Tasks(205, timeless)
    pages = Pages(Listings(server.call, 10), "tasks", BODY, Entry, 10)
    pages(0)
    found = [entry.id for page in pages.without_a_time(read) for entry in page]
    assert [one for one in found if one.startswith("f")] == [one["id"] for one in server.timeless]
    assert server.asked < 30


def test_a_stream_knows_about_where_documents_without_a_time_begin() -> None:
    server, probes = Tasks(4_000, 3), []

    def call(name: str, body: dict[str, Any], most: int) -> Mapping[str, Raw]:
        probes.extend([body["page"]] * (body["order_by"] == ["last_update", "id"]))
        return server.call(name, body, most)

    found = set(Listings(call, 10).stream("tasks", BODY, Entry, ids))
    assert found == {one["id"] for one in (*server.documents, *server.timeless)}
    assert min(probes) > 390
    assert len(probes) < 10


def test_documents_without_a_time_are_found_while_others_leave() -> None:
    server = Tasks(205, 25)
    pages = Pages(Listings(server.call, 10), "tasks", BODY, Entry, 10)
    pages(0)
    leaving = iter(range(60))

    def has_a_time(start: int) -> bool:
        if next(leaving, None) is not None:
            del server.documents[:3]
        return Pages._has_a_time(pages, start)

    pages._has_a_time = has_a_time  # type: ignore[method-assign]  # counts calls
    found = {entry.id for page in pages.without_a_time(9_999) for entry in page}
    assert found >= {one["id"] for one in server.timeless}


def test_documents_of_one_moment_are_found_although_others_of_it_leave_between_two_pages() -> None:
    """Offsets would skip as many: the rest moves up."""
    server = Tasks(35)
    for document in server.documents:
        document["last_update"] = START.isoformat()
    staying = {document["id"] for document in server.documents[5:]}

    def call(name: str, body: dict[str, Any], most: int) -> Mapping[str, Raw]:
        if body["page"] == 2:  # those on the first page of the moment
            server.documents = [document for document in server.documents if document["id"] in staying]
        return server.call(name, body, most)

    assert staying <= set(Listings(call, 10).stream("tasks", BODY, Entry, ids))
