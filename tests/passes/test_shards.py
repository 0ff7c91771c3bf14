"""A pass in parts: each takes days of its own, the safety limit counts all, the budget is shared out, all hold one Lease."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cleanup_job.cluster import lease
from cleanup_job.cluster.lease_record import Part
from cleanup_job.errors import RefusedError, SettingsError
from cleanup_job.job import pod
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.outcome import Reason, Verdict
from cleanup_job.planning.sharding import Share, share
from cleanup_job.settings.sources import load
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean

NEWEST_FIRST = ["-last_update", "id"]
SERVER = {"CLEARML_API_HOST": "http://any", "CLEARML_API_ACCESS_KEY": "any", "CLEARML_API_SECRET_KEY": "any"}


def settings(shard: int, shards: int, **variables: str) -> Any:
    return load({}, SERVER | {"CLEANUP_SHARDS": str(shards), "JOB_COMPLETION_INDEX": str(shard)} | variables)[0]


def shard_of(days_old: int, shards: int = 3) -> int:
    return next(shard for shard in range(shards) if Share(shard, shards).owns(NOW - timedelta(days=days_old)))


def test_the_parts_are_the_whole(sandbox: Sandbox) -> None:
    world = World(NOW)
    of: dict[int, set[str]] = {0: set(), 1: set(), 2: set()}
    for n in range(12):
        maker = world.task(f"maker {n}", days_old=60 + n)
        model = maker.model("weights")
        user = world.task(f"user {n}", days_old=60 + n)
        user.input_model(model)
        user.artifact("data")
        of[shard_of(60 + n)] |= {maker.id, user.id}
    sandbox.load(world.as_dict())
    done = [clean(sandbox, shard=shard, shards=3) for shard in range(3)]
    assert {shard: one.watcher.deleted for shard, one in enumerate(done)} == of
    assert [one.report.selected for one in done] == [8, 8, 8]
    assert sum(one.report.total().models for one in done) == 12
    now = sandbox.state()
    assert (now["tasks"], now["models"], now["files"]) == ([], [], [])


@pytest.mark.parametrize("shard", [1, 2])
def test_a_shard_lists_its_own_days_alone(sandbox: Sandbox, shard: int) -> None:
    """And asks for one task at a time to find the next one of them. (The first shard has the tasks without a time, too.)"""
    world = World(NOW)
    for n in range(12):
        world.task(f"old {n}", days_old=60 + n)
    sandbox.load(world.as_dict())
    assert len(clean(sandbox, shard=shard, shards=3, dry_run=True).watcher.outcomes) == 4
    listings = [one.body for one in sandbox.requests if one.body and one.body.get("order_by") == NEWEST_FIRST]
    of_days = [body["last_update"] for body in listings if body["page_size"] > 1]
    assert len(of_days) >= 4
    for since, until in of_days:
        start, end = (datetime.fromisoformat(bound.lstrip("<>=")) for bound in (since, until))
        assert end - start <= timedelta(days=1)
        assert Share(shard, 3).owns(start)


@pytest.mark.parametrize("makers_first", [True, False])
def test_what_a_task_of_another_shard_needs_goes_once_that_is_gone(sandbox: Sandbox, makers_first: bool) -> None:
    """Their pods run side by side: which one is first is nobody's choice."""
    world = World(NOW)
    maker = world.task("maker", days_old=61)
    user = world.task("user", days_old=60)
    user.input_model(maker.model("weights"))
    of_maker, of_user = shard_of(61), shard_of(60)
    assert of_maker != of_user
    sandbox.load(world.as_dict())
    if makers_first:
        first = clean(sandbox, shard=of_maker, shards=3).watcher
        assert first.kept == {maker.id: Reason.IN_USE}
        told = f"task {user.id}, which another pod deletes, needs something of this one, and is still there"
        assert first.outcomes[maker.id].detail == f"{told}; the next pass looks again"
        assert set(sandbox.state()["tasks"]) == {maker.id, user.id}
    assert clean(sandbox, shard=of_user, shards=3).watcher.deleted == {user.id}
    assert clean(sandbox, shard=of_maker, shards=3).watcher.deleted == {maker.id}
    now = sandbox.state()
    assert (now["tasks"], now["models"], now["files"]) == ([], [], [])


def test_what_is_kept_by_a_rule_is_reported_by_one_shard(sandbox: Sandbox) -> None:
    world = World(NOW)
    kept = {world.task(f"kept {n}", days_old=60 + n, tags=["keep"]).id for n in range(12)}
    kept.add(world.task("example", public=True).id)
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
        world.task(f"old {n}", days_old=60 + n)
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
        world.task(f"old {n}", days_old=60 + n)
    sandbox.load(world.as_dict())
    done = [clean(sandbox, shard=shard, shards=3, max_tasks=2) for shard in range(3)]
    assert [len(one.watcher.deleted) for one in done] == [1, 1, 0]
    assert len(sandbox.state()["tasks"]) == 10


def held(monkeypatch: pytest.MonkeyPatch, shard: int, shards: int, **more: str) -> tuple[str, Part | None]:
    """The Lease that a pod holds, and its part of it."""
    asked: list[tuple[str, Part | None]] = []
    monkeypatch.setattr(lease, "hold", lambda name, *_, **options: asked.append((name, options["part"])))
    pod.lease(settings(shard, shards, CLEANUP_LEASE="nightly", **more), Stop(), lambda _: None)
    return asked[0]


def test_the_pods_of_one_job_share_the_lease_of_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(monkeypatch, 0, 1, CLEANUP_JOB="job") == ("nightly", None)
    first = held(monkeypatch, 0, 2, CLEANUP_JOB="job", CLEANUP_JOB_UID="1a-2b")
    assert first == ("nightly", Part("job_2-shards_1a-2b", 0))
    assert held(monkeypatch, 1, 2, CLEANUP_JOB="job", CLEANUP_JOB_UID="1a-2b") == ("nightly", Part("job_2-shards_1a-2b", 1))
    for other in (
        held(monkeypatch, 0, 3, CLEANUP_JOB="job", CLEANUP_JOB_UID="1a-2b"),
        held(monkeypatch, 0, 2, CLEANUP_JOB="another", CLEANUP_JOB_UID="1a-2b"),
        held(monkeypatch, 0, 2, CLEANUP_JOB="job", CLEANUP_JOB_UID="3c-4d"),
    ):
        assert other[1]
        assert other[1].of != "job_2-shards_1a-2b"


def test_pods_that_do_not_know_their_job_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="CLEANUP_SHARDS=2 and CLEANUP_LEASE=nightly, but CLEANUP_JOB is not set"):
        held(monkeypatch, 0, 2)
