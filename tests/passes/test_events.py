"""Every file that events name is known, also those that the server's answers about many tasks leave out."""

import json
from typing import Any

import pytest

from cleanup_job.clearml_api import event_files as reader
from cleanup_job.clearml_api import event_pages
from cleanup_job.planning.outcome import Reason
from clearml_sandbox.api.answer import ENDPOINTS, Call
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW, clean, state

IMAGE = "training_debug_image"


@pytest.fixture
def world() -> World:
    return World(NOW)


def publish(task: TaskBuilder) -> None:
    """A published model: its folder can't go as a whole."""
    task.model("released").document["ready"] = True


def goes_whole(sandbox: Sandbox, world: World, *tasks: TaskBuilder) -> None:
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.deleted == {task.id for task in tasks}
    files = [path for path in state(sandbox)[2] if "/models/released" not in path]
    assert files == []


# -- what the answers about many tasks leave out
def test_many_images_of_one_title_series_and_iteration(sandbox: Sandbox, world: World) -> None:
    maker = world.task("maker")
    publish(maker)
    for number in range(20):
        maker.image(f"{number}.png", iteration=7)
    goes_whole(sandbox, world, maker)


def test_more_series_than_an_answer_has_room_for_in_a_former_folder(sandbox: Sandbox, world: World) -> None:
    task = world.task("former")
    publish(task)
    for number in range(400):
        task.image(f"{number}.png", variant=f"s{number:03}")
    task.renamed("latter")
    task.image("latest.png", iteration=2)
    goes_whole(sandbox, world, task)


def test_more_titles_than_the_server_can_answer_for(sandbox: Sandbox, world: World) -> None:
    images, plots, good = world.task("images"), world.task("plots"), world.task("good")
    for number in range(260):
        images.image(f"{number}.png", metric=f"m{number:03}", iteration=0)
    for number in range(810):
        plots.plot(f"p{number:03}")
    good.debug_images(2)
    good.plot("p")
    for task in (images, plots, good):
        publish(task)
    goes_whole(sandbox, world, images, plots, good)


def test_images_whose_names_came_again_after_a_rename(sandbox: Sandbox, world: World) -> None:
    """The server takes all that is not later than a name's second but last use for overwritten."""
    task = world.task("before")
    publish(task)
    again = task.image("0.png", iteration=1)
    former = task.image("1.png", iteration=2)
    task.renamed("after")
    for iteration in (8, 9):
        world.events.append({**world.events[-1], "iter": iteration, "url": again, "key": f"again {iteration}"})
    assert former != again
    goes_whole(sandbox, world, task)


def test_a_destination_that_changed_is_another_store(sandbox: Sandbox, world: World) -> None:
    task = world.task("moved on")
    for number in range(300):
        task.image(f"{number}.png", variant=f"a{number:03}", iteration=0)
    world.events.append(
        {"type": IMAGE, "task": task.id, "metric": "img", "variant": "z", "iter": 0, "key": "z", "timestamp": 1,
         "url": f"s3://bucket/lab/moved on.{task.id}/metrics/z.png"}
    )  # fmt: skip
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.kept == {task.id: Reason.UNKNOWN_STORE}


def test_more_plots_than_fit_on_a_page(sandbox: Sandbox, world: World) -> None:
    tasks = [world.task(f"exp {number}") for number in range(25)]
    for task in tasks:
        publish(task)
        for _ in range(60):
            task.plot("confusion")
    goes_whole(sandbox, world, *tasks)


def test_plots_of_many_tasks_come_in_one_answer(sandbox: Sandbox, world: World) -> None:
    tasks = [world.task(f"exp {number}") for number in range(50)]
    for task in tasks:
        publish(task)
        task.plot("one")
        task.plot("two", images=2)
    goes_whole(sandbox, world, *tasks)
    calls = [request.call for request in sandbox.requests]
    assert calls.count("events.get_multi_task_plots") == 2
    assert "events.get_task_events" not in calls


def test_tasks_with_many_titles_of_plots_are_not_asked_for_together(sandbox: Sandbox, world: World) -> None:
    tasks = [world.task(f"exp {number}") for number in range(3)]
    for task in tasks:
        for number in range(60):
            task.plot(f"title {number}")
    goes_whole(sandbox, world, *tasks)
    asked = [len(r.body["tasks"]) for r in sandbox.requests if r.call == "events.get_multi_task_plots"]
    assert asked == [1, 1, 1]


