"""A listing loses no task while tasks change, and does not go deeper and deeper into offsets."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from cleanup_job.clearml_api import api_reader, listing
from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.documents import Entry
from cleanup_job.clearml_api.listing import Call, Listings
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.errors import AnswerError
from cleanup_job.planning.selection import Query
from cleanup_job.planning.sharding import ALONE, Share
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.store import api_time
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean


def call_of(sandbox: Sandbox) -> Call:
    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret))
    return lambda name, body, most: transport.ask(name, body, dict[str, Raw], most=most)


def listed(sandbox: Sandbox, page_size: int, service: str = "tasks") -> list[str]:
    """Oldest first, as claims are read."""
    body = {"only_fields": ["id"], **({"search_hidden": True, "system_tags": ["archived"]} if service == "tasks" else {})}
    return [entry.id for entry in Listings(call_of(sandbox), page_size).read(service, body, Entry)]


def archived(sandbox: Sandbox, page_size: int, share: Share = ALONE) -> Iterator[str]:
    """Newest first, as a pass reads what it may delete."""
    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret))
    return (task.id for task in ClearMLServer(transport, page_size).archived_tasks(Query(), share))


CHANGES = st.lists(
    st.tuples(st.integers(0, 29), st.sampled_from(["restore", "delete", "touch", "add"])), min_size=20, max_size=20
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES, st.sampled_from([(1, 2), (1, 4), (3, 4), (6, 7)]))
def test_no_task_is_lost_while_tasks_change(sandbox: Sandbox, changes: list[tuple[int, str]], sizes: tuple[int, int]) -> None:
    """Between any two requests a task is restored, deleted, reported to or archived; fewer than a page are of one moment."""
    of_one_moment, page_size = sizes
    world = World(NOW)
    ids = [world.task(f"exp {n}", days_old=40 + n // of_one_moment).id for n in range(30)]
    late = [world.task(f"late {n}", archived=False, days_old=90 + n).id for n in range(30)]
    sandbox.fault = None
    sandbox.load(world.as_dict())
    gone: set[str] = set()
    todo = iter(changes)

    def change(request: Request) -> Fault | None:
        number, what = next(todo, (0, "")) if request.call == "tasks.get_all" else (0, "")
        tasks, key = sandbox.store.tasks, ids[number]
        if what == "add":
            tasks.change(late[number], system_tags=["archived"])
        elif what and key in tasks:
            if what == "delete":
                tasks.pop(key)
            elif what == "restore":
                tasks.change(key, system_tags=[])
            else:
                tasks.change(key, last_update=api_time(NOW + timedelta(seconds=request.number)))
            gone.update({key} if what != "touch" else ())
        return None

    sandbox.fault = change
    found = listed(sandbox, page_size)
    sandbox.fault = None
    assert len(found) == len(set(found))
    assert set(ids) - gone <= set(found)


def test_records_without_the_time_are_listed_too(sandbox: Sandbox) -> None:
    world = World(NOW)
    maker = world.task("maker")
    models = [maker.model(f"m{n}") for n in range(50)]
    sandbox.load(world.as_dict())
    for model in models[::3]:
        sandbox.store.models.change(model.id, last_update=None)
    assert sorted(listed(sandbox, 7, "models")) == sorted(model.id for model in models)


@pytest.mark.parametrize("page_size", [3, 7, 500])
def test_records_without_the_time_are_listed_although_many_others_leave_meanwhile(sandbox: Sandbox, page_size: int) -> None:
    world = World(NOW)
    models = [world.model(f"model {n}", uri="", days_old=40 + n).id for n in range(60)]
    sandbox.load(world.as_dict())
    timeless = models[50:]
    for model in timeless:
        sandbox.store.models.change(model, last_update=None)

    def leave(request: Request) -> Fault | None:
        if "last_update" not in request.body and request.body["page"]:  # the look for them begins
            for model in models[:40]:
                sandbox.store.models.pop(model, None)
        return None

    sandbox.fault = lambda request: leave(request) if request.call == "models.get_all" else None
    assert set(timeless) <= set(listed(sandbox, page_size, "models"))


@pytest.mark.parametrize("page_size", [1, 5, 500])
def test_a_hundred_tasks_of_one_moment(sandbox: Sandbox, page_size: int) -> None:
    world = World(NOW)
    ids = [world.task(f"exp {n}", days_old=50).id for n in range(100)] + [world.task("younger", days_old=40).id]
    sandbox.load(world.as_dict())
    assert sorted(listed(sandbox, page_size)) == sorted(ids)


def test_no_page_is_deeper_than_the_tasks_of_one_moment(sandbox: Sandbox) -> None:
    world = World(NOW)
    for n in range(200):
        world.task(f"exp {n}", days_old=40 + n)
    sandbox.load(world.as_dict())
    sandbox.requests.clear()
    assert len(listed(sandbox, 10)) == 200
    bodies = [r.body for r in sandbox.requests if r.call == "tasks.get_all"]
    assert {body["page"] for body in bodies if "last_update" in body} == {0}
    assert (
        len([body for body in bodies if "last_update" not in body]) <= 3
    )  # the first page, and the look for those without a time


@pytest.fixture
def unbounded(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A server of 60 tasks that ignores bounds of time."""
    world = World(NOW)
    for n in range(60):
        world.task(f"exp {n}", days_old=40 + n)
    sandbox.load(world.as_dict())
    monkeypatch.setattr("clearml_sandbox.api.conditions._in_dates", lambda *_: iter(()))
    monkeypatch.setattr("clearml_sandbox.api.query._limits", lambda _: ("", ""))
    return sandbox


