"""Given this world and this setting, exactly this is gone."""

import pytest

from cleanup_job.errors import UnreachableError
from cleanup_job.planning.outcome import Reason
from clearml_sandbox.server import Fault, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state


@pytest.fixture
def world() -> World:
    return World(NOW)


def files(sandbox: Sandbox) -> list[str]:
    return state(sandbox)[2]


def test_an_archived_task_is_deleted_with_its_models_artifacts_debug_samples_and_plots(sandbox: Sandbox, world: World) -> None:
    task = world.task("exp")
    task.artifact("data")
    task.model("weights")
    task.debug_images(7)
    task.plot("confusion", images=3)
    task.file("artifacts/left/over.bin")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert state(sandbox) == ([], [], [])
    row = done.report.total()
    assert (row.tasks, row.models, row.files, row.failed, row.kept) == (1, 1, 12, 0, 0)
    assert done.report.exit_code == 0


def test_drafts_that_never_ran_are_found_and_without_force_nothing_else(sandbox: Sandbox, world: World) -> None:
    draft = world.task("draft", status="created")
    assert "status_changed" not in draft.document
    world.task("done", status="completed")
    world.task("young draft", status="created", days_old=5)
    sandbox.load(world.as_dict())
    assert clean(sandbox, force_delete=False).watcher.deleted == {draft.id}


@pytest.mark.parametrize("status", ["created", "stopped", "completed", "failed", "closed", "published"])
def test_with_force_every_archived_task_past_the_threshold_is_deleted(sandbox: Sandbox, world: World, status: str) -> None:
    old = world.task("old", status=status)
    world.task("not archived", status=status, archived=False)
    world.task("young", status=status, days_old=10)
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {old.id}
    assert clean(sandbox).report.selected == 0


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_active_task_counts_by_its_last_report(sandbox: Sandbox, world: World, status: str) -> None:
    world.task("reporting", status=status, updated_days=0.01)
    silent = world.task("silent", status=status)
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {silent.id}


def test_archived_by_mistake_a_minute_ago_is_kept_by_the_grace(sandbox: Sandbox, world: World) -> None:
    world.task("by mistake", days_old=400, archived_days=1 / 1440)
    long_ago = world.task("long ago", days_old=400, archived_days=8)
    sandbox.load(world.as_dict())
    assert clean(sandbox, filters={"archived_for_days": 7}).watcher.deleted == {long_ago.id}


def test_a_child_is_not_held_back_when_the_pass_deletes_its_parent(sandbox: Sandbox, world: World) -> None:
    parent = world.task("parent", days_old=50)
    child = world.task("child", days_old=60, parent=parent)
    sandbox.load(world.as_dict())
    done = clean(sandbox, filters={"archived_for_days": 7}, batch_size=1, workers=1)
    assert done.watcher.deleted == {parent.id, child.id}


def test_a_renamed_and_moved_task_loses_all_its_folders(sandbox: Sandbox, world: World) -> None:
    task = world.task("first name", project="team/a")
    task.artifact("one")
    task.renamed("second name").artifact("two")
    task.moved("team/b").debug_images(2)
    assert len(task.folders) == 3
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert files(sandbox) == []


@pytest.mark.parametrize("name", ["exp #1 a+b", "100% n%41", "ünïcödé ✓", "semi;colon, 'quoted' & more", "a/b?c=d"])
@pytest.mark.parametrize("allow_batch", [True, False])
def test_names_that_need_quoting_are_found_and_their_neighbours_are_not(world: World, name: str, allow_batch: bool) -> None:
    task = world.task(name, project="names/" + name)
    task.artifact(name)
    task.debug_images(2, metric=name)
    task.model("weights")
    neighbour = world.task(name, project="names/" + name, archived=False).artifact(name)
    with Sandbox(world.as_dict(), allow_batch=allow_batch) as sandbox:
        assert clean(sandbox).watcher.deleted == {task.id}
        assert files(sandbox) == [world.path(neighbour)]


def test_a_link_registered_as_an_artifact_is_kept_and_the_record_is_deleted(sandbox: Sandbox, world: World) -> None:
    living = world.task("living", archived=False)
    uri = living.artifact("data")
    task = world.task("linker")
    task.linked_artifact("theirs", uri)
    task.linked_artifact("raw", "s3://bucket/input/raw.csv")
    task.linked_image("s3://bucket/input/vid.mp4")
    task.model("base", uri="s3://bucket/zoo/base.pt")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert files(sandbox) == [world.path(uri)]
    outcome = done.watcher.outcomes[task.id]
    assert outcome.external_count == 4
    assert "s3://bucket/zoo/base.pt" in outcome.external


