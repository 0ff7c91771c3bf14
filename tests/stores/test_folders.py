"""Mounted folders: only below the roots, through no symbolic link, and never where nothing is mounted."""

import os
from pathlib import Path

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.planning.paths import PartOfFolder, TaskFile, TaskFolder, TaskId
from cleanup_job.storage.mounted_folders import MountedFolders
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state

ONE, OTHER = (TaskId(digit * 32) for digit in "ab")


def task_folder(root: Path, name: str = "lab/exp", task: TaskId = ONE) -> TaskFolder:
    place = MountedFolders([str(root)]).locate(f"file://{root}/{name}.{task}")
    assert place is not None
    return TaskFolder(place.store, place.path, task)


def fill(root: Path, top: TaskFolder, *rests: str) -> None:
    for rest in rests:
        path = root / top.path / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("12345")


def there(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or path.is_file()}


def test_what_the_sdk_makes_goes_with_a_folder_and_nothing_beside_it(folder: Path) -> None:
    top = task_folder(folder)
    fill(folder, top, "models/x.pt", "metrics/a/b/1.png", "artifacts/dots../y", "artifacts/empty name /z")
    (folder / top.path / "artifacts/empty/below").mkdir(parents=True)
    fill(folder, task_folder(folder, "lab/exp", OTHER), "models/x.pt")
    (folder / f"{top.path}2").write_text("1")
    stores = MountedFolders([str(folder)])
    done = stores.delete([top])
    assert done.failed == {}
    assert (done.sizes[top].files, done.sizes[top].bytes) == (4, 20)
    assert not (folder / top.path).exists()
    assert there(folder) == {"README", f"{top.path}2", f"lab/exp.{OTHER}/models/x.pt"}
    again = stores.delete([top])
    assert (again.failed, again.missing) == ({}, {top})
    assert stores.warnings() == []


def test_what_lies_beside_what_the_sdk_makes_stays_unless_it_is_named(folder: Path) -> None:
    top = task_folder(folder)
    beside = ("README", "runs/a/x", "artifacts2/x", "Models/x")
    fill(folder, top, "models/x.pt", *beside)
    (folder / top.path / "empty").mkdir()
    stores = MountedFolders([str(folder)])
    done = stores.delete([top, TaskFile(top, "runs/a/x")])
    assert done.failed == {}
    assert sum(size.files for size in done.sizes.values()) == 2
    assert there(folder) == {"README", *(f"{top.path}/{rest}" for rest in beside if rest != "runs/a/x")}
    assert (folder / top.path / "empty").is_dir()


def test_what_has_to_stay_stays_and_so_does_another_tasks_folder(folder: Path) -> None:
    top = task_folder(folder)
    inner = f"artifacts/lab/inner.{OTHER}/models/w.pt"
    fill(folder, top, "models/keep/a", "models/x.pt", inner)
    part = PartOfFolder(top, ("models/keep",))
    assert MountedFolders([str(folder)]).delete([part]).sizes[part].files == 1
    assert there(folder) == {"README", f"{top.path}/models/keep/a", f"{top.path}/{inner}"}


def test_a_single_file_goes_alone(folder: Path) -> None:
    top = task_folder(folder)
    fill(folder, top, "models/x.pt", "models/y.pt")
    assert MountedFolders([str(folder)]).delete([TaskFile(top, "models/x.pt")]).failed == {}
    assert there(folder) == {"README", f"{top.path}/models/y.pt"}


def test_a_link_in_a_folder_goes_and_what_it_leads_to_stays(folder: Path, tmp_path: Path) -> None:
    top = task_folder(folder)
    fill(folder, top, "models/x.pt")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/data").write_text("1")
    (folder / top.path / "models/link").symlink_to(tmp_path / "outside")
    assert MountedFolders([str(folder)]).delete([top]).sizes[top].files == 2
    assert there(folder) == {"README"}
    assert (tmp_path / "outside/data").exists()


@pytest.mark.parametrize("where", ["project", "folder"])
def test_a_link_that_leads_out_of_the_root_is_not_followed(folder: Path, tmp_path: Path, where: str) -> None:
    top = task_folder(folder)
    outside = tmp_path / "outside"
    target = outside if where == "project" else outside / f"exp.{ONE}"
    (outside / f"exp.{ONE}").mkdir(parents=True)
    (outside / f"exp.{ONE}/data").write_text("1")
    link = folder / "lab" if where == "project" else folder / top.path
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)
    assert "symbolic link" in MountedFolders([str(folder)]).delete([top]).failed[top]
    assert (outside / f"exp.{ONE}/data").exists()


def test_a_root_that_is_not_mounted_ends_the_pass_before_anything_is_deleted(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    world = World(NOW)
    world.task("old", destination=f"file://{tmp_path}/mnt").artifact("data")
    sandbox.load(world.as_dict())
    for root, problem in ((tmp_path / "mnt", "is empty"), (tmp_path / "none", "is not a folder")):
        with pytest.raises(SettingsError, match=problem):
            clean(sandbox, stores=lambda *_, root=root: [MountedFolders([str(root)])])
        dry = clean(sandbox, stores=lambda *_, root=root: [MountedFolders([str(root)])], dry_run=True)
        assert any(problem in warning for warning in dry.watcher.warnings)
    assert len(state(sandbox)[0]) == 1


def test_a_folder_that_can_not_be_deleted_keeps_its_record(
    sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(NOW)
    task = world.task("old", destination=f"file://{folder}")
    path = Path(task.artifact("data").removeprefix("file://"))
    path.parent.mkdir(parents=True)
    path.write_text("1")
    sandbox.load(world.as_dict())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        done = clean(sandbox, stores=lambda *_: [MountedFolders([str(folder)])])
    assert "Permission denied" in done.watcher.outcomes[task.id].detail
    assert done.watcher.failed == {task.id}
    assert clean(sandbox, stores=lambda *_: [MountedFolders([str(folder)])]).watcher.deleted == {task.id}
    assert not path.exists()


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///mnt/share/p/x", "p/x"),
        ("/mnt/share/p/x", "p/x"),
        ("file://localhost/mnt/share/p/x", "p/x"),
        ("file:///mnt/share2/p/x", None),
        ("file:///mnt/share", None),
        ("file:///mnt/p/x", None),
        ("mnt/share/p", None),
        ("http://files/mnt/share/p", None),
    ],
)
def test_where_a_uri_is(uri: str, path: str | None) -> None:
    place = MountedFolders(["/mnt/share/"]).locate(uri)
    assert (place.path if place else None) == path
