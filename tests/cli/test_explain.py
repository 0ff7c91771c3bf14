"""`clearml-cleanup explain`: why a task is still there, and why it is gone."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder

GONE = "d" * 32
Explain = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def server(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    for name in list(os.environ):
        if name.startswith(("CLEARML_", "CLEANUP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("COLUMNS", "80")
    return sandbox


@pytest.fixture
def explain(sandbox: Sandbox, world: World, capsys: pytest.CaptureFixture[str]) -> Explain:
    """What is said of the first task that is asked for, after loading the world; with flags, if any."""

    def explained(task: TaskBuilder | str, *flags: str) -> dict[str, Any]:
        sandbox.load(world.as_dict())
        asked = task if isinstance(task, str) else task.id
        assert main(["explain", asked, "--output", "json", *flags]) == 0
        found = json.loads(capsys.readouterr().out)["tasks"]
        assert not any("delete" in request.call for request in sandbox.requests)
        return found[0] | {"all": found}

    return explained


def no(found: dict[str, Any]) -> list[str]:
    """The settings of the rules that don't allow it."""
    return [rule["setting"] or rule["text"] for rule in found["rules"] if not rule["allows"]]


def needs(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(one["need"], one.get("task") or one["model"], one["state"]) for one in found["needs"]}


# -- what a pass deletes
def test_a_task_that_a_pass_deletes(world: World, explain: Explain) -> None:
    task = world.task("old", user="Ada")
    task.artifact("data", size=1000)
    task.debug_images(3)
    task.model("weights")
    found = explain(task)
    assert (found["verdict"], found["reason"], no(found)) == ("would_delete", None, [])
    assert {place["kind"]: (place["files"], place["bytes"], place["unsized"]) for place in found["files"]["places"]} == {
        "artifacts": (1, 1000, 0),
        "metrics": (3, 0, 3),
        "models": (1, 0, 1),
    }
    assert [model["kept"] for model in found["models"]] == [None]
    assert (found["owner"], found["age_days"]) == ("Ada", pytest.approx(60, abs=0.1))
    assert datetime.fromisoformat(found["due"]) - datetime.fromisoformat(found["active"]) == timedelta(days=30, microseconds=1)


def test_what_is_kept_of_a_task_that_is_deleted(world: World, explain: Explain) -> None:
    task = world.task("old")
    used, published, listed = task.model("used"), task.model("published", ready=True), task.model("listed")
    tagged, free = task.model("tagged", tags=("gold",)), task.model("free")
    data = task.artifact("data")
    living, gone = world.task("living", archived=False), world.task("user", days_old=50)
    living.input_model(used)
    living.lists_model(listed)
    living.linked_artifact("linked", data)
    gone.input_model(free)
    named = world.model("registered", uri=data)
    found = explain(task, "--keep-model-tags", "gold")
    why = {model["model"]: model["kept"] for model in found["models"]}
    assert found["verdict"] == "would_delete"
    assert why == {
        used.id: "a task that is kept uses it",
        published.id: "it is published",
        listed.id: "a task that is kept lists it",
        tagged.id: "it has the tag 'gold' (CLEANUP_KEEP_MODEL_TAGS)",
        free.id: None,
    }
    assert needs(found) == {
        ("uses_model", living.id, "living"),
        ("lists_model", living.id, "living"),
        ("names_file", living.id, "living"),
        ("names_file", named.id, "model"),
        ("uses_model", gone.id, "goes_first"),
    }
    assert len(found["files"]["protected"]) == 5


# -- what a rule leaves alone
def test_too_young(world: World, explain: Explain) -> None:
    found = explain(world.task("young", days_old=10))
    assert (found["verdict"], found["reason"]) == ("kept", "not_selected")
    assert no(found) == ["CLEANUP_DELETE_THRESHOLD_DAYS"]
    assert found["due"] > found["last_update"]