@pytest.mark.parametrize("kind", [IMAGE, "plot"])
def test_a_models_own_events_are_read_to_the_end(sandbox: Sandbox, world: World, kind: str) -> None:
    task = world.task("maker")
    model = task.model("weights")
    publish(task)
    for number in range(20):
        uri = task.file(f"metrics/eval/{number}.png")
        shown = {"url": uri} if kind == IMAGE else {"plot_str": json.dumps({"layout": {"images": [{"source": uri}]}})}
        world.events.append(
            {"type": kind, "task": model.id, "model_event": True, "metric": "eval", "variant": "v", "iter": 3,
             "key": str(number), "timestamp": 1, **shown}
        )  # fmt: skip
    goes_whole(sandbox, world, task)


def test_of_a_few_tasks_each_worker_has_some(sandbox: Sandbox, world: World) -> None:
    """Their images are read one by one: that is what takes long."""
    for number in range(130):
        world.task(f"exp {number}").artifact("data")
    sandbox.load(world.as_dict())
    for workers, sizes in ((1, [130]), (4, [33, 25, 25, 25, 22]), (8, [25, 25, 25, 25, 25, 5])):
        before = len(sandbox.requests)
        clean(sandbox, workers=workers, dry_run=True)
        asked = [r.body for r in sandbox.requests[before:] if r.call.endswith("task_metrics")]
        assert sorted((len(b["tasks"]) for b in asked if b["event_type"] == "plot"), reverse=True) == sizes


# -- answers that can't be used
def change(monkeypatch: pytest.MonkeyPatch, name: str, answer: Any) -> None:
    """Let an endpoint answer as `answer` makes it of the true one."""
    since, handler = ENDPOINTS[name]
    monkeypatch.setitem(ENDPOINTS, name, (since, lambda call: answer(call, handler(call))))


