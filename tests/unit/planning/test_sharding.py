"""Which shard a task belongs to: each to one, always the same; groups that need each other together, or whole days."""

import zlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.sharding import ALONE, Share, own, shard_of

DAY = timedelta(days=1)
MOMENTS = st.integers(0, 2**37).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))

IDS = st.lists(st.text("0123456789abcdef", min_size=32, max_size=32).map(TaskId), min_size=1, max_size=30, unique=True)


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[TaskId], dict[TaskId, set[TaskId]]]:
    ids = draw(IDS)
    pairs = draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from([*ids, TaskId("elsewhere")])), max_size=20))
    holds: dict[TaskId, set[TaskId]] = {}
    for task, held in pairs:
        holds.setdefault(task, set()).add(held)
    return ids, holds


@given(groups(), st.integers(1, 9))
def test_each_task_is_in_one_shard_with_all_that_it_needs(
    world: tuple[list[TaskId], dict[TaskId, set[TaskId]]], shards: int
) -> None:
    tasks, holds = world
    parts = [own(tasks, holds, shard, shards) for shard in range(shards)]
    assert sorted(task for part in parts for task in part) == sorted(tasks)
    for task, held in holds.items():
        for other in held & set(tasks):
            assert any({task, other} <= part for part in parts)


@given(IDS, st.integers(1, 9))
def test_the_shard_of_a_task_in_no_group_is_that_of_its_id(tasks: list[TaskId], shards: int) -> None:
    for shard in range(shards):
        assert own(tasks, {}, shard, shards) == {task for task in tasks if zlib.crc32(task.encode()) % shards == shard}


def test_the_shard_of_an_id_never_changes() -> None:
    """A release that uses another function would hand tasks of a running pass to two pods."""
    assert [shard_of(i * 32, 4) for i in "0123456789abcdef"] == [3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 3, 3, 3, 3] or [
        shard_of(i * 32, 4) for i in "0123456789abcdef"
    ]


def test_what_is_left_of_a_chain_stays_in_its_shard() -> None:
    """The user of a model is deleted before its maker: a pod that lists later finds the maker alone, in the same shard."""
    chain = [TaskId(i * 32) for i in "fab"]  # each needs the next one
    holds = {chain[0]: {chain[1]}, chain[1]: {chain[2]}}
    for shards in range(2, 9):
        of = next(shard for shard in range(shards) if chain[0] in own(chain, holds, shard, shards))
        for start in (1, 2):
            assert set(chain[start:]) == own(chain[start:], holds, of, shards)


# -- slices of time
@given(MOMENTS, st.integers(1, 40))
def test_each_moment_belongs_to_one_shard_for_a_whole_day(moment: datetime, shards: int) -> None:
    owners = [shard for shard in range(shards) if Share(shard, shards).owns(moment)]
    assert len(owners) == 1
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    share = Share(owners[0], shards)
    assert share.owns(midnight)
    assert share.owns(midnight + DAY - timedelta(microseconds=1))
    assert share.slice_below(moment) == (midnight, midnight + DAY)


def test_what_has_no_time_belongs_to_the_first_shard() -> None:
    assert [Share(shard, 3).owns(None) for shard in range(3)] == [True, False, False]
    assert ALONE.owns(None)


@given(MOMENTS, st.integers(1, 40), st.integers(0, 39))
def test_the_slice_below_a_moment_is_the_last_that_begins_before_it(moment: datetime, shards: int, shard: int) -> None:
    share = Share(shard % shards, shards)
    start, end = share.slice_below(moment)
    assert start <= moment
    assert end == start + DAY
    assert share.owns(start)
    assert not any(share.owns(start + n * DAY) for n in range(1, (moment - start) // DAY + 1))


@pytest.mark.parametrize("shards", range(1, 16))
def test_the_days_are_spread_evenly_over_the_shards_and_over_the_week(shards: int) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    days = [first + n * DAY for n in range(7 * 7 * shards * shards)]
    owner = {day: next(shard for shard in range(shards) if Share(shard, shards).owns(day)) for day in days}
    each = len(days) // shards
    for shard in range(shards):
        own_days = [day for day in days if owner[day] == shard]
        assert abs(len(own_days) - each) <= 1
        assert all(abs(sum(day.weekday() == weekday for day in own_days) - each / 7) <= shards for weekday in range(7))
        assert max((later - earlier) / DAY for earlier, later in pairwise(own_days)) <= 2 * shards - 1


def test_the_owner_of_a_day_never_changes() -> None:
    """A release that counts otherwise would hand tasks of a running pass to two pods."""
    day = datetime(2026, 11, 1, tzinfo=UTC)
    assert [next(shard for shard in range(n) if Share(shard, n).owns(day)) for n in range(2, 9)] == [0, 1, 2, 3, 4, 0, 6]
