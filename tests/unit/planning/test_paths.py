"""What can't be constructed can't be deleted."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.outputs import External, classify
from cleanup_job.planning.paths import (
    KeptPaths,
    LinkedFile,
    Location,
    OwnedPath,
    PartOfFolder,
    TaskFile,
    TaskFolder,
    TaskId,
    in_no_folder,
    is_clean,
    left_alone,
    left_alone_whole,
    names_a_task,
    owned_file,
    report_file,
    report_folder,
    unquoted,
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
        found = classify(f"http://files/{path}", TaskId(task), lambda _, path=path: Location("fileserver", path))
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


def test_of_a_folder_what_has_to_be_kept_is_left_alone() -> None:
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


@pytest.mark.parametrize(
    "name", ["clearml-cleanup-audit-x.jsonl", "CLEARML-cleanup-audit-x/000001.jsonl", "b\\clearml-cleanup-audit-"]
)
def test_a_link_gives_no_audit_log_away(name: str) -> None:
    with pytest.raises(ValueError, match="may not be deleted"):
        LinkedFile("fileserver", f"audit/{name}")
    LinkedFile("fileserver", "audit/clearml-cleanup.jsonl")


def test_what_is_kept_is_kept_with_everything_below_and_whole_segments_count() -> None:
    kept = KeptPaths(["a/b", "c/d/e"])
    inside, beside = ["a/b", "a/b/c", "a/b/c/d", "c/d/e"], ["a", "a/bc", "a/b c", "b", "c", "c/d", ""]
    assert [rest for rest in (*inside, *beside) if kept.holds(rest)] == inside
    assert [rest for rest in (*inside, *beside) if kept.touches(rest)] == [*inside, "a", "c", "c/d"]
    assert KeptPaths([""]).holds("anything")
    assert not KeptPaths([]).touches("anything")


SEGMENTS = st.lists(st.sampled_from(["a", "ab", "b", "a b"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(SEGMENTS, max_size=5), SEGMENTS)
def test_what_is_kept_is_found_as_by_comparing_each(paths: list[str], rest: str) -> None:
    kept = KeptPaths(paths)
    assert kept.holds(rest) is any(rest == path or rest.startswith(path + "/") for path in paths)
    assert kept.touches(rest) is (kept.holds(rest) or any(path.startswith(rest + "/") for path in paths))


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("a", True), ("a/b c/é", True), (".a/..b/c...", True), ("", False), ("a//b", False), ("/a", False), ("a/", False),
        ("./a", False),
        ("a/..", False), ("a/\x00b", False), ("a/\ufffd", False), (f"a/{chr(0xD800)}", False), (chr(0xDFFF), False),
    ],
)  # fmt: skip
def test_a_clean_path_means_just_what_it_says(path: str, clean: bool) -> None:
    assert is_clean(path) is clean


@pytest.mark.parametrize(
    ("segment", "named"),
    [
        (f"exp.{TASK}", True), (f".{TASK}", True), (f"a.b\nc.{TASK}", True), (TASK, False), (f"exp.{TASK}0", False),
        (f"exp.{TASK[1:]}", False), (f"exp.{TASK.upper()}", False), (f"exp.{TASK}.txt", False), (f"exp.{TASK[:-1]}g", False),
    ],
)  # fmt: skip
def test_a_folder_of_a_task_ends_in_a_dot_and_an_id(segment: str, named: bool) -> None:
    assert names_a_task(segment) is named
    assert in_no_folder(f"a/{segment}/b") is not named
    assert in_no_folder(f"a/{segment}")


@pytest.mark.parametrize("rest", [f"models/x.{OTHER}/w.pt", f"x.{OTHER}/w.pt", f"models/x.{OTHER}/a/b/w.pt"])
def test_a_file_in_the_folder_of_another_task_below_is_that_tasks(rest: str) -> None:
    folder = TaskFolder("fileserver", FOLDER, TASK)
    assert owned_file(Location("fileserver", f"{FOLDER}/{rest}"), TASK) is None
    assert left_alone(folder, rest)
    with pytest.raises(ValueError, match="is not a file of task"):
        TaskFile(folder, rest)


def test_a_file_that_is_named_like_another_tasks_folder_is_the_tasks_own() -> None:
    file = owned_file(Location("fileserver", f"{FOLDER}/models/x.{OTHER}"), TASK)
    assert file == TaskFile(TaskFolder("fileserver", FOLDER, TASK), f"models/x.{OTHER}")


def test_a_folder_needs_a_segment_above_it() -> None:
    assert owned_file(Location("fileserver", f"exp.{TASK}/models/w.pt"), TASK) is None
    assert owned_file(Location("fileserver", f"a/exp.{TASK}/w.pt"), TASK) is not None


def test_a_file_knows_where_it_lies() -> None:
    folder = TaskFolder("fileserver", FOLDER, TASK)
    file = TaskFile(folder, "models/a/w.pt")
    assert (file.store, file.path, file.kind, file.is_beside) == ("fileserver", f"{FOLDER}/models/a/w.pt", "models", False)
    for rest in ("models", "other/w.pt", "w.pt", "Models/w.pt"):
        assert (TaskFile(folder, rest).kind, TaskFile(folder, rest).is_beside) == ("", True)


@pytest.mark.parametrize("keep", [(), ("",), ("a", ".."), ("a//b",), ("/a",), ("models", "../x")])
def test_a_part_of_a_folder_keeps_paths_in_it(keep: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"are not paths in '{FOLDER}'"):
        PartOfFolder(TaskFolder("fileserver", FOLDER, TASK), keep)


def test_a_part_of_a_folder_has_the_place_of_the_folder() -> None:
    part = PartOfFolder(TaskFolder("fileserver", FOLDER, TASK), ("models/w.pt",))
    assert (part.store, part.path) == ("fileserver", FOLDER)


WHOLE = TaskFolder("fileserver", FOLDER, TASK)
PART = PartOfFolder(WHOLE, ("models/best", "metrics/a/b"))


@pytest.mark.parametrize(
    ("path", "rest", "alone"),
    [
        (WHOLE, "artifacts/a.bin", False), (WHOLE, "models/w.pt", False), (WHOLE, "metrics/a/b/c.png", False),
        (WHOLE, "models", True), (WHOLE, "w.pt", True), (WHOLE, "other/w.pt", True), (WHOLE, f"models/x.{OTHER}/w.pt", True),
        (WHOLE, f"models/x.{TASK}/w.pt", False), (WHOLE, f"models/x.{OTHER}", False),
        (PART, "models/best", True), (PART, "models/best/w.pt", True), (PART, "models/best.pt", False),
        (PART, "models/x", False),
        (PART, "metrics/a", True), (PART, "metrics/a/c", False), (PART, "artifacts/a.bin", False), (PART, "other", True),
    ],
)  # fmt: skip
def test_what_is_kept_when_a_folder_is_deleted(path: OwnedPath, rest: str, alone: bool) -> None:
    assert left_alone(path, rest) is alone


@pytest.mark.parametrize(
    ("path", "rest", "alone"),
    [
        (WHOLE, "artifacts", False), (WHOLE, "models/a", False), (WHOLE, "other", True), (WHOLE, "other/models", True),
        (WHOLE, f"models/x.{OTHER}", True), (WHOLE, f"models/x.{TASK}", False), (WHOLE, f"models/x.{OTHER}/a", True),
        (PART, "models/best", True), (PART, "models/best/a", True), (PART, "models/bes", False), (PART, "models/best2", False),
        (PART, "models", False), (PART, "metrics/a", False), (PART, "metrics/a/b", True), (PART, "artifacts", False),
    ],
)  # fmt: skip
def test_which_folders_below_are_kept_with_all_that_is_in_them(path: OwnedPath, rest: str, alone: bool) -> None:
    assert left_alone_whole(path, rest) is alone


def test_a_single_file_has_nothing_below_it() -> None:
    with pytest.raises(AssertionError):
        left_alone(TaskFile(WHOLE, "models/w.pt"), "models/x")


# -- reports
@pytest.mark.parametrize("path", [f"reports/{TASK}", f"base/reports/{TASK}"])
def test_a_reports_folder_is_deleted_whole(path: str) -> None:
    folder = TaskFolder("fileserver", path, TASK)
    assert folder.is_report
    assert not left_alone(folder, "a.png")
    assert not left_alone(folder, "artifacts")
    assert left_alone(PartOfFolder(folder, ("a.png",)), "a.png")
    assert not left_alone(PartOfFolder(folder, ("a.png",)), "b.png")
    assert left_alone(folder, f"other.{OTHER}/a.png")
    assert TaskFile(folder, "artifacts/a.png").is_beside


@pytest.mark.parametrize(
    "path",
    [
        TASK, f"xreports/{TASK}", f"reports/{OTHER}", f"reports/{TASK}/", f"/reports/{TASK}", f"reports//{TASK}",
        f"reports/x/{TASK}", f"reports/{TASK}/..", "reports",
    ],
)  # fmt: skip
def test_only_a_folder_of_this_id_among_the_reports_is_a_reports(path: str) -> None:
    with pytest.raises(ValueError, match="is not a folder of task"):
        TaskFolder("fileserver", path, TASK)


def test_an_image_of_a_report_lies_in_its_own_folder() -> None:
    def file(path: str) -> str | None:
        found = report_file(Location("s", path), TASK)
        return found and f"{found.folder.path} {found.rest}"

    assert file(f"reports/{TASK}/a.png") == f"reports/{TASK} a.png"
    assert file(f"b/reports/{TASK}/c/a.png") == f"b/reports/{TASK} c/a.png"
    for path in (f"reports/{OTHER}/a.png", f"reports/{TASK}", f"reports/{TASK}/", f"reports/{TASK}/../x", f"xreports/{TASK}/a"):
        assert file(path) is None
    assert report_file(Location("s", "reports/x/a.png"), TaskId("x")) is None


def test_a_report_is_looked_for_at_the_top_of_a_store() -> None:
    assert report_folder("s", f"reports/{TASK}/a.png") == TaskFolder("s", f"reports/{TASK}", TASK)
    for path in (f"b/reports/{TASK}/a.png", f"reports/{TASK}", f"reports/x{TASK}/a.png", "reports/a.png"):
        assert report_folder("s", path) is None


def test_a_file_in_a_reports_folder_is_no_links_to_give_away() -> None:
    assert not in_no_folder(f"reports/{TASK}/a.png")
    assert not in_no_folder(f"b/reports/{TASK}/a.png")
    assert in_no_folder(f"xreports/{TASK}/a.png")


@given(st.text(st.sampled_from("%%%4C3aA9fF2E8é€\ud800/ +.") | st.characters(), max_size=40))
def test_addresses_are_unquoted_as_pythons_own_library_does(text: str) -> None:
    assert unquoted(text) == unquote(text)
