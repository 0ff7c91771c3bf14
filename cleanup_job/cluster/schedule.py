"""When a CronJob's schedule starts a Job, and whether it did the last time."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from cleanup_job.cluster.connection import Document

FIELDS = 5
"""Fields of a schedule. The library that reads it allows six, Kubernetes does not."""
# Kubernetes' names for common schedules.
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LATE = timedelta(minutes=2)
"""The controller looks at all CronJobs within a few seconds: after this time it has missed one."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A time at which the schedule should have started a Job, and did not."""

    at: str
    """ISO 8601, in the schedule's time zone."""
    causes: list[str]
    """What can be the reason, the most probable one first; one alone if it is sure."""


def next_run(schedule: str, time_zone: str | None, now: datetime) -> datetime | None:
    """When a schedule starts its next Job; None if this tool can't read it."""
    return _near(schedule, time_zone, now, before=False)


def last_run(schedule: str, time_zone: str | None, now: datetime) -> datetime | None:
    """When a schedule should have started its last Job before this time; None if this tool can't read it."""
    return _near(schedule, time_zone, now, before=True)


def _near(schedule: str, time_zone: str | None, now: datetime, *, before: bool) -> datetime | None:
    expression = _MACROS.get(schedule, schedule).replace("?", "*")
    days = [field for field in expression.split()[2::2] if field != "*"]
    if len(expression.split()) != FIELDS or (len(days) > 1 and any(field.startswith("*") for field in days)):
        return None  # `*/2` beside another day field: cron wants both to match, Kubernetes one of them
    with suppress(CronSimError, StopIteration, LookupError, ValueError, OSError):
        for found in CronSim(expression, now.astimezone(ZoneInfo(time_zone) if time_zone else UTC), reverse=before):
            # A time in the hour that summer time skips: cron runs late, Kubernetes not at all.
            plain: datetime = found.replace(tzinfo=None)
            if next(CronSim(expression, plain - timedelta(minutes=1))) == plain:
                return plain.replace(tzinfo=found.tzinfo, fold=found.fold)
    return None


def missed_run(cronjob: Document, active: list[str], now: datetime) -> Missed | None:
    """The last time at which a Job should have been started, if none was; ``active`` are its Jobs that have not ended."""
    spec, zone = cronjob["spec"], cronjob["spec"].get("timeZone")
    due = None if spec.get("suspend") else last_run(spec["schedule"], zone, now - _LATE)
    before = _last_known(cronjob)
    if due is None or before is None or due <= before:
        return None
    return Missed(due.isoformat(), list(_causes(cronjob, active, due)))


def _last_known(cronjob: Document) -> datetime | None:
    """The last time at which the controller started a Job; before the first one, when the CronJob was created."""
    text = (cronjob.get("status") or {}).get("lastScheduleTime") or cronjob["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(text) if text else None


def _causes(cronjob: Document, active: list[str], due: datetime) -> list[str]:
    spec = cronjob["spec"]
    if active and spec.get("concurrencyPolicy") == "Forbid":
        return [f"Job {active[0]} has not ended, and concurrencyPolicy is Forbid"]
    changed = _changed(cronjob)
    found = []
    if changed and changed > due:
        found.append(f"the CronJob was changed at {changed:%Y-%m-%d %H:%M:%S} UTC: until then it may have been suspended")
    if spec.get("startingDeadlineSeconds") is not None:
        found.append(
            f"Kubernetes could not start it within the {spec['startingDeadlineSeconds']} s of startingDeadlineSeconds, for "
            "example because an earlier Job still ran, or a quota refused the Job"
        )
    return [
        *found,
        "the cluster's CronJob controller (kube-controller-manager) did not run, or its clock differs from this one",
    ]


def _changed(cronjob: Document) -> datetime | None:
    """When anything but its status was changed for the last time."""
    entries = cronjob["metadata"].get("managedFields") or []
    times = [entry["time"] for entry in entries if entry.get("subresource") != "status" and entry.get("time")]
    return max(map(datetime.fromisoformat, times), default=None)
