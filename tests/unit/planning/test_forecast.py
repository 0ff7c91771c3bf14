"""Days are those of UTC, and each task is counted once."""

from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.planning.forecast import Coming, Forecast
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
RULES = Rules(cutoff=NOW - timedelta(days=30), force_delete=True)


def task(hours: float, **fields: object) -> Task:
    """A task that is due in so many hours."""
    since = NOW - timedelta(days=30) + timedelta(hours=hours)
    return Task(TaskId("t"), "t", "completed", system_tags=("archived",), status_changed=since, **fields)


@pytest.mark.parametrize(("hours", "day"), [(-1000, 0), (0, 0), (11.9, 0), (12.1, 1), (35.9, 1), (36.1, 2), (60.1, None)])
def test_a_task_comes_on_the_day_on_which_it_is_due(hours: float, day: int | None) -> None:
    found = Forecast(NOW, 2)
    assert found.day_of(RULES, task(hours)) == day
    assert (found.later, found.never) == (day is None, 0)


def test_what_is_never_due_is_counted() -> None:
    found = Forecast(NOW, 2)
    assert found.day_of(RULES, task(0, public=True)) is None
    assert (found.later, found.never) == (0, 1)


def test_sums_by_day_and_by_project() -> None:
    found = Forecast(NOW, 2)
    for day, project, size in [(1, "small", 5), (0, "large", 7), (0, "small", 1), (0, "large", 0)]:
        found.add(day, project, size)
    assert found.by_day() == {0: Coming(3, 8), 1: Coming(1, 5)}
    assert list(found.by_project().items()) == [("large", Coming(2, 7)), ("small", Coming(2, 6))]
    assert found.by_project(1) == {"small": Coming(1, 5)}
    assert found.total() == Coming(4, 13)
    assert str(found.date_of(1)) == "2026-11-02"
    assert Forecast(NOW, 2).total() == Coming()
