"""Worlds that the builder makes have the documents of a real server and the paths of the real SDK."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clearml_sandbox.worlds.builder import World

NOW = datetime(2026, 11, 22, 12, 0, 0, 287_000, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return World(NOW, files="http://files.example", aliases=("http://public.example/files",))


def test_the_same_calls_build_the_same_world() -> None:
    def build(seed: int) -> str:
        world = World(NOW, seed=seed)
        world.task("one").model("weights")
        return json.dumps(world.as_dict())

    assert build(1) == build(1)
    assert build(1) != build(2)


def test_a_draft_that_never_ran_has_no_time_of_change(world: World) -> None:
    draft = world.task("draft", status="created").document

    assert not {"status_changed", "started", "completed", "published"} & draft.keys()
    assert draft["created"] < draft["last_update"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("queued", {"status_changed"}),
        ("in_progress", {"status_changed", "started"}),
        ("failed", {"status_changed", "started", "completed"}),
        ("published", {"status_changed", "started", "completed", "published"}),
    ],
)
def test_each_status_has_its_times_and_no_others(world: World, status: str, expected: set[str]) -> None:
    task = world.task("some", status=status).document

    assert {"status_changed", "started", "completed", "published"} & task.keys() == expected


def test_archiving_changes_last_change_only(world: World) -> None:
    task = world.task("old", days_old=60, archived_days=1).document

    assert task["status_changed"] == task["last_update"] == "2026-09-23T12:00:00.287000+00:00"
    assert task["last_change"] == "2026-11-21T12:00:00.287000+00:00"
    assert task["system_tags"] == ["archived"]


def test_a_running_task_may_still_report(world: World) -> None:
    task = world.task("running", status="in_progress", days_old=60, updated_days=0.5, archived=False).document

    assert task["last_update"] == task["last_change"] == "2026-11-22T00:00:00.287000+00:00"
    assert task["started"] == task["status_changed"]


def test_a_queued_task_is_in_the_queue(world: World) -> None:
    task = world.task("queued", status="queued")

    queue, services = world.as_dict()["queues"]
    assert (services["name"], services["entries"], services["system_tags"]) == ("services", [], [])
    assert task.document["execution"]["queue"] == queue["id"]
    assert [entry["task"] for entry in queue["entries"]] == [task.id]


def test_uploaded_artifacts_have_hash_and_size_and_linked_ones_neither(world: World) -> None:
    task = world.task("some task", project="lab/alpha")
    uri = task.artifact("data", size=10)
    task.linked_artifact("also raw", "s3://bucket/input/raw.csv")

    linked, uploaded = task.document["execution"]["artifacts"]  # by name
    assert uri == uploaded["uri"] == f"http://files.example/lab/alpha/some%20task.{task.id}/artifacts/data/data.bin"
    assert uploaded["content_size"] == world.stored[f"{task.folder}/artifacts/data/data.bin"] == 10
    assert linked["mode"] == uploaded["mode"] == "output"
    assert not {"hash", "content_size"} & linked.keys()


def test_the_sdk_quotes_odd_names_in_the_folder_and_again_in_the_uri(world: World) -> None:
    task = world.task("exp #1 a+b", project="stores/näme proj")  # its key in a bucket was recorded
    uri = task.model("w").uri

    assert task.folder == f"stores/n%C3%A4me proj/exp %231 a+b.{task.id}"
    assert uri == f"http://files.example/stores/n%25C3%25A4me%20proj/exp%20%25231%20a%2Bb.{task.id}/models/w.pt"
    assert world.path(uri) == f"{task.folder}/models/w.pt"


def test_long_names_are_cut(world: World) -> None:
    task = world.task("n" * 300)

    assert task.folder == f"lab/{'n' * 95}.{task.id}"  # 128 with the id


def test_a_folder_of_ones_own(world: World) -> None:
    assert world.task("any", folder="odd/{id}/names.{id}").folder.endswith(f".{world.tasks[0].id}")


def test_writing_to_a_bucket_or_by_another_address(world: World) -> None:
    in_bucket = world.task("exp 1", destination="s3://bucket/base").model("weights")
    by_alias = world.task("exp 2", destination="http://public.example/files")
    by_alias.artifact("data")

    assert in_bucket.uri == f"s3://bucket/base/lab/exp 1.{world.tasks[0].id}/models/weights.pt"
    assert list(world.elsewhere) == [in_bucket.uri]
    assert list(world.stored) == [f"{by_alias.folder}/artifacts/data/data.bin"]


def test_debug_images_are_events_files_and_metric_stats(world: World) -> None:
    task = world.task("seen")
    uris = task.debug_images(3) + task.debug_images(2)  # the second call goes on
    task.debug_images(4, "other", iterations=1)
    task.linked_image("s3://bucket/pic.png", "img")

    images = [event for event in world.events if event["metric"] == "img"]
    assert [event["iter"] for event in images] == [0, 1, 2, 3, 4, 5]
    assert [event["url"] for event in images] == [*uris, "s3://bucket/pic.png"]
    assert {world.path(uri) for uri in uris} < world.stored.keys()
    assert {event["iter"] for event in world.events if event["metric"] == "other"} == {0}
    assert len(world.stored) == 5 + 4
    stats = task.document["metric_stats"]["b798abe6e1b1318ee36b0dcb3fb9e4d3"]  # md5 of "img", as recorded
    assert stats["metric"] == "img"
    assert list(stats["event_stats_by_type"]) == ["training_debug_image"]


def test_a_plot_names_all_its_images(world: World) -> None:
    uris = world.task("plots").plot("confusion matrix", images=3)

    plot = json.loads(world.events[0]["plot_str"])
    assert [image["source"] for image in plot["layout"]["images"]] == uris
    assert {world.path(uri) for uri in uris} == world.stored.keys()
    assert len(world.stored) == 3


def test_scalars_leave_statistics_but_no_files(world: World) -> None:
    task = world.task("numbers")
    task.scalar("loss", [1.0, 0.5])

    recorded = {
        "metric": "loss",
        "variant": "train",
        "value": 0.5,
        "min_value": 0.5,
        "min_value_iteration": 1,
        "max_value": 1.0,
        "max_value_iteration": 0,
        "first_value": 1.0,
        "first_value_iteration": 0,
        "count": 2,
        "mean_value": 0.75,
    }
    keys = "81513effdf5790b79549208838404407", "61b3a8faa9c1091806675c230a9abe64"
    assert task.document["last_metrics"] == {keys[0]: {keys[1]: recorded}}
    assert not world.stored


def test_lines_of_a_console_are_events_like_the_recorded_ones(world: World) -> None:
    task = world.task("talks", days_old=0)
    task.console("line 0", "line 1")

    moment = 1795348800000
    line = {"type": "log", "task": task.id, "level": "info", "msg": "line 0", "worker": "w", "timestamp": moment}
    assert world.events == [line, {**line, "msg": "line 1", "timestamp": moment + 1}]
    told = {"metric": "", "event_stats_by_type": {"log": {"last_update": moment + 1}}}
    assert task.document["metric_stats"] == {"d41d8cd98f00b204e9800998ecf8427e": told}
    assert task.document["last_iteration"] == 0


def test_a_run_may_be_short(world: World) -> None:
    task = world.task("short").ran(90).document

    assert task["completed"] == "2026-09-23T12:00:00.287000+00:00"
    assert (task["started"], task["active_duration"]) == ("2026-09-23T11:58:30.287000+00:00", 90)


def test_models_and_those_who_use_them(world: World) -> None:
    maker, user = world.task("maker", user="Research"), world.task("user")
    model = maker.model("weights", ready=True)
    user.input_model(model)
    user.model("same file", uri=model.uri)
    user.model("never uploaded", uri=world.uploading_uri)

    assert maker.document["models"]["output"][0]["model"] == model.id
    assert user.document["models"]["input"][0]["model"] == model.id
    assert model.document["task"] == maker.id
    assert model.document["ready"] is True
    assert model.document["user"] == maker.document["user"] == world.user("Research")
    assert list(world.stored) == [f"{maker.folder}/models/weights.pt"]


def test_a_renamed_or_moved_task_has_two_folders(world: World) -> None:
    task = world.task("before", project="here")
    task.artifact("data")
    task.renamed("after").artifact("more")
    task.moved("there").file("left over.bin")

    assert task.folders == [f"here/before.{task.id}", f"here/after.{task.id}", f"there/after.{task.id}"]
    assert task.document["project"] == world.project("there")["id"]


def test_projects_come_with_their_parents(world: World) -> None:
    child = world.project("a/b/c")

    names = [project["name"] for project in world.as_dict()["projects"]]
    assert sorted(names) == ["a", "a/b", "a/b/c"]
    assert child["path"] == [world.project("a")["id"], child["parent"]]
    assert "parent" not in world.project("a")


def test_renaming_a_project_moves_all_below_but_no_file(world: World) -> None:
    task = world.task("exp", project="old/sub")
    task.artifact("data")
    world.rename_project("old", "group/new")
    task.artifact("more")

    assert task.project == "group/new/sub"
    assert task.folders == [f"old/sub/exp.{task.id}", f"group/new/sub/exp.{task.id}"]
    renamed = world.project("group/new/sub")
    assert renamed["id"] == task.document["project"]
    assert renamed["path"] == [world.project("group")["id"], world.project("group/new")["id"]]
    assert {project["name"] for project in world.as_dict()["projects"]} == {"group", "group/new", "group/new/sub"}


def test_pipelines_and_datasets_are_in_hidden_projects(world: World) -> None:
    controller = world.pipeline("nightly", project="lab")
    step = controller.step("train", archived=False)
    first = world.dataset("images", project="lab", size=7)
    second = world.dataset("images", project="other", parents=[first], version="1.1.0")
    third = world.dataset("images", project="other", parents=[second])

    assert world.project("lab/.pipelines/nightly")["system_tags"] == ["hidden", "pipeline"]
    assert world.project("lab/.datasets/images")["system_tags"] == ["dataset", "hidden"]
    assert (controller.document["type"], step.document["parent"]) == ("controller", controller.id)
    assert first.document["system_tags"] == ["archived", "dataset"]
    assert _ancestors(third.document) == {third.id: [second.id], second.id: [first.id], first.id: []}


def _ancestors(dataset: dict[str, Any]) -> dict[str, list[str]]:
    """Each version's parents, read as clearml's Dataset does."""
    struct = json.loads(dataset["configuration"]["Dataset Struct"]["value"])
    return {node["job_id"]: [struct[key]["job_id"] for key in node["parents"]] for node in struct.values()}


def test_a_task_that_uses_a_dataset_tells_so_twice(world: World) -> None:
    dataset, task = world.dataset("images"), world.task("train")
    task.uses_dataset(dataset, alias="training data")

    assert task.document["runtime"]["datasets"] == [dataset.id]
    assert task.document["hyperparams"]["Datasets"]["training data"]["value"] == dataset.id


def test_public_and_hidden_tasks(world: World) -> None:
    assert world.task("example", public=True).document["company"] == ""
    assert world.task("internal", hidden=True, archived=False).document["system_tags"] == ["hidden"]


def test_now_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        World(datetime(2026, 11, 22))  # noqa: DTZ001 -- what is refused
