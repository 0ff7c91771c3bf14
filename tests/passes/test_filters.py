"""Filters whose work is done, and users who left: on whole passes."""

from typing import Any

import pytest

from cleanup_job.errors import SettingsError
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state


@pytest.fixture
def world() -> World:
    return World(NOW)


def without_users(world: World, *gone: str) -> dict[str, Any]:
    """The world, of which the server has forgotten some users."""
    made = world.as_dict()
    made["users"] = [user for user in made["users"] if user["name"] not in gone]
    return made


def projects(sandbox: Sandbox) -> set[str]:
    return {project["name"] for project in sandbox.store.projects.values()}


def test_a_project_that_a_pass_deleted_is_no_error_in_the_next_one(sandbox: Sandbox, world: World) -> None:
    world.task("first", project="scratch")
    second = world.task("second", project="second")
    third = world.task("third", project="third")
    sandbox.load(world.as_dict())
    clean(sandbox, filters={"projects": ("scratch",)}, delete_empty_projects=True)
    assert "scratch" not in projects(sandbox)
    alone = clean(sandbox, filters={"projects": ("scratch",)}, delete_empty_projects=True)
    assert (alone.watcher.outcomes, state(sandbox)[0]) == ({}, sorted([second.id, third.id]))
    assert [("CLEANUP_PROJECTS" in text, "'scratch'" in text) for text in alone.watcher.warnings] == [(True, True)]
    assert not [call for call in sandbox.requests if (call.body or {}).get("project") == []]
    both = clean(sandbox, filters={"projects": ("scratch", "second")}, delete_empty_projects=True)
    assert both.watcher.deleted == {second.id}


@pytest.mark.parametrize("filters", [{"tags": ("done", "gone")}, {"users": ("nobody",)}, {"projects": ("a", "b/*")}])
def test_a_filter_of_which_nothing_is_left_is_not_no_filter(sandbox: Sandbox, world: World, filters: dict[str, Any]) -> None:
    world.task("with steps", tags=["x"]).artifact("data")
    world.task("other", user="").artifact("data")
    sandbox.load(world.as_dict())
    before = state(sandbox)
    for more in ({}, {"include_pipeline_steps": True}):
        done = clean(sandbox, filters={**filters, **more}, delete_empty_projects=True)
        assert (done.watcher.outcomes, len(done.watcher.warnings)) == ({}, 1)
    assert state(sandbox) == before


def test_a_tag_that_is_used_up_is_a_warning(sandbox: Sandbox, world: World) -> None:
    tagged = world.task("tagged", tags=["trash"])
    world.task("other")
    sandbox.load(world.as_dict())
    assert clean(sandbox, filters={"tags": ("trash",)}).watcher.deleted == {tagged.id}
    done = clean(sandbox, filters={"tags": ("trash",)})
    assert done.watcher.outcomes == {}
    assert ["'trash'" in text for text in done.watcher.warnings] == [True]


def test_a_removed_user_is_named_by_id(sandbox: Sandbox, world: World) -> None:
    theirs = [world.task(f"theirs {n}", user="left") for n in range(2)]
    young = world.task("young", user="left", days_old=3)
    others = world.task("others")
    left = world.user("left")
    sandbox.load(without_users(world, "left"))
    for named in ({"exclude_users": ("left",)}, {"exclude_users": (left[:-1],)}):
        with pytest.raises(SettingsError, match="CLEANUP_EXCLUDE_USERS"):
            clean(sandbox, filters=named)
    by_name = clean(sandbox, filters={"users": ("left",)})
    assert (by_name.watcher.outcomes, len(by_name.watcher.warnings)) == ({}, 1)
    assert clean(sandbox, filters={"exclude_users": (left,)}, dry_run=True).watcher.deleted == {others.id}
    done = clean(sandbox, filters={"users": (left,)})
    assert done.watcher.deleted == {task.id for task in theirs}
    assert not done.watcher.warnings
    assert state(sandbox)[0] == sorted([young.id, others.id])


def test_an_excluded_user_wins_over_a_chosen_one_and_holds_a_pipeline(sandbox: Sandbox, world: World) -> None:
    mine, theirs = world.task("mine", user="me"), world.task("theirs", user="you")
    pipeline = world.pipeline("train", user="me")
    pipeline.step("fit", user="you")
    sandbox.load(world.as_dict())
    filters = {"users": ("me", "you"), "exclude_users": ("you",), "include_pipeline_steps": True}
    assert clean(sandbox, filters=filters).watcher.deleted == {mine.id}
    assert {theirs.id, pipeline.id} <= set(state(sandbox)[0])


@pytest.mark.parametrize(
    "filters",
    [
        {"threshold_rules": ("scratch=7",)},
        {"threshold_rules": ("scratch*=7",)},
        {"keep_projects": ("never", "scratch/below/kept")},
    ],
)
def test_a_project_that_a_rule_needs_is_not_deleted_however_empty(
    sandbox: Sandbox, world: World, filters: dict[str, Any]
) -> None:
    world.task("kept", project="never")
    world.task("old", project="scratch")
    world.task("old", project="scratch/below")
    world.task("old", project="other")
    if "keep_projects" in filters:
        world.project("scratch/below/kept")
    sandbox.load(world.as_dict())
    done = clean(sandbox, filters=filters, delete_empty_projects=True)
    assert "scratch" in projects(sandbox)
    assert "other" not in projects(sandbox)
    if "threshold_rules" in filters:
        assert ["'scratch" in text and "CLEANUP_THRESHOLD_RULES" in text for text in done.watcher.warnings] == [True]
    assert clean(sandbox, filters=filters, delete_empty_projects=True).report.exit_code == 0