def test_settings_can_be_tried_out(world: World, explain: Explain) -> None:
    assert explain(world.task("young", days_old=10), "--delete-threshold-days", "7")["verdict"] == "would_delete"


def test_not_archived(world: World, explain: Explain) -> None:
    found = explain(world.task("living", archived=False, days_old=10))
    assert no(found) == ["is not archived", "CLEANUP_DELETE_THRESHOLD_DAYS"]
    assert found["due"] is None
    assert found["due_if_archived"] > found["last_update"]


def test_not_a_draft(world: World, explain: Explain) -> None:
    found = explain(world.task("done"), "--no-force-delete")
    assert (no(found), found["due"], found["due_if_archived"]) == (["CLEANUP_FORCE_DELETE"], None, None)


def test_left_out_by_a_filter(world: World, explain: Explain) -> None:
    world.project("vision")
    found = explain(world.task("of lab"), "--projects", "vision", "--exclude-projects", "lab")
    assert no(found) == ["CLEANUP_PROJECTS", "CLEANUP_EXCLUDE_PROJECTS"]


def test_kept_by_a_rule(world: World, explain: Explain) -> None:
    found = explain(world.task("gold", tags=("gold",)), "--keep-tags", "gold")
    assert (found["reason"], no(found)) == ("keep_rule", ["CLEANUP_KEEP_TAGS"])


def test_within_its_grace_period(world: World, explain: Explain) -> None:
    found = explain(world.task("just archived", archived_days=2), "--archived-for-days", "7")
    assert no(found) == ["CLEANUP_ARCHIVED_FOR_DAYS"]
    assert found["due"] > found["last_change"]


def test_a_public_example(world: World, explain: Explain) -> None:
    found = explain(world.task("example", public=True))
    assert (found["verdict"], found["reason"], found["public"]) == ("not_ours", "public", True)


# -- what something else keeps
def test_a_step_comes_with_its_controller(world: World, explain: Explain) -> None:
    controller = world.pipeline("pipe", archived=False)
    step = controller.step("train")
    found = explain(step)
    assert (found["reason"], needs(found)) == ("pipeline_step", {("controller", controller.id, "living")})
    second = found["all"][1]
    assert (second["task"], second["asked"], no(second)) == (controller.id, False, ["is not archived"])
    assert needs(second) == {("step", step.id, "archived")}


def test_a_step_that_goes_with_its_controller_although_nobody_archived_it(world: World, explain: Explain) -> None:
    step = world.pipeline("pipe").step("train", archived=False)
    found = explain(step, "--include-pipeline-steps")
    assert (found["verdict"], found["due"]) == ("would_delete", None)


def test_a_dataset_that_is_in_use(world: World, explain: Explain) -> None:
    base = world.dataset("base")
    newer, user = world.dataset("newer", parents=[base], archived=False), world.task("user", archived=False)
    user.uses_dataset(base)
    found = explain(base)
    assert found["reason"] == "dataset_in_use"
    assert needs(found) == {("built_on", newer.id, "living"), ("used_dataset", user.id, "living")}


def test_a_dataset_whose_newer_version_goes_first(world: World, explain: Explain) -> None:
    base = world.dataset("base")
    newer = world.dataset("newer", parents=[base], days_old=50)
    found = explain(base)
    assert (found["verdict"], needs(found)) == ("would_delete", {("built_on", newer.id, "goes_first")})


def test_published_children_without_force(world: World, explain: Explain) -> None:
    draft = world.task("draft", status="created")
    child = world.task("child", parent=draft, archived=False, status="published")
    found = explain(draft, "--no-force-delete")
    assert (found["reason"], needs(found)) == ("needs_force", {("child", child.id, "living")})


