"""What looks exactly like a task folder."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.planning.orphans import Entry, FoundFolder, folder_of, grouped
from cleanup_job.planning.paths import TaskFolder, TaskId

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def test_folders_come_one_after_the_other_and_memory_does_not_grow() -> None:
    def entries(count: int) -> Iterator[Entry]:
        for n in range(count):
            yield Entry(f"base/lab/exp.{n // 100:032x}/metrics/{n % 100:03}.png", 10, WHEN)

    def peak(count: int) -> int:
        tracemalloc.start()
        folders = sum(1 for _ in grouped("s3://bucket", entries(count)))
        assert folders == count // 100
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1_000)
    assert peak(100_000) < peak(1_000) + 100_000


def test_the_first_segment_that_is_named_like_a_folder_counts_and_needs_a_project() -> None:
    one, other = "a" * 32, "b" * 32
    found = folder_of("s", f"lab/x.{one}/artifacts/y.{other}/z")
    assert found is not None
    assert (found.path, found.task) == (f"lab/x.{one}", one)
    dotted = folder_of("s", f"lab.v1/x.y.{one}/artifacts/z")
    assert dotted is not None
    assert (dotted.path, dotted.task) == (f"lab.v1/x.y.{one}", one)
    for path in (f"x.{one}/a/b", f"lab/x.{one}", "lab/x/y", f"lab//x.{one}/a", f"../x.{one}/a", f"x.{one}/y.{other}/z"):
        assert folder_of("s", path) is None


ONE, OTHER = TaskId("a" * 32), TaskId("b" * 32)
DAY = timedelta(days=1)


def found(*paths: str, folders: tuple[str, ...] = ()) -> FoundFolder:
    one = FoundFolder(TaskFolder("s", f"lab/x.{ONE}", ONE))
    for path in paths:
        one.add(Entry(f"lab/x.{ONE}/{path}", 10, WHEN))
    for path in folders:
        one.add_folder(f"lab/x.{ONE}/{path}", WHEN)
    return one


def test_a_folder_counts_its_files_and_knows_its_youngest() -> None:
    one = found()
    assert (one.files, one.bytes, one.youngest, one.changed, one.odd) == (0, 0, None, None, "")
    for size, when in ((3, WHEN), (4, WHEN + DAY), (5, WHEN - DAY)):
        one.add(Entry(f"lab/x.{ONE}/models/w", size, when))
        one.add_folder(f"lab/x.{ONE}/models", when)
    assert (one.files, one.bytes, one.youngest, one.changed, one.odd) == (3, 12, WHEN + DAY, WHEN + DAY, "")


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        ("artifacts/a/b.bin", False), ("models/w.pt", False), ("metrics/a/b/c.png", False), (f"models/y.{OTHER}", False),
        ("w.pt", True), ("models", True), ("other/w.pt", True), ("models//w.pt", True), ("models/../w.pt", True),
        (f"models/y.{OTHER}/w.pt", True), (f"models/a/y.{OTHER}/b/w.pt", True),
    ],
)  # fmt: skip
def test_a_file_that_the_sdk_would_not_have_made_makes_the_folder_odd(path: str, odd: bool) -> None:
    assert found("models/first.pt", path).odd == (f"lab/x.{ONE}/{path}" if odd else "")


@pytest.mark.parametrize(
    ("path", "odd"),
    [("models", False), ("models/a", False), ("other", True), ("models/..", True), (f"models/y.{OTHER}", True)],
)
def test_a_folder_that_the_sdk_would_not_have_made_does_so_too(path: str, odd: bool) -> None:
    assert found(folders=("artifacts", path)).odd == (f"lab/x.{ONE}/{path}" if odd else "")


def test_the_first_odd_path_is_named() -> None:
    assert found("a", "models/w", "b").odd == f"lab/x.{ONE}/a"


def test_a_listing_is_split_into_folders_and_what_is_in_none_is_left_out() -> None:
    paths = [
        "lab/raw.csv",
        f"lab/x.{ONE}/models/a",
        f"lab/x.{ONE}/models/b",
        f"lab/y.{OTHER}/models/c",
        "lab/z",
        f"lab/z.{ONE}/w",
    ]
    folders = list(grouped("s", [Entry(path, 1, WHEN) for path in paths]))
    assert [(one.folder.store, one.folder.path, one.folder.task, one.files) for one in folders] == [
        ("s", f"lab/x.{ONE}", ONE, 2), ("s", f"lab/y.{OTHER}", OTHER, 1), ("s", f"lab/z.{ONE}", ONE, 1),
    ]  # fmt: skip


def test_a_folder_that_a_listing_comes_back_to_is_reported_twice() -> None:
    paths = [f"lab/x.{ONE}/models/a", "lab/raw.csv", f"lab/x.{ONE}/models/b"]
    assert [one.files for one in grouped("s", [Entry(path, 1, WHEN) for path in paths])] == [1, 1]


def test_an_empty_listing_has_no_folders() -> None:
    assert list(grouped("s", [])) == []
