"""The safety limits: a pass that would delete more than they allow deletes nothing; a dry run says it once all is listed."""

from collections.abc import Callable

import pytest

from cleanup_job.errors import RefusedError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state

OLD, YOUNG = 60, 5
Load = Callable[[World], tuple[list[str], list[str], list[str]]]


@pytest.fixture
def load(sandbox: Sandbox) -> Load:
    def do(world: World) -> tuple[list[str], list[str], list[str]]:
        sandbox.load(world.as_dict())
        return state(sandbox)

    return do


def test_a_share_of_all_archived_tasks_is_too_large(sandbox: Sandbox, load: Load) -> None:
    world = World(NOW)
    for n in range(8):
        world.task(f"old {n}", days_old=OLD, project=f"some/project {n}")
        world.task(f"young {n}", days_old=YOUNG, project=f"some/project {n}")
        world.task(f"living {n}", archived=False, days_old=OLD)
    before = load(world)
    named = r"8 of 16 archived tasks \(50\.0 %\).*CLEANUP_REFUSE_ABOVE_PERCENT=49\.9 allows.*PERCENT=50 or higher"
    with pytest.raises(RefusedError, match=named):
        clean(sandbox, refuse_above_percent=49.9)
    assert state(sandbox) == before
    assert len(clean(sandbox, refuse_above_percent=50).watcher.deleted) == 8


@pytest.mark.parametrize(("more", "refused"), [(9, False), (10, True)])
def test_so_is_one_of_a_project_unless_it_is_small(sandbox: Sandbox, load: Load, more: int, refused: bool) -> None:
    world = World(NOW)
    for n in range(more):
        world.task(f"old {n}", days_old=OLD, project="vision")
    for n in range(40):
        world.task(f"young {n}", days_old=YOUNG, project="speech")
    before = load(world)
    if not refused:
        assert len(clean(sandbox, refuse_above_percent=50).watcher.deleted) == more
        return
    with pytest.raises(RefusedError, match=r"10 of 10 archived tasks \(100\.0 %\) in project 'vision' are to be deleted"):
        clean(sandbox, refuse_above_percent=50)
    assert state(sandbox) == before


def test_tasks_that_filters_leave_out_count_as_archived(sandbox: Sandbox, load: Load) -> None:
    world = World(NOW)
    for n in range(12):
        world.task(f"vision {n}", days_old=OLD, project="vision", status="created" if n < 3 else "completed")
        world.task(f"speech {n}", days_old=OLD, project="speech")
    load(world)
    filters = {"projects": ("vision",), "force_delete": False}
    assert len(clean(sandbox, filters=filters, refuse_above_percent=26).watcher.deleted) == 3, "3 of 12, and 3 of 24"


def test_chosen_tasks_are_a_share_of_all(sandbox: Sandbox, load: Load) -> None:
    world = World(NOW)
    ids = [world.task(f"old {n}", days_old=OLD).id for n in range(20)]
    load(world)
    chosen = Chosen({TaskId(task): None for task in ids[:5]})
    with pytest.raises(RefusedError, match=r"5 of 20 archived tasks"):
        clean(sandbox, chosen=chosen, refuse_above_percent=24)
    assert clean(sandbox, chosen=chosen, refuse_above_percent=25).watcher.deleted == set(ids[:5])


def test_the_bytes_that_records_know_are_too_many(sandbox: Sandbox, load: Load) -> None:
    world = World(NOW)
    for n in range(3):
        task = world.task(f"old {n}", days_old=OLD)
        task.artifact("data", size=1000)
        task.debug_images(2)
        task.linked_artifact("elsewhere", "https://elsewhere.example/data.bin", content_size=10**9)
    world.task("young", days_old=YOUNG).artifact("data", size=10**6)
    before = load(world)
    with pytest.raises(RefusedError, match=r"at least 3000 bytes.*CLEANUP_REFUSE_ABOVE_BYTES=2999 allows.*BYTES=3000"):
        clean(sandbox, refuse_above_bytes=2999)
    assert state(sandbox) == before
    assert len(clean(sandbox, refuse_above_bytes=3000).watcher.deleted) == 3


def test_all_that_is_above_a_limit_is_said_at_once(sandbox: Sandbox, load: Load) -> None:
    world = World(NOW)
    for n in range(2):
        world.task(f"old {n}", days_old=OLD).artifact("data", size=10)
    load(world)
    named = r"2 tasks .*2 of 2 archived.*at least 20 bytes.*ABOVE=2 or higher and .*PERCENT=100 or higher and .*BYTES=20 or"
    with pytest.raises(RefusedError, match=named):
        clean(sandbox, refuse_above=1, refuse_above_percent=99, refuse_above_bytes=19)


@pytest.mark.parametrize("limit", [{"refuse_above_percent": 10}, {"refuse_above_bytes": 5}])
def test_all_shards_refuse_together(sandbox: Sandbox, load: Load, limit: dict[str, int]) -> None:
    world = World(NOW)
    for n in range(12):
        world.task(f"old {n}", days_old=OLD + n).artifact("data", size=1)
    before = load(world)
    for shard in range(3):
        with pytest.raises(RefusedError, match="12"):
            clean(sandbox, shard=shard, shards=3, **limit)
    assert state(sandbox) == before
