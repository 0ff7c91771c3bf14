"""Which tasks a policy is for, what it keeps, and how long its durations are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.planning.lifecycle.policy import (
    Best,
    Keep,
    Kind,
    LifecyclePolicy,
    Match,
    PolicyFile,
    Slim,
    Stage,
    duration,
    duration_text,
)
from cleanup_job.planning.records import Task
from tests.unit.planning.one_task import task

START = datetime(2026, 9, 1, tzinfo=UTC)
MINUTES = timedelta(minutes=1)


# -- durations
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10m", timedelta(minutes=10)),
        ("12h", timedelta(hours=12)),
        ("14d", timedelta(days=14)),
        ("8w", timedelta(weeks=8)),
        ("0d", timedelta()),
        (" 14d ", timedelta(days=14)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text: str, value: timedelta) -> None:
    assert duration(text) == value


@pytest.mark.parametrize(
    "text", ["", "14", "d", "-1d", "1.5d", "1d12h", "14 d", "14D", "14days", "1y", "1e3d", "d14", "1000000d"]
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write a number with m, h, d or w"):
        duration(text)


@pytest.mark.parametrize("text", ["36501d", "999999w", "999999d"])
def test_a_duration_that_is_too_long_is_refused_before_it_can_overflow(text: str) -> None:
    with pytest.raises(ValueError, match="the longest duration is 36500d"):
        duration(text)


@pytest.mark.parametrize("text", ["0m", "10m", "90m", "12h", "36h", "14d", "7d", "49d", "8w", "52w"])
def test_a_duration_is_written_as_people_do(text: str) -> None:
    assert duration_text(duration(text)) == text


# -- conditions
@pytest.mark.parametrize(
    ("match", "field", "value", "other"),
    [
        (Match(projects=frozenset({"p"})), "project", "p", "q"),
        (Match(projects=frozenset({"p"})), "project", "p", ""),
        (Match(statuses=frozenset({"failed"})), "status", "failed", "completed"),
        (Match(users=frozenset({"u"})), "user", "u", ""),
        (Match(types=frozenset({"training"})), "type", "training", "testing"),
        (Match(tags=("a", "b-*")), "tags", ("x", "b-1"), ("B-1", "b")),
        (Match(tags=("a",)), "tags", ("a",), ()),
        (Match(name="test *"), "name", "test 1", "my test 1"),
        (Match(name="run-?"), "name", "run-1", "run-10"),
        (Match(name="[wip] *"), "name", "[wip] x", "w x"),
        (Match(tags=("[a]",)), "tags", ("[a]",), ("a",)),
    ],
)
def test_a_condition_holds_for_some_tasks_only(match: Match, field: str, value: object, other: object) -> None:
    assert match.matches(task(**{field: value}))
    assert not match.matches(task(**{field: other}))


def test_all_conditions_have_to_hold() -> None:
    match = Match(projects=frozenset({"p"}), statuses=frozenset({"failed"}))
    assert match.matches(task(project="p", status="failed"))
    assert not match.matches(task(project="p"))
    assert not match.matches(task(status="failed"))


def test_no_names_left_match_nothing() -> None:
    assert not Match(projects=frozenset()).matches(task(project=""))


def ran(minutes: float, **fields: object) -> Task:
    end = START + minutes * MINUTES
    return task(**{"started": START, "completed": end, "status_changed": end} | fields)


SHORT = Match(ran_less_than=10 * MINUTES)


@pytest.mark.parametrize(("minutes", "meant"), [(0, True), (9.99, True), (10, False), (11, False), (-1, False)])
def test_how_long_a_task_ran(minutes: float, *, meant: bool) -> None:
    assert SHORT.matches(ran(minutes)) is meant


@pytest.mark.parametrize(
    "fields",
    [
        {"started": None},
        {"completed": None, "status_changed": None},
        {"status": "in_progress"},
        {"status": "queued"},
    ],
)
def test_a_task_whose_time_is_not_known_did_not_run_for_a_short_time(fields: dict[str, object]) -> None:
    assert not SHORT.matches(ran(5, **fields))


def test_a_failed_task_may_have_no_time_of_completion() -> None:
    assert SHORT.matches(ran(5, completed=None))
    assert SHORT.matches(ran(5, status_changed=None))


def test_a_run_that_was_resumed_counts_from_its_first_start_to_its_last_end() -> None:
    """The server keeps ``completed`` of the first part, and the first ``started``."""
    resumed = ran(5, status="failed", status_changed=START + 600 * MINUTES)
    assert not SHORT.matches(resumed)


# -- what is kept
@pytest.mark.parametrize(
    ("pattern", "tag"),
    [
        ("gold", "gold"),
        ("keep-*", "keep-"),
        ("keep-*", "keep-1"),
        ("v?", "v1"),
        ("[gold]", "[gold]"),
        ("v[0-9]", "v3"),
        ("*", "x"),
    ],
)
def test_a_tag_keeps_by_its_pattern_in_any_reading_of_it(pattern: str, tag: str) -> None:
    assert Keep(tags=(pattern,)).has_tag(tag)


@pytest.mark.parametrize(("pattern", "tag"), [("gold", "Gold"), ("gold", "golden"), ("keep-*", "keep"), ("v?", "v")])
def test_case_and_length_count(pattern: str, tag: str) -> None:
    assert not Keep(tags=(pattern,)).has_tag(tag)


def test_a_keep_rule_says_whether_it_keeps_anything_and_whether_it_needs_others() -> None:
    assert not Keep().anything
    assert not Keep(tags=("a",)).is_ranked
    for keep in (Keep(all=True), Keep(last=1), Keep(tags=("a",)), Keep(model_tags=frozenset({"m"}))):
        assert keep.anything
    best = Best("validation", "accuracy", "max", 3)
    assert Keep(best=(best,)).is_ranked
    assert Keep(last=1).is_ranked
    assert best.words == "best 3 by validation/accuracy (max)"


# -- artifacts
ALL = Slim(after=timedelta(), remove=frozenset({Kind.ARTIFACTS}))


@pytest.mark.parametrize(
    ("slim", "name", "goes"),
    [
        (ALL, "x", True),
        (replace(ALL, remove=frozenset({Kind.CONSOLE})), "x", False),
        (replace(ALL, artifacts_except=("metrics*",)), "metrics.json", False),
        (replace(ALL, artifacts_except=("part[0-9]",)), "part1", False),
        (replace(ALL, artifacts_except=("part[0-9]",)), "part[0-9]", False),
        (replace(ALL, artifacts_only=("part[0-9]",)), "part1", False),
        (replace(ALL, artifacts_only=("part[0-9]",)), "part[0-9]", True),
        (replace(ALL, artifacts_only=("data*",)), "data_1", True),
        (replace(ALL, artifacts_only=("data*",)), "other", False),
        (replace(ALL, artifacts_only=("data*",), artifacts_except=("data_1",)), "data_1", False),
    ],
)
def test_which_artifacts_go(slim: Slim, name: str, *, goes: bool) -> None:
    assert slim.removes_artifact(name) is goes


# -- the file
def test_the_first_policy_that_matches_counts() -> None:
    a = LifecyclePolicy("a", Match(projects=frozenset({"p"})))
    b = LifecyclePolicy("b", Match(statuses=frozenset({"failed"})), delete=timedelta())
    file = PolicyFile((a, b))
    assert file.of(task(project="p", status="failed")) is a
    assert file.of(task(project="q", status="failed")) is b
    assert file.of(task(project="q")) is None


def test_a_policy_has_its_stages_in_the_order_of_a_tasks_life() -> None:
    policy = LifecyclePolicy("p", delete=3 * MINUTES, archive=MINUTES, slim=replace(ALL, after=2 * MINUTES))
    assert policy.stages == (Stage.ARCHIVE, Stage.SLIM, Stage.DELETE)
    assert [policy.after(stage) for stage in policy.stages] == [MINUTES, 2 * MINUTES, 3 * MINUTES]
    assert LifecyclePolicy("p").stages == ()
