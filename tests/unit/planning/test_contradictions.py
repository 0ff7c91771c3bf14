"""Filters that leave nothing to delete are found, and no others."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning import contradictions
from cleanup_job.planning.filters import Known
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules, resolve
from cleanup_job.settings.filters import FilterSettings

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
PROJECTS = {"p1": "team", "p2": "team/a", "p3": "team/b", "p4": "other"}
KNOWN = Known(PROJECTS, lambda: {"u1": "Ada", "u2": "Ben"}, {"x", "y", "z"}.__contains__, lambda _: False)


def filters(**settings: object) -> FilterSettings:
    return FilterSettings(**{"force_delete": True, **settings})


def rules(settings: FilterSettings) -> Rules:
    return resolve(settings, NOW, KNOWN, lambda _: None, cutoff=NOW - timedelta(days=30))


def on_server(**settings: object) -> str:
    found = filters(**settings)
    return contradictions.of_rules(found, rules(found), KNOWN)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"projects": ("vision",), "exclude_projects": ("vision",)}, "S=vision, but CLEANUP_EXCLUDE_PROJECTS=vision:"),
        ({"projects": ("vision",), "keep_projects": ("a", "vision")}, "S=vision, but CLEANUP_KEEP_PROJECTS=a,vision:"),
        ({"projects": ("a*", "b"), "exclude_projects": ("a*",), "keep_projects": ("b",)}, "=a* and CLEANUP_KEEP_PROJECTS=b:"),
        ({"tags": ("x", "y"), "exclude_tags": ("y", "z", "x")}, "CLEANUP_TAGS=x,y, but CLEANUP_EXCLUDE_TAGS=y,z,x"),
        ({"tags": ("x",), "keep_tags": ("x",)}, "CLEANUP_KEEP_TAGS=x"),
        ({"users": ("Ada",), "exclude_users": ("Ada",)}, "CLEANUP_USERS=Ada, but CLEANUP_EXCLUDE_USERS=Ada"),
        ({"statuses": ("failed",), "exclude_statuses": ("failed", "stopped")}, "failed, but CLEANUP_EXCLUDE_STATUSES=failed,"),
        ({"force_delete": False, "statuses": ("completed",)}, "CLEANUP_STATUSES=completed, but CLEANUP_FORCE_DELETE=false"),
        ({"force_delete": False, "exclude_statuses": ("created",)}, "=created, but CLEANUP_FORCE_DELETE=false:"),
    ],
)  # fmt: skip
def test_entries_that_leave_nothing_are_found_with_the_way_out(settings: dict[str, object], said: str) -> None:
    text = contradictions.of_settings(filters(**settings))
    assert said in text
    assert "nothing can be deleted" in text
    assert "unset it" in text or "Set CLEANUP_FORCE_DELETE=true" in text


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"projects": ("vision",), "exclude_projects": ("vision/a",)},
        {"projects": ("vision/a",), "exclude_projects": ("vision",)},  # the server knows what these are
        {"projects": ("a", "b"), "exclude_projects": ("b",)},
        {"tags": ("x",), "exclude_projects": ("x",)},
        {"tags": ("x", "y"), "exclude_tags": ("y",)},
        {"exclude_tags": ("x",), "keep_tags": ("x",)},
        {"statuses": ("created", "failed"), "force_delete": False},
        {"exclude_statuses": ("created",)},
        {"exclude_statuses": ("failed",), "force_delete": False},
        {"types": ("training",), "statuses": ("failed",)},
    ],
)
def test_others_are_not(settings: dict[str, object]) -> None:
    assert not contradictions.of_settings(filters(**settings))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"projects": ("team/a",), "exclude_projects": ("team",)}, "S=team/a, but CLEANUP_EXCLUDE_PROJECTS=team:"),
        ({"projects": ("team/a", "other"), "keep_projects": ("p4", "team/*")}, "CLEANUP_KEEP_PROJECTS=p4,team/*"),
        ({"projects": ("team",), "threshold_rules": ("team=never",)}, "but CLEANUP_THRESHOLD_RULES=team=never:"),
        ({"projects": ("team",), "threshold_rules": ("team/*=never",), "exclude_projects": ("p1",)}, "_PROJECTS=p1:"),
        ({"projects": ("p1", "other"), "threshold_rules": ("team=never",), "exclude_projects": ("p4",)}, "=p4 and CLEANUP_THR"),
        ({"users": ("Ada",), "exclude_users": ("u1",)}, "CLEANUP_USERS=Ada, but CLEANUP_EXCLUDE_USERS=u1"),
    ],
)  # fmt: skip
def test_what_entries_stand_for_on_the_server_counts(settings: dict[str, object], said: str) -> None:
    assert said in on_server(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"projects": ("team",), "exclude_projects": ("team/a",)},
        {"projects": ("team",), "threshold_rules": ("team/a=7", "team=7")},
        {"projects": ("team",), "threshold_rules": ("team/a=7", "team=never")},  # the first rule of a project counts
        {"projects": ("gone",)},  # its work is done
        {"projects": ("gone", "team/a"), "exclude_projects": ("team",)},
        {"users": ("Ada", "gone"), "exclude_users": ("u1",)},
        {"exclude_projects": ("team",), "keep_projects": ("team",)},
        {"tags": ("x",), "users": ("Ada",), "exclude_users": ("Ben",)},
    ],
)
def test_what_may_be_meant_is_none(settings: dict[str, object]) -> None:
    assert not on_server(**settings)


def test_an_entry_without_effect_is_told() -> None:
    found = filters(projects=("a", "b"), exclude_projects=("b",), keep_projects=("c",), tags=("x", "y"), keep_tags=("y",))
    assert list(contradictions.partly(found)) == [
        "b in CLEANUP_PROJECTS has no effect: CLEANUP_EXCLUDE_PROJECTS has it, too, and takes precedence.",
        "y in CLEANUP_TAGS has no effect: CLEANUP_KEEP_TAGS has it, too, and takes precedence.",
    ]
    assert not list(contradictions.partly(filters(projects=("a",), exclude_projects=("a/b",))))


# -- certain: whatever is called a contradiction, no task of any kind can be deleted
def some(*entries: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(entries), max_size=3, unique=True).map(tuple)


PROJECT_LISTS = some(*PROJECTS, "team/*", "team", "team/a", "other")
TAG_LISTS, USER_LISTS, STATUS_LISTS = some("x", "y", "z"), some("u1", "Ada", "Ben"), some("created", "failed", "completed")
TAGS = [(), ("x",), ("y",), ("x", "y"), ("x", "z"), ("x", "y", "z")]
TASKS = [
    Task(TaskId("t" * 32), "exp", status, "training", user, project, "", tags, ("archived",), status_changed=OLD)
    for status, user, project, tags in product(("created", "failed", "completed"), ("u1", "u2", "u3"), PROJECTS, TAGS)
]


@given(
    st.fixed_dictionaries(
        {
            "force_delete": st.booleans(),
            **dict.fromkeys(("projects", "exclude_projects", "keep_projects"), PROJECT_LISTS),
            **dict.fromkeys(("tags", "exclude_tags", "keep_tags"), TAG_LISTS),
            **dict.fromkeys(("users", "exclude_users"), USER_LISTS),
            **dict.fromkeys(("statuses", "exclude_statuses"), STATUS_LISTS),
            "threshold_rules": some("team=never", "team/a=7", "other=never", "team/b=never"),
        }
    )
)
def test_where_one_is_found_no_task_can_be_deleted(settings: dict[str, object]) -> None:
    found = FilterSettings(**{name: value for name, value in settings.items() if value != ()})
    resolved = rules(found)
    if contradictions.of_settings(found) or contradictions.of_rules(found, resolved, KNOWN):
        assert not [task for task in TASKS if resolved.selects(task)]
