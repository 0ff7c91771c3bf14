"""Tasks in the order of a metric: the server's own, none skipped, and none taken for better than it is."""

import json
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from cleanup_job.clearml_api import best_tasks
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.errors import AnswerError
from cleanup_job.planning.metric_key import metric_key
from cleanup_job.planning.records import Scored, Task, Unreadable
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.conformance.recorded import FOLDER, KEY, SECRET, replayer
from tests.harness import NOW
from tests.unit.clearml_api.connected import connected, sent

METRIC = metric_key("validation", "accuracy")
CALL = "tasks.get_all"


@pytest.fixture
def world() -> World:
    return World(NOW)


@pytest.fixture
def server(sandbox: Sandbox) -> ClearMLServer:
    return connected(sandbox)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of two and then of up to eight tasks."""
    monkeypatch.setattr(best_tasks, "FIRST_PAGE", 2)
    monkeypatch.setattr(best_tasks, "PAGE_CAP", 8)


def scored(world: World, value: Any = None, **more: Any) -> TaskBuilder:
    """A task with a value; the extremes of a series are the value itself."""
    task = world.task(f"task {len(world.tasks)}", **more)
    if value is not None:
        task.scalar("validation", [0.0], "accuracy")
        title, series = METRIC.split(".")
        task.document["last_metrics"][title][series] |= {"min_value": value, "max_value": value}
    return task


def read(server: ClearMLServer, world: World, *, highest: bool = True, project: str = "lab") -> list[Scored]:
    pages = server.best_tasks(world.project(project)["id"], METRIC, highest=highest)
    return [one for page in pages for one in page]


def values(found: list[Scored]) -> list[float | None]:
    return [one.value for one in found]


# -- the recording
def recorded_order(field: str) -> tuple[Document, list[str]]:
    """A request without pages that the recording has, and the names of the tasks in its answer."""
    steps = json.loads((FOLDER / "scenarios" / "list_by_metric.json").read_text())["steps"]
    step = next(s for s in steps if s["request"].get("order_by") == [field, "id"] and "page" not in s["request"])
    return step["request"], [task["name"] for task in step["response"]["data"]["tasks"]]


@pytest.fixture(scope="module")
def scored_world() -> Document:
    replay: ModuleType = replayer()
    found = json.loads((FOLDER / "worlds" / "scored.json").read_text())
    context = replay.Context({"{API}": "", "{FILES}": "", "{KEY}": KEY, "{SECRET}": SECRET}, {})
    world: Document = replay.fill(replay.expand(found), context)
    return world


@pytest.mark.parametrize(("highest", "bound"), [(True, "max_value"), (False, "min_value")])
def test_the_order_is_the_recorded_one_with_ties_and_those_without_the_metric(
    scored_world: Document, small: None, *, highest: bool, bound: str
) -> None:
    metric = metric_key("accuracy", "val / top.1")
    request, names = recorded_order(f"{'-' * highest}last_metrics.{metric}.{bound}")
    with Sandbox(scored_world, key=KEY, secret=SECRET) as sandbox:
        pages = list(connected(sandbox).best_tasks(request["project"][0], metric, highest=highest))
        found = [one for page in pages for one in page]
        assert [one.task.name for one in found if one.value is not None] == names[:-2]
        assert [one.task.name for one in found if one.value is None] in ([], names[-2:-1], names[-2:])
        by_name = {task["name"]: task["last_metrics"] for task in scored_world["tasks"]}
        title, series = metric.split(".")
        assert values(found)[:7] == [by_name[name][title][series][bound] for name in names[:-2]]
        assert sent(sandbox, CALL)[0].keys() == {*request, "page", "page_size"}


# -- pages
def test_few_tasks_take_one_small_request(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    for number in range(60):
        scored(world, number)
    sandbox.load(world.as_dict())
    first = next(server.best_tasks(world.project("lab")["id"], METRIC, highest=True))
    assert values(first) == [float(value) for value in range(59, 9, -1)]
    assert len(sent(sandbox, CALL)) == 1


@pytest.mark.parametrize("highest", [True, False])
@pytest.mark.parametrize("count", [*range(12), 60])
def test_every_task_comes_once_and_in_order(
    sandbox: Sandbox, server: ClearMLServer, world: World, small: None, count: int, *, highest: bool
) -> None:
    for number in range(count):
        scored(world, number // 3, archived=number % 2 == 0)
    sandbox.load(world.as_dict())
    found = read(server, world, highest=highest)
    assert values(found) == sorted((float(n // 3) for n in range(count)), reverse=highest)
    assert {one.task.id for one in found} == {task.id for task in world.tasks}
    tied = [(one.value, one.task.id) for one in found]
    assert tied == sorted(tied, key=lambda pair: (-pair[0] if highest else pair[0], pair[1]))


def test_it_ends_at_the_first_page_with_a_task_without_the_metric(
    sandbox: Sandbox, server: ClearMLServer, world: World, small: None
) -> None:
    for number in range(3):
        scored(world, number)
    for _ in range(20):
        scored(world)
    sandbox.load(world.as_dict())
    assert values(read(server, world))[:4] == [2.0, 1.0, 0.0, None]
    assert len(sent(sandbox, CALL)) == 2


def test_only_the_project_itself_counts(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    scored(world, 5, project="lab/below")
    scored(world, 4, project="other")
    mine = scored(world, 3, hidden=False)
    sandbox.load(world.as_dict())
    assert [(one.task.id, one.value) for one in read(server, world)] == [(mine.id, 3.0)]


def test_tasks_of_other_projects_are_left_out_if_the_server_gives_them(
    sandbox: Sandbox, server: ClearMLServer, world: World
) -> None:
    scored(world, 5, project="other")
    mine = scored(world, 3)
    sandbox.load(world.as_dict())
    whole = json.dumps({"meta": {"result_code": 200}, "data": {"tasks": [task.document for task in world.tasks]}})
    sandbox.fault = lambda request: Fault(status=200, body=whole) if request.call == CALL else None
    assert [one.task.id for one in read(server, world)] == [mine.id]


# -- values
@pytest.mark.parametrize("highest", [True, False])
@pytest.mark.parametrize("odd", ["0.95", "best", True, [1.0], {"value": 1}])
def test_what_is_no_number_has_no_value_and_hides_none_that_has(
    sandbox: Sandbox, server: ClearMLServer, world: World, small: None, odd: Any, *, highest: bool
) -> None:
    for value in (odd, odd, odd, 0.5, 0.25):
        scored(world, value)
    sandbox.load(world.as_dict())
    found = read(server, world, highest=highest)
    assert len(found) == 5
    assert sorted(value for value in values(found) if value is not None) == [0.25, 0.5]


@pytest.mark.parametrize(("highest", "order"), [(True, [None, 0.5, None, None]), (False, [None, None, 0.5, None])])
def test_numbers_that_are_not_finite_have_no_value(
    sandbox: Sandbox, server: ClearMLServer, world: World, *, highest: bool, order: list[float | None]
) -> None:
    """The server writes them as NaN and Infinity, which are not JSON; these words in a name are left alone."""
    plain = scored(world, 0.5)
    plain.renamed('say "NaN", -Infinity\\')
    for value in (float("nan"), float("inf"), float("-inf")):
        scored(world, value)
    sandbox.load(world.as_dict())
    found = read(server, world, highest=highest)
    assert values(found) == order
    assert [one.task.name for one in found if one.value is not None] == [plain.document["name"]]


@pytest.mark.parametrize(
    "metrics", [None, [], "x", {METRIC.split(".")[0]: None}, {METRIC.split(".")[0]: {METRIC.split(".")[1]: 1}}]
)
def test_a_record_of_another_shape_has_no_value(metrics: Any, sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    task = scored(world, 1)
    sandbox.load(world.as_dict())
    sandbox.fault = answering([{**task.document, "last_metrics": metrics}])
    assert values(read(server, world)) == [None]


def test_a_task_that_can_not_be_read_has_its_place_and_no_value(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    tasks = [scored(world, value) for value in (3, 2, 1)]
    tasks[1].document["tags"] = None
    sandbox.load(world.as_dict())
    found = read(server, world)
    assert values(found) == [3.0, None, 1.0]
    assert [type(one.task) for one in found] == [Task, Unreadable, Task]


# -- servers that do otherwise
def answering(documents: list[Mapping[str, Any]]) -> Callable[[Request], Fault | None]:
    body = json.dumps({"meta": {"result_code": 200}, "data": {"tasks": documents}})
    return lambda request: Fault(status=200, body=body) if request.call == CALL else None


@pytest.mark.parametrize("highest", [True, False])
def test_a_server_that_ignores_the_order_is_refused(
    sandbox: Sandbox, server: ClearMLServer, world: World, *, highest: bool
) -> None:
    documents = [scored(world, value).document for value in (2, 3, 1)]
    sandbox.fault = answering(documents)
    with pytest.raises(AnswerError, match="ignores the order by last_metrics"):
        read(server, world, highest=highest)


def test_a_task_without_an_id_is_refused(sandbox: Sandbox, server: ClearMLServer, world: World) -> None:
    sandbox.fault = answering([{**scored(world, 1).document, "id": ""}])
    with pytest.raises(AnswerError, match="id of a task of the project can't be read"):
        read(server, world)


def test_none_is_skipped_if_tasks_are_deleted_while_it_is_read(
    sandbox: Sandbox, server: ClearMLServer, world: World, small: None
) -> None:
    tasks = [scored(world, 20 - number) for number in range(20)]
    sandbox.load(world.as_dict())

    def delete_the_best(request: Request) -> None:
        if request.call == CALL and len(sent(sandbox, CALL)) in {3, 5}:
            for task in [task for task in tasks if task.id in sandbox.store.tasks][:3]:
                del sandbox.store.tasks[task.id]

    sandbox.fault = delete_the_best
    found = read(server, world)
    assert {one.task.id for one in found} >= {task.id for task in tasks[6:]}
    assert len({one.task.id for one in found}) == len(found)


def test_a_listing_that_never_stands_still_is_refused(
    sandbox: Sandbox, server: ClearMLServer, world: World, small: None
) -> None:
    tasks = [scored(world, 900 - number) for number in range(300)]
    sandbox.load(world.as_dict())

    def delete_the_best(request: Request) -> None:
        if request.call == CALL:
            for task in [task for task in tasks if task.id in sandbox.store.tasks][:5]:
                del sandbox.store.tasks[task.id]

    sandbox.fault = delete_the_best
    with pytest.raises(AnswerError, match="go away faster"):
        read(server, world)


@pytest.mark.parametrize(("value", "exists"), [(None, False), (0.5, True), (float("nan"), True), (float("inf"), True)])
def test_a_metric_exists_if_any_task_has_it_whatever_its_value(
    sandbox: Sandbox, server: ClearMLServer, world: World, value: float | None, *, exists: bool
) -> None:
    scored(world)
    scored(world, value, hidden=True)
    sandbox.load(world.as_dict())
    assert server.metric_exists(METRIC) is exists
