"""Which of two policies is more careful: in doubt, both."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleanup_job.planning.lifecycle.caution import is_more_careful
from cleanup_job.planning.lifecycle.policy import Best, Keep, Kind, LifecyclePolicy, Slim

DAY = timedelta(days=1)
SLIM = Slim(30 * DAY, frozenset({Kind.CHECKPOINTS, Kind.ARTIFACTS}), artifacts_only=("a", "b"), artifacts_except=("c",))
ONE = LifecyclePolicy("p", archive=14 * DAY, slim=SLIM, delete=60 * DAY, archived_for=7 * DAY, notice=7 * DAY, max_ttl=90 * DAY)
NOTHING = LifecyclePolicy("nothing")


def test_a_policy_is_not_more_careful_than_itself() -> None:
    assert not is_more_careful(ONE, ONE)


def test_nothing_is_more_careful_than_a_policy_that_does_nothing() -> None:
    assert not is_more_careful(replace(ONE, keep=Keep(all=True)), NOTHING)
    assert is_more_careful(NOTHING, ONE)


@pytest.mark.parametrize(
    "careful",
    [
        {"keep": Keep(all=True)},
        {"keep": Keep(last=1)},
        {"keep": Keep(best=(Best("a", "b", "max", 1),))},
        {"keep": Keep(tags=("gold",))},
        {"archive": 15 * DAY},
        {"archive": None},
        {"delete": 61 * DAY},
        {"delete": None},
        {"archived_for": 8 * DAY},
        {"notice": 8 * DAY},
        {"max_ttl": 91 * DAY},
        {"max_ttl": None},
        {"slim": None},
        {"slim": replace(SLIM, after=31 * DAY)},
        {"slim": replace(SLIM, remove=frozenset({Kind.CHECKPOINTS}))},
        {"slim": replace(SLIM, keep_last=2)},
        {"slim": replace(SLIM, artifacts_only=("a",))},
        {"slim": replace(SLIM, artifacts_except=("c", "d"))},
    ],
)
def test_a_policy_is_more_careful_if_it_is_so_in_anything(careful: dict[str, object]) -> None:
    assert is_more_careful(replace(ONE, **careful), ONE)
    assert is_more_careful(replace(ONE, delete=DAY, **({} if "delete" in careful else careful)), ONE) is (
        "delete" not in careful
    )


@pytest.mark.parametrize(
    "careless",
    [
        {"allow_shorter": True},
        {"archive": DAY},
        {"notice": timedelta()},
        {"slim": replace(SLIM, also_not_archived=True)},
        {"slim": replace(SLIM, artifacts_only=())},
        {"slim": replace(SLIM, artifacts_only=("a", "b", "x"))},
    ],
)
def test_and_if_the_other_one_is_less_so(careless: dict[str, object]) -> None:
    other = replace(ONE, **careless)
    assert is_more_careful(ONE, other)
    assert not is_more_careful(other, ONE)


def test_models_to_keep_count_in_all_policies_so_they_make_none_more_careful() -> None:
    assert not is_more_careful(replace(ONE, keep=Keep(model_tags=frozenset({"m"}))), ONE)


def test_what_only_one_of_them_removes_decides_nothing_more() -> None:
    console = replace(SLIM, remove=frozenset({Kind.CONSOLE}))
    assert not is_more_careful(
        replace(ONE, slim=replace(SLIM, remove=SLIM.remove | {Kind.CONSOLE}, keep_last=9)), replace(ONE, slim=console)
    )
