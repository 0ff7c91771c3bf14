"""When a task is due is what the rules themselves say at each moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.due import due
from cleanup_job.planning.filters import Known
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Task
from cleanup_job.planning.selection import OwnTasks, Rules, resolve
from cleanup_job.settings.filters import FilterSettings

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
PROJECTS = {"p1": "team", "p2": "team/a", "p3": "team/a/.pipelines/run", "p4": "golden"}
KNOWN = Known(PROJECTS, lambda: {"u1": "Research", "u2": "Platform"}, lambda _: True, lambda _: True)
LEAST = timedelta.resolution


def rules(at: datetime = NOW, threshold: float = 30.0, **settings: object) -> Rules:
    """The rules as a pass resolves them that begins at a moment."""
    filters = FilterSettings(**{"force_delete": True, **settings})
    return resolve(filters, at, KNOWN, lambda _: None, cutoff=at - timedelta(days=threshold), own=OwnTasks(runs_of="draft"))


def task(**fields: object) -> Task:
    made = Task(TaskId("t1"), "exp", "completed", "training", "u1", "p2", system_tags=("archived",), status_changed=OLD)
    return replace(made, last_update=OLD, last_change=OLD, **fields)


def test_a_task_is_due_right_after_it_has_reached_its_threshold() -> None:
    young = task(status_changed=NOW - timedelta(days=10))
    assert due(rules(), young, NOW) == NOW + timedelta(days=20) + LEAST


def test_the_threshold_is_that_of_its_project() -> None:
    assert due(rules(threshold_rules=["team=90"]), task(), NOW) == OLD + timedelta(days=90) + LEAST


def test_a_grace_period_may_end_later_than_the_threshold() -> None:
    assert due(rules(archived_for_days=65), task(), NOW) == OLD + timedelta(days=65)
    assert due(rules(archived_for_days=7), task(), NOW) == OLD + timedelta(days=30) + LEAST


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({"system_tags": ()}, {}),
        ({"public": True}, {}),
        ({}, {"force_delete": False}),
        ({}, {"keep_projects": ["team"]}),
        ({}, {"threshold_rules": ["team=never"]}),
        ({"project": "made since"}, {"exclude_projects": ["golden"]}),
        ({"status": "in_progress", "last_update": None}, {}),
    ],
)
def test_these_are_never_due(fields: dict[str, object], settings: dict[str, object]) -> None:
    assert due(rules(**settings), replace(task(), **fields), NOW) is None


moments = st.one_of(
    st.none(),
    st.integers(-200, 40).map(lambda days: NOW + timedelta(days=days)),
    st.timedeltas(timedelta(days=-200), timedelta(days=40)).map(NOW.__add__),
)


def subsets(*choices: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(choices), unique=True, max_size=2)


tasks = st.builds(
    Task,
    id=st.just(TaskId("t1")),
    name=st.just("exp"),
    status=st.sampled_from(["created", "completed", "published", "in_progress"]),
    type=st.sampled_from(["training", "controller"]),
    user=st.sampled_from(["u1", "u2"]),
    project=st.sampled_from(["", "new", *PROJECTS]),
    parent=st.sampled_from(["", "draft"]),
    tags=subsets("x", "y", RUN_TAG).map(tuple),
    system_tags=subsets("hidden", "pipeline").flatmap(lambda some: st.sampled_from([(*some, "archived")] * 4 + [tuple(some)])),
    public=st.sampled_from([False] * 5 + [True]),
    created=moments,
    status_changed=moments,
    last_update=moments,
    last_change=moments,
)
settings = st.fixed_dictionaries(
    {"threshold": st.sampled_from([0.0, 1.5, 30.0]), "force_delete": st.sampled_from([True, True, False])},
    optional={
        "archived_for_days": st.sampled_from([0.25, 7.0, 60.0]),
        "threshold_rules": st.sampled_from([["team=90"], ["team/a=0"], ["golden=never", "team=14"]]),
        "include_hidden": st.just(True),
        "include_pipeline_steps": st.just(True),
        "projects": st.just(["team"]),
        "tags": st.just(["x"]),
        "users": st.just(["Research"]),
        "exclude_projects": st.just(["golden"]),
        "exclude_statuses": st.just(["published"]),
        "keep_tags": st.just(["y"]),
        "keep_projects": st.just(["golden"]),
    },
)


@given(task=tasks, settings=settings, after=st.timedeltas(timedelta(days=-300), timedelta(days=300)))
def test_rules_of_any_moment_select_a_task_if_and_only_if_it_is_due(
    task: Task, settings: dict[str, object], after: timedelta
) -> None:
    when = due(rules(NOW, **settings), task, NOW)
    probes = [NOW + after, NOW + timedelta(days=40_000)]
    probes += [] if when is None else [when - LEAST, when, when + LEAST]
    for moment in probes:
        assert rules(moment, **settings).selects(task) == (when is not None and when <= moment)
