"""Each record is judged by its own fields."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.filters import Known
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Task
from cleanup_job.planning.selection import OwnTasks, Query, Rules, Selected, resolve, unchanged
from cleanup_job.settings.filters import FilterSettings

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
PROJECTS = {"p6": "odd [1]?", "p1": "team", "p2": "team/a", "p3": "team/a/.pipelines/run", "p4": "teamwork", "p5": "other/a"}

KNOWN = Known(PROJECTS, lambda: {"u1": "Research", "u2": "Platform"}, {"x", "y"}.__contains__, "left".__eq__)


def task(**fields: object) -> Task:
    made = Task(
        TaskId("t1"),
        "exp",
        "completed",
        "training",
        "u1",
        "p2",
        tags=("x",),
        system_tags=("archived",),
        created=OLD,
        status_changed=OLD,
        last_update=OLD,
        last_change=OLD,
    )
    return replace(made, **fields)


def rules(own: OwnTasks | None = None, **settings: object) -> Rules:
    filters = FilterSettings(**{"force_delete": True, **settings})
    return resolve(filters, NOW, KNOWN, pytest.fail, cutoff=NOW - timedelta(days=30), own=own)


def test_an_archived_task_past_the_threshold_may_be_deleted() -> None:
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
def test_these_are_kept(fields: dict[str, object]) -> None:
    assert not rules().allows(task(**fields))


def test_a_draft_that_never_ran_counts_by_its_last_update_then_by_its_creation() -> None:
    assert task(status="created", status_changed=None).active == OLD
    assert task(status="created", status_changed=None, last_update=None).active == OLD


def test_by_default_only_drafts_are_deleted() -> None:
    assert not rules(force_delete=False).allows(task())
    assert rules(force_delete=False).allows(task(status="created", status_changed=None))


def test_archived_a_minute_ago_is_kept_by_the_grace() -> None:
    minute_ago = task(last_change=NOW - timedelta(minutes=1))
    assert rules().allows(minute_ago)
    assert not rules(archived_for_days=7).allows(minute_ago)


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
        ({"exclude_users": ("Research",)}, False),
        ({"exclude_users": ("u2",)}, True),
        ({"users": ("u1",), "exclude_users": ("Research",)}, False),
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
def test_a_task_that_someone_touched_has_changed(fields: dict[str, object]) -> None:
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
            "exclude_users": st.sampled_from([("Research",), ("left",)]),
            "types": st.just(("training",)),
            "force_delete": st.just(False),
            "archived_for_days": st.just(90),
        },
    ),
)
def test_filters_only_ever_narrow(status: str, tags: tuple[str, ...], project: str, settings: dict[str, object]) -> None:
    one = task(status=status, tags=tags, project=project)
    if rules(**settings).allows(one):
        assert rules().allows(one)


def test_the_server_is_asked_for_what_the_rules_need() -> None:
    assert rules().query() == Query()
    asked = rules(
        statuses=("failed", "completed"),
        types=("testing", "training"),
        users=("Research", "u2"),
        projects=("team/a", "other/a"),
    )
    assert asked.query() == Query(("completed", "failed"), ("testing", "training"), ("u1", "u2"), ("p2", "p3", "p5"))
    assert rules(force_delete=False, statuses=("failed",)).query().statuses == ("created",)
    assert rules(include_hidden=True).query().hidden is True
    assert rules(include_pipeline_steps=True).query().hidden is True


def test_what_is_remembered_of_a_task_shows_whether_it_has_changed() -> None:
    one = task(parent="p", last_change=NOW)
    found = Selected.of(one)
    assert (found.id, found.name, found.project, found.parent, found.last_change) == ("t1", "exp", "p2", "p", NOW)
    assert (found.is_step, len(found.digest)) == (False, 16)
    assert Selected.of(one, is_step=True) == replace(found, is_step=True)


def test_a_task_counts_from_before_the_threshold_on() -> None:
    cutoff = NOW - timedelta(days=30)
    assert not rules().allows(task(status_changed=cutoff))
    assert rules().allows(task(status_changed=cutoff - timedelta(seconds=1)))


def test_the_grace_ends_at_its_moment_and_counts_from_when_it_is_known_to_have_been_archived() -> None:
    grace, edge = rules(archived_for_days=7), NOW - timedelta(days=7)
    assert grace.allows(task(last_change=edge))
    assert not grace.allows(task(last_change=edge + timedelta(seconds=1)))
    assert grace.allows(task(last_change=NOW), archived_at=edge)
    assert not grace.allows(task(last_change=OLD), archived_at=NOW)
    assert grace.allows(task(last_change=None))


def test_a_step_that_is_not_archived_has_no_grace() -> None:
    grace = rules(archived_for_days=7, include_pipeline_steps=True)
    assert grace.allows(task(system_tags=(), last_change=NOW), is_step=True)


def test_an_age_that_the_pass_has_moved_itself_is_given() -> None:
    assert rules().allows(task(status_changed=NOW), since=OLD)
    assert not rules().allows(task(), since=NOW)


def test_the_jobs_own_tasks_are_never_deleted_while_they_are_needed() -> None:
    assert not rules(OwnTasks(never=frozenset({"t1"}))).allows(task())
    assert rules(OwnTasks(never=frozenset({"t2"}))).allows(task())


def test_archived_runs_of_the_jobs_own_draft_are_deleted_whatever_else_is_asked_for() -> None:
    own = rules(OwnTasks(runs_of="draft"), force_delete=False, projects=("other/a",), tags=("y",))
    run = task(parent="draft", tags=(RUN_TAG,))
    assert own.allows(run)
    assert not own.allows(replace(run, tags=("x",)))
    assert not own.allows(replace(run, parent="other"))
    assert not own.allows(replace(run, system_tags=()))
    assert not own.allows(replace(run, status_changed=NOW))
    assert not rules(force_delete=False).allows(replace(run, parent=""))
    assert not rules(OwnTasks(runs_of="draft"), exclude_projects=("team/a",)).allows(run)


def test_excluding_by_one_thing_leaves_the_others_alone() -> None:
    assert rules(exclude_tags=("y",)).allows(task())
    assert rules(exclude_statuses=("failed",)).allows(task())
    assert rules(types=("training", "testing")).allows(task())
    assert rules(exclude_projects=("other/a",)).allows(task(project=""))


@pytest.mark.parametrize(
    ("settings", "fields", "kept"),
    [
        ({}, {}, ""),
        ({"keep_tags": ("y", "x")}, {"tags": ("y", "x")}, "the tag 'x' is in CLEANUP_KEEP_TAGS"),
        ({"keep_tags": ("y",)}, {}, ""),
        ({"keep_projects": ("team",)}, {}, "its project is in CLEANUP_KEEP_PROJECTS"),
        ({"keep_projects": ("other/a",)}, {}, ""),
        ({"keep_projects": ("other/a",)}, {"project": ""}, ""),
        ({"keep_projects": ("other/a",)}, {"project": "new"}, "its project did not exist, or could not be read"),
        ({"threshold_rules": ("team=never",)}, {}, "'team=never' in CLEANUP_THRESHOLD_RULES"),
        ({"threshold_rules": ("team=never",)}, {"project": "p5"}, ""),
        (
            {"threshold_rules": ("team=never",)},
            {"project": "new"},
            "its project did not exist, or could not be read",
        ),
        ({"threshold_rules": ("team=7",)}, {}, ""),
        ({}, {"project": "new"}, ""),
    ],
)
def test_rules_that_keep_a_task_say_so(settings: dict[str, object], fields: dict[str, object], kept: str) -> None:
    said = rules(**settings).keeps(task(**fields))
    assert said.startswith(kept)
    assert bool(said) is bool(kept)


def test_the_first_threshold_that_has_the_project_counts() -> None:
    asked = rules(threshold_rules=("team/a=90", "team=7", "other/a=never"))
    assert [asked.rule_of(task(project=one)) for one in ("p2", "p1", "p5", "p4")] == [
        "team/a=90",
        "team=7",
        "other/a=never",
        "",
    ]
    ten, sixty = NOW - timedelta(days=10), OLD
    assert asked.allows(task(project="p1", status_changed=ten))
    assert not asked.allows(task(project="p2", status_changed=sixty))
    assert not asked.allows(task(project="p4", status_changed=ten))
    assert asked.allows(task(project="p5", status_changed=sixty)), "so that it is told of as kept"
    assert not asked.allows(task(project="p5", status_changed=ten))


def test_a_change_of_a_deleted_parent_excuses_no_other_change() -> None:
    before = Selected.of(task(parent="p"))
    assert not unchanged(before, task(parent="__DELETED__p", tags=()))
    assert not unchanged(before, task(parent="__DELETED__q"))
    assert not unchanged(before, task(parent="p", last_change=NOW))
    assert unchanged(before, task(parent="p"))


@pytest.mark.parametrize("parent", ["p", "__DELETED__p"])
def test_what_the_pass_itself_changed_is_no_change(parent: str) -> None:
    before, planned = Selected.of(task(parent="p")), task(parent="p")
    touched = task(parent=parent, last_update=NOW, last_change=NOW)
    assert unchanged(before, touched, planned=planned)
    for fields in (
        {"status": "failed"},
        {"status_changed": NOW},
        {"tags": ()},
        {"system_tags": ()},
        {"project": "p5"},
        {"parent": "q"},
    ):
        assert not unchanged(before, replace(touched, **fields), planned=planned)