def test_linked_files_are_deleted_only_where_the_settings_say_so_and_never_from_another_tasks_folder(
    sandbox: Sandbox, world: World
) -> None:
    living = world.task("living", archived=False)
    task = world.task("linker")
    task.linked_artifact("theirs", living.artifact("data"))
    for name in ("a.bin", "b.bin"):
        world.stored[f"shared/{name}"] = 5
        task.linked_artifact(name, f"{world.files}/shared/{name}")
    world.model("zoo", uri=f"{world.files}/shared/b.bin")
    sandbox.load(world.as_dict())
    clean(sandbox, external_files="delete")
    assert [path for path in files(sandbox) if path.startswith("shared/")] == ["shared/b.bin"]
    assert len(files(sandbox)) == 2


def test_a_model_that_a_living_task_uses_is_kept_with_its_file(sandbox: Sandbox, world: World) -> None:
    maker = world.task("maker")
    used, free = maker.model("used"), maker.model("free")
    maker.artifact("data")
    maker.debug_images(3)
    world.task("user", archived=False).input_model(used)
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert files(sandbox) == [world.path(used.uri)]
    assert state(sandbox)[1] == [used.id]
    assert done.watcher.outcomes[maker.id].protected == (sandbox.store.models[used.id]["uri"],)
    assert free.id not in sandbox.store.models
    assert done.watcher.warnings == []


def test_a_published_model_is_kept_with_its_file(sandbox: Sandbox, world: World) -> None:
    task = world.task("maker", status="published")
    ready = task.model("ready", ready=True)
    task.model("draft")
    task.artifact("data")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert files(sandbox) == [world.path(ready.uri)]
    assert state(sandbox)[:2] == ([], [ready.id])
    assert done.watcher.warnings == []


def test_tasks_that_use_each_others_models_are_deleted_together_and_a_published_model_is_kept(
    sandbox: Sandbox, world: World
) -> None:
    one, other = world.task("one"), world.task("other")
    one.input_model(other.model("b"))
    other.input_model(one.model("a"))
    ready = one.model("ready", ready=True)
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.deleted == {one.id, other.id}
    assert state(sandbox)[:2] == ([], [ready.id])
    assert files(sandbox) == [world.path(ready.uri)]


def test_two_models_one_uri_the_file_is_deleted_with_the_last_of_them(sandbox: Sandbox, world: World) -> None:
    first = world.task("first", days_old=40)
    weights = first.model("weights")
    second = world.task("second", days_old=20)
    second.model("again", uri=weights.uri)
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert files(sandbox) == [world.path(weights.uri)]
    assert state(sandbox)[0] == [second.id]


def test_two_models_one_uri_in_one_pass(sandbox: Sandbox, world: World) -> None:
    for name, days in (("a", 40), ("b", 50)):
        first = world.task(f"first {name}", days_old=days)
        second = world.task(f"second {name}", days_old=90 - days)
        second.model("again", uri=first.model("weights").uri)
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert state(sandbox) == ([], [], [])
    assert len(done.watcher.deleted) == 4


@pytest.mark.parametrize("maker_days", [40, 60])
def test_consumer_and_producer_are_deleted_in_one_pass_with_all_files(sandbox: Sandbox, world: World, maker_days: int) -> None:
    maker = world.task("maker", days_old=maker_days)
    user = world.task("user", days_old=50)
    user.input_model(maker.model("weights"))
    user.artifact("result")
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert state(sandbox) == ([], [], [])


def test_tasks_that_use_each_others_models_are_deleted_as_one(sandbox: Sandbox, world: World) -> None:
    one, other = world.task("one"), world.task("other")
    one.input_model(other.model("b"))
    other.input_model(one.model("a"))
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert state(sandbox) == ([], [], [])
    assert done.watcher.warnings == []


def test_a_surviving_model_under_another_address_of_the_fileserver_protects_the_file(sandbox: Sandbox) -> None:
    world = World(NOW, aliases=["https://public.example"])
    task = world.task("maker")
    uri = task.artifact("data", filename="a b.bin")
    world.model("zoo", uri=uri.replace(world.files, "https://public.example"))
    sandbox.load(world.as_dict())
    clean(sandbox, files_url_prefixes=("https://public.example",))
    assert files(sandbox) == [world.path(uri)]


