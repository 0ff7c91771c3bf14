"""Addresses that are quoted once less, or once more, than the name under which a store has a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.planning.outcome import Reason, Verdict
from cleanup_job.retry import Retry
from cleanup_job.storage.interface import Store
from cleanup_job.storage.mounted_folders import MountedFolders
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW, Done, clean, state

AS_WRITTEN = [
    ("lab/plain.{id}", "lab/plain.{id}"),
    ("lab/a%20b.{id}", "lab/a b.{id}"),
    ("lab/100%2525.{id}", "lab/100%25.{id}"),
    ("lab/n%25C3%25A4me%20x.{id}", "lab/n%C3%A4me x.{id}"),
]
LESS = [
    ("lab/n%C3%A4me.{id}", "lab/n%C3%A4me.{id}"),
    ("lab/a+b %231.{id}", "lab/a+b %231.{id}"),
    ("lab/lr=0.1 bs%3A32.{id}", "lab/lr=0.1 bs%3A32.{id}"),
    ("t%C3%A4m/x%25.{id}", "t%C3%A4m/x%25.{id}"),
]
MORE = [
    ("lab/a%2520b.{id}", "lab/a b.{id}"),
    ("lab/c%252Bd.{id}", "lab/c+d.{id}"),
    ("lab/50%252525.{id}", "lab/50%25.{id}"),
    ("lab/%25D0%2596.{id}", "lab/Ж.{id}"),
]
KINDS = ("models/w.pt", "artifacts/data/d.bin", "notes.txt")


@pytest.fixture
def world() -> World:
    return World(NOW)


def spelled(world: World, address: str, path: str | None, *names: str, **options: Any) -> TaskBuilder:
    """A task whose records name files in a folder at an address; on the fileserver they are at a path, or nowhere."""
    task = world.task("exp", **options)
    for name in names or KINDS:
        uri = f"{{FILES}}/{address.format(id=task.id)}/{name}"
        task.model(name, uri=uri) if name.startswith("models") else task.linked_artifact(name, uri)
        if path is not None:
            world.stored[f"{path.format(id=task.id)}/{name}"] = 1
    return task


@pytest.mark.parametrize(("address", "path"), [*AS_WRITTEN, *LESS, *MORE])
def test_whatever_the_spelling_the_files_are_deleted_with_their_record(
    sandbox: Sandbox, world: World, address: str, path: str
) -> None:
    task = spelled(world, address, path)
    world.stored[f"{path.format(id=task.id)}/metrics/unnamed.png"] = 1
    world.stored[f"{path.format(id='0' * 32)}/models/w.pt"] = 1
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.deleted == {task.id}
    outcome = done.watcher.outcomes[task.id]
    assert (outcome.files, outcome.files_missing) == (3, 0), "a reading that is not there is no missing file"
    assert state(sandbox)[2] == [f"{path.format(id='0' * 32)}/models/w.pt"]


def test_all_readings_are_tried_in_one_call(sandbox: Sandbox, world: World) -> None:
    for address, path in (*AS_WRITTEN, *LESS, *MORE):
        spelled(world, address, path, "models/w.pt")
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert len([r for r in sandbox.requests if r.call == "/delete_many" and r.body["files"]]) == 1


@pytest.mark.parametrize(("address", "path"), [*LESS, *MORE])
@pytest.mark.parametrize("by", ["model", "artifact"])
def test_a_reading_that_a_surviving_record_claims_is_kept(
    sandbox: Sandbox, world: World, address: str, path: str, by: str
) -> None:
    task = spelled(world, address, path, "models/w.pt", "models/other.pt")
    uri = f"{{FILES}}/{address.format(id=task.id)}/models/w.pt"
    living = world.task("living", archived=False)
    living.model("claim", uri=uri) if by == "model" else living.linked_artifact("claim", uri)
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert f"{path.format(id=task.id)}/models/w.pt" in state(sandbox)[2]
    assert f"{path.format(id=task.id)}/models/other.pt" not in state(sandbox)[2]


def test_a_reading_in_another_tasks_folder_is_none(sandbox: Sandbox, world: World) -> None:
    other = world.task("other", archived=False)
    hidden = f"x%252F..%252Fother.{other.id}%252Fmodels%252Fw.pt"  # twice unquoted it would lead there
    task = world.task("exp")
    task.model("w", uri=f"{{FILES}}/lab/exp.{task.id}/models/{hidden}")
    task.model("v", uri=f"{{FILES}}/lab/exp%252F..%252Fother.{other.id}.{task.id}/models/w.pt")
    world.stored[f"lab/other.{other.id}/models/w.pt"] = 1
    world.stored[f"lab/exp.{task.id}/models/w.pt"] = 1
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert f"lab/other.{other.id}/models/w.pt" in state(sandbox)[2]


@pytest.mark.parametrize(("address", "path"), [*LESS, *MORE])
def test_where_no_reading_is_there_the_record_is_kept(sandbox: Sandbox, world: World, address: str, path: str) -> None:
    task = spelled(world, address, None)
    world.task("other").artifact("data")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.kept == {task.id: Reason.FILES_NOT_FOUND}
    assert "CLEANUP_MISSING_FILES=delete_record" in done.watcher.outcomes[task.id].detail
    assert state(sandbox)[0] == [task.id]
    assert clean(sandbox).watcher.kept == {task.id: Reason.FILES_NOT_FOUND}
    assert clean(sandbox, missing_files="delete_record").watcher.deleted == {task.id}


@pytest.mark.parametrize(("address", "path"), AS_WRITTEN[:2])
def test_what_has_one_reading_and_is_not_there_is_gone(sandbox: Sandbox, world: World, address: str, path: str) -> None:
    task = spelled(world, address, None)
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {task.id}


@pytest.mark.parametrize(("address", "path"), [*LESS, *MORE])
def test_any_other_file_that_is_there_shows_that_the_rest_is_gone(
    sandbox: Sandbox, world: World, address: str, path: str
) -> None:
    task = spelled(world, address, None)
    task.artifact("plain")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.deleted == {task.id}
    assert (done.report.total().files, done.report.files_missing) == (1, 3)


@pytest.mark.parametrize(("address", "path"), [*LESS, *MORE])
def test_after_an_interrupted_night_a_name_of_one_reading_shows_that_the_rest_is_gone(
    sandbox: Sandbox, world: World, address: str, path: str
) -> None:
    task = spelled(world, address, path)
    task.artifact("plain")
    sandbox.load(world.as_dict())
    sandbox.fault = lambda request: Fault(status=400) if request.call == "tasks.delete_many" else None
    assert clean(sandbox).watcher.failed == {task.id}
    sandbox.fault = None
    assert (clean(sandbox).watcher.deleted, state(sandbox)[2]) == ({task.id}, [])


def test_an_answer_that_is_lost_is_no_sign_that_nothing_was_there(sandbox: Sandbox, world: World) -> None:
    task = spelled(world, *LESS[0])
    sandbox.load(world.as_dict())
    seen: list[Request] = []

    def lose(request: Request) -> Fault | None:
        seen.extend([request] if request.call == "/delete_many" and request.body["files"] else [])
        return Fault(after=True) if seen and request is seen[0] else None

    sandbox.fault = lose
    done = clean(sandbox)
    assert done.watcher.deleted == {task.id}
    assert (done.report.total().files, done.report.files_missing) == (3, 0)


@pytest.mark.parametrize(("address", "path"), [*LESS, *MORE])
def test_a_task_whose_only_file_is_kept_for_others_is_not_missing_any(
    sandbox: Sandbox, world: World, address: str, path: str
) -> None:
    task = spelled(world, address, path, "models/w.pt")
    world.task("living", archived=False).input_model(world.models[0]["id"])
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {task.id}
    assert state(sandbox)[2] == [f"{path.format(id=task.id)}/models/w.pt"]


@pytest.mark.parametrize(("address", "path"), [*LESS, *MORE])
def test_files_of_living_tasks_are_found_under_each_reading(sandbox: Sandbox, world: World, address: str, path: str) -> None:
    for _ in range(6):
        spelled(world, address, path, archived=False)
    world.task("old").artifact("data")
    sandbox.load(world.as_dict())
    assert len(clean(sandbox).watcher.deleted) == 1


# -- stores that can list
def mounted(root: Path) -> Callable[[Retry, Callable[[], None]], list[Store]]:
    return lambda _, gate: [MountedFolders([str(root)], before_deletion=gate)]


def in_folder(sandbox: Sandbox, world: World, root: Path, address: str, path: str | None) -> tuple[TaskBuilder, Done]:
    task = world.task("exp")
    task.linked_artifact("data", f"file://{root}/{address.format(id=task.id)}/artifacts/data/d.bin")
    (root / "other.txt").write_text("x")
    if path is not None:
        file = root / path.format(id=task.id) / "artifacts/data/d.bin"
        file.parent.mkdir(parents=True)
        file.write_text("x")
    sandbox.load(world.as_dict())
    return task, clean(sandbox, stores=mounted(root))


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("lab/a b.{id}", "lab/a b.{id}"),
        ("lab/a%20b.{id}", "lab/a%20b.{id}"),
        ("my%20lab/a%20b.{id}", "my lab/a b.{id}"),
        ("lab/n%C3%A4me.{id}", "lab/näme.{id}"),
    ],
)
def test_in_a_mounted_folder_both_readings_are_tried(
    sandbox: Sandbox, world: World, tmp_path: Path, address: str, path: str
) -> None:
    task, done = in_folder(sandbox, world, tmp_path, address, path)
    assert done.watcher.deleted == {task.id}
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["other.txt"]
    assert (done.report.total().files, done.report.files_missing) == (1, 0)


def test_in_a_mounted_folder_too_what_may_be_there_under_another_name_is_kept(
    sandbox: Sandbox, world: World, tmp_path: Path
) -> None:
    task, done = in_folder(sandbox, world, tmp_path, "lab/n%C3%A4me.{id}", None)
    assert done.watcher.kept == {task.id: Reason.FILES_NOT_FOUND}
    dry = clean(sandbox, stores=mounted(tmp_path), dry_run=True)
    assert dry.watcher.by_verdict(Verdict.KEPT) == {task.id}, "a dry run also says so, if it can look"
