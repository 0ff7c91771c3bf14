"""The newest-first listing gives each task that does not change once, whatever else changes between any two requests."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from cleanup_job.clearml_api import newest_first
from cleanup_job.clearml_api.documents import Entry, TagsOf
from cleanup_job.clearml_api.listing import Call, Listings
from cleanup_job.clearml_api.newest_first import NewestFirst
from cleanup_job.errors import AnswerError, LargeAnswerError
from cleanup_job.planning.sharding import ALONE, Share

T = TypeVar("T")
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def ago(**since: float) -> datetime:
    return NOW - timedelta(**since)


@dataclass
class Server:
    """The tasks of a server by their ids, and how it answers. A task without a time comes last, as on the real server."""

    tasks: dict[str, datetime | None]
    cap: int = 500
    broken: frozenset[str] = frozenset()
    """Those whose ``last_update`` can't be read in answers."""
    untagged: frozenset[str] = frozenset()
    """Those without their tags in answers: malformed, with a time that can be read."""
    large: dict[str, int] = field(default_factory=dict)
    """The sizes of some."""
    limit: int = 10**9
    """How large an answer with more than one task may be."""
    before: Callable[[], object] = lambda: None
    """What happens before each request."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    given: int = 0
    """Records in all answers."""

    def __call__(self, name: str, body: dict[str, Any], _: int) -> dict[str, Raw]:
        assert name == "tasks.get_all"
        self.before()
        self.bodies.append(body)
        found = [
            task for task, moment in self.tasks.items() if all(within(moment, bound) for bound in body.get("last_update", ()))
        ]
        found.sort(key=lambda task: (-(self.tasks[task] or datetime.min.replace(tzinfo=UTC)).timestamp(), task))
        size = min(body["page_size"], self.cap)
        some = found[body["page"] * size :][:size]
        if len(some) > 1 and sum(self.large.get(task, 0) for task in some) > self.limit:
            message = "large"
            raise LargeAnswerError(message)
        self.given += len(some)
        return {"tasks": Raw(json.dumps([self.document(task) for task in some]).encode())}

    def document(self, task: str) -> dict[str, Any]:
        moment = self.tasks[task]
        shown: dict[str, Any] = {"id": task, "tags": []} if task not in self.untagged else {"id": task}
        if task in self.broken:
            return {**shown, "last_update": "yesterday"}
        return {**shown, "last_update": moment.isoformat()} if moment else shown


def within(moment: datetime | None, bound: str) -> bool:
    sign = bound.rstrip("0123456789-T:.+")
    limit = datetime.fromisoformat(bound.removeprefix(sign))
    return moment is not None and {"<": moment < limit, "<=": moment <= limit, ">=": moment >= limit}[sign]


def listing(server: Server, page_size: int = 500, share: Share = ALONE) -> Iterator[str]:
    return listing_of(server, page_size, share)


def listing_of(call: Call, page_size: int = 500, share: Share = ALONE) -> Iterator[str]:
    body = {"only_fields": ["id", "tags"], "system_tags": ["archived"]}
    return (entry.id for entry in NewestFirst(Listings(call, page_size), body, TagsOf, share).read())


MOMENTS = st.sampled_from([None, ago(days=40), ago(days=40, seconds=1), ago(days=41), ago(days=50)]) | st.integers(0, 900).map(
    lambda n: ago(days=30, hours=n)
)
SIZES = st.sampled_from([0] * 12 + [300, 900])


def some(what: st.SearchStrategy[T], most: int) -> st.SearchStrategy[list[T]]:
    """Lists of all lengths alike: left to itself, Hypothesis makes most of them as short as a page."""
    return st.sampled_from(range(0, most + 1, 4)).flatmap(lambda length: st.lists(what, min_size=length, max_size=length))


WHAT = st.sampled_from(["restore", "touch", "take", "take all", "add", ""])


@settings(max_examples=300, deadline=None)
@given(
    tasks=some(st.tuples(MOMENTS, st.sampled_from(["", "", "", "", "", "broken", "untagged"]), SIZES), 40),
    changes=some(st.tuples(st.integers(0, 39), WHAT), 60),
    page_size=st.sampled_from([1, 2, 3, 7, 500]),
    cap=st.sampled_from([1, 2, 5, 500]),
    shards=st.sampled_from([1, 1, 1, 2, 3, 7]),
)
def test_each_that_stays_as_it_is_comes_once(
    tasks: list[tuple[datetime | None, str, int]], changes: list[tuple[int, str]], page_size: int, cap: int, shards: int
) -> None:
    """Between any two requests a task is restored or reported to, the reader deletes of what it was given, one is archived."""
    named = {f"{n * 7919 % 1000:03}": task for n, task in enumerate(tasks)}
    ids = list(named)
    server = Server(
        {task: moment for task, (moment, _, _) in named.items()},
        cap,
        broken=frozenset(task for task, (_, mark, _) in named.items() if mark == "broken"),
        untagged=frozenset(task for task, (_, mark, _) in named.items() if mark == "untagged"),
        large={task: size for task, (_, _, size) in named.items()},
        limit=1_000,
    )
    changed: set[str] = set()
    given: list[str] = []
    todo = iter(changes)

    def change() -> None:
        number, what = next(todo, (0, ""))
        task = ids[number % len(ids)] if ids else ""
        if what == "add":
            server.tasks[f"late {number}"] = ago(days=30, hours=number * 23)
        elif what == "take all":
            for one in given:
                server.tasks.pop(one, None)
        elif what == "take" and given:
            server.tasks.pop(given[number % len(given)], None)
        elif what and task in server.tasks and task not in given:
            changed.add(task)
            if what == "restore":
                del server.tasks[task]
            else:
                server.tasks[task] = NOW + timedelta(seconds=len(changed))

    server.before = change
    for shard in range(shards):
        for task in listing(server, page_size, Share(shard, shards)):
            given.append(task)  # noqa: PERF402 -- between two of them the reader deletes of what it was given
    # The day of one whose time can't be read is known to the server alone: two shards may meet it.
    same = set(ids) - changed - (server.broken if shards > 1 else set())
    assert sorted(task for task in given if task in same) == sorted(same)


# -- what it costs
def many(count: int, **apart: float) -> dict[str, datetime | None]:
    """Tasks that are as far apart as it says; their ids are in no order of time."""
    return {f"{n * 7919 % 99991:05}": ago(days=30) - n * timedelta(**apart) for n in range(count)}


def test_newest_first_and_each_page_from_the_time_of_the_last_record() -> None:
    server = Server(many(1_700, minutes=7))
    assert list(listing(server)) == list(server.tasks)
    assert [body["page"] for body in server.bodies[:-1]] == [0, 0, 0, 0]
    assert len(server.bodies) == 5  # and a look for those without a time
    assert server.given <= 1_700 + 3 + 100


def test_a_page_is_read_when_it_is_needed() -> None:
    server = Server(many(1_200, minutes=7))
    found = listing(server)
    assert server.bodies == []
    some = [next(found) for _ in range(500)]
    assert len(server.bodies) == 1
    for task in some:
        del server.tasks[task]
    assert next(found) == next(iter(server.tasks))
    assert len(server.bodies) == 2


@pytest.mark.parametrize("tasks", [many(30, minutes=7), many(30, minutes=0), dict.fromkeys(many(30, minutes=1))])
def test_a_small_server_needs_two_requests_and_one_if_larger_pages_were_seen(tasks: dict[str, datetime | None]) -> None:
    server = Server(tasks)
    listings = Listings(server, 500)
    assert sorted(entry.id for entry in NewestFirst(listings, {"only_fields": ["id"]}, Entry).read()) == sorted(tasks)
    assert len(server.bodies) == 2
    listings.seen.largest = 31
    assert len(list(NewestFirst(listings, {"only_fields": ["id"]}, Entry).read())) == 30
    assert len(server.bodies) == 3


def test_no_tasks_one_request() -> None:
    server = Server({})
    assert list(listing(server)) == []
    assert len(server.bodies) == 1


@pytest.mark.parametrize("timeless", [0, 3, 250])
@pytest.mark.parametrize("left", [0, 40, 3_000])
def test_those_without_a_time_are_found_in_few_requests_whatever_was_deleted(timeless: int, left: int) -> None:
    server = Server(many(3_000, minutes=7) | {f"old {n}": None for n in range(timeless)})
    found = listing(server)
    some = [next(found) for _ in range(2_999)]
    for task in some[left:]:
        del server.tasks[task]
    before = len(server.bodies)
    assert sorted(found)[1:] == sorted(f"old {n}" for n in range(timeless))
    assert len(server.bodies) - before <= 2 * 5 + 6


def test_only_what_may_be_met_again_is_remembered() -> None:
    server = Server(many(5_000, minutes=7))
    newest_first = NewestFirst(Listings(server, 100), {"only_fields": ["id"]}, Entry)
    for shard in (ALONE, Share(0, 2)):
        newest_first = NewestFirst(Listings(server, 100), {"only_fields": ["id"]}, Entry, shard)
        assert max(len(newest_first._edge) for _ in newest_first.read()) <= 2 * 100 + 24 * 60 / 7
        assert not newest_first._timeless


# -- servers that can't be listed so
def test_a_server_that_ignores_the_bounds_is_named() -> None:
    server = Server(many(1_200, minutes=7))
    with pytest.raises(AnswerError, match=r"tasks\.get_all: the server ignores the bounds <=2026-.* of last_update"):
        list(listing_of(lambda name, body, most: server(name, {**body, "last_update": []}, most)))


def test_a_task_without_a_time_within_bounds_means_that_they_are_ignored() -> None:
    server = Server(many(500, minutes=7))
    late = Server(dict.fromkeys(many(3, minutes=7)))
    with pytest.raises(AnswerError, match="it gave a task of no time"):
        list(
            listing_of(
                lambda name, body, most: (late if "last_update" in body else server)(name, {**body, "last_update": []}, most)
            )
        )


def test_a_server_that_ignores_the_order_is_named() -> None:
    server = Server(many(700, minutes=7))

    def oldest_first(name: str, body: dict[str, Any], most: int) -> dict[str, Raw]:
        answer = json.loads(bytes(server(name, body, most)["tasks"]))
        return {"tasks": Raw(json.dumps(answer[::-1]).encode())}

    with pytest.raises(AnswerError, match="the server ignores the order by last_update"):
        list(listing_of(oldest_first))


def test_a_server_that_ignores_the_page_ends() -> None:
    server = Server(dict.fromkeys(many(700, minutes=0), NOW))
    found = list(listing_of(lambda name, body, most: server(name, {**body, "page": 0}, most)))
    assert len(found) == len(set(found)) == 500


def test_pages_that_never_come_again_end_the_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_first, "READINGS", 20)
    numbers = count()

    def other(_: str, body: dict[str, Any], __: int) -> dict[str, Raw]:
        some = range(500 if not body["page"] else 3)
        return {"tasks": Raw(json.dumps([{"id": f"{next(numbers)}", "last_update": NOW.isoformat()} for _ in some]).encode())}

    with pytest.raises(AnswerError, match="in another order each time"):
        list(listing_of(other))


# -- shards
@pytest.mark.parametrize("shards", [2, 3, 7, 10])
@pytest.mark.parametrize(("minutes", "gap"), [(7, 0), (90, 0), (3, 400)])
def test_shards_list_as_many_records_together_as_one_alone_in_few_requests(shards: int, minutes: int, gap: int) -> None:
    tasks = many(3_000, minutes=minutes)
    for task in list(tasks)[1_500:]:
        tasks[task] = (tasks[task] or NOW) - timedelta(days=gap)
    alone = Server(tasks)
    list(listing(alone))
    servers = [Server(tasks) for _ in range(shards)]
    for shard, server in enumerate(servers):
        share = Share(shard, shards)
        assert list(listing(server, share=share)) == [task for task, moment in tasks.items() if share.owns(moment)]
    days = len({moment.date() for moment in tasks.values() if moment})
    look_for_those_without_a_time = 2 * 8 * 100
    assert sum(server.given for server in servers) <= alone.given + 2 * days + look_for_those_without_a_time
    assert sum(len(server.bodies) for server in servers) <= 2 * days + len(alone.bodies) + 14 * shards


def test_those_without_a_time_belong_to_the_first_shard() -> None:
    server = Server(dict.fromkeys(many(30, minutes=0)))
    assert sorted(listing(server, share=Share(0, 3))) == sorted(server.tasks)
    assert list(listing(server, share=Share(2, 3))) == []