def test_files_under_another_address_of_the_fileserver_are_owned_once_it_is_named(sandbox: Sandbox) -> None:
    world = World(NOW, aliases=["https://public.example"])
    task = world.task("exp", destination="https://public.example")
    task.artifact("data")
    task.debug_images(2)
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.kept == {task.id: Reason.UNKNOWN_STORE}
    assert dict(done.report.unknown_stores) == {"https://public.example": 3}
    assert len(files(sandbox)) == 3
    clean(sandbox, files_url_prefixes=("https://public.example",))
    assert state(sandbox) == ([], [], [])


def test_an_owned_file_on_an_unknown_store_keeps_the_task_and_all_its_files(sandbox: Sandbox, world: World) -> None:
    task = world.task("exp")
    task.artifact("data")
    task.model("weights", uri=f"s3://bucket/base/lab/exp.{task.id}/models/w.pt")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.kept == {task.id: Reason.UNKNOWN_STORE}
    assert len(files(sandbox)) == 1
    assert dict(done.report.unknown_stores) == {"s3://bucket": 1}
    clean(sandbox, unknown_stores="delete_record")
    assert state(sandbox) == ([], [], [])


def test_a_public_example_is_counted_as_not_ours(sandbox: Sandbox, world: World) -> None:
    task = world.task("example", public=True)
    task.artifact("data")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.report.total().not_ours == 1
    assert len(files(sandbox)) == 1
    assert done.report.exit_code == 0


def test_a_dataset_version_that_a_living_version_is_made_of_is_kept(sandbox: Sandbox, world: World) -> None:
    base = world.dataset("numbers", version="1.0.0")
    world.dataset("numbers", version="2.0.0", parents=[base], archived=False)
    lone = world.dataset("lone")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.kept == {base.id: Reason.DATASET_IN_USE}
    assert done.watcher.deleted == {lone.id}


def test_a_whole_line_of_dataset_versions_is_deleted_youngest_first(sandbox: Sandbox, world: World) -> None:
    first = world.dataset("numbers", version="1.0.0", days_old=40)
    second = world.dataset("numbers", version="2.0.0", parents=[first], days_old=50)
    world.dataset("numbers", version="3.0.0", parents=[second], days_old=60)
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert state(sandbox) == ([], [], [])


def test_published_children_are_overruled_by_force_only(sandbox: Sandbox, world: World) -> None:
    parent = world.task("parent", status="created")
    parent.artifact("data")
    world.task("child", archived=False, status="published", parent=parent)
    sandbox.load(world.as_dict())
    done = clean(sandbox, force_delete=False)
    assert done.watcher.kept == {parent.id: Reason.NEEDS_FORCE}
    assert len(files(sandbox)) == 1
    assert clean(sandbox).watcher.deleted == {parent.id}
    assert files(sandbox) == []


def test_the_models_of_interrupted_uploads_share_an_address_that_is_nobodys_file(sandbox: Sandbox, world: World) -> None:
    task = world.task("interrupted")
    task.model("weights", uri=world.uploading_uri)
    world.task("other", archived=False).model("weights", uri=world.uploading_uri)
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.deleted == {task.id}
    assert done.watcher.outcomes[task.id].external_count == 0


def test_a_folder_named_like_a_task_in_a_projects_name_does_not_take_the_project_along(sandbox: Sandbox, world: World) -> None:
    task = world.task("exp")
    task.artifact("own")
    living = world.task("living", project=f"team/x.{task.id}", archived=False)
    kept = living.artifact("data")
    task.linked_artifact("bait", f"{world.files}/team/x.{task.id}/artifacts/bait.bin")
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert world.path(kept) in files(sandbox)


def test_a_dry_run_finds_a_fileserver_that_is_not_there(sandbox: Sandbox) -> None:
    sandbox.load(World(NOW).as_dict())
    sandbox.fault = lambda request: Fault(status=503) if request.service == "files" else None
    with pytest.raises(UnreachableError, match="CLEARML_FILES_HOST"):
        clean(sandbox, dry_run=True)


def test_a_dry_run_warns_of_an_address_that_is_no_fileservers(sandbox: Sandbox) -> None:
    sandbox.load(World(NOW).as_dict())
    sandbox.fault = lambda request: Fault(status=404) if request.service == "files" else None
    assert any("CLEARML_FILES_HOST" in text for text in clean(sandbox, dry_run=True).watcher.warnings)
