"""A pass in parts: the safety limit counts all of them, the budget is shared out, each holds a Lease of its own."""

from typing import Any

import pytest

from cleanup_job.cluster import lease
from cleanup_job.errors import RefusedError
from cleanup_job.job import pod
from cleanup_job.passes.cleanup import Stop
from cleanup_job.planning.outcome import Verdict
from cleanup_job.planning.sharding import share
from cleanup_job.settings.sources import load
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean

SERVER = {"CLEARML_API_HOST": "http://any", "CLEARML_API_ACCESS_KEY": "any", "CLEARML_API_SECRET_KEY": "any"}


def settings(shard: int, shards: int, **variables: str) -> Any:
    return load({}, SERVER | {"CLEANUP_SHARDS": str(shards), "JOB_COMPLETION_INDEX": str(shard)} | variables)[0]


def test_the_parts_are_the_whole_and_users_of_models_are_in_the_shard_of_their_makers(sandbox: Sandbox) -> None:
    world = World(NOW)
    for n in range(6):
        maker = world.task(f"maker {n}", days_old=90)
        model = maker.model("weights")
        world.task(f"user {n}", days_old=60).input_model(model)
        world.task(f"alone {n}").artifact("data")
    sandbox.load(world.as_dict())
    reports = [clean(sandbox, shard=shard, shards=3).report for shard in range(3)]
    assert sum(report.total().tasks for report in reports) == 18
    assert sum(report.total().models for report in reports) == 6
    now = sandbox.state()
    assert (now["tasks"], now["models"], now["files"]) == ([], [], [])


def test_what_is_kept_by_a_rule_is_reported_by_one_shard(sandbox: Sandbox) -> None:
    world = World(NOW)
    kept = {world.task(f"kept {n}", tags=["keep"]).id for n in range(12)} | {world.task("example", public=True).id}
    world.task("goes")
    sandbox.load(world.as_dict())
    done = [clean(sandbox, filters={"keep_tags": ("keep",)}, shard=shard, shards=3) for shard in range(3)]
    told = [task for one in done for task, outcome in one.watcher.outcomes.items() if outcome.verdict is not Verdict.DELETED]
    assert sorted(told) == sorted(kept)
    assert all(one.watcher.outcomes for one in done)


def test_the_rate_is_shared_out() -> None:
    assert settings(0, 4, CLEANUP_MAX_TASKS_PER_SECOND="10").limits.tasks_per_second(4) == 2.5
    assert settings(0, 4).limits.tasks_per_second(4) is None


def test_the_valve_counts_the_tasks_of_all_shards(sandbox: Sandbox) -> None:
    world = World(NOW)
    for n in range(12):
        world.task(f"old {n}")
    sandbox.load(world.as_dict())
    for shard in range(3):
        with pytest.raises(RefusedError, match="12 tasks are to be deleted"):
            clean(sandbox, shard=shard, shards=3, refuse_above=11)
    assert len(sandbox.state()["tasks"]) == 12


@pytest.mark.parametrize("budget", [1, 3, 4, 5, 1000])
def test_the_budget_is_shared_out(budget: int) -> None:
    shares = [share(budget, shard, 4) for shard in range(4)]
    assert sum(shares) == budget
    assert max(shares) - min(shares) <= 1


def test_all_shards_together_delete_no_more_than_the_budget(sandbox: Sandbox) -> None:
    world = World(NOW)
    for n in range(12):
        world.task(f"old {n}")
    sandbox.load(world.as_dict())
    done = [clean(sandbox, shard=shard, shards=3, max_tasks=2) for shard in range(3)]
    assert [len(one.watcher.deleted) for one in done] == [1, 1, 0]
    assert len(sandbox.state()["tasks"]) == 10


def test_each_shard_holds_a_lease_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[str] = []
    monkeypatch.setattr(lease, "hold", lambda name, *_, **__: held.append(name))
    for shard, shards in ((0, 1), (0, 2), (1, 2)):
        pod.lease(settings(shard, shards, CLEANUP_LEASE="nightly"), Stop(), lambda _: None)
    assert held == ["nightly", "nightly-0", "nightly-1"]
