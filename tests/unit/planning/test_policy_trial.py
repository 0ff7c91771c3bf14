"""Sums of what policies do: each task is counted, and memory does not grow with the tasks."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.course import Event
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.policy_trial import EXAMPLES, OTHER_RULES, RULES, Fate, Outcome, PolicyDifference, Trial
from cleanup_job.planning.records import Task
from tests.unit.planning.random_policies import DAY, NOW, filter_settings, lifecycles, rules, tasks

TODAY = NOW.date()


def fate(*events: Event, policy: str = "p", kept: str = "", otherwise: Outcome = Outcome.NOTHING, number: int = 1) -> Fate:
    return Fate(TaskId(f"t{number}"), "exp", "p1", policy, events, kept, otherwise)


def event(stage: Stage, days: float, noticed: float | None = None) -> Event:
    when = NOW + days * DAY
    announced = when.date() if noticed is not None else None
    return Event(stage, when, "p", announced, None if noticed is None else NOW + noticed * DAY)


@given(lifecycles(), tasks(), filter_settings, st.integers(0, 120))
def test_each_task_has_an_outcome_and_its_stages_are_those_of_its_course(
    life: Lifecycle, task: Task, settings: dict[str, object], days: int
) -> None:
    some, at = rules(life, **settings), NOW + days * DAY
    found = Fate.of(some, task, NOW)
    outcomes = [outcome for outcome, _ in found.by(at)]
    assert outcomes
    stages = [Outcome(one.stage.value) for one in found.events if one.when <= at]
    assert outcomes[: len(stages)] == stages
    if not found.events:
        (only,) = outcomes
        assert (only is Outcome.KEPT) == bool(found.kept and some.has_policies(task))
        assert only in {Outcome.KEPT, Outcome.RESTORED, Outcome.LEFT_OUT, Outcome.NOTHING, Outcome.NO_POLICY}


def test_what_has_become_of_a_task_by_a_moment() -> None:
    one = fate(event(Stage.ARCHIVE, 0), event(Stage.DELETE, 20, noticed=13))
    assert [outcome for outcome, _ in one.by(NOW)] == [Outcome.ARCHIVE]
    assert [outcome for outcome, _ in one.by(NOW + 13 * DAY)] == [Outcome.ARCHIVE, Outcome.NOTICE]
    assert [outcome for outcome, _ in one.by(NOW + 20 * DAY)] == [Outcome.ARCHIVE, Outcome.DELETE]
    late = fate(event(Stage.DELETE, 20, noticed=13))
    assert [outcome for outcome, _ in late.by(NOW)] == [Outcome.LATER]


def test_sums_have_the_days_and_the_first_tasks() -> None:
    trial = Trial(NOW, NOW + 5 * DAY)
    for number in range(3 * EXAMPLES):
        trial.add(fate(event(Stage.DELETE, number % 5), number=number))
    trial.add(fate(kept="keep: all", otherwise=Outcome.KEPT))
    (key, found), (kept, _) = trial.by_policy(("p",))
    assert (key, kept) == (("p", Outcome.DELETE, ""), ("p", Outcome.KEPT, "keep: all"))
    assert (found.tasks, found.days.first, found.days.last) == (3 * EXAMPLES, TODAY, TODAY + timedelta(days=4))
    assert len(found.examples) == EXAMPLES


def test_keep_rules_without_end_have_one_sum_in_the_end() -> None:
    trial = Trial(NOW, NOW)
    for number in range(5 * RULES):
        trial.add(fate(kept=f"the tag {number}", otherwise=Outcome.KEPT))
    assert len(trial.sums) <= RULES + 2
    assert trial.sums["p", Outcome.KEPT, OTHER_RULES].tasks > 3 * RULES


def test_differences_are_counted_by_stage_and_by_why_it_does_not_come() -> None:
    found = PolicyDifference(NOW)
    sooner = [fate(event(Stage.DELETE, 30)), fate(event(Stage.DELETE, 20))]
    for number in range(2 * EXAMPLES):
        assert found.add(*sooner) == [(Stage.DELETE, TODAY + timedelta(days=30), TODAY + timedelta(days=20))], number
    found.add(fate(kept="x", otherwise=Outcome.KEPT), fate(event(Stage.ARCHIVE, 1), event(Stage.DELETE, 9), policy="q"))
    assert found.add(*[fate(event(Stage.SLIM, 3))] * 2) == []
    assert (found.tasks, found.changed) == (2 * EXAMPLES + 2, 2 * EXAMPLES + 1)
    (first, most), *others = found.largest()
    assert first == ("p", "p", Stage.DELETE, True, True, "", "")
    assert (most.tasks, len(most.examples)) == (2 * EXAMPLES, EXAMPLES)
    assert {(old, new, stage, why) for (old, new, stage, _, _, why, _), _ in others} == {
        ("p", "q", Stage.ARCHIVE, "kept"),
        ("p", "q", Stage.DELETE, "kept"),
    }


def test_what_comes_after_the_moment_does_not_differ() -> None:
    found = PolicyDifference(NOW, NOW + 10 * DAY)
    assert found.add(fate(event(Stage.DELETE, 11)), fate(event(Stage.DELETE, 12))) == []
    assert found.add(fate(event(Stage.DELETE, 9)), fate(event(Stage.DELETE, 12))) == [(Stage.DELETE, date(2026, 11, 10), None)]
