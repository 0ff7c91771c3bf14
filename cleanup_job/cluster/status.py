"""What is known of an installed release: its schedule, its lease, and how its last passes ended."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from cleanup_job.cluster.connection import NOT_FOUND, CallError, Cluster, Document
from cleanup_job.cluster.cronjob import INDEX, JOB_NAME, by_age, container_of, ending, explained, state_of
from cleanup_job.cluster.lease_api import as_record

PASSES = 10
"""Passes that are listed."""
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


@dataclass(frozen=True, slots=True)
class PassResult:
    """One Job, and what its last pod said when it ended."""

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
    """The termination message, as docs/log-schema.md describes it; None where the pod was deleted or said something else."""
    said: str
    """The termination message of a pass that has no summary."""
    shards: list[dict[str, Any]] | None = None
    """Of a pass in several pods, the ``shard``, ``exit_code`` and ``summary`` of each.

    The fields above have the sum and the highest code."""


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
    """None means that of the cluster's controller manager, normally UTC."""
    suspended: bool
    last_schedule: str | None
    last_success: str | None
    next_run: str | None
    """None while it is suspended, or if this tool can't read the schedule."""
    active: list[str]
    """Jobs that have not ended."""
    leases: list[LeaseStatus]
    """One for each shard; empty if passes use no lease."""
    passes: list[PassResult]
    missing: list[str]
    """What could not be read, and why."""

    def as_document(self) -> dict[str, Any]:
        """The status as JSON can hold it."""
        return asdict(self)


def read(cluster: Cluster, namespace: str, cronjob: Document, now: datetime | None = None) -> Status:
    """Everything that the user's rights allow to be read."""
    spec, status = cronjob["spec"], cronjob.get("status") or {}
    now = now or datetime.now(UTC)
    reader = _Reader(cluster, namespace)
    leases = reader.leases(cronjob, now)
    jobs = reader.jobs(cronjob)
    pods = reader.pods() if jobs else {}
    passes = [_result(job, pods.get(job["metadata"]["name"], [])) for job in jobs or []]
    suspended = bool(spec.get("suspend"))
    coming = None if suspended else next_run(spec["schedule"], spec.get("timeZone"), now)
    return Status(
        namespace=namespace,
        cronjob=cronjob["metadata"]["name"],
        schedule=spec["schedule"],
        time_zone=spec.get("timeZone"),
        suspended=suspended,
        last_schedule=status.get("lastScheduleTime"),
        last_success=status.get("lastSuccessfulTime"),
        next_run=coming.isoformat() if coming else None,
        active=_started_by_schedule(status) if jobs is None else _active(passes),
        leases=leases,
        passes=passes[:PASSES],
        missing=reader.missing,
    )


def _started_by_schedule(status: Document) -> list[str]:
    """The active Jobs that the CronJob itself knows: those that it started."""
    return [entry["name"] for entry in status.get("active") or []]


def _active(passes: list[PassResult]) -> list[str]:
    return [entry.job for entry in passes if entry.state in {"running", "waiting"}]


def next_run(schedule: str, time_zone: str | None, now: datetime) -> datetime | None:
    """When a schedule starts its next Job; None if this tool can't read it."""
    expression = _MACROS.get(schedule, schedule).replace("?", "*")
    days = [field for field in expression.split()[2::2] if field != "*"]
    if len(expression.split()) != FIELDS or (len(days) > 1 and any(field.startswith("*") for field in days)):
        return None  # `*/2` beside another day field: cron wants both to match, Kubernetes one of them
    with suppress(CronSimError, StopIteration, LookupError, ValueError, OSError):
        for found in CronSim(expression, now.astimezone(ZoneInfo(time_zone) if time_zone else UTC)):
            # A time in the hour that summer time skips: cron runs late, Kubernetes not at all.
            plain: datetime = found.replace(tzinfo=None)
            if next(CronSim(expression, plain - timedelta(minutes=1))) == plain:
                return plain.replace(tzinfo=found.tzinfo, fold=found.fold)
    return None


def _variable(cronjob: Document, name: str) -> str | None:
    entries = container_of(cronjob["spec"]["jobTemplate"]["spec"]["template"]).get("env") or []
    return next((entry.get("value") for entry in entries if entry["name"] == name), None)


class _UnreadableError(Exception):
    """Something could not be read."""


class _Reader:
    """Reads what the user's rights allow; ``missing`` says what could not be read, and why."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.missing: list[str] = []

    def _ask(self, right: tuple[str, str], api: str, method: str, *arguments: Any, **options: Any) -> Any:
        """The answer; None where there is no such object. ``right`` is the verb and the resource, for the error."""
        try:
            return self._cluster.call(api, method, *arguments, **options)
        except CallError as error:
            if error.status == NOT_FOUND:
                return None
            self.missing.append(str(explained(error, *right, arguments[-1])))
            raise _UnreadableError from error

    def leases(self, cronjob: Document, now: datetime) -> list[LeaseStatus]:
        """The leases of the CronJob's passes."""
        namespace = _variable(cronjob, "CLEANUP_LEASE_NAMESPACE") or self._namespace
        return [self._lease(name, namespace, now) for name in _lease_names(cronjob)]

    def _lease(self, name: str, namespace: str, now: datetime) -> LeaseStatus:
        right = ("get", "leases.coordination.k8s.io")
        try:
            body = self._ask(right, "CoordinationV1Api", "read_namespaced_lease", name, namespace)
        except _UnreadableError:
            return LeaseStatus(name, namespace, "unknown")
        if body is None:
            return LeaseStatus(name, namespace, "absent")
        record = as_record(body)
        if not record.holder:
            return LeaseStatus(name, namespace, "free")
        return LeaseStatus(
            name,
            namespace,
            "expired" if record.expired(now) else "held",
            record.holder,
            *(time.isoformat() if time else None for time in (record.acquired, record.renewed)),
        )

    def jobs(self, cronjob: Document) -> list[Document] | None:
        """The CronJob's Jobs, newest first; None where they can't be read."""
        try:
            found = self._ask(("list", "jobs.batch"), "BatchV1Api", "list_namespaced_job", self._namespace)
        except _UnreadableError:
            return None
        uid = cronjob["metadata"]["uid"]
        own = [job for job in (found or {}).get("items", []) if uid in _owners(job)]
        return by_age(own)[::-1]

    def pods(self) -> dict[str, list[Document]]:
        """Each Job's newest pod, or the newest of each of its shards."""
        try:
            found = self._ask(("list", "pods"), "CoreV1Api", "list_namespaced_pod", self._namespace, label_selector=JOB_NAME)
        except _UnreadableError:
            return {}
        newest: dict[str, dict[str, Document]] = {}
        for pod in by_age((found or {}).get("items", [])):
            labels = pod["metadata"]["labels"]
            newest.setdefault(labels[JOB_NAME], {})[labels.get(INDEX, "")] = pod
        return {job: list(pods.values()) for job, pods in newest.items()}


