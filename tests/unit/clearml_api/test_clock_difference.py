"""How far the server's clock is from the job's, by the dates of its answers: one that can't be right makes no task older."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from cleanup_job.clearml_api.clock_difference import ClockDifference

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def ahead(*answers: tuple[str, datetime, datetime]) -> timedelta | None:
    clock = ClockDifference()
    for date, began, ended in answers:
        clock.note([date] if date else [], began, ended)
    return clock.ahead


def dated(time: datetime) -> str:
    return format_datetime(time, usegmt=True)


def test_clocks_that_agree_differ_by_nothing_however_slow_the_answer() -> None:
    for date in (NOW, NOW + 50 * SECOND, NOW + 100 * SECOND):
        assert ahead((dated(date), NOW, NOW + 100 * SECOND)) == timedelta()


def test_a_job_whose_clock_is_ahead_sees_by_how_much() -> None:
    assert ahead((dated(NOW - 60 * DAY), NOW, NOW + SECOND)) == 60 * DAY + SECOND
    assert ahead((dated(NOW + 60 * DAY), NOW, NOW + SECOND)) == -60 * DAY + SECOND


def test_of_answers_that_contradict_each_other_the_one_counts_that_makes_tasks_younger() -> None:
    honest, wild = (dated(NOW), NOW, NOW + SECOND), (dated(NOW + 900 * DAY), NOW, NOW + SECOND)
    for answers in ((honest, wild), (wild, honest)):
        found = ahead(*answers)
        assert found is not None
        assert found >= -SECOND
    late = ahead(honest, (dated(NOW - 900 * DAY), NOW, NOW + SECOND))
    assert late is not None
    assert late >= 899 * DAY


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Sun, 99 Nov 2026 12:00:00 GMT", "\x00", "1" * 5000, "Mon, 01 Jan 99999 00:00:00 GMT"]
)
def test_a_date_that_cannot_be_read_is_as_none(date: str) -> None:
    assert ahead((date, NOW, NOW)) is None


def test_the_first_of_several_dates_counts() -> None:
    clock = ClockDifference()
    clock.note([dated(NOW), dated(NOW - 60 * DAY)], NOW, NOW + SECOND)
    assert clock.ahead == timedelta()
