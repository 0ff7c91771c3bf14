"""Ages count by the server's clock, and no header of any answer makes tasks look older than the server's own records do."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from cleanup_job.clearml_api.clock_difference import ClockDifference
from cleanup_job.planning.clock import Clock, judged

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


def test_a_server_that_is_behind_is_believed_and_both_clocks_are_named() -> None:
    found = judged(NOW, 60 * DAY, None, None)
    assert found.ahead == 60 * DAY
    assert "60.0 days ahead" in found.warning
    assert "2026-11-01T12:00:00" in found.warning
    assert "2026-09-02T12:00:00" in found.warning


@pytest.mark.parametrize(
    ("token", "newest", "believed"),
    [
        (None, None, False),
        (timedelta(), NOW, False),
        (-20 * DAY, None, True),
        (None, NOW + 17 * DAY, True),
        (None, NOW + 9 * DAY, False),
        (timedelta(), NOW + 17 * DAY, True),
    ],
)
def test_a_server_that_is_ahead_is_believed_if_something_that_it_wrote_bears_it_out(
    token: timedelta | None, newest: datetime | None, *, believed: bool
) -> None:
    found = judged(NOW, -20 * DAY, token, newest)
    assert found.ahead == (-20 * DAY if believed else timedelta())
    assert "20.0 days behind" in found.warning


def test_a_year_9999_never_widens_and_a_year_1970_only_narrows() -> None:
    assert judged(NOW, NOW - datetime(9999, 1, 1, tzinfo=UTC), timedelta(), NOW).ahead == timedelta()
    assert judged(NOW, NOW - datetime(1970, 1, 1, tzinfo=UTC), timedelta(), NOW).ahead > 365 * 50 * DAY


def test_small_differences_and_missing_dates_are_no_warning() -> None:
    assert judged(NOW, timedelta(minutes=4), None, None) == Clock(timedelta(minutes=4))
    none = judged(NOW, None, None, None)
    assert (none.ahead, none.warning) == (timedelta(), "")
    assert "no Date header" in none.remark
