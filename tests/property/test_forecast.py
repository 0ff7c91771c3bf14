"""A forecast says of each day what a pass on that day would select."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.planning.outcome import Reason
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW
from tests.property.test_windows import few
from tests.read_only import Reading

RULES = [{}, {"archived_for_days": 5}, {"force_delete": False}, {"keep_tags": ("gold",)}, {"threshold_rules": ("lab=3", "other=never")}]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World(NOW)
    for number in range(draw(st.integers(1, 12))):
        task = world.task(
            f"exp {number}",
            project=draw(st.sampled_from(["lab", "other", "third"])),
            days_old=draw(st.floats(0, 60)),
            archived=draw(st.sampled_from([True, True, True, False])),
            archived_days=draw(st.sampled_from([None, 1.5, 4.0])),
            status=draw(st.sampled_from(["completed", "created", "in_progress"])),
            tags=draw(st.sampled_from([(), (), ("gold",)])),
        )
        task.artifact("data", size=draw(st.integers(0, 10**6)))
    world.task("has the tag", archived=False, tags=["gold"])
    for project in ("lab", "other"):
        world.project(project)
    return world


@settings(few, max_examples=25)
@given(worlds(), st.sampled_from(RULES), st.integers(0, 45))
def test_by_each_day_it_has_as_many_tasks_as_a_pass_selects_then(
    sandbox: Sandbox, world: World, filters: dict[str, Any], day: int
) -> None:
    sandbox.load(world.as_dict())
    found = Reading.of(sandbox, filters=filters).forecast(45)
    end = NOW.replace(hour=0) + timedelta(days=day + 1, microseconds=-1)
    then = Reading.of(sandbox, filters=filters, at=end)
    explained = then.explain(*(task.id for task in world.tasks))
    left_alone = {Reason.NOT_SELECTED, Reason.KEEP_RULE, Reason.PUBLIC}
    selected = {one.id for one in explained if one.outcome is not None and one.outcome.reason not in left_alone}
    due = [one for when, one in found.by_day().items() if when <= day]
    assert sum(one.tasks for one in due) == len(selected)
    sizes = {task.id: task.document["execution"]["artifacts"][0] for task in world.tasks if task.document["execution"]["artifacts"]}
    assert sum(one.bytes for one in due) == sum(sizes[task]["content_size"] for task in selected)
