"""Mounted folders that somebody changes meanwhile: links that appear, volumes that come and go, places with two names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cleanup_job.planning.paths import Location, PartOfFolder, TaskFile, TaskFolder, TaskId
from cleanup_job.storage import open_directories
from cleanup_job.storage.mounted_folders import MountedFolders

ONE, OTHER = (TaskId(digit * 32) for digit in "ab")
TOP = f"lab/exp.{ONE}"


def top_of(root: Path, path: str = TOP) -> TaskFolder:
    return TaskFolder(f"file://{root}", path, ONE)


def fill(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("12345")


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


CALLS = ("open", "stat", "lstat", "fstat", "scandir", "unlink", "rmdir", "readlink", "listdir")


def at_each_call(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None], work: Callable[[], object], number: int) -> bool:
    """Do the work; something happens right before its system call of this number. Gives whether there were as many."""
    count = 0
    really = {name: getattr(os, name) for name in CALLS}

    def hooked(name: str) -> Callable[..., object]:
        def call(*given: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == number:
                with monkeypatch.context() as quiet:
                    for one, real in really.items():
                        quiet.setattr(os, one, real)
                    happens()
            return really[name](*given, **options)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, hooked(name))
        work()
    return count >= number


@pytest.mark.parametrize("swapped", ["lab", TOP, f"{TOP}/models", f"{TOP}/models/deep"])
@pytest.mark.parametrize("leads", ["out", "to another task"])
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_a_link_that_appears_at_any_moment_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str, leads: str, whole: bool
) -> None:
    number, went_on = 0, True
    while went_on:
        number += 1
        case = tmp_path / str(number)
        root, outside = case / "share", case / "outside"
        fill(
            root, "README", f"{TOP}/models/deep/x", f"{TOP}/models/y", f"{TOP}/artifacts/z", f"safe/other.{OTHER}/models/deep/x"
        )
        fill(outside, *(f"{top}models/{name}" for top in ("", f"exp.{ONE}/") for name in ("deep/x", "y")), "deep/x", "x", "y")
        target = outside if leads == "out" else root / f"safe/other.{OTHER}"
        if leads != "out" and swapped.endswith(("models", "deep")):
            target /= swapped.partition(f"{TOP}/")[2]
        before = files(outside), files(root / "safe")

        def swap(root: Path = root, case: Path = case, target: Path = target) -> None:
            if (root / swapped).exists():  # else it was deleted by then
                (root / swapped).rename(case / "moved")
                (root / swapped).symlink_to(target)

        path = top_of(root) if whole else TaskFile(top_of(root), "models/deep/x")
        stores = MountedFolders([str(root)])
        went_on = at_each_call(monkeypatch, swap, lambda stores=stores, path=path: stores.delete([path]), number)
        assert (files(outside), files(root / "safe")) == before, f"call {number}"
    assert number > 10


def test_a_link_below_a_task_folder_is_not_followed_even_within_the_root(tmp_path: Path) -> None:
    fill(tmp_path, f"lab/other.{OTHER}/models/w.pt", f"{TOP}/artifacts/x")
    (tmp_path / TOP / "models").symlink_to(tmp_path / f"lab/other.{OTHER}/models")
    stores = MountedFolders([str(tmp_path)])
    top, file = top_of(tmp_path), TaskFile(top_of(tmp_path), "models/w.pt")
    done = stores.delete([top, file])
    assert done.failed.keys() == {top, file}
    assert all("symbolic link" in why for why in done.failed.values())
    assert (tmp_path / f"lab/other.{OTHER}/models/w.pt").exists()


def test_a_link_above_a_task_folder_may_lead_to_another_place_below_a_root(tmp_path: Path) -> None:
    fill(tmp_path, f"really/exp.{ONE}/models/w.pt", f"really/other.{OTHER}/models/w.pt")
    (tmp_path / "lab").symlink_to("really")
    assert MountedFolders([str(tmp_path)]).delete([top_of(tmp_path)]).failed == {}
    assert files(tmp_path) == {f"really/other.{OTHER}/models/w.pt"}


def test_a_root_that_is_a_link_itself_is_the_operators_word(tmp_path: Path) -> None:
    fill(tmp_path / "volume", f"{TOP}/models/w.pt", "README")
    (tmp_path / "mnt").symlink_to("volume")
    assert MountedFolders([str(tmp_path / "mnt")]).delete([top_of(tmp_path / "mnt")]).failed == {}
    assert files(tmp_path / "volume") == {"README"}


def test_a_single_file_that_is_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    fill(tmp_path, f"lab/other.{OTHER}/models/w.pt", f"{TOP}/models/x")
    (tmp_path / TOP / "models/link").symlink_to(tmp_path / f"lab/other.{OTHER}/models/w.pt")
    assert MountedFolders([str(tmp_path)]).delete([TaskFile(top_of(tmp_path), "models/link")]).failed == {}
    assert not (tmp_path / TOP / "models/link").is_symlink()
    assert (tmp_path / f"lab/other.{OTHER}/models/w.pt").exists()


# -- what is mounted
@pytest.mark.parametrize("how", ["device", "mount"])
def test_what_is_mounted_in_a_folder_is_left_alone_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    fill(tmp_path, f"{TOP}/models/mounted/w.pt")
    mounted = (tmp_path / TOP / "models/mounted").stat().st_ino
    really = open_directories._file_system

    def file_system(descriptor: int) -> tuple[int, str]:
        device, mount = really(descriptor)
        if os.fstat(descriptor).st_ino != mounted:
            return device, mount
        return (device + 1, mount) if how == "device" else (device, "mnt_id: another one")

    monkeypatch.setattr(open_directories, "_file_system", file_system)
    stores, top = MountedFolders([str(tmp_path)]), top_of(tmp_path)
    for done in (stores.measure([top]), stores.delete([top])):
        assert f"models/mounted: {open_directories.MOUNTED}" in done.failed[top]
    assert files(tmp_path) == {f"{TOP}/models/mounted/w.pt"}


def test_a_file_that_is_mounted_is_left_alone_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError(16, "Device or resource busy")

    fill(tmp_path, f"{TOP}/models/w.pt")
    monkeypatch.setattr(os, "unlink", busy)
    assert open_directories.MOUNTED in MountedFolders([str(tmp_path)]).delete([top_of(tmp_path)]).failed[top_of(tmp_path)]


def test_what_lies_in_another_tasks_folder_is_not_even_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, f"{TOP}/artifacts/inner.{OTHER}/w.pt", f"{TOP}/artifacts/keep/w.pt", f"{TOP}/artifacts/x")
    really, seen = open_directories._open, list[str]()

    def opening(name: str, directory: int) -> int:
        seen.append(name)
        return really(name, directory)

    monkeypatch.setattr(open_directories, "_open", opening)
    part = PartOfFolder(top_of(tmp_path), ("artifacts/keep",))
    assert MountedFolders([str(tmp_path)]).delete([part]).failed == {}
    assert not {"keep", f"inner.{OTHER}"} & set(seen)
    assert files(tmp_path) == {f"{TOP}/artifacts/inner.{OTHER}/w.pt", f"{TOP}/artifacts/keep/w.pt"}


def test_a_volume_that_is_unmounted_during_a_pass_is_not_taken_for_one_without_files(tmp_path: Path) -> None:
    root = tmp_path / "share"
    fill(root, f"{TOP}/models/w.pt")
    stores = MountedFolders([str(root)])
    stores.prepare()
    root.rename(tmp_path / "unmounted")
    top = top_of(root)
    assert "is it still mounted?" in stores.delete([top]).failed[top]
    root.mkdir()
    assert "is it still mounted?" in stores.delete([top]).failed[top]


def test_folders_that_lie_in_each_other_too_deep_are_told(tmp_path: Path) -> None:
    fill(
        tmp_path,
        f"{TOP}/models/{'d/' * (open_directories.DEEPEST + 2)}w.pt",
        f"{TOP}/artifacts/{'d/' * (open_directories.DEEPEST - 2)}x",
    )
    stores, top = MountedFolders([str(tmp_path)]), top_of(tmp_path)
    assert "levels of folders" in stores.delete([top]).failed[top]


def test_a_name_that_no_file_can_have_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = TaskFile(top_of(tmp_path), f"models/{'x' * 300}")
    fill(tmp_path, f"{TOP}/models/w.pt")
    done = MountedFolders([str(tmp_path)]).delete([file])
    assert (done.failed, done.missing) == ({}, {file})


# -- one place, several names
def real(root: Path | list[Path], path: str, of: Path | None = None) -> str:
    roots = root if isinstance(root, list) else [root]
    place = MountedFolders(map(str, roots)).real(Location(f"file://{of or roots[0]}", path))
    return f"{place.store.removeprefix('file://')}|{place.path}"


def test_a_link_inside_a_root_is_resolved_and_so_is_one_on_the_way_to_what_is_missing(tmp_path: Path) -> None:
    fill(tmp_path, "a/b/x")
    (tmp_path / "link").symlink_to("a")
    assert real(tmp_path, "link/b/x") == f"{tmp_path}|a/b/x"
    assert real(tmp_path, "link/b/missing/y") == f"{tmp_path}|a/b/missing/y"
    assert real(tmp_path, "a/b/../b/./x") == f"{tmp_path}|a/b/x"


def test_a_link_that_leads_out_is_given_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path, "share/x", "outside/y")
    (tmp_path / "share/link").symlink_to(tmp_path / "outside")
    assert real(tmp_path / "share", "link/y") == f"{tmp_path}/share|link/y"


def test_of_two_roots_that_are_one_directory_the_first_counts(tmp_path: Path) -> None:
    fill(tmp_path, "volume/lab/x")
    (tmp_path / "other").symlink_to("volume")  # as a volume that is mounted twice: one device, one inode
    roots = [tmp_path / "other", tmp_path / "volume"]
    assert real(roots, "lab/x", tmp_path / "volume") == real(roots, "lab/x", tmp_path / "other") == f"{tmp_path}/other|lab/x"


def test_of_two_roots_in_each_other_the_inner_one_counts(tmp_path: Path) -> None:
    fill(tmp_path, "share/lab/x")
    roots = [tmp_path, tmp_path / "share"]
    assert real(roots, "share/lab/x") == real(roots, "lab/x", tmp_path / "share") == f"{tmp_path}/share|lab/x"
    assert real(roots, "share") == f"{tmp_path}/share|"


@pytest.mark.parametrize("path", ["a\x00b", "x" * 300, "/".join(["y" * 200] * 40), "\ud800", "loop/x", "../../etc/passwd", ""])
def test_no_path_however_odd_ends_in_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert real(tmp_path, path).endswith(f"|{path}")
