"""What changes tasks without deleting them: nothing but what was asked for changes, and a repeated try does no harm."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.errors import AnswerError, LeaseLostError, SettingsError, UnreachableError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import ARCHIVED_BY, Artifact, Detail, NotDone
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW
from tests.unit.clearml_api.connected import connected, sent

MISSING = TaskId("f" * 32)


@pytest.fixture
def world() -> World:
    return World(NOW)


@pytest.fixture
def server(sandbox: Sandbox) -> ClearMLServer:
    return connected(sandbox)


def record(sandbox: Sandbox, task: TaskBuilder) -> Document:
    return json.loads(json.dumps(sandbox.store.tasks[task.id]))


def ids(*tasks: TaskBuilder) -> list[TaskId]:
    return [TaskId(task.id) for task in tasks]


def once(call: str, fault: Fault, then: Callable[[], None] = lambda: None) -> Callable[[Request], Fault | None]:
    """The first request to an endpoint meets a fault; before the next one to anything, something else happens."""
    met: list[str] = []

    def hook(request: Request) -> Fault | None:
        if met == [call]:
            met.append("")
            then()
        if request.call == call and not met:
            met.append(call)
            return fault
        return None

    return hook


CHANGED = {"last_change", "last_changed_by"}


def changes(before: Document, after: Document) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


# -- the archive
@pytest.mark.parametrize("status", ["completed", "failed", "stopped", "created"])
def test_a_task_is_archived_with_its_reason_and_nothing_else_of_it_changes(
    sandbox: Sandbox, server: ClearMLServer, world: World, status: str
) -> None:
    task = world.task("old", archived=False, status=status, user="Someone")
    sandbox.load(world.as_dict())
    before = record(sandbox, task)
    assert server.archive_tasks(ids(task), message="policy playground: failed") == {}
    now = record(sandbox, task)
    assert changes(before, now) == {"system_tags", "status_reason", "status_message", *CHANGED}
    assert (now["status_reason"], now["status_message"]) == (ARCHIVED_BY, "policy playground: failed")
    assert now["system_tags"] == ["archived"]
    read = server.tasks(ids(task))[ids(task)[0]]
    assert read.status_reason == ARCHIVED_BY
    assert read.last_changed_by == server.me() == "__tests__"


@pytest.mark.parametrize("status", ["in_progress", "queued", "published", "publishing", "closed", "unknown"])
def test_a_task_at_work_or_published_is_not_archived(
    sandbox: Sandbox, server: ClearMLServer, world: World, status: str
) -> None:
    """The server would stop its run, or take it out of its queue."""
    task, other = world.task("busy", archived=False, status=status), world.task("old", archived=False)
    sandbox.load(world.as_dict())
    before = record(sandbox, task)
    assert server.archive_tasks(ids(task, other), message="m") == {task.id: NotDone(0, 0, f"its status is {status}")}
    assert record(sandbox, task) == before
    assert record(sandbox, other)["system_tags"] == ["archived"]


def test_each_task_that_can_not_be_archived_is_named_and_the_others_are(
    sandbox: Sandbox, server: ClearMLServer, world: World
) -> None:
    public, people, plain = (
        world.task("example", archived=False, public=True),
        world.task("by people", archived=True),
        world.task("plain", archived=False),
    )
    odd = world.task("odd", archived=False)
    odd.document["tags"] = None
    sandbox.load(world.as_dict())
    refused = server.archive_tasks([*ids(public, people, plain, odd), MISSING], message="m")
    assert refused.keys() == {public.id, people.id, odd.id, MISSING}
    assert (refused[TaskId(public.id)].status, refused[TaskId(public.id)].subcode) == (403, 21)
    assert refused[TaskId(people.id)].message == "it was archived meanwhile"
    assert refused[MISSING].message == "it does not exist any more"
    assert refused[TaskId(odd.id)].message == "its record can't be read (tags)"
    assert [body["ids"] for body in sent(sandbox, "tasks.archive_many")] == [ids(public, plain)]


def test_archived_by_a_try_whose_answer_was_lost_is_archived(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    task = world.task("old", archived=False)
    sandbox.load(world.as_dict())
    sandbox.fault = once("tasks.archive_many", Fault(after=True))
    assert server.archive_tasks(ids(task), message="m") == {}
    assert len(sent(sandbox, "tasks.archive_many")) == 1


def test_a_task_that_runs_again_between_two_tries_is_left_alone(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    task = world.task("old", archived=False)
    sandbox.load(world.as_dict())
    run = {"status": "in_progress"}
    sandbox.fault = once("tasks.archive_many", Fault(status=503), lambda: sandbox.store.tasks.change(task.id, **run))
    assert server.archive_tasks(ids(task), message="m") == {task.id: NotDone(0, 0, "its status is in_progress")}
    assert record(sandbox, task)["system_tags"] == []


@pytest.mark.parametrize(
    "answer",
    [
        {"succeeded": [], "failed": []},
        {},
        {"succeeded": [{"id": "x"}, {"archived": True}, None], "failed": [{"id": "x"}]},
    ],
)
def test_what_the_answer_does_not_mention_counts_as_not_archived(
    sandbox: Sandbox, server: ClearMLServer, world: World, answer: Any
) -> None:
    task = world.task("old", archived=False)
    sandbox.load(world.as_dict())
    body = json.dumps({"meta": {"result_code": 200}, "data": answer})
    sandbox.fault = once("tasks.archive_many", Fault(status=200, body=body))
    refused = server.archive_tasks(ids(task), message="m")
    assert refused == {task.id: NotDone(0, 0, "the server's answer does not mention it")}


def test_no_tasks_no_request(sandbox: Sandbox, server: ClearMLServer) -> None:
    assert server.archive_tasks([], message="m") == {}
    server.change_tags([], add=["a"])
    server.change_tags([MISSING])
    assert sandbox.requests == []


# -- tags
def test_tags_are_added_and_removed_and_the_rest_stays(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    one, two = world.task("one", tags=["gold", "old"]), world.task("two", status="published")
    sandbox.load(world.as_dict())
    before = [record(sandbox, task) for task in (one, two)]
    server.change_tags(ids(one, two), add=["new"], remove=["old", "never", "new"])
    now = [record(sandbox, task) for task in (one, two)]
    assert [task["tags"] for task in now] == [["gold", "new"], ["new"]]
    for task in range(2):
        assert changes(before[task], now[task]) <= {"tags", *CHANGED}
    server.change_tags(ids(one), remove=["new"])
    assert record(sandbox, one)["tags"] == ["gold"]


def test_one_missing_task_fails_the_call_and_no_tag_changes(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    task = world.task("one")
    sandbox.load(world.as_dict())
    with pytest.raises(AnswerError) as raised:
        server.change_tags([*ids(task), MISSING], add=["new"])
    assert raised.value.says_missing
    assert record(sandbox, task)["tags"] == []


def test_a_server_that_would_lose_tags_is_refused(world: World) -> None:
    task = world.task("one", archived=False)
    with Sandbox(world.as_dict(), max_api_version="2.26") as sandbox:
        server = connected(sandbox)
        for write in (
            server.check_lifecycle,
            lambda: server.change_tags(ids(task), add=["a"]),
            lambda: server.archive_tasks(ids(task), message="m"),
        ):
            with pytest.raises(SettingsError, match=r"needs ClearML Server 1\.13 .* API 2\.26"):
                write()
        assert sandbox.requests == []
        read = server.tasks(ids(task))[ids(task)[0]]
        assert (read.name, read.last_changed_by) == ("one", "")
    with Sandbox(world.as_dict(), max_api_version="2.27") as sandbox:
        connected(sandbox).check_lifecycle()


# -- artifacts
@pytest.fixture
def task(world: World) -> TaskBuilder:
    task = world.task("slim me", user="Someone")
    for name in ("a", "b", "c"):
        task.artifact(name, size=7)
    task.linked_artifact("link", "s3://bucket/input.csv")
    artifacts = task.document["execution"]["artifacts"]
    artifacts[1] |= {
        "type_data": {"preview": "ü" * 9, "content_type": "x/y"},
        "display_data": [["rows", "1,000"]],
        "new": [1.0],
    }
    artifacts.append({**artifacts[0], "mode": "input", "uri": "s3://bucket/a"})
    task.document["execution"] |= {
        "queue": "q", "parameters": {"lr": "0.1"}, "model_labels": {"cat": 1}, "model_desc": {"design": "x"}, "framework": "pt",
    }  # fmt: skip
    return task


def listed(server: ClearMLServer, task: TaskBuilder) -> dict[tuple[str, str], Artifact]:
    detail = server.details(ids(task))[ids(task)[0]]
    assert isinstance(detail, Detail)
    return {(artifact.key, artifact.mode): artifact for artifact in detail.artifacts}


def test_artifacts_go_and_nothing_else_of_the_record_is_lost(
    sandbox: Sandbox, server: ClearMLServer, world: World, task: TaskBuilder
) -> None:
    sandbox.load(world.as_dict())
    before = record(sandbox, task)
    there = listed(server, task)
    assert server.remove_artifacts(ids(task)[0], [there["a", "output"], there["link", "output"]])
    now = record(sandbox, task)
    assert changes(before, now) == {"execution", "last_update", *CHANGED}
    kept = [one for one in before["execution"]["artifacts"] if one["key"] in "bc" or one["mode"] == "input"]
    assert now["execution"] == {**before["execution"], "artifacts": kept}
    assert [body.keys() for body in sent(sandbox, "tasks.edit")] == [{"task", "force", "execution"}]
    assert sent(sandbox, "tasks.edit")[0]["execution"] == {"artifacts": kept}


def test_all_artifacts_may_go(sandbox: Sandbox, server: ClearMLServer, world: World, task: TaskBuilder) -> None:
    sandbox.load(world.as_dict())
    assert server.remove_artifacts(ids(task)[0], listed(server, task).values())
    assert listed(server, task) == {}


def test_those_that_are_gone_already_are_fine_and_nothing_is_sent(
    sandbox: Sandbox, server: ClearMLServer, world: World, task: TaskBuilder
) -> None:
    sandbox.load(world.as_dict())
    there = listed(server, task)
    gone = [there["a", "output"], there["b", "output"]]
    assert server.remove_artifacts(ids(task)[0], gone)
    assert server.remove_artifacts(ids(task)[0], gone)
    assert server.remove_artifacts(ids(task)[0], [])
    assert len(sent(sandbox, "tasks.edit")) == 1


@pytest.mark.parametrize("change", [{"uri": "s3://other"}, {"hash": "1" * 64}, {"size": 8}, {"type": "table"}])
def test_one_that_was_uploaded_again_keeps_all(
    sandbox: Sandbox, server: ClearMLServer, world: World, task: TaskBuilder, change: dict[str, Any]
) -> None:
    sandbox.load(world.as_dict())
    there = listed(server, task)
    assert not server.remove_artifacts(ids(task)[0], [there["a", "output"], replace(there["b", "output"], **change)])
    assert sent(sandbox, "tasks.edit") == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": "in_progress"},
        {"status": "queued"},
        {"status": "odd"},
        {"execution": {}},
        {"execution": {"artifacts": [{"mode": "output", "uri": "u"}]}},
        {"execution": {"artifacts": [{"key": 5, "uri": "u"}]}},
        {"execution": {"artifacts": [{"key": "a", "mode": "odd", "uri": "u"}]}},
    ],
)
def test_a_task_at_work_and_a_list_that_can_not_be_read_are_left_alone(
    sandbox: Sandbox, server: ClearMLServer, world: World, task: TaskBuilder, change: dict[str, Any]
) -> None:
    sandbox.load(world.as_dict())
    gone = listed(server, task)["a", "output"]
    sandbox.store.tasks.change(task.id, **change)
    assert not server.remove_artifacts(ids(task)[0], [gone])
    assert not server.remove_artifacts(MISSING, [gone])
    assert sent(sandbox, "tasks.edit") == []


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(after=True)])
def test_what_is_added_between_two_tries_stays(
    sandbox: Sandbox, server: ClearMLServer, world: World, task: TaskBuilder, fault: Fault
) -> None:
    sandbox.load(world.as_dict())
    gone = listed(server, task)["a", "output"]

    def add() -> None:
        execution = record(sandbox, task)["execution"]
        late = {**execution["artifacts"][-1], "key": "late"}
        sandbox.store.tasks.change(task.id, execution={**execution, "artifacts": [*execution["artifacts"], late]})

    sandbox.fault = once("tasks.edit", fault, add)
    assert server.remove_artifacts(ids(task)[0], [gone])
    assert [key for key, mode in listed(server, task) if mode == "output"] == ["b", "c", "link"]
    assert ("late", "input") in listed(server, task)


# -- the console
def test_the_log_goes_and_the_record_and_other_events_stay(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    task, other = world.task("talks"), world.task("talks too")
    for one in (task, other):
        one.console("line 0", "line 1")
        one.scalar("loss", [2, 1])
        one.debug_images(1)
    sandbox.load(world.as_dict())
    before = record(sandbox, task)
    server.clear_log(ids(task)[0])
    server.clear_log(ids(task)[0])
    assert record(sandbox, task) == before
    kinds = {one.id: [event["type"] for event in sandbox.store.events[one.id]] for one in (task, other)}
    assert "log" not in kinds[task.id]
    assert kinds[other.id].count("log") == 2
    assert sorted(kinds[task.id]) == sorted(kind for kind in kinds[other.id] if kind != "log")


def test_the_log_of_a_published_task_is_refused(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    task = world.task("talks", status="published")
    task.console("line 0")
    sandbox.load(world.as_dict())
    with pytest.raises(AnswerError, match="published"):
        server.clear_log(ids(task)[0])
    assert len(sandbox.store.events[task.id]) == 1


# -- all of them
WRITES: dict[str, Callable[[ClearMLServer, TaskId, Artifact], object]] = {
    "tasks.archive_many": lambda server, task, _: server.archive_tasks([task], message="m"),
    "tasks.update_tags": lambda server, task, _: server.change_tags([task], add=["a"]),
    "tasks.edit": lambda server, task, artifact: server.remove_artifacts(task, [artifact]),
    "events.clear_task_log": lambda server, task, _: server.clear_log(task),
}


@pytest.mark.parametrize("call", WRITES)
def test_without_the_lease_nothing_is_written(sandbox: Sandbox, world: World, call: str) -> None:
    def lost() -> None:
        raise LeaseLostError

    task = world.task("one", archived=False)
    task.artifact("a")
    sandbox.load(world.as_dict())
    before = record(sandbox, task)
    server = connected(sandbox, before_deletion=lost)
    with pytest.raises(LeaseLostError):
        WRITES[call](server, ids(task)[0], listed(server, task)["a", "output"])
    assert sent(sandbox, call) == []
    assert record(sandbox, task) == before


@pytest.mark.parametrize("call", WRITES)
def test_a_server_that_never_answers_is_unreachable(sandbox: Sandbox, world: World, call: str) -> None:
    task = world.task("one", archived=False)
    task.artifact("a")
    sandbox.load(world.as_dict())
    server = connected(sandbox, tries=3)
    artifact = listed(server, task)["a", "output"]
    sandbox.fault = lambda request: Fault(status=503) if request.call == call else None
    with pytest.raises(UnreachableError, match=call):
        WRITES[call](server, ids(task)[0], artifact)
    assert len(sent(sandbox, call)) == 3