def test_a_server_that_ignores_the_bound_is_read_by_offsets_oldest_first(unbounded: Sandbox) -> None:
    assert len(listed(unbounded, 7)) == 60


def test_a_server_that_ignores_the_bound_ends_the_pass(unbounded: Sandbox) -> None:
    with pytest.raises(AnswerError, match=r"tasks\.get_all: the server ignores the bounds <=2026-"):
        clean(unbounded, page_size=7)
    assert len(unbounded.store.tasks) == 60
    assert len(clean(unbounded).watcher.deleted) == 60  # one page needs no bounds


# -- newest first
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([0, 1, 1, 1, 2, 3, 30, None]), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 29), st.sampled_from(["restore", "delete", "touch", "add", "reader"])), max_size=40),
    st.sampled_from([1, 2, 3, 7]),
    st.sampled_from([1, 1, 2, 3, 7]),
)
def test_each_archived_task_that_stays_comes_once_and_to_one_shard(
    sandbox: Sandbox, ages: list[int | None], changes: list[tuple[int, str]], page_size: int, shards: int
) -> None:
    """Between any two requests a task is restored, deleted, reported to or archived, or the reader deletes what it has."""
    world = World(NOW)
    ids = [world.task(f"exp {n}", days_old=40 + (age or 0)).id for n, age in enumerate(ages)]
    late = [world.task(f"late {n}", archived=False, days_old=39 + n).id for n in range(30)]
    sandbox.fault = None
    sandbox.load(world.as_dict())
    for task in [task for task, age in zip(ids, ages, strict=True) if age is None]:
        sandbox.store.tasks.change(task, last_update=None)
    changed: set[str] = set()
    found: list[str] = []
    todo = iter(changes)

    def change(request: Request) -> Fault | None:
        number, what = next(todo, (0, "")) if request.call == "tasks.get_all" else (0, "")
        tasks, key = sandbox.store.tasks, ids[number % len(ids)]
        if what == "add":
            tasks.change(late[number], system_tags=["archived"])
        elif what == "reader":
            for task in found[number:]:
                tasks.pop(task, None)
        elif what and key in tasks and key not in found:
            changed.add(key)
            if what == "delete":
                tasks.pop(key)
            else:
                tasks.change(key, **({"system_tags": []} if what == "restore" else {"last_update": api_time(NOW)}))
        return None

    sandbox.fault = change
    for shard in range(shards):
        for task in archived(sandbox, page_size, Share(shard, shards)):
            found.append(task)  # noqa: PERF402 -- between two of them the reader deletes what it has
    sandbox.fault = None
    same = set(ids) - changed
    assert sorted(task for task in found if task in same) == sorted(same)


