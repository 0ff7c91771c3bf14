"""What a task goes through is what passes do that follow the rules."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.course import Event, course, rules_at
from cleanup_job.planning.due import due
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import Keep, Kind, LifecyclePolicy, PolicyFile, Slim, Stage
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from tests.unit.planning.random_policies import DAY, ME, NOW, filter_settings, lifecycles, moments, rules, tasks

LEAST = timedelta.resolution


def seen(life: Lifecycle, task: Task, probes: list[datetime], **given: object) -> list[tuple[Stage, datetime]]:
    """What passes do with a task that begin at some moments, of which each does one thing on a day."""
    done: list[tuple[Stage, datetime]] = []
    for at in sorted(probes):
        then = rules(life, at, **given)
        while not (done and done[-1][1].date() == at.date()):
            if then.selects(task):
                return [*done, (Stage.DELETE, at)]
            step = then.step(task)
            if step is None:
                break
            changes = [step.tags]
            if step.stage is not None and step.announced is None:
                done.append((step.stage, at))
                changes = [then.lifecycle.tags_before(task), then.lifecycle.tags_after(task, step.stage)]
                if step.stage is Stage.ARCHIVE:
                    task = replace(task, system_tags=(*task.system_tags, "archived"), status_reason="clearml-cleanup")
            for change in changes:
                tags = (*(one for one in task.tags if one not in change.remove), *change.add)
                task = replace(task, tags=tags, last_change=at, last_changed_by=life.me)
            if step.announced is not None and not life.me:
                break
    return done


@given(life=lifecycles(), task=tasks(), given_settings=filter_settings, others=st.lists(moments(0, 200), max_size=4))
def test_passes_do_it_at_these_moments_and_nothing_else_at_others(
    life: Lifecycle, task: Task, given_settings: dict[str, object], others: list[datetime]
) -> None:
    found = course(rules(life, **given_settings), task, NOW)
    probes = {NOW, *(event.when for event in found), *(event.noticed for event in found if event.noticed)}
    probes |= {event.when - LEAST for event in found} | set(others) if not any(one.noticed for one in found) else set()
    probes = {probe for probe in probes if probe >= NOW}
    done = seen(life, task, list(probes), **given_settings)
    assert [(event.stage, event.when) for event in found] == done
    assert [event.when for event in found] == sorted(event.when for event in found)
    assert all(event.policy for event in found) or "clearml-cleanup" in task.tags


@given(life=lifecycles(), task=tasks(), given_settings=filter_settings)
def test_nothing_comes_earlier_than_announced(life: Lifecycle, task: Task, given_settings: dict[str, object]) -> None:
    some = rules(life, **given_settings)
    for event in course(some, task, NOW):
        policy = next((one for one in life.file.policies if one.name == event.policy), None)
        if policy is None or not policy.notice:
            continue
        assert event.announced is not None
        assert event.noticed is not None
        assert event.when - event.noticed >= policy.notice
        assert event.when.date() >= event.announced


@given(life=lifecycles(notices=False), task=tasks(), given_settings=filter_settings, after=st.timedeltas(-100 * DAY, 300 * DAY))
def test_rules_of_any_moment_select_a_task_if_and_only_if_it_is_due(
    life: Lifecycle, task: Task, given_settings: dict[str, object], after: timedelta
) -> None:
    when = due(rules(life, **given_settings), task, NOW)
    probes = [NOW + after, NOW + 40_000 * DAY] + ([] if when is None else [when - LEAST, when, when + LEAST])
    for moment in probes:
        assert rules(life, moment, **given_settings).selects(task) == (when is not None and when <= moment)


@given(life=lifecycles(), task=tasks(), given_settings=filter_settings)
def test_a_task_that_a_pass_selects_is_due_with_notices_too(
    life: Lifecycle, task: Task, given_settings: dict[str, object]
) -> None:
    some = rules(life, **given_settings)
    when = due(some, task, NOW)
    assert some.selects(task) == (when is not None and when <= NOW)


@given(life=lifecycles(), task=tasks(), given_settings=filter_settings)
def test_what_is_kept_goes_through_nothing(life: Lifecycle, task: Task, given_settings: dict[str, object]) -> None:
    some = rules(life, **given_settings)
    is_kept = some.keeps(task) or life.is_restored(task) or task.public
    assert course(some, task, NOW) == () or not is_kept


@given(life=lifecycles() | st.none(), task=tasks(), given_settings=filter_settings, after=st.timedeltas(-100 * DAY, 300 * DAY))
def test_rules_at_another_moment_are_those_that_a_pass_has_then(
    life: Lifecycle | None, task: Task, given_settings: dict[str, object], after: timedelta
) -> None:
    moved, there = rules_at(rules(life, **given_settings), NOW, NOW + after), rules(life, NOW + after, **given_settings)
    assert moved == there
    assert moved.selects(task) == there.selects(task)


# -- by example
OLD = NOW - 100 * DAY


def task(**fields: object) -> Task:
    made = Task(TaskId("t1"), "exp", "completed", "training", "u1", "p1", status_changed=OLD, last_update=OLD, last_change=OLD)
    return replace(made, **fields)


def life(**fields: object) -> Lifecycle:
    policy = LifecyclePolicy("playground", **fields)
    return Lifecycle(PolicyFile((policy,)), NOW, ME)


ALL = {
    "archive": 14 * DAY,
    "slim": Slim(30 * DAY, frozenset({Kind.PLOTS})),
    "delete": 60 * DAY,
    "archived_for": 14 * DAY,
}


def test_what_is_long_due_goes_from_stage_to_stage_night_by_night() -> None:
    found = course(rules(life(**ALL), force_delete=True), task(), NOW)
    midnight = NOW.replace(hour=0)
    assert found == (
        Event(Stage.ARCHIVE, NOW, "playground"),
        Event(Stage.SLIM, midnight + DAY, "playground"),
        Event(Stage.DELETE, midnight + 15 * DAY, "playground"),
    )


def test_each_stage_has_its_notice() -> None:
    found = course(rules(life(**ALL, notice=7 * DAY), force_delete=True), task(status_changed=NOW - 10 * DAY), NOW)
    changed, noon = NOW - 10 * DAY, timedelta(hours=12)
    assert [(one.stage, one.announced, one.noticed) for one in found] == [
        (Stage.ARCHIVE, (NOW + 8 * DAY).date(), NOW),
        (Stage.SLIM, (changed + 31 * DAY).date(), changed + 23 * DAY + LEAST),
        (Stage.DELETE, (changed + 61 * DAY).date(), changed + 53 * DAY + LEAST),
    ]
    assert [one.when for one in found[1:]] == [changed + 31 * DAY - noon, changed + 61 * DAY - noon]


@pytest.mark.parametrize("tag", ["cleanup:deletes=2026-10-01", "cleanup:archives=2026-12-01"])
def test_what_was_announced_of_another_stage_or_for_later_is_not_the_notice_of_this_one(tag: str) -> None:
    (found,) = course(rules(life(archive=14 * DAY)), task(tags=(tag,)), NOW)
    assert found == Event(Stage.ARCHIVE, NOW, "playground")


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"status": "published"}, []),
        ({"status": "in_progress"}, []),
        ({"tags": ("cleanup:archived=2026-10-01",)}, []),
        ({"status": "created"}, [Stage.ARCHIVE, Stage.DELETE]),
        ({"system_tags": ("archived",)}, [Stage.DELETE]),
    ],
)
def test_some_tasks_go_through_less(fields: dict[str, object], left: list[Stage]) -> None:
    found = course(rules(life(**ALL), force_delete=True), task(**fields), NOW)
    assert [event.stage for event in found] == left


def test_without_force_only_drafts_are_deleted_and_nothing_is_announced_that_never_comes() -> None:
    some = rules(life(**ALL, notice=DAY), force_delete=False)
    assert [event.stage for event in course(some, task(), NOW)] == [Stage.ARCHIVE]
    assert [event.stage for event in course(some, task(status="created"), NOW)] == [Stage.ARCHIVE, Stage.DELETE]
    archived = task(system_tags=("archived",))
    assert some.step(archived) is None


def test_a_threshold_of_a_project_is_a_floor_for_slimming_too() -> None:
    found = course(rules(life(**{**ALL, "delete": None}), force_delete=True, threshold_rules=["team=200"]), task(), NOW)
    assert [(event.stage, event.when) for event in found] == [(Stage.ARCHIVE, NOW), (Stage.SLIM, OLD + 200 * DAY + LEAST)]


def test_a_keep_rule_keeps_it_from_everything() -> None:
    assert course(rules(life(**ALL, keep=Keep(tags=("gold",))), force_delete=True), task(tags=("gold",)), NOW) == ()