@pytest.mark.parametrize("kind", [IMAGE, "plot"])
def test_a_server_that_gives_less_than_it_counts_keeps_that_task_alone(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    odd, good = world.task("odd"), world.task("good")
    for task in (odd, good):
        task.debug_images(3)
        task.plot("p")
    sandbox.load(world.as_dict())

    def fewer(call: Call, data: Document) -> Document:
        if call.body["event_type"] == kind and call.body["task"] == odd.id:
            data["total"] += 1
        return data

    def not_all(call: Call, data: Document) -> Document:
        return {**data, "total": data["total"] + 1}

    change(monkeypatch, "events.get_task_events", fewer)
    change(monkeypatch, "events.get_multi_task_plots", not_all)
    done = clean(sandbox)
    assert done.watcher.failed == {odd.id}
    assert done.watcher.deleted == {good.id}


def test_plots_that_an_answer_for_many_leaves_out_are_read_alone(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [world.task(f"exp {number}") for number in range(3)]
    for task in tasks:
        publish(task)
        task.plot("p")

    def without_the_first(call: Call, data: Document) -> Document:
        for series in data["plots"].values():
            for owners in series.values():
                owners.pop(tasks[0].id, None)
        return {**data, "total": data["total"] - 1}

    change(monkeypatch, "events.get_multi_task_plots", without_the_first)
    goes_whole(sandbox, world, *tasks)


def refuse(sandbox: Sandbox, key: str, *calls: str, status: int = 400) -> None:
    def fault(request: Request) -> Fault | None:
        return Fault(status) if request.call in calls and key in json.dumps(request.body) else None

    sandbox.fault = fault


@pytest.mark.parametrize("calls", [
    ("events.get_task_metrics",), ("events.get_multi_task_plots",), ("events.get_task_metrics", "events.get_multi_task_plots"),
])  # fmt: skip
def test_a_call_for_many_that_is_refused_is_made_for_each(sandbox: Sandbox, world: World, calls: tuple[str, ...]) -> None:
    tasks = [world.task(f"exp {number}") for number in range(4)]
    for task in tasks:
        publish(task)
        task.plot("p")
        task.debug_images(2)
    sandbox.load(world.as_dict())
    refuse(sandbox, tasks[1].id, *calls)
    assert clean(sandbox).watcher.deleted == {task.id for task in tasks}
    assert [path for path in state(sandbox)[2] if "/models/" not in path] == []


def test_a_task_whose_events_are_refused_fails_alone(sandbox: Sandbox, world: World) -> None:
    bad, *good = (world.task(f"exp {number}") for number in range(4))
    for task in (bad, *good):
        task.plot("p")
        task.debug_images(2)
    sandbox.load(world.as_dict())
    refuse(sandbox, bad.id, "events.get_task_metrics", "events.get_multi_task_plots", "events.get_task_events")
    done = clean(sandbox)
    assert done.watcher.failed == {bad.id}
    assert done.watcher.outcomes[bad.id].reason is Reason.SERVER_ERROR
    assert "debug samples" in done.watcher.outcomes[bad.id].detail or "plots" in done.watcher.outcomes[bad.id].detail
    assert done.watcher.deleted == {task.id for task in good}


def test_a_server_without_any_events_is_not_asked_for_those_of_each_task(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = world.task("quiet")
    task.artifact("data")
    change(monkeypatch, "events.get_task_metrics", lambda *_: {"metrics": []})
    goes_whole(sandbox, world, task)
    assert "events.get_task_events" not in [request.call for request in sandbox.requests]


def calls_about_metrics(sandbox: Sandbox) -> list[tuple[str, str, bool]]:
    found = [(r.call, r.body) for r in sandbox.requests if r.call.endswith("task_metrics")]
    return [(call.rpartition(".")[2], body["event_type"], body.get("model_events", False)) for call, body in found]


def test_tasks_without_events_are_not_asked_about_one_by_one(sandbox: Sandbox, world: World) -> None:
    for number in range(20):
        world.task(f"exp {number}").model("weights")
    goes_whole(sandbox, world, *world.tasks)
    multi = "get_multi_task_metrics"
    assert set(calls_about_metrics(sandbox)) == {(multi, kind, models) for models in (False, True) for kind in ("plot", IMAGE)}


@pytest.mark.parametrize("kind", [IMAGE, "plot"])
def test_where_one_of_many_has_events_of_a_kind_only_this_kind_is_looked_for(sandbox: Sandbox, world: World, kind: str) -> None:
    tasks = [world.task(f"exp {number}") for number in range(20)]
    tasks[17].debug_images(3) if kind == IMAGE else tasks[17].plot("p", images=1)
    for number, task in enumerate(tasks):
        task.renamed(f"former {number}")  # now only its events name its former folder
    goes_whole(sandbox, world, *tasks)
    assert {of for call, of, _ in calls_about_metrics(sandbox) if call == "get_task_metrics"} == {kind}


@pytest.mark.parametrize("answer", [400, 404, 500, {}, {"metrics": None}, {"metrics": "none"}])
def test_without_a_usable_answer_about_all_each_is_asked_about(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, answer: Document | int
) -> None:
    tasks = [world.task(f"exp {number}") for number in range(reader.MANY)]
    for number, task in enumerate(tasks):
        task.plot("p", images=1)
        task.debug_images(2)
        task.renamed(f"former {number}")  # now only its events name its former folder
    if isinstance(answer, int):
        refuse(sandbox, "", "events.get_multi_task_metrics", status=answer)
    else:
        change(monkeypatch, "events.get_multi_task_metrics", lambda *_: answer)
    goes_whole(sandbox, world, *tasks)
    asked = [call for call, *_ in calls_about_metrics(sandbox) if call == "get_multi_task_metrics"]
    assert len(asked) == 1 if answer == 404 else asked, "what is missing is asked for once"


def test_large_answers_are_asked_for_in_smaller_parts(sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [world.task(f"exp {number}") for number in range(3)]
    for task in tasks:
        publish(task)
        for number in range(30):
            world.events.append(
                {"type": "plot", "task": task.id, "metric": "large", "variant": "v", "iter": number, "timestamp": number,
                 "plot_str": json.dumps({"data": "x" * 3_000, "layout": {"images": [{"source": task.file(
                     f"metrics/large/{number}.png")}]}})}
            )  # fmt: skip
    monkeypatch.setattr(event_pages, "LARGE", 20_000)
    monkeypatch.setattr(reader, "LARGE", 20_000)
    goes_whole(sandbox, world, *tasks)
    sizes = {r.body["batch_size"] for r in sandbox.requests if r.call == "events.get_task_events"}
    assert sizes == {100, 10, 1}


def test_pages_that_never_end_keep_their_task(sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    task = world.task("endless")
    task.debug_images(1)
    count = iter(range(10_000))

    def another(_: Call, data: Document) -> Document:
        events = [{**event, "iter": next(count)} for event in data["events"] or [{"metric": "", "variant": ""}]]
        return {**data, "events": events, "total": event_pages.WINDOW}

    change(monkeypatch, "events.get_task_events", another)
    monkeypatch.setattr(event_pages, "PAGES", 20)
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.failed == {task.id}


def test_more_images_of_one_iteration_than_the_server_ever_gives_keep_their_task(sandbox: Sandbox, world: World) -> None:
    task = world.task("at once")
    task.debug_images(16_000, iterations=1)
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.failed == {task.id}
    assert "10000 of 16000" in done.watcher.outcomes[task.id].detail
