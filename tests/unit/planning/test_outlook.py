"""What is said of a task's policy is what the policy says."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from cleanup_job.planning.course import course
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import Best, Keep, LifecyclePolicy, PolicyFile, Stage, TagNames
from cleanup_job.planning.outlook import keep_rules, outlook
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Task
from tests.unit.planning.random_policies import DAY, ME, NOW, filter_settings, lifecycles, rules, tasks

OLD = NOW - 100 * DAY


def task(**fields: object) -> Task:
    made = Task(TaskId("t1"), "exp", "completed", "training", "u1", "p1", status_changed=OLD, last_update=OLD, last_change=OLD)
    return replace(made, **fields)


def life(names: TagNames | None = None, **fields: object) -> Lifecycle:
    return Lifecycle(PolicyFile((LifecyclePolicy("playground", **fields),), names), NOW, ME)


@given(lifecycles(), tasks(), filter_settings)
def test_it_has_the_stages_of_its_course_and_those_that_never_come(
    some_life: Lifecycle, one: Task, settings: dict[str, object]
) -> None:
    some = rules(some_life, **settings)
    found = outlook(some, one, NOW)
    if some.is_own_run(one):
        assert found is None
        return
    assert found is not None
    policy = some_life.file.of(one)
    assert found.policy == (policy.name if policy is not None else "")
    assert found.events == course(some, one, NOW)
    there = {event.stage for event in found.events}
    assert there.isdisjoint(found.never)
    assert {*there, *found.never} <= {*(policy.stages if policy is not None else ())}
    assert bool(found.kept) <= bool(some.keeps(one))


def test_without_policies_there_is_none() -> None:
    assert outlook(rules(None), task(), NOW) is None


def test_what_it_goes_by() -> None:
    some = rules(life(delete=60 * DAY, archived_for=14 * DAY, notice=7 * DAY), force_delete=True, threshold_rules=["team=30"])
    marks = ("cleanup:archived=2026-10-20", "cleanup:slimmed=2026-10-25")
    archived = task(system_tags=("archived",), tags=marks, last_changed_by=ME)
    found = outlook(some, archived, NOW)
    assert found is not None
    assert (found.archived_at, found.archived_for) == (NOW.replace(day=21, month=10, hour=0), 14 * DAY)
    assert (str(found.slimmed), found.floor, found.notice) == ("2026-10-25", NOW - 30 * DAY, 7 * DAY)
    assert [event.stage for event in found.events] == [Stage.DELETE]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tags": ("keep",)}, ("the tag 'keep'",)),
        (
            {"tags": ("ttl=90d",)},
            ("a lifetime of 90d", "stages that come later up to an age of 40d; not sooner than by the policy"),
        ),
        (
            {"tags": ("expires=2026-12-31",)},
            (
                "a life until the end of 2026-12-31 (UTC)",
                "stages that come later up to an age of 40d; not sooner than by the policy",
            ),
        ),
        ({"tags": ("ttl=soon",)}, ("the tag 'ttl=soon', which can't be read",)),
        ({"tags": ("cleanup:archived=2026-10-20",)}, ()),
    ],
)
def test_what_the_owner_of_a_task_asks_for(fields: dict[str, object], said: tuple[str, ...]) -> None:
    found = outlook(rules(life(TagNames(), delete=30 * DAY, max_ttl=40 * DAY)), task(**fields), NOW)
    assert found is not None
    assert found.wishes == said
    assert found.restored == (fields["tags"] == ("cleanup:archived=2026-10-20",))


def test_keep_rules_in_words() -> None:
    keep = Keep(last=5, best=(Best("val", "acc", "max", 3),), tags=("gold", "keep-*"), model_tags=frozenset({"prod"}))
    assert list(keep_rules(keep)) == [
        "the last 5 of each project",
        "the best 3 by val/acc (max) of each project",
        "tasks with a tag among gold, keep-*",
        "models with a tag among prod",
    ]
    assert list(keep_rules(Keep(all=True))) == ["all"]


def test_what_the_settings_leave_out_is_said() -> None:
    found = outlook(rules(life(archive=timedelta())), task(tags=(RUN_TAG,)), NOW)
    assert found is not None
    assert (found.left_out, found.events) == (True, ())
