"""Images of reports lie in a folder that is called like the report's id: they are deleted with it, unless others show them."""

from pathlib import Path

import pytest

from cleanup_job.planning.outcome import Reason
from cleanup_job.storage.mounted_folders import MountedFolders
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW, clean, state


@pytest.fixture
def world() -> World:
    return World(NOW)


def report(world: World, *names: str, text: str = "", **options: object) -> TaskBuilder:
    """A report with images."""
    made = world.task("report", task_type="report", project="lab/.reports", system_tags=["reports"], **options)
    made.document["report"] = text
    made.document["report_assets"] = [address(made, name) for name in names]
    for name in names:
        world.stored[f"reports/{made.id}/{name}"] = 3
    return made


def address(made: TaskBuilder, name: str) -> str:
    return f"{{FILES}}/reports/{made.id}/{name}"


def images(sandbox: Sandbox) -> list[str]:
    return [path for path in state(sandbox)[2] if path.startswith("reports/")]


def test_a_report_is_deleted_with_its_images(sandbox: Sandbox, world: World) -> None:
    gone, living = report(world, "a.png", "b.png"), report(world, "c.png", archived=False)
    world.stored[f"reports/{gone.id}/removed from the text.png"] = 3
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.deleted == {gone.id}
    assert done.watcher.outcomes[gone.id].files == 2
    assert images(sandbox) == [f"reports/{living.id}/c.png"]
    assert clean(sandbox).watcher.outcomes == {}


def test_an_image_that_the_text_alone_names_is_the_reports_too(sandbox: Sandbox, world: World) -> None:
    made = report(world)
    world.stored[f"reports/{made.id}/a.png"] = 3
    made.document["report"] = f"# Results\n![chart]({address(made, 'a.png')}) and more"
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {made.id}
    assert images(sandbox) == []


@pytest.mark.parametrize("scope", ["all", "pipelines", "off"])
def test_an_image_that_a_living_report_lists_is_kept(sandbox: Sandbox, world: World, scope: str) -> None:
    made, living = report(world, "a.png", "b.png"), report(world, archived=False)
    living.document["report_assets"] = [address(made, "a.png")]
    sandbox.load(world.as_dict())
    done = clean(sandbox, protect_linked_artifacts=scope)
    assert done.watcher.deleted == {made.id}
    assert done.watcher.outcomes[made.id].protected == (f"{sandbox.files_url}/reports/{made.id}/a.png",)
    assert images(sandbox) == [f"reports/{made.id}/a.png"]


@pytest.mark.parametrize("text", ["![]({FILES}/reports/%s/a%%20(1).png)", '<img src="/files/reports%%2F%s%%2Fa.png">'])
def test_a_folder_that_the_text_of_a_living_report_names_is_kept(sandbox: Sandbox, world: World, text: str) -> None:
    made = report(world, "a.png", "b.png")
    report(world, text=text % made.id, archived=False)
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {made.id}
    assert len(images(sandbox)) == 2


def test_an_image_that_a_living_task_has_as_an_artifact_is_kept(sandbox: Sandbox, world: World) -> None:
    made, living = report(world, "a.png", "b.png"), world.task("living", archived=False)
    living.linked_artifact("chart", address(made, "a.png"))
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {made.id}
    assert images(sandbox) == [f"reports/{made.id}/a.png"]


def test_what_a_report_wrote_elsewhere_is_deleted_although_its_images_are_shown(sandbox: Sandbox, world: World) -> None:
    made = report(world, "a.png")
    made.plot("plot", images=1)
    report(world, text=f"![](https://elsewhere/reports/{made.id}/a.png)", archived=False)
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {made.id}
    assert state(sandbox)[2] == [f"reports/{made.id}/a.png"]


def test_what_two_archived_reports_show_is_deleted_with_the_second(sandbox: Sandbox, world: World) -> None:
    made, other = report(world, "a.png"), report(world)
    other.document["report_assets"] = [address(made, "a.png")]
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {made.id, other.id}
    assert images(sandbox) == []


def test_only_a_report_owns_such_a_folder(sandbox: Sandbox, world: World) -> None:
    task, victim = world.task("training"), report(world, "a.png", archived=False)
    task.document["report_assets"] = [address(task, "x.png"), address(victim, "a.png")]
    thief = report(world)
    thief.document["report_assets"] = [address(victim, "a.png"), address(task, "x.png")]
    world.stored[f"reports/{task.id}/x.png"] = 3
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {task.id, thief.id}
    assert len(images(sandbox)) == 2


def test_a_path_that_climbs_out_keeps_the_report(sandbox: Sandbox, world: World) -> None:
    made, living = report(world), world.task("living", archived=False)
    precious = living.artifact("data")
    made.document["report_assets"] = [address(made, f"../../{world.path(precious)}")]
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.kept == {made.id: Reason.UNUSABLE_PATH}


def test_images_on_an_unknown_store_keep_the_report(sandbox: Sandbox, world: World) -> None:
    made = report(world)
    made.document["report_assets"] = [f"https://elsewhere.example/reports/{made.id}/a.png"]
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.kept == {made.id: Reason.UNKNOWN_STORE}


def test_without_delete_many_the_images_are_deleted_one_by_one(world: World) -> None:
    made = report(world, "a.png", "b c.png")
    with Sandbox(world.as_dict(), allow_batch=False) as sandbox:
        assert clean(sandbox).watcher.deleted == {made.id}
        assert images(sandbox) == []


def test_in_a_mounted_folder_all_is_deleted_but_what_others_show(world: World, sandbox: Sandbox, tmp_path: Path) -> None:
    made, living = report(world), report(world, archived=False)
    folder = tmp_path / "reports" / made.id
    folder.mkdir(parents=True)
    for name in ("a.png", "b.png", "unnamed.png"):
        (folder / name).write_text("x")
    made.document["report_assets"] = [f"file://{folder}/{name}" for name in ("a.png", "b.png")]
    living.document["report_assets"] = [f"file://{folder}/b.png"]
    sandbox.load(world.as_dict())
    done = clean(sandbox, stores=lambda _, gate: [MountedFolders([str(tmp_path)], before_deletion=gate)])
    assert done.watcher.deleted == {made.id}
    assert sorted(path.name for path in folder.iterdir()) == ["b.png"]


@pytest.mark.parametrize("version", ["2.13", "2.22", "2.23", "2.24"])
def test_a_server_is_asked_for_what_it_has_of_reports(world: World, version: str) -> None:
    made = world.task("task")
    made.artifact("data")
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        assert clean(sandbox).watcher.deleted == {made.id}
        asked = {field for r in sandbox.requests if isinstance(r.body, dict) for field in r.body.get("only_fields", ())}
    assert asked & {"report", "report_assets"} == {"2.23": {"report"}, "2.24": {"report", "report_assets"}}.get(version, set())
