"""Ages count by the server's clock, and no header of any answer makes tasks look older than the server's own records do."""

from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.planning.clock import Clock, judged

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


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
