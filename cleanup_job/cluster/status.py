"""What there is to know of an installed release: its schedule, its lease, and how its last passes went."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from cleanup_job.cluster.api import as_record
from cleanup_job.cluster.connection import NOT_FOUND, CallError, Cluster, Document
from cleanup_job.cluster.cronjob import JOB_NAME, by_age, container_of, ending, explained, state_of

PASSES = 10
"""Passes that are told of."""
FIELDS = 5
"""Of a schedule; a library may read six, Kubernetes does not."""
# Kubernetes' own words for schedules.
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class PassResult:
    """One Job, and what its last pod said at its end."""

    job: str
    started: str | None
    finished: str | None
    manual: bool
    state: str
    """``running``, ``complete``, ``failed``, or ``waiting`` for its pod."""
    reason: str
    """Why it failed, in Kubernetes' words."""
    exit_code: int | None
    summary: dict[str, Any] | None
    """The termination message, as docs/log-schema.md has it; None where the pod is gone or said something else."""
    said: str
    """The termination message of a pass that has no summary."""


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """The Lease that the CronJob's passes hold, one at a time."""

    name: str
    namespace: str
    state: str
    """``free``, ``held``, ``expired`` (its holder did not renew it in time), ``absent``, or ``unknown``."""
    holder: str | None = None
    since: str | None = None
    renewed: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A release; times are ISO 8601."""

    namespace: str
    cronjob: str
    schedule: str
    time_zone: str | None
    """None: that of the cluster's controller manager, normally UTC."""
    suspended: bool
    last_schedule: str | None
    last_success: str | None
    next_run: str | None
    """None while suspended, or where the schedule can't be read here."""
    active: list[str]
    """Jobs that have not ended."""
    lease: LeaseStatus | None
    """None: no lease is used."""
    passes: list[PassResult]
    missing: list[str]
    """What could not be read, and why."""

    def as_document(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def read(cluster: Cluster, namespace: str, cronjob: Document, now: datetime | None = None) -> Status:
    """Everything that the user's rights allow to be read."""
    spec, status = cronjob["spec"], cronjob.get("status") or {}
    name = cronjob["metadata"]["name"]
    missing: list[str] = []
    now = now or datetime.now(UTC)
    lease = _lease(cluster, cronjob, namespace, now, missing)
    jobs: list[Document] | None = _attempt(missing, lambda: _jobs(cluster, namespace, cronjob), None)
    pods: dict[str, Document] = _attempt(missing, lambda: _pods(cluster, namespace), {}) if jobs else {}
    passes = [_result(job, pods.get(job["metadata"]["name"])) for job in jobs or []]
    if jobs is None:  # the CronJob knows those that it started
        active = [entry["name"] for entry in status.get("active") or []]
    else:
        active = [entry.job for entry in passes if entry.state in {"running", "waiting"}]
    suspended = bool(spec.get("suspend"))
    coming = None if suspended else next_run(spec["schedule"], spec.get("timeZone"), now)
    return Status(
        namespace=namespace,
        cronjob=name,
        schedule=spec["schedule"],
        time_zone=spec.get("timeZone"),
        suspended=suspended,
        last_schedule=status.get("lastScheduleTime"),
        last_success=status.get("lastSuccessfulTime"),
        next_run=coming.isoformat() if coming else None,
        active=active,
        lease=lease,
        passes=passes[:PASSES],
        missing=missing,
    )


def next_run(schedule: str, time_zone: str | None, now: datetime) -> datetime | None:
    """When a schedule fires next; None where it can't be read here."""
    expression = _MACROS.get(schedule, schedule).replace("?", "*")
    days = [field for field in expression.split()[2::2] if field != "*"]
    if len(expression.split()) != FIELDS or (len(days) > 1 and any(field.startswith("*") for field in days)):
        return None  # `*/2` beside another day: cron means both days, Kubernetes either
    with suppress(CronSimError, StopIteration, LookupError, ValueError, OSError):
        for found in CronSim(expression, now.astimezone(ZoneInfo(time_zone) if time_zone else UTC)):
            # In the hour that summer time leaves out, cron runs late and Kubernetes not at all.
            plain: datetime = found.replace(tzinfo=None)
            if next(CronSim(expression, plain - timedelta(minutes=1))) == plain:
                return plain.replace(tzinfo=found.tzinfo, fold=found.fold)
    return None


def _variable(cronjob: Document, name: str) -> str | None:
    entries = container_of(cronjob["spec"]["jobTemplate"]["spec"]["template"]).get("env") or []
    return next((entry.get("value") for entry in entries if entry["name"] == name), None)


def _attempt(missing: list[str], read: Callable[[], Any], otherwise: Any) -> Any:
    """Read something; what the user may not read is named."""
    try:
        return read()
    except _MissingError as error:
        missing.append(str(error))
        return otherwise


class _MissingError(Exception):
    """Something could not be read."""


def _call(cluster: Cluster, what: tuple[str, str], api: str, method: str, *arguments: Any, **options: Any) -> Any:
    try:
        return cluster.call(api, method, *arguments, **options)
    except CallError as error:
        if error.status == NOT_FOUND:
            return None
        raise _MissingError(str(explained(error, *what, arguments[-1]))) from error


def _lease(cluster: Cluster, cronjob: Document, namespace: str, now: datetime, missing: list[str]) -> LeaseStatus | None:
    name = _variable(cronjob, "CLEANUP_LEASE")
    if name is None:
        return None
    where = _variable(cronjob, "CLEANUP_LEASE_NAMESPACE") or namespace
    what = ("get", "leases.coordination.k8s.io")
    unknown: Document = {}
    read = ("CoordinationV1Api", "read_namespaced_lease", name, where)
    body = _attempt(missing, lambda: _call(cluster, what, *read), unknown)
    if body is None or body is unknown:
        return LeaseStatus(name, where, "absent" if body is None else "unknown")
    record = as_record(body)
    if not record.holder:
        return LeaseStatus(name, where, "free")
    return LeaseStatus(
        name,
        where,
        "expired" if record.expired(now) else "held",
        record.holder,
        *(time.isoformat() if time else None for time in (record.acquired, record.renewed)),
    )


def _jobs(cluster: Cluster, namespace: str, cronjob: Document) -> list[Document]:
    """The CronJob's Jobs, newest first."""
    found = _call(cluster, ("list", "jobs.batch"), "BatchV1Api", "list_namespaced_job", namespace)
    uid = cronjob["metadata"]["uid"]
    own = [
        job
        for job in (found or {}).get("items", [])
        if any(owner["uid"] == uid for owner in job["metadata"].get("ownerReferences") or [])
    ]
    return by_age(own)[::-1]


def _pods(cluster: Cluster, namespace: str) -> dict[str, Document]:
    """Each Job's newest pod."""
    found = _call(cluster, ("list", "pods"), "CoreV1Api", "list_namespaced_pod", namespace, label_selector=JOB_NAME)
    return {pod["metadata"]["labels"][JOB_NAME]: pod for pod in by_age((found or {}).get("items", []))}


def _result(job: Document, pod: Document | None) -> PassResult:
    status = job.get("status") or {}
    end = ending(job)
    failed = end if end and end["type"] == "Failed" else None
    state = str(end["type"]).lower() if end else "running" if pod else "waiting"
    container = container_of(job["spec"]["template"])["name"]
    ended = state_of(pod, container).get("terminated") or {} if pod else {}
    said = ended.get("message") or ""
    summary = None
    with suppress(ValueError):
        document = json.loads(said)
        summary = document if isinstance(document, dict) and isinstance(document.get("deleted"), int) else None
    return PassResult(
        job=job["metadata"]["name"],
        started=status.get("startTime"),
        finished=status.get("completionTime") or (failed or {}).get("lastTransitionTime"),
        manual=(job["metadata"].get("annotations") or {}).get("cronjob.kubernetes.io/instantiate") == "manual",
        state=state,
        reason=str(failed.get("reason") or "") if failed else "",
        exit_code=ended.get("exitCode"),
        summary=summary,
        said="" if summary else said,
    )
