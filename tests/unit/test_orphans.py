"""What looks exactly like a task folder."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime

from cleanup_job.orphans import Entry, folder_of, grouped

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
    for path in (f"x.{one}/a/b", f"lab/x.{one}", "lab/x/y", f"lab//x.{one}/a", f"../x.{one}/a", f"x.{one}/y.{other}/z"):
        assert folder_of("s", path) is None
