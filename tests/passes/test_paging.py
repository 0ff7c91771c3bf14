"""One pass leaves no task, however many pages its listing has."""

from datetime import timedelta

import pytest

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.errors import RefusedError
from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import api_time
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state


@pytest.mark.parametrize("page_size", [7, 500])
def test_more_than_a_thousand_tasks_are_deleted_in_one_pass(sandbox: Sandbox, page_size: int) -> None:
    world = World(NOW)
    for n in range(1100):
        world.task(f"exp {n}", days_old=31 + n / 100)
    sandbox.load(world.as_dict())
    assert len(clean(sandbox, page_size=page_size).watcher.deleted) == 1100
    assert state(sandbox)[0] == []


def test_a_page_size_of_one(sandbox: Sandbox) -> None:
    world = World(NOW)
    for n in range(30):
        world.task(f"exp {n}").model("weights")
    sandbox.load(world.as_dict())
    assert len(clean(sandbox, page_size=1, batch_size=4).watcher.deleted) == 30


def test_the_budget_ends_a_pass_and_says_how_many_are_left(sandbox: Sandbox) -> None:
    world = World(NOW)
    for n in range(20):
        world.task(f"exp {n}")
    sandbox.load(world.as_dict())
    report = clean(sandbox, max_tasks=7, batch_size=3).report
    assert (report.total().tasks, report.left, report.stopped_by) == (7, 13, "max_tasks")
    assert len(state(sandbox)[0]) == 13


def test_tasks_that_are_kept_do_not_use_up_the_budget(sandbox: Sandbox) -> None:
    world = World(NOW)
    for n in range(5):
        task = world.task(f"kept {n}", days_old=31)
        task.model("w", uri=f"s3://bucket/x/t.{task.id}/w.pt")
    for n in range(5):
        world.task(f"free {n}", days_old=90)
    sandbox.load(world.as_dict())
    assert clean(sandbox, max_tasks=5, batch_size=2).report.total().tasks == 5


def test_the_valve_refuses_before_anything_is_deleted(sandbox: Sandbox) -> None:
    world = World(NOW)
    for n in range(4):
        world.task(f"exp {n}")
    sandbox.load(world.as_dict())
    before = state(sandbox)
    with pytest.raises(RefusedError, match=r"4 tasks are to be deleted.*CLEANUP_REFUSE_ABOVE=3.*CLEANUP_REFUSE_ABOVE=4"):
        clean(sandbox, refuse_above=3)
    assert state(sandbox) == before
    assert clean(sandbox, refuse_above=4).report.total().tasks == 4


@pytest.mark.parametrize("moments", [1, 100_000])
@pytest.mark.parametrize("count", [499, 500, 501, 3000])
def test_projects_are_read_to_their_end(sandbox: Sandbox, count: int, moments: int) -> None:
    """The project that the listing gives last is one to keep; all are of one moment, or each of its own."""
    world = World(NOW)
    goes, stays = world.task("goes", project="first").id, world.task("stays", project="the last").id
    document = world.as_dict()
    blank = document["projects"][0]
    document["projects"] += [
        {
            **blank,
            "id": f"b{n:031x}",
            "name": f"project {n}",
            "last_update": api_time(NOW - timedelta(days=9, seconds=n % moments)),
        }
        for n in range(count - len(document["projects"]))
    ]
    last = next(project for project in document["projects"] if project["name"] == "the last")
    last |= {"id": "f" * 32, "last_update": api_time(NOW - timedelta(days=9))}
    for task in document["tasks"]:
        task["project"] = last["id"] if task["id"] == stays else task["project"]
    sandbox.load(document)
    names = ClearMLServer(ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret)), 500).projects()
    assert (len(names), names[last["id"]]) == (count, "the last")
    assert clean(sandbox, filters={"keep_projects": ("the last",)}).watcher.deleted == {goes}
    assert state(sandbox)[0] == [stays]
