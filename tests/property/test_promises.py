"""Promises 1 to 4 and 7 on random scenarios: a few of each kind here, as many as one wants by `make fuzz`."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state
from tests.property.judge import Judge, judge
from tests.property.scenario import PUBLIC, Scenario
from tests.property.worlds import FEATURES, scenarios, worlds

few = settings(
    deadline=None, derandomize=True, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)
"""The same examples each time, as they are: `make fuzz` has random ones, and makes what fails smaller."""
READING = {
    "auth.login",
    "tasks.get_all",
    "tasks.get_by_id",
    "models.get_all",
    "projects.get_all",
    "projects.validate_delete",
    "users.get_all_ex",
    "events.get_multi_task_plots",
    "events.get_task_events",
    "events.get_task_metrics",
    "events.get_multi_task_metrics",
}


@pytest.fixture(scope="module")
def shared_judge() -> Iterator[Judge]:
    with judge() as one:
        yield one


@pytest.mark.parametrize("feature", ["nothing odd", *FEATURES])
@settings(few, max_examples=4)
@given(data=st.data())
def test_exactly_what_is_due_is_gone(shared_judge: Judge, feature: str, data: st.DataObject) -> None:
    scenario = data.draw(scenarios(without=frozenset(FEATURES) - {feature}))
    assert shared_judge.violations(scenario) == [], scenario.as_json()


@settings(few, max_examples=20)
@given(scenarios(without=frozenset(FEATURES) - {"images", "moves"}))
def test_every_one_of_many_images_is_deleted(shared_judge: Judge, scenario: Scenario) -> None:
    assert shared_judge.violations(scenario) == [], scenario.as_json()


@settings(few, max_examples=20)
@given(scenarios())
def test_exactly_what_is_due_is_gone_where_all_comes_together(shared_judge: Judge, scenario: Scenario) -> None:
    assert shared_judge.violations(scenario) == [], scenario.as_json()


@settings(few, max_examples=30)
@given(scenarios(without={"spellings", "nested", "images", "moves"}, policies=True))
def test_nothing_is_changed_that_policies_do_not_change(shared_judge: Judge, scenario: Scenario) -> None:
    assert shared_judge.violations(scenario) == [], scenario.as_json()


@settings(few, max_examples=8)
@given(scenarios(without={"events"}))
def test_a_dry_run_only_reads(shared_judge: Judge, scenario: Scenario) -> None:
    shared_judge.run(scenario, dry_run=True)
    asked = {(seen.method, seen.call) for seen in shared_judge.log if seen.service == "files"}
    assert {method for method, _ in asked} <= {"GET", "HEAD"}  # HEAD: whether it has files of records that survive
    assert {call for method, call in asked if method == "GET"} <= {"/"}
    assert {seen.call for seen in shared_judge.log if seen.service == "api"} <= READING


@settings(few, max_examples=20)
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
            {"force_delete": False},
        ]
    ),
)
def test_filters_only_ever_narrow_what_is_deleted(sandbox: Sandbox, world: World, filters: dict[str, object]) -> None:
    world.project("lab/sub")
    world.task("has the tag", archived=False, tags=["gold"])
    sandbox.load(world.as_dict())
    everything = clean(sandbox, files_url_prefixes=(PUBLIC,)).watcher
    sandbox.load(world.as_dict())
    some = clean(sandbox, files_url_prefixes=(PUBLIC,), filters=filters).watcher
    assert some.outcomes.keys() <= everything.outcomes.keys()


@pytest.mark.parametrize("days", [30.0, 44.9, 100.0])
def test_the_threshold_is_in_days_and_exact(sandbox: Sandbox, days: float) -> None:
    world = World(NOW)
    old, young = world.task("old", days_old=days + 0.01), world.task("young", days_old=days - 0.01)
    sandbox.load(world.as_dict())
    assert clean(sandbox, delete_threshold_days=days).watcher.deleted == {old.id}
    assert state(sandbox)[0] == [young.id]
