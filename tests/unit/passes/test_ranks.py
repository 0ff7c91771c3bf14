"""The last and the best tasks are read before anything is deleted, in few requests; what is not known keeps."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.clearml_api import best_tasks
from cleanup_job.errors import AnswerError, CleanupError, SettingsError
from cleanup_job.passes.ranks import RankReader
from cleanup_job.planning.lifecycle import ranks
from cleanup_job.planning.lifecycle.policy import Best, Keep, LifecyclePolicy, Match, PolicyFile
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Scored, Task
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW, Done, Watcher, clean
from tests.read_only import Reading
from tests.unit.clearml_api.connected import connected, sent

CALL = "tasks.get_all"
BEST = Best("validation", "accuracy", "max", 2)
YAML = """
policies:
  - name: playground
    match: MATCH
    keep: KEEP
    delete: {after: 30d}
"""


@pytest.fixture
def world() -> World:
    return World(NOW)


@pytest.fixture
def policies(tmp_path: Path) -> Callable[..., str]:
    """Writes a file with one policy."""

    def write(keep: str, match: str = "{projects: [play]}") -> str:
        file = tmp_path / "policies.yaml"
        file.write_text(YAML.replace("KEEP", keep).replace("MATCH", match))
        return str(file)

    return write


def scored(world: World, value: float | None = None, days_old: float = 40, **more: Any) -> TaskBuilder:
    task = world.task(f"run {len(world.tasks)}", days_old=days_old, **{"project": "play", **more})
    if value is not None:
        task.scalar("validation", [value], "accuracy")
    return task


def file_of(keep: Keep, projects: frozenset[str] | None = None) -> PolicyFile:
    return PolicyFile((LifecyclePolicy("playground", Match(projects=projects), keep, delete=timedelta(days=30)),))


def kept(sandbox: Sandbox, file: PolicyFile, world: World, **how: Any) -> dict[str, str]:
    """Why tasks are kept, by id; and the requests are those of the reading alone."""
    server = connected(sandbox)
    found = RankReader(server, file, **how).read()
    sandbox.requests, requests = [], sandbox.requests
    there = server.tasks(TaskId(task.id) for task in world.tasks).values()
    sandbox.requests = requests
    return {one.id: why for one in there if isinstance(one, Task) and (why := found.kept(file.policies[0], one))}


def ids(tasks: Sequence[TaskBuilder]) -> set[str]:
    return {task.id for task in tasks}


def by_metric(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [body for body in sent(sandbox, CALL) if body["order_by"][0].startswith("-last_metrics")]


# -- which tasks
def test_each_project_has_its_own_last_tasks_archived_or_not(sandbox: Sandbox, world: World) -> None:
    play = [scored(world, days_old=days, archived=days % 2 == 0) for days in range(40, 45)]
    below = [scored(world, days_old=days, project="play/below") for days in range(50, 53)]
    sandbox.load(world.as_dict())
    found = kept(sandbox, file_of(Keep(last=2)), world)
    assert found.keys() == ids([*play[:2], *below[:2]])
    assert set(found.values()) == {"last 2 of its project"}


def test_a_running_task_is_one_of_the_last(sandbox: Sandbox, world: World) -> None:
    running = scored(world, days_old=90, updated_days=0.1, status="in_progress")
    done = [scored(world, days_old=days) for days in (40, 41)]
    sandbox.load(world.as_dict())
    assert kept(sandbox, file_of(Keep(last=1)), world).keys() == {running.id}
    assert kept(sandbox, file_of(Keep(last=2)), world).keys() == {running.id, done[0].id}


def test_of_equally_old_tasks_all_are_kept(sandbox: Sandbox, world: World) -> None:
    tied = [scored(world, days_old=40) for _ in range(3)]
    scored(world, days_old=41)
    sandbox.load(world.as_dict())
    assert kept(sandbox, file_of(Keep(last=1)), world).keys() == ids(tied)


def test_examples_and_own_runs_take_no_place(sandbox: Sandbox, world: World) -> None:
    for days in (30, 31):
        scored(world, 9.0, days_old=days, public=True)
        scored(world, 9.0, days_old=days, tags=[RUN_TAG])
    own = [scored(world, value, days_old=days) for days, value in ((40, 1.0), (41, 2.0))]
    old = scored(world, 0.5, days_old=42)
    sandbox.load(world.as_dict())
    found = kept(sandbox, file_of(Keep(last=2)), world)
    assert ids(own) <= found.keys()
    assert old.id not in found
    assert kept(sandbox, file_of(Keep(best=(BEST,))), world).keys() == ids(own)


def test_tasks_of_an_earlier_policy_take_no_place(sandbox: Sandbox, world: World) -> None:
    gold = [scored(world, 9.0 - days, days_old=days, tags=["gold"]) for days in (1, 2, 3)]
    own = [scored(world, value, days_old=days) for days, value in ((40, 1.0), (41, 2.0), (42, 0.5))]
    sandbox.load(world.as_dict())
    for keep in (Keep(last=2), Keep(best=(BEST,))):
        file = PolicyFile((LifecyclePolicy("gold", Match(tags=("gold",)), keep), LifecyclePolicy("rest", keep=keep)))
        server = connected(sandbox)
        found = RankReader(server, file).read()
        there = server.tasks(TaskId(task.id) for task in world.tasks).values()
        by_policy = [(policy, one) for one in there if isinstance(one, Task) and (policy := file.of(one)) is not None]
        assert {one.id for policy, one in by_policy if found.kept(policy, one)} == ids([*gold[:2], *own[:2]])


def test_a_hidden_task_has_a_place_where_the_settings_let_it_go(sandbox: Sandbox, world: World) -> None:
    hidden = [scored(world, 5.0, days_old=60, hidden=True) for _ in range(2)]
    seen = [scored(world, value, days_old=40 - value) for value in (1.0, 2.0, 3.0)]
    sandbox.load(world.as_dict())
    file = file_of(Keep(best=(BEST,)))
    assert kept(sandbox, file, world, hidden=True).keys() == ids(hidden)
    assert all(body["search_hidden"] for body in sent(sandbox, CALL))
    assert kept(sandbox, file, world).keys() == ids(seen[1:])


# -- requests
def test_a_project_takes_one_request_for_each_metric(sandbox: Sandbox, world: World) -> None:
    for number in range(20):
        for project in range(7):
            scored(world, number, project=f"play/{project}")
    sandbox.load(world.as_dict())
    assert len(kept(sandbox, file_of(Keep(best=(BEST,))), world)) == 7 * BEST.count
    assert len(by_metric(sandbox)) == 7
    assert len(sent(sandbox, CALL)) - 7 <= 2, "the listing"


def test_where_all_are_among_the_last_no_metric_is_read(sandbox: Sandbox, world: World) -> None:
    few = [scored(world, 1.0) for _ in range(3)]
    many = [scored(world, value, days_old=60 - value, project="many") for value in (5.0, 4.0, 3.0, 2.0, 1.0)]
    sandbox.load(world.as_dict())
    found = kept(sandbox, file_of(Keep(last=3, best=(BEST,))), world)
    assert found.keys() == ids([*few, *many[:3]])
    assert [body["project"] for body in by_metric(sandbox)] == [[world.project("many")["id"]]]


def test_only_the_projects_of_policies_that_rank_are_listed(sandbox: Sandbox, world: World) -> None:
    play, other = scored(world, 1.0), scored(world, 1.0, project="other")
    sandbox.load(world.as_dict())
    here = world.project("play")["id"]
    file = file_of(Keep(last=1), frozenset({here, world.project("other")["id"]}))
    assert kept(sandbox, file, world, projects={here}).keys() == ids([play, other]), "what is not known is kept"
    assert all(body["project"] == [here] for body in sent(sandbox, CALL))
    sandbox.requests.clear()
    assert kept(sandbox, file, world, projects={"somewhere else"}).keys() == ids([play, other])
    assert not sent(sandbox, CALL), "no project is not all of them"


def test_without_a_policy_that_ranks_nothing_is_read(sandbox: Sandbox, world: World, policies: Callable[..., str]) -> None:
    scored(world, 1.0, tags=["gold"])
    sandbox.load(world.as_dict())
    server = connected(sandbox)
    assert not RankReader(server, file_of(Keep(tags=("gold",)))).read().last
    assert not sent(sandbox, CALL)
    for keep, is_listed in (("{tags: [gold]}", False), ("{last: 1}", True)):
        sandbox.requests.clear()
        Reading.of(sandbox, policies=policies(keep))
        assert any(body.get("project") for body in sent(sandbox, CALL)) is is_listed


def test_ties_over_the_edge_of_a_page_are_all_kept(sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best_tasks, "FIRST_PAGE", 2)
    monkeypatch.setattr(best_tasks, "PAGE_CAP", 4)
    tied = [scored(world, value) for value in (7.0, *[5.0] * 8)]
    for value in range(40):
        scored(world, value / 10)
    sandbox.load(world.as_dict())
    found = kept(sandbox, file_of(Keep(best=(BEST,))), world)
    assert found.keys() == ids(tied)
    assert set(found.values()) == {"best 2 by validation/accuracy (max)"}
    assert len(by_metric(sandbox)) <= 6, "no page beyond the ties"


def test_more_equal_tasks_than_are_remembered_are_all_kept(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "MOST_TIES", 3)
    for _ in range(6):
        scored(world, 5.0)
    scored(world, 1.0)
    sandbox.load(world.as_dict())
    found = kept(sandbox, file_of(Keep(best=(BEST,))), world)
    assert found.keys() == ids(world.tasks)
    assert set(found.values()) == {"best 2 by validation/accuracy (max), as far as is known"}


def test_no_more_tasks_than_that_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "MOST_TIES", 3)
    file = file_of(Keep(best=(BEST,)))
    leaders = ranks.Leaders(file, file.policies[0], BEST)
    tied = [Scored(Task(TaskId(f"{number:032x}"), "a run", "completed", project="play"), 1.0) for number in range(10)]
    assert [leaders.add(one) for one in tied[:6]] == [True] * 5 + [False]
    assert leaders.ids is None


# -- what is not known
def test_a_task_that_was_reported_to_since_is_kept(sandbox: Sandbox, world: World) -> None:
    for value in (5.0, 4.0):
        scored(world, value)
    plain = scored(world, 1.0)
    sandbox.load(world.as_dict())
    file, server = file_of(Keep(best=(BEST,))), connected(sandbox)
    found = RankReader(server, file).read()

    def why() -> str:
        now = server.tasks([TaskId(plain.id)])[TaskId(plain.id)]
        assert isinstance(now, Task)
        return found.kept(file.policies[0], now)

    assert not why()
    sandbox.store.tasks.change(plain.id, last_change=world.days_ago(0), tags=["new"])
    assert not why()
    sandbox.store.tasks.change(plain.id, last_update=world.days_ago(0))
    assert why().endswith("as far as is known: it was updated since")


def test_what_the_pass_itself_writes_to_a_task_does_not_keep_it(
    sandbox: Sandbox, world: World, policies: Callable[..., str]
) -> None:
    scored(world, 5.0)
    plain = scored(world, 1.0)
    plain.lists_model(scored(world, 4.0, archived=False, project="other").model("of another"))
    scored(world, archived=False, project="other", status="published", parent=plain)  # the server asks for force
    sandbox.load(world.as_dict())
    done = clean(sandbox, policies=policies("{best: [{metric: validation/accuracy}]}"))
    assert [body["task"] for body in sent(sandbox, "tasks.edit")] == [plain.id]
    assert [body["force"] for body in sent(sandbox, "tasks.delete_many")] == [False, True]
    assert done.watcher.deleted == {plain.id}


def test_tasks_of_a_project_that_came_later_are_kept(sandbox: Sandbox, world: World) -> None:
    old = scored(world, 1.0)
    sandbox.load(world.as_dict())
    for keep in (Keep(last=1), Keep(best=(BEST,))):
        file = file_of(keep)
        found = RankReader(connected(sandbox), file).read()
        assert found.kept(file.policies[0], Task(TaskId(old.id), "moved", "completed", project="f" * 32))


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("keep", [Keep(last=1), Keep(best=(BEST,))])
def test_a_reading_that_was_stopped_keeps_everything(sandbox: Sandbox, world: World, keep: Keep, after: int) -> None:
    for value in (1.0, 2.0, 3.0):
        scored(world, value, days_old=40 + value)
    sandbox.load(world.as_dict())
    asked = iter([False] * after)
    found = kept(sandbox, file_of(keep), world, stopped=lambda: next(asked, True))
    assert len(found) == 3 or (after == 3 and keep.last)


def test_a_pass_keeps_them_and_says_why(sandbox: Sandbox, world: World, policies: Callable[..., str]) -> None:
    best, last, rest = scored(world, 5.0, days_old=60), scored(world, 1.0, days_old=40), scored(world, 2.0, days_old=50)
    sandbox.load(world.as_dict())
    keep = "{last: 1, best: [{metric: validation/accuracy}]}"
    done: Done = clean(sandbox, policies=policies(keep))
    assert done.watcher.deleted == {rest.id}
    details = {task: one.detail for task, one in done.watcher.outcomes.items() if task != rest.id}
    assert details == {
        best.id: "best 1 by validation/accuracy (max) in policy 'playground'",
        last.id: "last 1 of its project in policy 'playground'",
    }
    sandbox.load(world.as_dict())
    explained = Reading.of(sandbox, policies=policies(keep)).known.rules
    there = connected(sandbox).tasks(TaskId(task.id) for task in world.tasks).values()
    assert {one.id for one in there if isinstance(one, Task) and explained.selects(one)} == {rest.id}


@pytest.mark.parametrize("match", ["{projects: ['*']}", "{statuses: [completed]}"])
def test_projects_that_the_settings_leave_out_are_not_read(
    sandbox: Sandbox, world: World, policies: Callable[..., str], match: str
) -> None:
    for project in ("play", "other"):
        scored(world, 1.0, project=project)
    sandbox.load(world.as_dict())
    rules = Reading.of(sandbox, policies=policies("{last: 1}", match), filters={"projects": ("play",)}).known.rules
    listings = [body for body in sent(sandbox, CALL) if body["order_by"][0] == "-last_update"]
    assert rules.lifecycle is not None
    assert [body["project"] for body in listings if body["page_size"] > 1] == [[world.project("play")["id"]]]


@pytest.mark.parametrize("setting", ["include_hidden", "include_pipeline_steps"])
def test_hidden_tasks_are_compared_where_the_settings_let_them_go(
    sandbox: Sandbox, world: World, policies: Callable[..., str], setting: str
) -> None:
    best = scored(world, 5.0, days_old=60, hidden=True)
    scored(world, 1.0, days_old=50, hidden=True)
    sandbox.load(world.as_dict())
    file = policies("{best: [{metric: validation/accuracy}]}")
    rules = Reading.of(sandbox, policies=file, filters={setting: True}).known.rules
    there = connected(sandbox).tasks(TaskId(task.id) for task in world.tasks).values()
    assert {one.id for one in there if isinstance(one, Task) and rules.keeps(one)} == {best.id}


@pytest.mark.parametrize("order", ["max", "min"])
def test_a_metric_that_no_task_has_is_an_error(
    sandbox: Sandbox, world: World, policies: Callable[..., str], order: str
) -> None:
    scored(world, 1.0)
    scored(world)
    sandbox.load(world.as_dict())
    keep = f"{{best: [{{metric: validation/acuracy, order: {order}}}]}}"
    with pytest.raises(SettingsError, match=r"keep.best of policy 'playground': .* 'validation/acuracy'"):
        clean(sandbox, policies=policies(keep))
    assert len(sandbox.state()["tasks"]) == 2


def test_a_metric_that_only_tasks_of_other_projects_have_is_none(
    sandbox: Sandbox, world: World, policies: Callable[..., str]
) -> None:
    task = scored(world)
    scored(world, 1.0, project="other", hidden=True)
    sandbox.load(world.as_dict())
    done = clean(sandbox, policies=policies("{best: [{metric: validation/accuracy}]}"))
    assert done.watcher.deleted == {task.id}


# -- answers that are of no use
def answering(fault: Fault) -> Callable[[Request], Fault | None]:
    """What is answered where tasks are asked for by a metric."""

    def of(request: Request) -> Fault | None:
        by_metric = request.call == CALL and str(request.body.get("order_by", [""])[0]).startswith("-last_metrics")
        return fault if by_metric else None

    return of


def with_data(data: dict[str, Any]) -> Fault:
    return Fault(status=200, body=json.dumps({"meta": {"result_code": 200}, "data": data}))


@pytest.mark.parametrize(
    "answer",
    [{"tasks": None}, {}, {"tasks": "none"}],
)
def test_an_answer_of_no_use_ends_the_pass_before_anything_is_deleted(
    sandbox: Sandbox, world: World, policies: Callable[..., str], answer: dict[str, Any]
) -> None:
    for value in (1.0, 2.0, 3.0):
        scored(world, value)
    sandbox.load(world.as_dict())
    sandbox.fault = answering(with_data(answer))
    watcher = Watcher()
    with pytest.raises(AnswerError):
        clean(sandbox, policies=policies("{best: [{metric: validation/accuracy}]}"), watcher=watcher)
    assert len(sandbox.state()["tasks"]) == 3
    assert not sent(sandbox, "tasks.delete_many")


def test_an_order_without_any_task_keeps_all(sandbox: Sandbox, world: World, policies: Callable[..., str]) -> None:
    for value in (1.0, 2.0, 3.0):
        scored(world, value)
    sandbox.load(world.as_dict())
    sandbox.fault = answering(with_data({"tasks": []}))
    done = clean(sandbox, policies=policies("{best: [{metric: validation/accuracy}]}"))
    assert not done.watcher.deleted
    assert len(done.watcher.kept) == 3


def test_a_server_that_does_not_answer_ends_the_pass(sandbox: Sandbox, world: World, policies: Callable[..., str]) -> None:
    for value in (1.0, 2.0, 3.0):
        scored(world, value)
    sandbox.load(world.as_dict())
    sandbox.fault = answering(Fault(status=503))
    with pytest.raises(CleanupError):
        clean(sandbox, policies=policies("{best: [{metric: validation/accuracy}]}"))
    assert len(sandbox.state()["tasks"]) == 3
