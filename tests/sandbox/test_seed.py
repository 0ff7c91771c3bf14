"""Seeded worlds: the same each time, all kinds in them, and each file that a record names exists."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from clearml_sandbox.worlds.seed import seeded_world

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KINDS = {
    *("every_status", "reporting", "archived_yesterday", "archived_young", "published_model", "ready_model"),
    *("model_in_use", "model_released", "shared_uri", "linked", "renamed", "moved", "project_renamed", "parent"),
    *("pipeline", "dataset", "interrupted", "first_iteration", "left_over", "public"),
}


@pytest.fixture(scope="module", params=[1, 2, 3])
def world(request: pytest.FixtureRequest) -> dict[str, Any]:
    return seeded_world(request.param, 60, NOW)


def days(world: dict[str, Any], time: str) -> float:
    """How long before the world's `now`, in days."""
    passed = datetime.fromisoformat(world["now"]) - datetime.fromisoformat(time)
    return passed / timedelta(days=1)


def task_of(world: dict[str, Any], role: str) -> dict[str, Any]:
    return next(task for task in world["tasks"] if task["id"] == world["roles"][role])


def models_of(world: dict[str, Any], role: str) -> list[dict[str, Any]]:
    return [model for model in world["models"] if model["task"] == world["roles"][role]]


def folders_of(world: dict[str, Any], role: str) -> set[str]:
    end = f".{world['roles'][role]}"
    return {file["path"].partition(end)[0] for file in world["files"] if end in file["path"]}


def test_the_same_seed_gives_the_same_world() -> None:
    worlds = [json.dumps(seeded_world(seed, 200, NOW)) for seed in (5, 5, 6)]

    assert worlds[0] == worlds[1] != worlds[2]


@pytest.mark.parametrize("tasks", [60, 61, 500])
def test_it_has_the_tasks_asked_for(tasks: int) -> None:
    assert len(seeded_world(0, tasks, NOW)["tasks"]) == tasks


def test_about_half_of_the_tasks_are_archived_and_old() -> None:
    world = seeded_world(0, 1000, NOW)
    old = [
        task
        for task in world["tasks"]
        if "archived" in task["system_tags"] and days(world, task.get("status_changed", task["last_update"])) > 30
    ]

    assert 400 < len(old) < 600


def test_every_kind_occurs(world: dict[str, Any]) -> None:
    assert world["roles"].keys() == KINDS
    assert {task["status"] for task in world["tasks"]} == {
        *("created", "queued", "in_progress", "stopped", "failed", "completed", "published")
    }


def test_the_kinds_are_what_they_say(world: dict[str, Any]) -> None:
    used = Counter(entry["model"] for task in world["tasks"] for entry in task["models"]["input"])
    uris = Counter(model["uri"] for model in world["models"])
    archived = {task["id"] for task in world["tasks"] if "archived" in task["system_tags"]}
    yesterday, reporting = task_of(world, "archived_yesterday"), task_of(world, "reporting")

    assert set(world["roles"].values()) - archived <= {world["roles"]["pipeline"]}
    assert any(task["id"] in archived and "status_changed" not in task for task in world["tasks"])
    assert days(world, yesterday["status_changed"]) > 30
    assert days(world, yesterday["last_change"]) == 1
    assert reporting["status"] == "in_progress"
    assert days(world, reporting["last_update"]) < 1
    assert any(model["ready"] for model in models_of(world, "published_model"))
    assert {model["ready"] for model in models_of(world, "ready_model")} == {True, False}
    assert all(used[model["id"]] for role in ("model_in_use", "model_released") for model in models_of(world, role))
    assert all(uris[model["uri"]] == 2 for model in models_of(world, "shared_uri"))
    assert uris["{FILES}/uploading_file"] >= 2
    assert len(folders_of(world, "renamed")) == len(folders_of(world, "moved")) == 2
    assert not any("ideas" in project["name"] and "tracking" in project["name"] for project in world["projects"])
    assert {folder.rpartition("/")[0] for folder in folders_of(world, "project_renamed")} == {"ideas/tracking"}
    assert world["roles"]["parent"] in {task.get("parent") for task in world["tasks"] if task["id"] not in archived}
    assert any("hidden" in task["system_tags"] for task in world["tasks"])
    assert any(world["roles"]["dataset"] in json.dumps(t["configuration"]) for t in world["tasks"] if t["id"] not in archived)
    assert any("datasets" in task["runtime"] for task in world["tasks"])
    assert any(event["type"] == "plot" for event in world["events"])
    assert task_of(world, "public")["company"] == ""


def test_files_that_records_name_exist_and_the_others_are_the_left_over() -> None:
    world = seeded_world(4, 300, NOW)
    artifacts = [artifact for task in world["tasks"] for artifact in task["execution"]["artifacts"]]
    images = [event["url"] for event in world["events"] if "url" in event]
    plots = [json.loads(event["plot_str"]) for event in world["events"] if "plot_str" in event]
    named = [artifact["uri"] for artifact in artifacts] + [model["uri"] for model in world["models"]] + images
    named += [image["source"] for plot in plots for image in plot["layout"]["images"]]
    named_paths = {unquote(uri.removeprefix("{FILES}/")) for uri in named if uri.startswith("{FILES}/")}
    sizes = {file["path"]: file["size"] for file in world["files"]}

    assert named_paths - sizes.keys() == {"uploading_file"}
    assert {path.partition("/artifacts/")[2] for path in sizes.keys() - named_paths} == {"old checkpoint/weights.bin"}
    assert all(
        artifact["content_size"] == sizes[unquote(artifact["uri"].removeprefix("{FILES}/"))]
        for artifact in artifacts
        if "content_size" in artifact
    )


def test_without_outputs_ordinary_tasks_have_none() -> None:
    world = seeded_world(0, 500, NOW, outputs=False)

    assert len(world["tasks"]) == 500
    assert len(world["files"]) < 200
    assert not any(event["type"] == "training_stats_scalar" for event in world["events"])
