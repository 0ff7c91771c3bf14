"""Each record is judged by its own fields."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.errors import SettingsError
from cleanup_job.paths import TaskId
from cleanup_job.records import Task
from cleanup_job.selection import Filters, Rules, Selected, age_from, resolve, unchanged

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
PROJECTS = {"p6": "odd [1]?", "p1": "team", "p2": "team/a", "p3": "team/a/.pipelines/run", "p4": "teamwork", "p5": "other/a"}


def task(**fields: object) -> Task:
    made = Task(
        TaskId("t1"), "exp", "completed", "training", "u1", "p2", tags=("x",), system_tags=("archived",), created=OLD,
        status_changed=OLD, last_update=OLD, last_change=OLD,
    )  # fmt: skip
    return replace(made, **fields)


def rules(**settings: object) -> Rules:
    filters = replace(Filters(timedelta(days=30), drafts_only=False), **settings)
    return resolve(
        filters, NOW, projects=PROJECTS, users={"u1": "Research", "u2": "Platform"}, tag_exists=lambda tag: tag in {"x", "y"}
    )


def test_an_archived_task_past_the_threshold_may_go() -> None:
    assert rules().allows(task())


@pytest.mark.parametrize(
    "fields",
    [
        {"system_tags": ()},
        {"status_changed": NOW - timedelta(days=29)},
        {"status": "in_progress", "last_update": NOW},
        {"status": "queued", "last_update": NOW},
        {"status": "in_progress", "last_update": None},
        {"status": "created", "status_changed": None, "last_update": NOW - timedelta(days=3)},
        {"status_changed": None, "last_update": None, "created": None},
        {"system_tags": ("archived", "hidden")},
    ],
)
def test_these_stay(fields: dict[str, object]) -> None:
    assert not rules().allows(task(**fields))


def test_a_draft_that_never_ran_counts_by_its_last_update_then_by_its_creation() -> None:
    assert age_from(task(status="created", status_changed=None)) == OLD
    assert age_from(task(status="created", status_changed=None, last_update=None)) == OLD


def test_by_default_only_drafts_go() -> None:
    assert not rules(drafts_only=True).allows(task())
    assert rules(drafts_only=True).allows(task(status="created", status_changed=None))


def test_archived_a_minute_ago_is_kept_by_the_grace() -> None:
    minute_ago = task(last_change=NOW - timedelta(minutes=1))
    assert rules().allows(minute_ago)
    assert not rules(archived_for=timedelta(days=7)).allows(minute_ago)


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"projects": ("team",)}, True),
        ({"projects": ("p1",)}, True),
        ({"projects": ("*/a",)}, True),
        ({"projects": ("teamwork",)}, False),
        ({"exclude_projects": ("team/a",)}, False),
        ({"exclude_projects": ("team*",)}, False),
        ({"exclude_projects": ("other/a",)}, True),
        ({"projects": ("team",), "exclude_projects": ("team/a",)}, False),
        ({"projects": ("odd [1]?", "team/a")}, True),
        ({"tags": ("x", "y")}, True),
        ({"tags": ("y",)}, False),
        ({"exclude_tags": ("x",)}, False),
        ({"types": ("testing",)}, False),
        ({"statuses": ("completed",)}, True),
        ({"statuses": ("failed",)}, False),
        ({"exclude_statuses": ("completed",)}, False),
        ({"users": ("Research",)}, True),
        ({"users": ("u2",)}, False),
    ],
)
def test_filters(settings: dict[str, object], allowed: bool) -> None:
    assert rules(**settings).allows(task()) is allowed


def test_a_project_made_after_the_start_may_be_an_excluded_one() -> None:
    assert not rules(exclude_projects=("other/a",)).allows(task(project="new"))
    assert rules().allows(task(project="new"))


def test_hidden_tasks_have_to_be_asked_for() -> None:
    hidden = task(system_tags=("archived", "hidden"))
    assert rules(include_hidden=True).allows(hidden)
    assert not rules(include_pipeline_steps=True).allows(hidden)
    assert not rules().allows(hidden, is_step=True)
    assert rules(include_pipeline_steps=True).allows(hidden, is_step=True)


@pytest.mark.parametrize("status", ["in_progress", "queued"])
def test_a_step_need_not_be_archived_but_must_not_be_active(status: str) -> None:
    with_steps = rules(include_pipeline_steps=True)
    assert with_steps.allows(task(system_tags=()), is_step=True)
    assert not with_steps.allows(task(system_tags=()))
    assert not with_steps.allows(task(system_tags=(), status=status), is_step=True)
    assert not rules().allows(task(system_tags=()), is_step=True)


def test_a_clone_of_a_controller_is_no_step_of_it() -> None:
    asked = rules()
    assert asked.is_step(task(project="p3"))
    assert asked.is_step(task(system_tags=("hidden",)))
    assert not asked.is_step(task())
    assert not asked.is_step(task(project="p3", type="controller"))
    assert not asked.is_step(task(project="p3", system_tags=("pipeline",)))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"projects": ("tem",)}, "CLEANUP_PROJECTS: no project is called 'tem'"),
        ({"exclude_projects": ("Team",)}, "CLEANUP_EXCLUDE_PROJECTS: no project is called 'Team'"),
        ({"users": ("Reserch",)}, "CLEANUP_USERS: no user is called 'Reserch'"),
        ({"tags": ("z",)}, "CLEANUP_TAGS: no task has the tag 'z'"),
        ({"exclude_tags": ("z",)}, "CLEANUP_EXCLUDE_TAGS: no task has the tag 'z'"),
    ],
)
def test_a_name_that_matches_nothing_is_an_error_not_an_empty_filter(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError) as error:
        rules(**settings)
    assert named in str(error.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "created"},
        {"status_changed": NOW},
        {"last_update": NOW},
        {"tags": ()},
        {"system_tags": ()},
        {"project": "p5"},
        {"last_change": NOW},
        {"parent": "other"},
    ],
)
def test_a_task_that_somebody_touched_has_changed(fields: dict[str, object]) -> None:
    assert not unchanged(Selected.of(task()), task(**fields))


def test_a_deleted_parent_is_no_change() -> None:
    assert unchanged(Selected.of(task(parent="p")), task(parent="__DELETED__p", last_change=NOW))


@given(
    st.sampled_from(["created", "completed", "failed", "published", "in_progress"]),
    st.lists(st.sampled_from(["x", "y", "z"]), max_size=2).map(tuple),
    st.sampled_from(list(PROJECTS)),
    st.fixed_dictionaries(
        {},
        optional={
            "projects": st.just(("team",)),
            "exclude_projects": st.just(("team/a",)),
            "tags": st.just(("x",)),
            "exclude_tags": st.just(("y",)),
            "statuses": st.just(("completed", "created")),
            "exclude_statuses": st.just(("failed",)),
            "users": st.just(("Research",)),
            "types": st.just(("training",)),
            "drafts_only": st.just(True),
            "archived_for": st.just(timedelta(days=90)),
        },
    ),
)
def test_filters_only_ever_narrow(status: str, tags: tuple[str, ...], project: str, settings: dict[str, object]) -> None:
    one = task(status=status, tags=tags, project=project)
    if rules(**settings).allows(one):
        assert rules().allows(one)