def test_a_task_of_the_future_comes_first(sandbox: Sandbox) -> None:
    world = World(NOW)
    ids = [world.task(f"exp {n}", days_old=n - 30).id for n in range(60)]
    sandbox.load(world.as_dict())
    assert list(archived(sandbox, 7)) == ids
    assert list(archived(sandbox, 500)) == ids


def test_deep_pages_of_an_archive_are_as_cheap_as_the_first(sandbox: Sandbox) -> None:
    """No page number, and a bound, but for the first page and the look for tasks without a time."""
    world = World(NOW)
    for n in range(200):
        world.task(f"exp {n}", days_old=40 + n)
    sandbox.load(world.as_dict())
    sandbox.requests.clear()
    ids = list(archived(sandbox, 10))
    assert len(ids) == 200
    bodies = [r.body for r in sandbox.requests if r.call == "tasks.get_all"]
    assert [body["page"] for body in bodies if "last_update" in body] == [0] * 22
    assert len(bodies) <= 22 + 3


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 300, 900, 2_000, 5_000]), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_large_records_are_read_in_smaller_pages(
    sandbox: Sandbox, records: list[tuple[int, bool]], page_size: int, timeless: int
) -> None:
    """Each is larger than a page may be, or many together are; some share a moment, others have none."""
    world = World(NOW)
    ids = [world.task(f"exp {n}", days_old=90 if of_one_moment else 40 + n).id for n, (_, of_one_moment) in enumerate(records)]
    sandbox.load(world.as_dict())
    for task, (size, _) in zip(ids, records, strict=True):
        sandbox.store.tasks.change(task, tags=["x" * size])
    for task in ids[:timeless]:
        sandbox.store.tasks.change(task, last_update=None)
    sizes: list[int] = []

    def ask(name: str, body: dict[str, Any], most: int) -> dict[str, Raw]:
        limited = min(most, 3_000) if body["page_size"] > 1 else most
        answer = transport.ask(name, body, dict[str, Raw], most=limited)
        sizes.append(body["page_size"])
        return answer

    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret))
    body = {"only_fields": ["id", "tags"], "system_tags": ["archived"]}
    found = [entry.id for entry in Listings(ask, page_size).read("tasks", body, Entry)]
    assert sorted(found) == sorted(ids)
    assert max(sizes) <= page_size


def test_pages_grow_again_behind_large_records(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LARGE", 8_000)
    monkeypatch.setattr(listing, "SPACIOUS", 4_000)
    world = World(NOW)
    ids = [world.task(f"exp {n}", days_old=400 - n).id for n in range(200)]
    sandbox.load(world.as_dict())
    for task in ids[:20]:
        sandbox.store.tasks.change(task, tags=["x" * 3_000])
    found, sizes = [], []

    def ask(name: str, body: dict[str, Any], most: int) -> dict[str, Raw]:
        answer = transport.ask(name, body, dict[str, Raw], most=most)
        sizes.append(body["page_size"])
        return answer

    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret))
    body = {"only_fields": ["id", "tags"], "system_tags": ["archived"]}
    found = [entry.id for entry in Listings(ask, 32).read("tasks", body, Entry)]
    assert sorted(found) == sorted(ids)
    assert min(sizes) <= 2
    assert sizes[sizes.index(min(sizes)) :].count(32) >= 3


def test_large_records_are_looked_at_again_a_few_at_a_time(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews of artifacts can be of any size."""
    monkeypatch.setattr(api_reader, "LARGE", 20_000)
    world = World(NOW)
    ids = {world.task(f"exp {n}").id for n in range(30)}
    for task in world.tasks:
        task.artifact("data")
        size = 15_000 if task.document["name"] < "exp 2" else 50_000
        task.document["execution"]["artifacts"][0]["type_data"] = {"preview": "x" * size}
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == ids


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("struct", ['{"a":' * 10_000 + "1" + "}" * 10_000, '{"0": {"job_id": "x", "parents": ' + "[" * 10_000])
def test_a_dataset_that_is_nested_deep_ends_no_pass(sandbox: Sandbox, struct: str, archived: bool) -> None:
    world = World(NOW)
    version = world.dataset("nested", archived=archived)
    version.document["configuration"]["Dataset Struct"]["value"] = struct
    others = {world.dataset("data").id, world.task("exp").id}
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted >= others
