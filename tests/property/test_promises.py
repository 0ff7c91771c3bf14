"""Promises 1 to 4 on random worlds."""

import pytest
from harness import NOW, clean, state
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import PUBLIC, Oracle, worlds

from cleanup_job.sandbox.builder import World
from cleanup_job.sandbox.server import Sandbox

relaxed = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def load(sandbox: Sandbox, world: World) -> Oracle:
    sandbox.fault = None
    sandbox.load(world.as_dict())
    return Oracle.of(world)


@relaxed
@given(worlds())
def test_exactly_the_plan_is_gone_and_a_second_pass_deletes_nothing(sandbox: Sandbox, world: World) -> None:
    oracle = load(sandbox, world)
    done = clean(sandbox, prefixes=(PUBLIC,))
    gone = done.watcher.deleted
    assert gone | done.watcher.kept.keys() == oracle.eligible()
    assert not done.watcher.failed
    files, models = oracle.must_stay(gone)
    after = state(sandbox)
    assert set(after[0]) == oracle.tasks.keys() - gone
    assert set(after[2]) == files
    assert set(after[1]) == models
    assert done.watcher.warnings == []
    again = clean(sandbox, prefixes=(PUBLIC,))
    assert not again.watcher.deleted
    assert state(sandbox) == after


@relaxed
@given(worlds())
def test_a_dry_run_tells_what_a_real_run_does_and_only_reads(sandbox: Sandbox, world: World) -> None:
    load(sandbox, world)
    before = state(sandbox)
    sandbox.requests.clear()
    dry = clean(sandbox, prefixes=(PUBLIC,), dry_run=True)
    assert state(sandbox) == before
    assert {(r.method, r.call) for r in sandbox.requests if r.service == "files"} <= {("GET", "/")}
    reading = {"auth.login", "tasks.get_all", "models.get_all", "projects.get_all", "users.get_all_ex",
               "events.debug_images", "events.plots", "events.get_task_events", "events.get_task_metrics",
               "events.get_multi_task_metrics"}  # fmt: skip
    assert {request.call for request in sandbox.requests if request.service == "api"} <= reading
    real = clean(sandbox, prefixes=(PUBLIC,))
    assert dry.watcher.outcomes == real.watcher.outcomes


@relaxed
@given(worlds(), st.sampled_from([1, 2, 500]), st.sampled_from([1, 2, 500]), st.sampled_from([1, 3]))
def test_page_batch_and_workers_never_change_the_result(
    sandbox: Sandbox, world: World, page_size: int, batch_size: int, workers: int
) -> None:
    load(sandbox, world)
    first = clean(sandbox, prefixes=(PUBLIC,)).watcher.outcomes
    after = state(sandbox)
    load(sandbox, world)
    second = clean(sandbox, prefixes=(PUBLIC,), page_size=page_size, batch_size=batch_size, workers=workers)
    assert state(sandbox) == after
    assert {i: o.verdict for i, o in second.watcher.outcomes.items()} == {i: o.verdict for i, o in first.items()}


@relaxed
@given(
    worlds(),
    st.sampled_from(
        [
            {"projects": ("lab",)},
            {"exclude_projects": ("lab/sub",)},
            {"tags": ("gold",)},
            {"exclude_tags": ("gold",)},
            {"statuses": ("completed",)},
            {"exclude_statuses": ("failed", "created")},
            {"types": ("testing",)},
            {"drafts_only": True},
        ]
    ),
)
def test_filters_only_ever_narrow_what_is_deleted(sandbox: Sandbox, world: World, filters: dict[str, object]) -> None:
    world.project("lab/sub")
    world.task("has the tag", archived=False, tags=["gold"])
    load(sandbox, world)
    everything = clean(sandbox, prefixes=(PUBLIC,)).watcher
    load(sandbox, world)
    some = clean(sandbox, prefixes=(PUBLIC,), filters=filters).watcher
    assert some.outcomes.keys() <= everything.outcomes.keys()
    # A task that stays because of another one may go when that one is not selected; the files it needs stay then.
    files, _ = Oracle.of(world).must_stay(some.deleted)
    assert set(state(sandbox)[2]) >= files


@pytest.mark.parametrize("days", [30.0, 44.9, 100.0])
def test_the_threshold_is_in_days_and_exact(sandbox: Sandbox, days: float) -> None:
    world = World(NOW)
    old, _ = world.task("old", days_old=days + 0.01), world.task("young", days_old=days - 0.01)
    sandbox.load(world.as_dict())
    assert clean(sandbox, days=days).watcher.deleted == {old.id}