def _owners(job: Document) -> set[str]:
    return {owner["uid"] for owner in job["metadata"].get("ownerReferences") or []}


def _lease_names(cronjob: Document) -> list[str]:
    name, shards = _variable(cronjob, "CLEANUP_LEASE"), int(_variable(cronjob, "CLEANUP_SHARDS") or 1)
    if name is None:
        return []
    return [name] if shards == 1 else [f"{name}-{shard}" for shard in range(shards)]


@dataclass(frozen=True, slots=True)
class _PodEnd:
    """How a pod's container ended, and its termination message: the summary of a pass, or its text."""

    shard: int
    exit_code: int | None
    summary: dict[str, Any] | None
    said: str


def _pod_end(pod: Document, container: str) -> _PodEnd:
    shard = int(pod["metadata"]["labels"].get(INDEX) or 0)
    ended = state_of(pod, container).get("terminated") or {}
    said = ended.get("message") or ""
    with suppress(ValueError):
        document = json.loads(said)
        if isinstance(document, dict) and isinstance(document.get("deleted"), int):
            return _PodEnd(shard, ended.get("exitCode"), document, "")
        if isinstance(document, dict) and isinstance(document.get("message"), str):  # it was not due, or an agent got the pass
            said = document["message"]
    return _PodEnd(shard, ended.get("exitCode"), None, said)


def _result(job: Document, pods: list[Document]) -> PassResult:
    status = job.get("status") or {}
    condition = ending(job) or {}
    failure = condition if condition.get("type") == "Failed" else {}
    container = container_of(job["spec"]["template"])["name"]
    ends = sorted((_pod_end(pod, container) for pod in pods), key=lambda end: end.shard)
    shards = _shards(job)
    return PassResult(
        job=job["metadata"]["name"],
        started=status.get("startTime"),
        finished=status.get("completionTime") or failure.get("lastTransitionTime"),
        manual=_is_manual(job),
        state=_state(condition, pods),
        reason=str(failure.get("reason") or ""),
        exit_code=_exit_code(ends, shards or 1),
        summary=_summary(ends, divided=shards is not None),
        said=_text(ends),
        shards=[{"shard": end.shard, "exit_code": end.exit_code, "summary": end.summary} for end in ends] if shards else None,
    )


def _summary(ends: list[_PodEnd], *, divided: bool) -> dict[str, Any] | None:
    summaries = [end.summary for end in ends if end.summary]
    return _sum(summaries) if divided and summaries else next(iter(summaries), None)


def _text(ends: list[_PodEnd]) -> str:
    """What the pods said, where none gave a summary."""
    return "" if any(end.summary for end in ends) else next((end.said for end in ends), "")


def _shards(job: Document) -> int | None:
    """In how many pods the pass runs; None where it is not divided."""
    parts: int = job["spec"].get("completions") or 1
    return parts if job["spec"].get("completionMode") == "Indexed" and parts > 1 else None


def _is_manual(job: Document) -> bool:
    annotations = job["metadata"].get("annotations") or {}
    return bool(annotations.get("cronjob.kubernetes.io/instantiate") == "manual")


def _state(condition: Document, pods: list[Document]) -> str:
    return str(condition["type"]).lower() if condition else "running" if pods else "waiting"


def _exit_code(ends: list[_PodEnd], parts: int) -> int | None:
    """The highest exit code, once every part of the pass has one."""
    codes = [end.exit_code for end in ends if end.exit_code is not None]
    return max(codes) if len(codes) >= parts else None


def _sum(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The summaries of a pass's shards in one: counts added up, the longest time, all errors."""
    errors = dict.fromkeys(str(one["error"]) for one in summaries if one.get("error"))
    counts = {name: sum(int(one.get(name) or 0) for one in summaries) for name in _counts(summaries[0])}
    return {
        **{name: _any(summaries, name) for name in ("dry_run", "left_at_least")},
        "exit_code": max(int(one.get("exit_code") or 0) for one in summaries),
        "error": "; ".join(errors) or None,
        "seconds": max(float(one.get("seconds") or 0) for one in summaries),
        **counts,
    }


def _any(summaries: list[dict[str, Any]], name: str) -> bool:
    return any(one.get(name) for one in summaries)


def _counts(summary: dict[str, Any]) -> list[str]:
    return [name for name, value in summary.items() if type(value) is int and name not in {"exit_code", "shard", "shards"}]
