"""Queues, and the workers that listen on them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import Document, api_time
from clearml_sandbox.worlds.builder import World


@pytest.fixture
def queue(sandbox: Sandbox) -> str:
    world = World(datetime.now(UTC))
    for name in ("one", "two", "three"):
        world.task(name)
    sandbox.load(world.as_dict())
    return str(call(sandbox, "queues.get_all", name="services")["queues"][0]["id"])


def call(sandbox: Sandbox, endpoint: str, /, **body: Any) -> Document:
    answer = requests.post(f"{sandbox.api_url}/{endpoint}", json=body, auth=(sandbox.key, sandbox.secret), timeout=30)
    assert answer.status_code == 200, answer.text
    data: Document = answer.json()["data"]
    return data


def listening(sandbox: Sandbox) -> dict[str, list[Document]]:
    return {worker["id"]: worker["queues"] for worker in call(sandbox, "workers.get_all")["workers"]}


def test_a_worker_tells_its_queues_until_it_goes(sandbox: Sandbox, queue: str) -> None:
    call(sandbox, "workers.register", worker="agent:0", queues=[queue])
    call(sandbox, "queues.add_task", queue=queue, task=next(iter(sandbox.store.tasks)))
    assert listening(sandbox) == {"agent:0": [{"id": queue, "name": "services", "num_tasks": 1}]}
    (shown,) = call(sandbox, "queues.get_all_ex", name="services")["queues"]
    assert [worker["name"] for worker in shown["workers"]] == ["agent:0"]
    call(sandbox, "workers.unregister", worker="agent:0")
    assert listening(sandbox) == {}


@pytest.mark.parametrize(("asked", "silent", "there"), [(None, 590, True), (None, 610, False), (60, 50, True), (60, 70, False)])
def test_a_silent_worker_counts_as_gone(sandbox: Sandbox, queue: str, asked: int | None, silent: int, there: bool) -> None:
    call(sandbox, "workers.register", worker="agent:0", queues=[queue], **({"timeout": asked} if asked else {}))
    sandbox.store.workers["agent:0"]["last_activity_time"] = api_time(datetime.now(UTC) - timedelta(seconds=silent))
    assert bool(listening(sandbox)) is there


def test_a_worker_that_is_unknown_registers_by_its_report(sandbox: Sandbox, queue: str) -> None:
    call(sandbox, "workers.status_report", worker="agent:0", timestamp=1, queues=[queue])
    assert [of["name"] for of in listening(sandbox)["agent:0"]] == ["services"]


def test_tasks_move_within_a_queue(sandbox: Sandbox, queue: str) -> None:
    first, second, third = keys = list(sandbox.store.tasks)
    for key in keys:
        call(sandbox, "queues.add_task", queue=queue, task=key)
    places = {
        "move_task_to_front": (third, {}, [third, first, second]),
        "move_task_to_back": (third, {}, [first, second, third]),
        "move_task_forward": (third, {"count": 5}, [third, first, second]),
        "move_task_backward": (third, {}, [first, third, second]),
    }
    for move, (task, count, after) in places.items():
        position = call(sandbox, f"queues.{move}", queue=queue, task=task, **count)["position"]
        assert [entry["task"] for entry in sandbox.store.queues[queue]["entries"]] == after, move
        assert after[position] == task
    assert call(sandbox, "queues.peek_task", queue=queue) == {"task": first}
    call(sandbox, "queues.remove_task", queue=queue, task=first)
    assert call(sandbox, "queues.get_num_entries", queue=queue) == {"num": 2}


def test_one_dataset_finds_its_users_and_a_list_nobody(sandbox: Sandbox, queue: str) -> None:
    key = next(iter(sandbox.store.tasks))
    sandbox.store.tasks.change(key, runtime={"datasets": ["d" * 32]})
    found = [call(sandbox, "tasks.get_all", **{"runtime.datasets": rule})["tasks"] for rule in ("d" * 32, ["d" * 32])]
    assert [[task["id"] for task in tasks] for tasks in found] == [[key], []]
