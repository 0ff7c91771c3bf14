"""Sizes and durations as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.report import formatting


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 50, "3,072.0 TiB")]
)
def test_sizes_are_in_binary_units(number: int, text: str) -> None:
    assert formatting.size(number) == text


@pytest.mark.parametrize(("number", "text"), [(0.04, "0.0 s"), (59.4, "59.4 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")])
def test_durations_are_readable(number: float, text: str) -> None:
    assert formatting.duration(number) == text


@given(st.text(alphabet="abc/"), st.integers(1, 20))
def test_a_text_without_its_middle_has_both_ends(text: str, width: int) -> None:
    short = formatting.middle(text, width)
    assert len(short) == min(len(text), width)
    if len(text) > width:
        start, _, end = short.partition("…")
        assert text.startswith(start)
        assert text.endswith(end)
        assert 0 <= len(start) - len(end) <= 1
