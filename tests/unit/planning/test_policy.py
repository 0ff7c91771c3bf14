"""What the settings allow at the last look."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleanup_job.planning.selection import Selected
from tests.unit.planning.one_task import FORCE, KEEP_X, NOW, RULES, task


@pytest.mark.parametrize(
    ("rules", "now", "planned", "allowed"),
    [
        ({}, {}, None, True),
        ({}, {"tags": ("x",)}, None, False),
        ({}, {"system_tags": ()}, None, False),
        ({"include_pipeline_steps": True}, {"system_tags": ()}, None, False),
        ({"keep": (KEEP_X,)}, {"tags": ("x",)}, {"tags": ("x",)}, False),
        ({}, {"last_update": NOW}, None, False),
        ({}, {"last_update": NOW, "last_change": NOW}, {}, True),
        ({}, {"last_update": NOW, "tags": ("x",)}, {}, False),
        ({}, {"status_changed": NOW}, None, False),
    ],
)
def test_the_last_look(
    rules: dict[str, object], now: dict[str, object], planned: dict[str, object] | None, allowed: bool
) -> None:
    before = Selected.of(task(**(planned or {})))
    read = task(**planned) if planned is not None else None
    assert replace(FORCE, rules=replace(RULES, **rules)).still_allows(before, task(**now), planned=read) is allowed


def test_a_step_may_lie_outside_of_the_archive() -> None:
    steps = replace(FORCE, rules=replace(RULES, include_pipeline_steps=True))
    step = task(system_tags=("hidden",))
    assert steps.still_allows(Selected.of(step, is_step=True), step)
    assert not steps.still_allows(Selected.of(step), step)
    assert not FORCE.still_allows(Selected.of(step, is_step=True), step)


def test_a_step_that_was_put_into_the_archive_meanwhile_has_changed() -> None:
    steps = replace(FORCE, rules=replace(RULES, include_pipeline_steps=True))
    before = Selected.of(task(system_tags=("hidden",)), is_step=True)
    assert not steps.still_allows(before, task(system_tags=("hidden", "archived")))


def test_the_grace_counts_from_the_archiving_that_the_selection_saw() -> None:
    grace = replace(FORCE, rules=replace(RULES, archived_before=NOW - timedelta(days=7)))
    before = Selected.of(task(parent="p"))
    assert grace.still_allows(before, task(parent="__DELETED__p", last_change=NOW))


def test_an_age_that_the_deletion_of_models_moved_is_that_of_the_plan() -> None:
    running = task(status="queued")
    before = Selected.of(running)
    assert FORCE.still_allows(before, replace(running, last_update=NOW), planned=running)
    assert not FORCE.still_allows(before, replace(running, last_update=NOW))
