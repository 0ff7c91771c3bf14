"""What can't be constructed can't be deleted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.paths import LinkedFile, Location, TaskFile, TaskFolder, TaskId, overlaps, owned_file

TASK = TaskId("0123456789abcdef0123456789abcdef")
OTHER = "f" * 32
FOLDER = f"team/project/exp.{TASK}"


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "./", "/", "..", "a/..", "%2e", f".{TASK}", f"exp.{TASK}", f"/exp.{TASK}", f"team/exp.{OTHER}", "team",
        f"team/../exp.{TASK}", f"team//exp.{TASK}", f"team/exp.{TASK}/", f"team/exp.{TASK}/x", f"./team/exp.{TASK}/.",
        f"team/exp.{TASK}\x00", f"team/./exp.{TASK}",
    ],
)  # fmt: skip
def test_only_this_tasks_own_folder_with_a_parent_is_a_task_folder(path: str) -> None:
    with pytest.raises(ValueError, match="is not a folder of task"):
        TaskFolder("fileserver", path, TASK)


@pytest.mark.parametrize("task", ["", ".", "a/b", "short", "x" * 65, "a.b.c.d.e.f"])
def test_a_task_id_that_could_mean_a_path_makes_no_folder(task: str) -> None:
    with pytest.raises(ValueError, match="is not a folder of task"):
        TaskFolder("fileserver", f"team/exp.{task}", TaskId(task))


@pytest.mark.parametrize("rest", ["", ".", "..", "a/../..", "/a", "a//b", "a/", "../x"])
def test_a_file_never_leaves_its_folder(rest: str) -> None:
    with pytest.raises(ValueError, match="is not a file of task"):
        TaskFile(TaskFolder("fileserver", FOLDER, TASK), rest)


@given(st.lists(st.sampled_from(["a", ".", "/", TASK, "." + TASK, "%2e", "\x00", "..", " "]), max_size=12).map("".join))
def test_whatever_the_path_an_owned_file_lies_below_a_folder_of_the_task(path: str) -> None:
    file = owned_file(Location("fileserver", path), TASK)
    if file is not None:
        segments = path.split("/")
        assert file.path == path
        assert len(file.folder.path.split("/")) >= 2
        assert file.folder.path.endswith("." + TASK)
        assert not {"", ".", ".."} & set(segments)


def test_where_two_segments_end_in_the_id_the_deeper_one_is_the_folder() -> None:
    file = owned_file(Location("fileserver", f"team/shared.{TASK}/exp.{TASK}/models/w.pt"), TASK)
    assert file is not None
    assert file.folder.path == f"team/shared.{TASK}/exp.{TASK}"


def test_a_file_that_is_itself_named_after_the_task_is_not_in_a_folder_of_it() -> None:
    assert owned_file(Location("fileserver", f"team/exp.{TASK}"), TASK) is None


@pytest.mark.parametrize("path", ["raw.csv", "", "../raw.csv", f"team/exp.{OTHER}/artifacts/a.bin", "a/./b"])
def test_a_linked_file_needs_a_folder_and_must_not_lie_in_a_tasks(path: str) -> None:
    with pytest.raises(ValueError, match="may not be deleted"):
        LinkedFile("fileserver", path)


def test_paths_overlap_by_whole_segments_only() -> None:
    assert overlaps("a/b", "a/b/c")
    assert overlaps("a/b/c", "a/b")
    assert not overlaps("a/b", "a/bc")
