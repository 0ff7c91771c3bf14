"""What can't be constructed can't be deleted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.outputs import External, classify
from cleanup_job.paths import (
    LinkedFile,
    Location,
    PartOfFolder,
    TaskFile,
    TaskFolder,
    TaskId,
    left_alone,
    left_alone_whole,
    overlaps,
    owned_file,
)

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


ODD_IDS = [
    "",
    ".",
    "a/b",
    "short",
    "x" * 65,
    "a.b.c.d.e.f",
    "production",
    TASK.upper(),
    TASK[:-1],
    TASK + "0",
    TASK[:-1] + "g",
    f"{TASK}\n",
]


@pytest.mark.parametrize("task", ODD_IDS)
def test_only_an_id_as_the_server_makes_them_makes_a_folder(task: str) -> None:
    with pytest.raises(ValueError, match="is not a folder of task"):
        TaskFolder("fileserver", f"team/exp.{task}", TaskId(task))


@pytest.mark.parametrize("rest", ["", ".", "..", "a/../..", "/a", "a//b", "a/", "../x"])
def test_a_file_never_leaves_its_folder(rest: str) -> None:
    with pytest.raises(ValueError, match="is not a file of task"):
        TaskFile(TaskFolder("fileserver", FOLDER, TASK), rest)


@pytest.mark.parametrize("task", ODD_IDS)
def test_nothing_is_owned_by_a_task_with_another_id(task: str) -> None:
    for path in (f"company/backup.{task}/models/w.pt", f"lab/x.{task}/a"):
        assert owned_file(Location("fileserver", path), TaskId(task)) is None
        found = classify(f"http://files/{path}", TaskId(task), lambda _, path=path: Location("fileserver", path))  # type: ignore[misc]
        assert found == External(None)


@pytest.mark.parametrize("rest", [f"runs/lab/x.{OTHER}/models/w.pt", f"models/y.{OTHER}/w.pt", f".{OTHER}/x"])
def test_a_file_in_another_tasks_folder_below_is_not_this_ones(rest: str) -> None:
    with pytest.raises(ValueError, match="is not a file of task"):
        TaskFile(TaskFolder("fileserver", FOLDER, TASK), rest)
    assert owned_file(Location("fileserver", f"{FOLDER}/{rest}"), TASK) is None


def test_a_folder_of_its_own_in_anothers_is_still_its_own() -> None:
    file = owned_file(Location("fileserver", f"lab/x.{OTHER}/runs/y.{TASK}/models/w.pt"), TASK)
    assert file is not None
    assert file.folder.path == f"lab/x.{OTHER}/runs/y.{TASK}"


@pytest.mark.parametrize(
    ("rest", "beside"),
    [
        ("models/w.pt", False),
        ("artifacts/a/b", False),
        ("metrics/x", False),
        ("models", True),
        ("README", True),
        ("Models/x", True),
    ],
)
def test_what_lies_beside_what_the_sdk_makes(rest: str, beside: bool) -> None:
    folder = TaskFolder("fileserver", FOLDER, TASK)
    assert TaskFile(folder, rest).is_beside is beside
    assert left_alone(folder, rest) is beside


def test_of_a_folder_what_has_to_stay_is_left_alone() -> None:
    part = PartOfFolder(TaskFolder("fileserver", FOLDER, TASK), ("models/keep", "artifacts/a/x"))
    left = {
        rest
        for rest in ("models/keep", "models/keep/b", "models/kee", "artifacts/a/x", "artifacts/a/y")
        if left_alone(part, rest)
    }
    assert left == {"models/keep", "models/keep/b", "artifacts/a/x"}
    whole = {
        rest for rest in ("models/keep", "models", "artifacts/a", "x", f"models/y.{OTHER}") if left_alone_whole(part, rest)
    }
    assert whole == {"models/keep", "x", f"models/y.{OTHER}"}


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
