"""Names become ids: those of including filters may be gone, all others have to be there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.planning.filters import FILTERS, NAMED, ActiveFilter, Known, needed_by
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import OwnTasks, Rules, Threshold, resolve
from cleanup_job.settings.filters import FilterSettings
from cleanup_job.settings.model import names

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
PROJECTS = {"p6": "odd [1]?", "p1": "team", "p2": "team/a", "p3": "team/a/.pipelines/run", "p4": "teamwork", "p5": "other/a"}
KNOWN = Known(PROJECTS, lambda: {"u1": "Research", "u2": "Platform"}, {"x", "y"}.__contains__, "left".__eq__)
CUTOFF = NOW - timedelta(days=30)


def told(known: Known = KNOWN, own: OwnTasks | None = None, **settings: object) -> tuple[Rules, list[str]]:
    warnings: list[str] = []
    filters = FilterSettings(**{"force_delete": True, **settings})
    return resolve(filters, NOW, known, warnings.append, cutoff=CUTOFF, own=own), warnings


def rules(known: Known = KNOWN, own: OwnTasks | None = None, **settings: object) -> Rules:
    found, warnings = told(known, own, **settings)
    assert warnings == []
    return found


def task(project: str = "p2", user: str = "u1", tags: tuple[str, ...] = ("x",)) -> Task:
    times = {"created": OLD, "status_changed": OLD, "last_update": OLD, "last_change": OLD}
    return Task(TaskId("t1"), "exp", "completed", "training", user, project, "", tags, ("archived",), **times)


def test_every_setting_that_names_what_tasks_have_is_a_filter() -> None:
    named = names(lambda entry: entry.group == "filters" and entry.is_list)
    assert set(FILTERS) | {"threshold_rules"} == set(named)


def test_names_become_ids() -> None:
    found = rules(
        own=OwnTasks(frozenset({"n"}), "r"),
        projects=("team/a", "odd*?"),
        exclude_projects=("p5",),
        keep_projects=("teamwork",),
        users=("u1", "Platform", "left"),
        exclude_users=("Research", "left"),
        tags=("x",),
        exclude_tags=("y",),
        keep_tags=("x", "y"),
        types=("testing",),
        statuses=("failed",),
        exclude_statuses=("published",),
        include_hidden=True,
        include_pipeline_steps=True,
        archived_for_days=1,
        threshold_rules=("team=1", "p4=never"),
    )
    assert found == Rules(
        cutoff=CUTOFF,
        archived_before=NOW - timedelta(days=1),
        force_delete=True,
        only=(
            ActiveFilter("projects", frozenset({"p2", "p3", "p6"})),
            ActiveFilter("tags", frozenset({"x"})),
            ActiveFilter("types", frozenset({"testing"})),
            ActiveFilter("statuses", frozenset({"failed"})),
            ActiveFilter("users", frozenset({"u1", "u2", "left"})),
        ),
        exclude=(
            ActiveFilter("exclude_projects", frozenset({"p5"})),
            ActiveFilter("exclude_tags", frozenset({"y"})),
            ActiveFilter("exclude_statuses", frozenset({"published"})),
            ActiveFilter("exclude_users", frozenset({"u1", "left"})),
        ),
        keep=(ActiveFilter("keep_tags", frozenset({"x", "y"})), ActiveFilter("keep_projects", frozenset({"p4"}))),
        known_projects=frozenset(PROJECTS),
        include_hidden=True,
        include_pipeline_steps=True,
        pipeline_projects=frozenset({"p3"}),
        own=OwnTasks(frozenset({"n"}), "r"),
        thresholds=(
            Threshold("team=1", frozenset({"p1", "p2", "p3"}), NOW - timedelta(days=1)),
            Threshold("p4=never", frozenset({"p4"}), None),
        ),
    )


def test_without_settings_there_are_no_rules_but_the_threshold() -> None:
    assert rules(force_delete=False) == Rules(
        cutoff=CUTOFF, known_projects=frozenset(PROJECTS), pipeline_projects=frozenset({"p3"})
    )


def test_users_are_read_only_where_a_filter_names_one() -> None:
    unread = replace(KNOWN, users=lambda: pytest.fail("read"))
    rules(unread, projects=("team",), exclude_tags=("x",))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"exclude_projects": ("team", "t")}, "CLEANUP_EXCLUDE_PROJECTS: no project is called 't'"),
        (
            {"exclude_projects": ("Team",)},
            "CLEANUP_EXCLUDE_PROJECTS: no project is called 'Team' or has this id. Correct or remove it",
        ),
        ({"exclude_projects": ("tem*",)}, "CLEANUP_EXCLUDE_PROJECTS: no project is called 'tem*'"),
        (
            {"keep_projects": ("tem",)},
            "CLEANUP_KEEP_PROJECTS: no project is called 'tem' or has this id. Correct or remove it",
        ),
        ({"exclude_tags": ("z",)}, "CLEANUP_EXCLUDE_TAGS: no task has the tag 'z'"),
        ({"keep_tags": ("x", "z")}, "CLEANUP_KEEP_TAGS: no task has the tag 'z'. Correct or remove it"),
        ({"threshold_rules": ("tem=never",)}, "CLEANUP_THRESHOLD_RULES: no project is called 'tem'"),
        (
            {"exclude_users": ("u1", "u9")},
            "CLEANUP_EXCLUDE_USERS: no user is called 'u9', and no task is of a user with this id.",
        ),
        ({"exclude_users": ("Left",)}, "CLEANUP_EXCLUDE_USERS: no user is called 'Left'"),
    ],
)
def test_a_name_that_protects_has_to_match_something(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError) as error:
        rules(**settings)
    assert str(error.value).startswith(named)


def test_the_message_says_how_names_of_projects_are_written() -> None:
    with pytest.raises(SettingsError) as error:
        rules(keep_projects=("a",))
    ending = (
        "Correct or remove it: an unknown name protects nothing. "
        "Project names are whole paths (`team/project`) and case-sensitive; `*` stands for any text."
    )
    assert str(error.value) == f"CLEANUP_KEEP_PROJECTS: no project is called 'a' or has this id. {ending}"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {"projects": ("team/a", "done")},
            "CLEANUP_PROJECTS: no project is called 'done' or has this id. Nothing is deleted because of that",
        ),
        ({"projects": ("team/a", "done/*", "x")}, "CLEANUP_PROJECTS: no project is called 'done/*', 'x' or has this id."),
        ({"tags": ("x", "z")}, "CLEANUP_TAGS: no task has the tag 'z'."),
        ({"users": ("u1", "u9")}, "CLEANUP_USERS: no user is called 'u9', and no task is of a user with this id."),
    ],
)
def test_a_name_whose_work_is_done_is_warned_of_and_the_others_count(settings: dict[str, object], named: str) -> None:
    found, warnings = told(**settings)
    assert [text.startswith(named) for text in warnings] == [True]
    assert found.allows(task())
    assert not found.allows(task(project="p4", user="u2", tags=()))
    assert not found.finds_nothing


@pytest.mark.parametrize("settings", [{"projects": ("done", "gone/*")}, {"tags": ("z",)}, {"users": ("u9", "Reserch")}])
def test_where_nothing_is_left_of_a_filter_it_finds_nothing(settings: dict[str, object]) -> None:
    found, warnings = told(**settings)
    assert len(warnings) == 1
    assert not [project for project in PROJECTS for user in ("u1", "u2", "") if found.allows(task(project, user))]
    assert found.finds_nothing is ("projects" in settings)
    assert found.query().users == tuple(sorted(settings.get("users", ())))


def test_a_removed_user_is_known_by_the_id_alone() -> None:
    found = rules(users=("left",))
    assert found.allows(task(user="left"))
    assert not found.allows(task())
    assert not rules(exclude_users=("left",)).allows(task(user="left"))


def test_a_warning_names_no_more_than_some() -> None:
    text = told(projects=tuple(f"gone {n}" for n in range(NAMED + 5)))[1][0]
    assert f"'gone {NAMED - 1}' and 5 more or has this id." in text


def test_a_star_stands_for_any_text_and_an_empty_name_for_no_project() -> None:
    known = replace(KNOWN, projects={"p1": "team/a\nb", "p2": ""})
    assert rules(known, projects=("team*",)).only == (ActiveFilter("projects", frozenset({"p1"})),)
    empty = FilterSettings.model_construct(keep_projects=("",))
    with pytest.raises(SettingsError, match="CLEANUP_KEEP_PROJECTS: no project is called ''"):
        resolve(empty, NOW, known, pytest.fail, cutoff=CUTOFF)


@pytest.mark.parametrize(
    ("settings", "without", "needed"),
    [
        ({"exclude_projects": ("team/a",)}, {"p2"}, "'team/a' in CLEANUP_EXCLUDE_PROJECTS"),
        ({"keep_projects": ("team*",)}, {"p1", "p2", "p3"}, ""),
        ({"keep_projects": ("team*",)}, {"p1", "p2", "p3", "p4"}, "'team*' in CLEANUP_KEEP_PROJECTS"),
        ({"threshold_rules": ("p5=7",)}, {"p5"}, "'p5' in CLEANUP_THRESHOLD_RULES"),
        ({"threshold_rules": ("p5=7",)}, {"p4"}, ""),
        ({"projects": ("team",)}, {"p1"}, ""),
        ({"exclude_projects": ("never there",)}, {"p1"}, ""),
    ],
)
def test_a_project_is_needed_as_long_as_it_is_the_last_that_a_rule_names(
    settings: dict[str, object], without: set[str], needed: str
) -> None:
    assert needed_by(FilterSettings(**settings), PROJECTS, without) == needed


def test_a_project_that_a_policy_has_to_find_is_needed_too() -> None:
    policies = ("team/a", "p5", "never there")
    assert needed_by(FilterSettings(), PROJECTS, {"p2"}, policies) == "'team/a' in CLEANUP_POLICIES"
    assert needed_by(FilterSettings(), PROJECTS, {"p5"}, policies) == "'p5' in CLEANUP_POLICIES"
    assert needed_by(FilterSettings(), PROJECTS, {"p1"}, policies) == ""
