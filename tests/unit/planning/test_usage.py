"""Sums of what takes the space: every one of them has everything."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.orphans import Entry
from cleanup_job.planning.paths import TaskFolder, TaskId
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Rules
from cleanup_job.planning.usage import (
    AGES,
    HORIZONS,
    WITH_THEIR_TASK,
    Kind,
    Largest,
    Measured,
    Owner,
    Space,
    Usage,
    measured,
    total,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def owner(number: int = 1, *, days: float | None = 10, due: tuple[datetime | None, ...] = (None,), **fields: str) -> Owner:
    texts = {"name": "exp", "project": "p1", "user": "u1", "status": "completed", **fields}
    active = None if days is None else NOW - days * DAY
    return Owner(TaskId(f"{number:032x}"), **texts, archived=bool(number % 2), active=active, due=due)


owners = st.builds(
    owner,
    st.integers(1, 9),
    days=st.none() | st.floats(-5, 1000),
    due=st.lists(st.none() | st.integers(-50, 150).map(lambda days: NOW + days * DAY), max_size=2).map(tuple),
    project=st.sampled_from(["", "p1", "p2"]),
    user=st.sampled_from(["u1", "u2"]),
    status=st.sampled_from(["created", "completed"]),
)
spaces = st.integers(0, 3).flatmap(
    lambda files: st.builds(Space, files=st.just(files), bytes=st.integers(0, 999), unsized=st.integers(0, files))
)


@given(st.lists(owners, max_size=6), st.lists(st.tuples(st.none() | owners, st.sampled_from(Kind), spaces), max_size=12))
def test_each_table_has_all_that_was_counted(tasks: list[Owner], files: list[tuple[Owner | None, Kind, Space]]) -> None:
    usage = Usage(NOW)
    for task in tasks:
        usage.add_task(task)
    for whose, kind, space in files:
        usage.add(whose, kind, space)
    counted = [space for _, _, space in files if space.files]
    whole = Space(len(tasks), *(sum(getattr(space, name) for space in counted) for name in ("files", "bytes", "unsized")))
    tables = (usage.by_project(), usage.users, usage.statuses, usage.ages, usage.archived)
    assert [total(table.values()) for table in tables] == [whole] * len(tables)
    assert usage.total == whole
    by_kind = total(usage.by_kind().values())
    assert (by_kind.files, by_kind.bytes, by_kind.unsized) == (whole.files, whole.bytes, whole.unsized)
    for rules in range(2):
        for days in HORIZONS:
            free = usage.frees.get((rules, days), Space())
            ready = [
                space
                for whose, kind, space in files
                if whose and kind in WITH_THEIR_TASK and space.files and _is_due(whose, rules, days)
            ]
            assert free.bytes == sum(space.bytes for space in ready)
            assert free.tasks == sum(_is_due(task, rules, days) for task in tasks)


def _is_due(whose: Owner, rules: int, days: int) -> bool:
    when = whose.due[rules] if rules < len(whose.due) else None
    return when is not None and when <= NOW + days * DAY


@pytest.mark.parametrize(("days", "row"), [(-1, 0), (29.9, 0), (30, 1), (89, 1), (364, 3), (730, 5), (9999, 5), (None, -1)])
def test_ages_begin_a_new_row_at_full_days(days: float | None, row: int) -> None:
    usage = Usage(NOW)
    usage.add_task(owner(days=days))
    assert [*usage.ages] == [row]
    assert row <= len(AGES)


def test_a_task_is_due_by_its_own_record_and_one_that_can_not_be_read_never() -> None:
    old = NOW - 29 * DAY
    record = Task(TaskId("t"), "exp", "created", system_tags=("archived",), created=old, last_update=old, last_change=old)
    rules = Rules(NOW - 30 * DAY, known_projects=frozenset())
    assert Owner.of(record, [rules], NOW).due == (NOW + DAY + timedelta.resolution,)
    assert Owner.of(Unreadable(TaskId("t"), "type"), [rules], NOW).due == ()


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1000)), max_size=80))
def test_the_largest_are_those_with_the_most_bytes_over_all_their_parts(parts: list[tuple[int, int]]) -> None:
    largest = Largest(3, remembered=40)
    sums: dict[str, int] = {}
    for number, size in parts:
        largest.add(owner(number), Space(files=1, bytes=size))
        sums[owner(number).id] = sums.get(owner(number).id, 0) + size
    assert [row.space.bytes for row in largest.rows()] == sorted(filter(None, sums.values()), reverse=True)[:3]


def test_only_so_many_tasks_are_remembered() -> None:
    largest = Largest(2, remembered=5)
    for number in range(1, 1000):
        largest.add(owner(number), Space(files=1, bytes=number))
    assert [row.space.bytes for row in largest.rows()] == [999, 998]
    assert len(largest._rows) <= 10


T, U = (TaskId(f"{number:032x}") for number in (1, 2))


@pytest.mark.parametrize(
    ("path", "kind", "task"),
    [
        (f"lab/exp.{T}/artifacts/data/a.bin", Kind.ARTIFACTS, T),
        (f"lab/exp.{T}/models/w.pt", Kind.MODELS, T),
        (f"lab/exp.{T}/metrics/loss/a/1.png", Kind.METRICS, T),
        (f"lab/exp.{T}/models", Kind.BESIDE, T),
        (f"lab/exp.{T}/notes.txt", Kind.BESIDE, T),
        (f"lab/exp.{T}/artifacts/inner.{U}/models/w.pt", Kind.ARTIFACTS, T),
        (f"reports/{T}/a.png", Kind.REPORTS, T),
        (f"exp.{T}/artifacts/a", Kind.OTHER, None),
        ("lab/readme", Kind.OTHER, None),
    ],
)
def test_a_file_is_of_the_kind_that_its_path_says(path: str, kind: Kind, task: str | None) -> None:
    (found,) = measured("s3://b", [Entry(path, 7, NOW)])
    assert (found.kind, found.space) == (kind, Space(files=1, bytes=7))
    assert (found.folder.task if found.folder else None) == task


def test_files_of_a_folder_are_summed_by_kind_and_what_can_not_be_looked_at_has_no_size() -> None:
    folder = f"lab/exp.{T}"
    entries = [Entry(f"{folder}/{rest}", 5, NOW) for rest in ("models/a", "metrics/b/c", "models/d", "/")]
    there = TaskFolder("s3://b", folder, T)
    assert list(measured("s3://b", entries)) == [
        Measured(there, Kind.MODELS, Space(files=2, bytes=10)),
        Measured(there, Kind.METRICS, Space(files=1, bytes=5)),
        Measured(there, Kind.BESIDE, Space(files=1, bytes=0, unsized=1)),
    ]
