"""The rectangles of a treemap fill it, in the proportion of their weights, and none lies on another."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.report.treemap import Rectangle, laid_out

WHOLE = Rectangle(5, 7, 200, 100)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=40).map(lambda found: sorted(found, reverse=True)))
def test_they_fill_the_map_by_weight_without_overlap(weights: list[int]) -> None:
    found = laid_out(weights, WHOLE)
    for weight, one in zip(weights, found, strict=True):
        assert one.width * one.height == pytest.approx(20_000 * weight / sum(weights), rel=1e-3, abs=1e-6)
        assert one.left >= 5 - 1e-6
        assert one.top >= 7 - 1e-6
        assert one.left + one.width <= 205 + 1e-6
        assert one.top + one.height <= 107 + 1e-6
    for one, other in combinations(found, 2):
        across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
        down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
        assert min(across, down) <= 1e-6


def test_equal_weights_give_squares() -> None:
    assert {(round(one.width, 6), round(one.height, 6)) for one in laid_out([1] * 8, Rectangle(0, 0, 4, 2))} == {(1, 1)}


def test_nothing_has_no_rectangle() -> None:
    assert laid_out([], WHOLE) == []


def test_what_is_too_small_for_a_number_has_no_size() -> None:
    tiny = laid_out([10**30, 1, 1], WHOLE)[1:]
    assert {(one.width, one.height) for one in tiny} == {(0, 0)}
