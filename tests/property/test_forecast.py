"""A forecast says of each day what a pass on that day would select."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW
from tests.property.test_windows import few
from tests.read_only import Reading

RULES = [
    {},
    {"archived_for_days": 5},
    {"force_delete": False},
    {"keep_tags": ("gold",)},
    {"threshold_rules": ("lab=3", "other=never")},
]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World(NOW)
    for number in range(draw(st.integers(1, 12))):
        task = world.task(
            f"exp {number}",
            project=draw(st.sampled_from(["lab", "other", "third"])),
            days_old=30 - draw(st.integers(-48, 6 * 24)) / 24,
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


@settings(few, max_examples=15)
@given(worlds(), st.sampled_from(RULES), st.sampled_from([1, 2, 3]))
def test_by_each_day_it_has_as_many_tasks_as_a_pass_selects_then(
    sandbox: Sandbox, world: World, filters: dict[str, Any], day: int
) -> None:
    sandbox.load(world.as_dict())
    found = Reading.of(sandbox, filters=filters).forecast(4)
    for last in (0, day, 4):
        end = NOW.replace(hour=0) + timedelta(days=last + 1, microseconds=-1)
        then = Reading.of(sandbox, filters=filters, at=end)
        due = [one for when, one in found.by_day().items() if when <= last]
        assert sum(one.tasks for one in due) == then.selected()
        there = then.server.tasks(TaskId(task.id) for task in world.tasks).values()
        selected = {task.id for task in there if isinstance(task, Task) and then.known.rules.selects(task)}
        artifacts = [one for task in world.tasks if task.id in selected for one in task.document["execution"]["artifacts"]]
        assert sum(one.bytes for one in due) == sum(one["content_size"] for one in artifacts)
