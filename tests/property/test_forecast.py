"""A forecast says of each day what a pass on that day would select."""

from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.planning.course import course
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW
from tests.passes.nights import FIRST, Nights, nights
from tests.property.test_windows import few
from tests.read_only import Reading

__all__ = ["nights"]
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


POLICIES = """\
task_tags: true
policies:
  - name: lab
    match: {projects: [lab]}
    keep: {tags: [gold]}
    archive: {after: 14d}
    slim: {after: 16d, remove: [artifacts]}
    delete: {after: 20d, archived_for: 3d}
  - name: other
    match: {projects: [other]}
    archive: {after: 14d}
    delete: {after: 17d}
    notice: 2d
"""
DAYS = 9
DID = {Verdict.ARCHIVED: Stage.ARCHIVE, Verdict.SLIMMED: Stage.SLIM, Verdict.DELETED: Stage.DELETE}


@st.composite
def lives(draw: st.DrawFn) -> World:
    """Tasks that come to a stage an hour before the pass of a night."""
    world = World(FIRST)
    world.task("has the tag", archived=False, tags=["gold"], project="third")
    for project in ("lab", "other"):
        world.project(project)
    for number in range(draw(st.integers(3, 8))):
        age = draw(st.integers(8, 24)) + 1 / 24
        task = world.task(
            f"exp {number}",
            user="Ada",
            project=draw(st.sampled_from(["lab", "lab", "other", "third"])),
            days_old=age,
            archived=draw(st.booleans()),
            archived_days=min(age, draw(st.integers(0, 8)) + 1 / 24),
            status=draw(st.sampled_from(["completed", "completed", "created", "published"])),
            tags=draw(st.sampled_from([(), (), (), ("gold",), ("ttl=18d",), ("cleanup:archived=2026-10-01",)])),
        )
        task.artifact("data", size=100)
    return world


@settings(few, max_examples=5)
@given(lives())
def test_nights_do_what_was_forecast(nights: Nights, sandbox: Sandbox, world: World) -> None:
    nights.load(world, POLICIES)
    reading = Reading.of(sandbox, at=FIRST, policies=str(nights.file))
    found = reading.forecast(DAYS)
    records = reading.server.tasks(TaskId(task.id) for task in world.tasks).values()
    courses = {task.id: course(reading.known.rules, task, FIRST) for task in records if isinstance(task, Task)}
    done: dict[TaskId, list[tuple[Stage, int]]] = {}
    for day in range(DAYS + 2):
        for task, outcome in nights.night().watcher.outcomes.items():
            if outcome.verdict in DID:
                done.setdefault(task, []).append((DID[outcome.verdict], day))
        nights.later(1)
    sums: Counter[tuple[Stage, int]] = Counter()
    for task, events in courses.items():
        days = [(event, (event.when.date() - FIRST.date()).days) for event in events]
        sums.update((event.stage, day) for event, day in days if day <= DAYS)
        really = dict(done.get(task, []))
        # The pass of a night gives a notice some hours after the first moment, and its date is rounded up.
        latest = {event.stage: day + (event.announced is not None) for event, day in days if day <= DAYS}
        assert really.keys() >= latest.keys(), events
        assert all(day <= really[event.stage] <= latest[event.stage] for event, day in days if day <= DAYS), (events, really)
        assert really.keys() <= {event.stage for event in events}
    assert {(stage, day): one.tasks for stage in Stage for day, one in found.by_day(stage).items()} == dict(sums)
