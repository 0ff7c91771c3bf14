"""When a schedule starts a Job, and whether it did."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cleanup_job.cluster.schedule import Missed, last_run, missed_run, next_run

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("0 3 * * *", None, "2026-11-24T03:00:00+00:00"),
        ("*/15 * * * *", None, "2026-11-23T12:15:00+00:00"),
        ("@daily", None, "2026-11-24T00:00:00+00:00"),
        ("@hourly", "Asia/Kolkata", "2026-11-23T18:00:00+05:30"),
        ("0 0 ? * MON", None, "2026-11-30T00:00:00+00:00"),
        ("0 0 13 * 5", None, "2026-11-27T00:00:00+00:00"),
        ("0 0 */2 * 1", None, None),
        ("0 3 30 2 *", None, None),
        ("0 3 * * * *", None, None),
        ("@every 1h", None, None),
        ("TZ=UTC 0 3 * * *", None, None),
        ("nonsense", None, None),
        ("0 3 * * *", "Nowhere/Land", None),
    ],
)
def test_the_next_run(schedule: str, zone: str | None, expected: str | None) -> None:
    found = next_run(schedule, zone, NOW)
    assert (found.isoformat() if found else None) == expected


def test_an_hour_that_summer_time_leaves_out_has_no_run() -> None:
    before = datetime(2027, 3, 27, 12, tzinfo=UTC)
    assert str(next_run("30 2 * * *", "Europe/Berlin", before)) == "2027-03-29 02:30:00+02:00"
    assert str(next_run("0 3 * * *", "Europe/Berlin", before)) == "2027-03-28 03:00:00+02:00"


def test_an_hour_that_comes_twice_has_each_run_where_it_is() -> None:
    between = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)  # 02:50 in summer time
    assert str(next_run("*/15 * * * *", "Europe/Berlin", between)) == "2026-10-25 02:00:00+01:00"


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("0 3 * * *", "Europe/Berlin", "2026-11-23T03:00:00+01:00"),
        ("0 13 * * *", None, "2026-11-22T13:00:00+00:00"),
        ("@every 1h", None, None),
    ],
)
def test_the_last_run(schedule: str, zone: str | None, expected: str | None) -> None:
    found = last_run(schedule, zone, NOW)
    assert (found.isoformat() if found else None) == expected


def test_an_hour_that_summer_time_left_out_had_no_run() -> None:
    after = datetime(2027, 3, 28, 12, tzinfo=UTC)
    assert str(last_run("30 2 * * *", "Europe/Berlin", after)) == "2027-03-27 02:30:00+01:00"


# -- missed
def cronjob(last: str | None, *, created: str = "2026-01-01T00:00:00Z", changed: str = "", **spec: Any) -> dict[str, Any]:
    fields = [
        {"manager": "helm", "time": changed or created},
        {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-11-23T11:59:00Z"},
    ]
    return {
        "metadata": {"creationTimestamp": created, "managedFields": fields},
        "spec": {"schedule": "0 3 * * *", "suspend": False, "concurrencyPolicy": "Forbid"} | spec,
        "status": {"lastScheduleTime": last} if last else {},
    }


def missed(*arguments: Any, active: tuple[str, ...] = (), now: datetime = NOW, **options: Any) -> Missed | None:
    return missed_run(cronjob(*arguments, **options), list(active), now)


def test_a_schedule_that_was_kept_is_not_missed() -> None:
    assert missed("2026-11-23T03:00:00Z") is None


def test_a_schedule_that_was_not_kept_is_missed() -> None:
    found = missed("2026-11-22T03:00:00Z")
    assert found is not None
    assert found.at == "2026-11-23T03:00:00+00:00"
    assert "controller" in found.causes[0]


@pytest.mark.parametrize(
    "options",
    [
        {"suspend": True},
        {"schedule": "@every 1h"},
        {"schedule": "59 11 * * *"},  # the controller may still be about to start it
    ],
)
def test_what_is_not_a_miss(options: dict[str, Any]) -> None:
    assert missed("2026-11-22T11:59:00Z", **options) is None


def test_one_that_never_ran_misses_only_what_came_after_its_creation() -> None:
    assert missed(None, created="2026-11-23T03:00:01Z") is None
    assert missed(None, created="2026-11-23T02:59:59Z") is not None


def test_the_causes_that_can_be_seen_come_first() -> None:
    found = missed("2026-11-21T03:00:00Z", startingDeadlineSeconds=3600, changed="2026-11-23T09:00:00Z")
    assert found is not None
    assert [cause.split(",")[0][:29] for cause in found.causes] == [
        "the CronJob was changed at 20",
        "Kubernetes could not start it",
        "the cluster's CronJob control",
    ]
    assert "3600 s of startingDeadlineSeconds" in found.causes[1]


def test_a_job_that_still_runs_is_the_cause() -> None:
    found = missed("2026-11-21T03:00:00Z", active=("nightly-1",), startingDeadlineSeconds=3600)
    assert found is not None
    assert found.causes == ["Job nightly-1 has not ended, and concurrencyPolicy is Forbid"]
    assert missed("2026-11-21T03:00:00Z", active=("nightly-1",), concurrencyPolicy="Allow") == missed("2026-11-21T03:00:00Z")
