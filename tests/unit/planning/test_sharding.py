"""Which shard a task belongs to: each day to one, always the same one, and all get alike."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.sharding import ALONE, Share, share

DAY = timedelta(days=1)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
MOMENTS = st.integers(-(2**30), 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
SHARDS = st.integers(1, 30)


def all_of(shards: int) -> list[Share]:
    return [Share(shard, shards) for shard in range(shards)]


def in_a_row(days: int, shards: int) -> list[datetime]:
    """Days that begin where the first shard's turn is."""
    return [datetime(1970, 1, 1, tzinfo=UTC) + (500 * shards + number) * DAY for number in range(days)]


@given(MOMENTS, SHARDS)
def test_each_moment_belongs_to_one_shard(moment: datetime, shards: int) -> None:
    assert sum(one.owns(moment) for one in all_of(shards)) == 1


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_a_task_without_a_time_belongs_to_the_first(shards: int) -> None:
    assert [one.owns(None) for one in all_of(shards)] == [shard == 0 for shard in range(shards)]


@given(MOMENTS, SHARDS)
def test_a_slice_belongs_to_its_shard_from_its_start_to_before_its_end(moment: datetime, shards: int) -> None:
    for one in all_of(shards):
        start, end = one.slice_below(moment)
        assert start <= moment
        assert all(one.owns(inside) for inside in (start, end - timedelta(microseconds=1)))
        assert end - start == DAY
        assert (start <= moment < end) is one.owns(moment)


@given(MOMENTS, SHARDS)
def test_going_down_from_slice_to_slice_a_shard_comes_to_each_of_its_days(moment: datetime, shards: int) -> None:
    days = [moment - number * DAY for number in range(4 * shards)]
    for one in all_of(shards):
        visited, below = list[tuple[datetime, datetime]](), moment
        while below >= days[-1]:
            visited.append(one.slice_below(below))
            below = visited[-1][0] - timedelta(microseconds=1)
        for day in days:
            assert any(start <= day < end for start, end in visited) is one.owns(day)


@pytest.mark.parametrize("shards", range(1, 30))
def test_all_get_as_many_days_of_each_kind(shards: int) -> None:
    """People archive more on some days of the week: no shard may have all of these."""
    days = in_a_row(7 * shards, shards)
    for one in all_of(shards):
        own = [day for day in days if one.owns(day)]
        assert len(own) == 7
        assert len({day.weekday() for day in own}) == 7


@pytest.mark.parametrize("shards", [2, 4, 7, 14])
def test_of_as_many_days_in_a_row_as_there_are_shards_each_has_one(shards: int) -> None:
    owners = [one.shard for day in in_a_row(shards, shards) for one in all_of(shards) if one.owns(day)]
    assert sorted(owners) == list(range(shards))


def test_the_shard_of_a_day_never_changes() -> None:
    """A release that uses another function would hand tasks of a running pass to two pods."""
    days = [NOON + number * DAY for number in range(9)]
    owners = {shards: [next(one.shard for one in all_of(shards) if one.owns(day)) for day in days] for shards in (4, 7)}
    assert owners == {4: [2, 3, 0, 1, 2, 3, 0, 1, 2], 7: [0, 1, 2, 3, 5, 6, 0, 1, 2]}


def test_a_pod_alone_has_all() -> None:
    assert ALONE.owns(NOON)
    assert ALONE.slice_below(NOON) == (NOON.replace(hour=0), NOON.replace(hour=0) + DAY)


@given(st.integers(0, 1000), SHARDS)
def test_a_budget_is_divided_without_rest(budget: int, shards: int) -> None:
    parts = [share(budget, shard, shards) for shard in range(shards)]
    assert sum(parts) == budget
    assert max(parts) - min(parts) <= 1
