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
from cleanup_job.cluster.cronjob import INDEX, JOB_NAME, by_age, container_of, ending, explained, state_of

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
    shards: list[dict[str, Any]] | None = None
    """Of a pass in several pods: each one's ``shard``, ``exit_code``, ``summary``; above stand sum and highest code."""


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
    leases: list[LeaseStatus]
    """One for each shard; empty: no lease is used."""
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
    where = _variable(cronjob, "CLEANUP_LEASE_NAMESPACE") or namespace
    leases = [_lease(cluster, lease, where, now, missing) for lease in _lease_names(cronjob)]
    jobs: list[Document] | None = _attempt(missing, lambda: _jobs(cluster, namespace, cronjob), None)
    pods: dict[str, list[Document]] = _attempt(missing, lambda: _pods(cluster, namespace), {}) if jobs else {}
    passes = [_result(job, pods.get(job["metadata"]["name"], [])) for job in jobs or []]
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
        leases=leases,
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


def _lease_names(cronjob: Document) -> list[str]:
    name, shards = _variable(cronjob, "CLEANUP_LEASE"), int(_variable(cronjob, "CLEANUP_SHARDS") or 1)
    if name is None:
        return []
    return [name] if shards == 1 else [f"{name}-{shard}" for shard in range(shards)]


def _lease(cluster: Cluster, name: str, where: str, now: datetime, missing: list[str]) -> LeaseStatus:
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


def _pods(cluster: Cluster, namespace: str) -> dict[str, list[Document]]:
    """Each Job's newest pod, or the newest of each of its indexes."""
    found = _call(cluster, ("list", "pods"), "CoreV1Api", "list_namespaced_pod", namespace, label_selector=JOB_NAME)
    newest: dict[str, dict[str, Document]] = {}
    for pod in by_age((found or {}).get("items", [])):
        labels = pod["metadata"]["labels"]
        newest.setdefault(labels[JOB_NAME], {})[labels.get(INDEX, "")] = pod
    return {job: list(of.values()) for job, of in newest.items()}


def _result(job: Document, pods: list[Document]) -> PassResult:
    status = job.get("status") or {}
    end = ending(job)
    failed = end if end and end["type"] == "Failed" else None
    state = str(end["type"]).lower() if end else "running" if pods else "waiting"
    container = container_of(job["spec"]["template"])["name"]
    words = {_index(pod): _last_words(pod, container) for pod in pods}
    codes = [code for code, _, _ in words.values() if code is not None]
    parts = job["spec"].get("completions") or 1
    indexed = job["spec"].get("completionMode") == "Indexed" and parts > 1
    summaries = [summary for _, summary, _ in words.values() if summary]
    return PassResult(
        job=job["metadata"]["name"],
        started=status.get("startTime"),
        finished=status.get("completionTime") or (failed or {}).get("lastTransitionTime"),
        manual=(job["metadata"].get("annotations") or {}).get("cronjob.kubernetes.io/instantiate") == "manual",
        state=state,
        reason=str(failed.get("reason") or "") if failed else "",
        exit_code=max(codes) if codes and (not indexed or len(codes) == parts) else None,
        summary=_sum(summaries) if indexed and summaries else next(iter(summaries), None),
        said="" if summaries else next((said for _, _, said in words.values()), ""),
        shards=[{"shard": i, "exit_code": words[i][0], "summary": words[i][1]} for i in sorted(words)] if indexed else None,
    )


def _index(pod: Document) -> int:
    return int(pod["metadata"]["labels"].get(INDEX) or 0)


def _last_words(pod: Document, container: str) -> tuple[int | None, dict[str, Any] | None, str]:
    """A pod's exit code, and its termination message: the summary of a pass, or else its text."""
    ended = state_of(pod, container).get("terminated") or {}
    said = ended.get("message") or ""
    with suppress(ValueError):
        document = json.loads(said)
        if isinstance(document, dict) and isinstance(document.get("deleted"), int):
            return ended.get("exitCode"), document, ""
    return ended.get("exitCode"), None, said


def _sum(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The summaries of a pass's shards in one: counts added up, the longest time, all errors."""
    names = [
        name for name, value in summaries[0].items() if type(value) is int and name not in {"exit_code", "shard", "shards"}
    ]
    counts = {name: sum(int(one.get(name) or 0) for one in summaries) for name in names}
    errors = list(dict.fromkeys(str(one["error"]) for one in summaries if one.get("error")))
    return {
        "dry_run": any(one.get("dry_run") for one in summaries),
        "exit_code": max(int(one.get("exit_code") or 0) for one in summaries),
        "error": "; ".join(errors) or None,
        "seconds": max(float(one.get("seconds") or 0) for one in summaries),
        **counts,
    }
