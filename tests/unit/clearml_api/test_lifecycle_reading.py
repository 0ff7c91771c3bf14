"""What policies read of the server: all tasks, archived or not, and whose key the job has."""

import pytest

from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Query
from clearml_sandbox.server import Fault, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW
from tests.unit.clearml_api.connected import connected, sent


@pytest.fixture
def server(sandbox: Sandbox) -> ClearMLServer:
    return connected(sandbox)


def test_tasks_come_archived_or_not_and_newest_first(sandbox: Sandbox, server: ClearMLServer) -> None:
    world = World(NOW)
    tasks = [world.task(f"task {age}", days_old=age, archived=age % 2 == 0) for age in (3, 1, 4, 2)]
    tasks[0].ran(90)
    hidden = world.task("hidden", days_old=5, archived=False, hidden=True)
    sandbox.load(world.as_dict())
    found = list(server.tasks_of(Query()))
    assert [task.id for task in found] == [tasks[number].id for number in (1, 3, 0, 2)]
    short = found[2]
    assert isinstance(short, Task)
    assert short.started is not None
    assert short.completed is not None
    assert (short.completed - short.started).total_seconds() == 90
    assert [task.id for task in server.tasks_of(Query(hidden=True))] == [*(task.id for task in found), hidden.id]


@pytest.mark.parametrize("narrow", ["status", "project"])
def test_the_server_narrows_what_it_can(sandbox: Sandbox, server: ClearMLServer, narrow: str) -> None:
    world = World(NOW)
    world.task("other", archived=False)
    task = world.task("it", archived=False, status="failed", project="else")
    sandbox.load(world.as_dict())
    values = {"status": "failed", "project": world.project("else")["id"]}
    query = {"status": Query(statuses=("failed",)), "project": Query(projects=(values["project"],))}[narrow]
    assert [one.id for one in server.tasks_of(query)] == [task.id]
    assert all(body[narrow] == [values[narrow]] for body in sent(sandbox, "tasks.get_all"))


def test_whose_key_it_is_is_asked_for_once(sandbox: Sandbox, server: ClearMLServer) -> None:
    assert server.me() == "__tests__"
    assert server.me() == server.with_few_tries.me()
    assert len(sent(sandbox, "users.get_current_user")) == 1


def test_a_server_that_does_not_say_leaves_it_unknown(sandbox: Sandbox, server: ClearMLServer) -> None:
    sandbox.fault = lambda request: Fault(status=403) if request.call == "users.get_current_user" else None
    assert server.me() == ""
