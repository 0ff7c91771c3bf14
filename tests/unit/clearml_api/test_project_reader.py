"""How many archived tasks there are about: the server's own count, or None. Never an error, and never many requests."""

import pytest

from cleanup_job.clearml_api import project_reader
from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.retry import FEW_TRIES, Retry
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW

CALL = "projects.validate_delete"


@pytest.fixture
def world() -> World:
    """Six archived tasks in projects, one of them hidden, and two that are not archived."""
    world = World(NOW)
    for project, archived in (("team", 1), ("team/one", 2), ("team/one/deep", 1), ("teamwork", 1), ("team two/part", 1)):
        for number in range(archived):
            world.task(f"old {number}", project=project, hidden=project == "teamwork")
        world.project(project)
    world.task("living", project="team/one", archived=False)
    world.task("living", project="teamwork", archived=False)
    return world


@pytest.fixture
def server(sandbox: Sandbox, world: World) -> ClearMLServer:
    sandbox.load(world.as_dict())
    client = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, timeout=30, retry=Retry(5, wait=0)))
    reader = ClearMLServer(client)
    reader.projects()
    return reader


def asked(sandbox: Sandbox) -> int:
    return sum(request.call == CALL for request in sandbox.requests)


def test_archived_tasks_of_the_server_are_counted_once_each_by_one_request_for_a_project_at_the_top(
    server: ClearMLServer, sandbox: Sandbox
) -> None:
    assert server.archived_count([]) == 6
    assert asked(sandbox) == 3


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["team/one"], 3),
        (["team/one", "team/one/deep"], 3),
        (["team", "team/one", "team/one/deep"], 4),
        (["team/one/deep", "teamwork"], 2),
        (["team two/part"], 1),
    ],
)
def test_those_of_a_few_projects_include_what_is_below_once(
    server: ClearMLServer, world: World, names: list[str], count: int
) -> None:
    assert server.archived_count([world.project(name)["id"] for name in names]) == count


def test_a_project_that_is_not_there_does_not_count(server: ClearMLServer, world: World, sandbox: Sandbox) -> None:
    assert server.archived_count([world.project("team")["id"], "f" * 32]) == 4
    assert server.archived_count(["f" * 32]) is None
    assert asked(sandbox) == 1


def test_a_public_project_does_not_count(server: ClearMLServer, world: World, sandbox: Sandbox) -> None:
    public = world.project("team")["id"]

    def fault(request: Request) -> Fault | None:
        return Fault(status=403, subcode=21) if request.call == CALL and request.body["project"] == public else None

    sandbox.fault = fault
    assert server.archived_count([]) == 2
    assert server.archived_count([public]) is None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400),
        Fault(status=500),
        Fault(),
        Fault(status=200, body='{"meta": {"result_code": 200}, "data": {}}'),
        Fault(status=200, body='{"meta": {"result_code": 200}, "data": {"tasks": null, "non_archived_tasks": 1}}'),
        Fault(status=200, body="<html>"),
    ],
)
def test_a_server_that_does_not_tell_leaves_it_unknown(server: ClearMLServer, sandbox: Sandbox, fault: Fault) -> None:
    sandbox.fault = lambda request: fault if request.call == CALL else None
    assert server.archived_count([]) is None
    assert asked(sandbox) <= FEW_TRIES, "a pass does not wait long for what it only shows"


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ('{"tasks": 5, "non_archived_tasks": 2, "reports": 4, "non_archived_reports": 1}', 6),
        ('{"tasks": 5, "non_archived_tasks": 2}', 3),
        ('{"tasks": 5, "non_archived_tasks": 6, "reports": 4, "non_archived_reports": 1}', 3),
    ],
)
def test_reports_count_where_the_server_tells_them_apart_and_no_count_is_below_zero(
    server: ClearMLServer, world: World, sandbox: Sandbox, answer: str, count: int
) -> None:
    body = f'{{"meta": {{"result_code": 200}}, "data": {answer}}}'
    sandbox.fault = lambda request: Fault(status=200, body=body) if request.call == CALL else None
    assert server.archived_count([world.project("team")["id"]]) == count


def test_many_projects_are_not_asked_for(server: ClearMLServer, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_reader, "MOST_COUNTED", 2)
    assert server.archived_count([]) is None
    assert asked(sandbox) == 0