def test_an_unknown_store_and_other_files(world: World, explain: Explain) -> None:
    task = world.task("t")
    task.model("w", uri=f"s3://bucket/x/x.{task.id}/w.pt")
    task.linked_artifact("raw", "https://elsewhere.example/raw.csv")
    found = explain(task)
    assert found["reason"] == "unknown_store"
    assert found["files"]["unknown_stores"] == {"s3://bucket": 1}
    assert (found["files"]["external"], found["files"]["external_count"]) == (["https://elsewhere.example/raw.csv"], 1)


def test_a_path_that_is_not_usable(world: World, explain: Explain, sandbox: Sandbox) -> None:
    task = world.task("t")
    task.linked_artifact("a", f"{{FILES}}/lab/../t.{task.id}/artifacts/a")
    found = explain(task)
    assert found["reason"] == "unusable_path"
    assert f"../t.{task.id}" in found["files"]["unusable"]


def test_a_record_that_can_not_be_read(world: World, explain: Explain) -> None:
    task = world.task("t")
    task.document["system_tags"] = "archived"
    found = explain(task)
    assert (found["verdict"], found["reason"]) == ("kept", "unreadable")


def test_a_pass_that_would_not_begin(world: World, explain: Explain) -> None:
    found = explain(world.task("t"), "--keep-model-tags", "gone")
    assert found["verdict"] is None
    assert "no model has the tag 'gone'" in found["trouble"]
    assert found["rules"]


# -- what is gone
def test_a_task_that_is_gone_and_what_is_left_of_it(world: World, explain: Explain, tmp_path: Path) -> None:
    file = tmp_path / "volume" / "lab" / f"old.{GONE}" / "models" / "w.pt"
    file.parent.mkdir(parents=True)
    file.write_text("12345")
    model = world.model("left", uri="s3://bucket/w.pt", task=GONE, ready=True)
    found = explain(GONE, "--mounted-folders", str(tmp_path / "volume"))
    remains = found["remains"]
    assert (found["there"], remains["confirmed"]) == (False, True)
    assert [(place["path"], place["files"], place["bytes"]) for place in remains["places"]] == [(f"lab/old.{GONE}", 1, 5)]
    assert [one["model"] for one in remains["models"]] == [model.id]


# -- how people ask, and what they read
@pytest.mark.parametrize(
    "address", ["{}", "http://web/projects/a/experiments/{}/output/execution", "http://web/projects/*/tasks/{}?x=1"]
)
def test_a_task_is_named_by_its_id_or_its_page(world: World, explain: Explain, address: str) -> None:
    task = world.task("t")
    assert explain(address.format(task.id))["task"] == task.id


def test_what_is_neither_is_an_error(world: World, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "http://web/projects/a"]) == 2
    assert "http://web/projects/a: not the ID of a task" in capsys.readouterr().err


def test_people_read_it_in_80_columns(world: World, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    task = world.task("[red]old[/red]\x1b[2J", project="vision/detection")
    task.artifact("a" * 90)
    task.model("w", uri=f"s3://bucket/x/x.{task.id}/w.pt")
    world.task("living", archived=False).input_model(task.model("used"))
    young = world.task("young", days_old=10, archived=False)
    sandbox.load(world.as_dict())
    assert main(["explain", task.id, young.id, GONE]) == 0
    out, err = capsys.readouterr()
    assert "[red]old[/red]" in out
    assert "\x1b[2J" not in out
    assert "A pass keeps it: it has files on a store that the job does not know" in out
    assert "if someone archives it now:" in out
    assert "The server has no task with this ID" in out
    assert all(len(line) <= 80 for line in out.splitlines() if "://" not in line)
    assert "who needs what" in err


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARML_API_HOST", "http://127.0.0.1:9")
    assert main(["explain", GONE, "--attempts", "1"]) == 4


def test_what_looks_like_a_mistake_is_said_once(world: World, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    task = world.task("t")
    sandbox.load(world.as_dict())
    assert main(["explain", task.id, "--projects", "gone"]) == 0
    assert capsys.readouterr().err.count("no project is called 'gone'") == 1
