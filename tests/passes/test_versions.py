"""Servers of each API version are cleaned alike, each by the calls that it has."""

import json

import pytest

from cleanup_job.clearml_api import event_files, event_pages
from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.capabilities import SINCE, TASKS_DELETE_MANY, Capabilities
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.service_tasks import ServiceTasks
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Deleted, GoneAlready, NotDeleted
from clearml_sandbox.api import older
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state

VERSIONS = [f"2.{minor}" for minor in range(13, 35)]
"""From server 1.1 on; 1.9 has 2.23."""


def full() -> tuple[World, set[str]]:
    """A world with everything that a call may be missing for, and what is due in it."""
    world = World(NOW)
    due = [world.task("completed"), world.task("published", status="published"), world.task("draft", status="created")]
    for task in due:
        task.artifact("data")
        for number in range(3):
            task.image(f"{number}.png", iteration=number)
        task.image("same.png", iteration=2)
        task.plot("plot", images=2)
        task.renamed(f"{task.document['name']} again")
        task.image("late.png")
        task.model("weights")
    model = world.models[0]["id"]
    events = [
        {"type": "training_debug_image", "url": due[0].file("metrics/eval/1.png")},
        {"type": "plot", "plot_str": json.dumps({"layout": {"images": [{"source": due[0].file("metrics/eval/2.png")}]}})},
    ]
    place = {"task": model, "model_event": True, "metric": "eval", "variant": "v", "iter": 0, "timestamp": 1}
    world.events += [{**place, **event} for event in events]
    maker, user = world.task("maker"), world.task("user", archived=False)
    user.input_model(maker.model("used"))
    one, other = world.task("one"), world.task("other")  # they hold on to each other
    one.input_model(other.model("a"))
    other.input_model(one.model("b"))
    world.project("empty/of old")
    return world, {task.id for task in (*due, maker, one, other)}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pass_on_a_server_of_this_version(version: str) -> None:
    world, due = full()
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        before = state(sandbox)
        dry = clean(sandbox, dry_run=True)
        assert state(sandbox) == before
        done = clean(sandbox)
        assert done.watcher.deleted == dry.watcher.deleted == due
        assert done.report.warnings == []
        tasks, models, files = state(sandbox)
        assert tasks == [world.tasks[4].id]
        assert len(models) == 1
        assert [path.rpartition("/")[2] for path in files] == ["used.pt"]
        assert clean(sandbox).watcher.outcomes == {}
        missing = [r.call for r in sandbox.requests if sandbox_lacks(version, r)]
        assert missing == []


def sandbox_lacks(version: str, request: Request) -> bool:
    major, minor = map(int, version.split("."))
    return older.lacks((major, minor), request.call)


