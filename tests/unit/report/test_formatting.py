"""Sizes and durations as people read them."""

import pytest

from cleanup_job.report import formatting


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 50, "3,072.0 TiB")]
)
def test_sizes_are_in_binary_units(number: int, text: str) -> None:
    assert formatting.size(number) == text


@pytest.mark.parametrize(("number", "text"), [(0.04, "0.0 s"), (59.4, "59.4 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")])
def test_durations_are_readable(number: float, text: str) -> None:
    assert formatting.duration(number) == text
