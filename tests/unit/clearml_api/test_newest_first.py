"""The newest-first listing gives each task that does not change once, whatever else changes between any two requests."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from cleanup_job.clearml_api import newest_first
from cleanup_job.clearml_api.documents import TagsOf
from cleanup_job.clearml_api.listed_documents import Malformed
from cleanup_job.clearml_api.listing import Listings
from cleanup_job.clearml_api.newest_first import NewestFirst
from cleanup_job.errors import AnswerError, LargeAnswerError
from cleanup_job.planning.sharding import ALONE, Share

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

    def __call__(self, name: str, body: dict[str, Any], most: int) -> dict[str, Raw]:
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
    body = {"only_fields": ["id", "tags"], "system_tags": ["archived"]}
    return (entry.id for entry in NewestFirst(Listings(server, page_size), body, TagsOf, share).read())


MOMENTS = st.sampled_from([None, ago(days=40), ago(days=40, seconds=1), ago(days=41), ago(days=50)]) | st.integers(0, 900).map(
    lambda n: ago(days=30, hours=n)
)
SIZES = st.sampled_from([0, 0, 0, 300, 900])
WHAT = st.sampled_from(["restore", "touch", "take", "take all", "add", ""])


@settings(max_examples=300, deadline=None)
@given(
    tasks=st.lists(st.tuples(MOMENTS, st.sampled_from(["", "", "", "broken", "untagged"]), SIZES), max_size=40),
    changes=st.lists(st.tuples(st.integers(0, 39), WHAT), max_size=60),
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
            given.append(task)
    # The day of one whose time can't be read is known to the server alone: two shards may meet it.
    same = set(ids) - changed - (server.broken if shards > 1 else set())
    assert sorted(task for task in given if task in same) == sorted(same)