@pytest.mark.parametrize("version", ["2.13", "2.15", "2.16", "2.25"])
def test_all_images_are_found_however_old_servers_scroll(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By time, or by iteration: the task wrote its first iterations last, and a page ends at iteration 0."""
    monkeypatch.setattr(event_pages, "IMAGES", event_pages.Kind("training_debug_image", "debug samples", 2))
    monkeypatch.setattr("cleanup_job.clearml_api.event_files.IMAGES", event_pages.IMAGES)
    world = World(NOW)
    task = world.task("task")
    task.model("released", ready=True)
    for time, iteration in enumerate([5, 3, 0, 4, 0, 9]):
        task.image(f"{time}.png", iteration=iteration)
        world.events[-1]["timestamp"] = time
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        assert clean(sandbox).watcher.deleted == {task.id}
        assert [path for path in state(sandbox)[2] if "/metrics/" in path] == []


@pytest.mark.parametrize(("version", "asked"), [("2.27", set()), ("2.28", {"plot", "training_debug_image"})])
def test_whether_any_of_many_tasks_has_events_is_asked_where_the_server_knows(version: str, asked: set[str]) -> None:
    world = World(NOW)
    for number in range(event_files.MANY):
        world.task(f"exp {number}").image("1.png")
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        assert clean(sandbox).watcher.deleted == {task.id for task in world.tasks}
        found = {r.body["event_type"] for r in sandbox.requests if r.call == "events.get_multi_task_metrics"}
        assert found == asked
        assert state(sandbox)[2] == []


@pytest.mark.parametrize("version", ["2.22", "2.34"])
def test_what_is_missing_all_the_same_is_done_in_the_older_way(version: str) -> None:
    """On a server that says more than it has, or behind a proxy that lets some calls through only."""
    world, due = full()
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        newer = ("tasks.delete_many", "models.delete_many", "events.get_multi_task_plots")
        asked: list[str] = []

        def lacks(request: Request) -> Fault | None:
            if request.call not in newer:
                return None
            asked.append(request.call)
            return Fault(404)

        sandbox.fault = lacks
        assert clean(sandbox, batch_size=2, workers=1).watcher.deleted == due
        assert [path.rpartition("/")[2] for path in state(sandbox)[2]] == ["used.pt"]
        assert len(asked) == len(set(asked)), "what is missing is asked for once"


@pytest.mark.parametrize("version", ["2.13", "2.23", "2.30", "2.31"])
def test_a_published_task_is_not_taken_for_one_that_is_gone(version: str) -> None:
    """Up to server 1.16 (API 2.30): "Invalid task id (or task published)"."""
    world = World(NOW)
    task = world.task("released", status="published")
    task.artifact("data")
    task.model("weights")
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        server = ClearMLServer(ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret)))
        answer = server.delete_tasks([TaskId(task.id), TaskId("0" * 32)], force=False)
        assert answer[TaskId("0" * 32)] == GoneAlready()
        if version == "2.31":
            assert answer[TaskId(task.id)] == Deleted(1)
            return
        there = answer[TaskId(task.id)]
        assert isinstance(there, NotDeleted)
        assert there.needs_force
        sandbox.load(world.as_dict())
        done = clean(sandbox)
        assert done.watcher.deleted == {task.id}
        assert done.report.warnings == []
        assert state(sandbox) == ([], [], [])


def test_a_published_task_that_force_does_not_delete_either_fails() -> None:
    world = World(NOW)
    task = world.task("released", status="published")
    with Sandbox(world.as_dict(), max_api_version="2.30") as sandbox:

        def restored(request: Request) -> None:
            if request.call == "tasks.delete_many":
                sandbox.store.tasks.change(task.id, system_tags=[])

        sandbox.fault = restored
        done = clean(sandbox)
        assert done.watcher.failed == {task.id}
        assert done.watcher.outcomes[task.id].reason is Reason.RECORD_ERROR
        assert state(sandbox)[0] == [task.id]


@pytest.mark.parametrize("version", ["2.19", "2.20"])
def test_all_projects_are_found_where_the_server_knows_no_range_of_times(version: str) -> None:
    world = World(NOW)
    task = world.task("kept", project="the last one")
    made: list[Document] = [world.project(f"project {number:04}") for number in range(700)]
    for number, project in enumerate(made):
        project["last_update"] = f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00"
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        server = ClearMLServer(ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret)))
        assert set(server.projects().values()) == {"the last one", *(project["name"] for project in made)}
    assert task.project == "the last one"


@pytest.mark.parametrize("version", ["2.26", "2.27"])
def test_a_tag_is_added_to_a_run(version: str) -> None:
    world = World(NOW)
    task = world.task("run", tags=["before"])
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret))
        ServiceTasks(transport, "DevOps", "Cleanup", "clearml-cleanup").tag(task.id, "after")
        assert sandbox.store.tasks[task.id]["tags"] in (["after", "before"], ["before", "after"])


# -- the table
def test_the_table_tells_and_remembers() -> None:
    capabilities = Capabilities((2, 13))
    assert capabilities.has(TASKS_DELETE_MANY)
    assert not Capabilities((2, 12)).has(TASKS_DELETE_MANY)
    assert {what for what, since in SINCE.items() if not Capabilities(since).has(what)} == set()
