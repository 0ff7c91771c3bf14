"""What is said of the safety limits."""

from collections import Counter

import pytest

from cleanup_job.passes.limits import Counted, refusal
from cleanup_job.settings.limits import LimitSettings


def said(counted: Counted | None, **limits: float) -> str:
    error = refusal(LimitSettings(**limits), counted, {"v": "vision"})
    return str(error or "")


def test_what_was_not_counted_is_not_refused() -> None:
    assert not said(None, refuse_above=1)


@pytest.mark.parametrize(
    ("tasks", "archived", "limit", "refused"),
    [
        (1, 2, 50, False),
        (1, 2, 49.9, True),
        (0, 0, 1, False),
        (5, 0, 1, False),
        (12, 10, 99.9, True),
        (12, 10, 100, False),
    ],
)
def test_a_share_is_exact_and_never_more_than_all(tasks: int, archived: int, limit: float, refused: bool) -> None:
    counted = Counted(Counter(v=tasks), Counter(v=archived))
    assert bool(said(counted, refuse_above_percent=limit)) is refused


def test_the_project_with_the_largest_share_is_named_and_the_way_out_is_enough_for_it() -> None:
    counted = Counted(Counter(v=9, w=8, x=1), Counter(v=10, w=10, x=100))
    text = said(counted, refuse_above_percent=70)
    assert "9 of 10 archived tasks (90.0 %) in project 'vision' (and of 1 other project)" in text
    assert "CLEANUP_REFUSE_ABOVE_PERCENT=90 or higher" in text


def test_the_way_out_of_the_whole_is_enough_for_each_project() -> None:
    text = said(Counted(Counter(v=10, w=10), Counter(v=10, w=20)), refuse_above_percent=50)
    assert "20 of 30 archived tasks (66.7 %)" in text
    assert "CLEANUP_REFUSE_ABOVE_PERCENT=100 or higher" in text
