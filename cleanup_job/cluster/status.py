"""What is known of an installed release: its schedule, its lease, and how its last passes ended."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from cleanup_job.cluster.connection import CallError, Cluster, Document
from cleanup_job.cluster.cronjob import JOB_NAME, by_age
from cleanup_job.cluster.lease_holders import ended_holders
from cleanup_job.cluster.lease_status import LeaseStatus, lease_statuses
from cleanup_job.cluster.pass_result import PassResult, pass_result
from cleanup_job.cluster.reading import Reader, UnreadableError
from cleanup_job.cluster.schedule import Missed, missed_run, next_run
from cleanup_job.cluster.week import Week, last_week

PASSES = 10
"""Passes that are listed."""


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
    missed: Missed | None = None
    """The last time at which the schedule should have started a Job, if it did not."""
    week: Week = field(default_factory=Week)
    ended_holders: list[str] = field(default_factory=list)
    """Holders of ``leases`` whose pod or Job has ended, or is gone: nothing renews these leases any more."""

    def as_document(self) -> dict[str, Any]:
        """The status as JSON can hold it."""
        found = asdict(self)
        for name in ("archived", "slimmed", "slimmed_bytes"):  # only there with policies, as in a pass's summary
            if not found["week"][name]:
                del found["week"][name]
        return found


def read(cluster: Cluster, namespace: str, cronjob: Document, now: datetime | None = None) -> Status:
    """Everything that the user's rights allow to be read."""
    spec, status = cronjob["spec"], cronjob.get("status") or {}
    now = now or datetime.now(UTC)
    reader = Reader(cluster)
    leases = lease_statuses(reader, cronjob, namespace, now)
    jobs = _jobs(reader, cronjob, namespace)
    pods = _pods(reader, namespace) if jobs else {}
    passes = _passes(jobs or [], pods, cluster, namespace)
    suspended = bool(spec.get("suspend"))
    coming = None if suspended else next_run(spec["schedule"], spec.get("timeZone"), now)
    active = _started_by_schedule(status) if jobs is None else [entry.job for entry in passes if entry.live]
    return Status(
        namespace=namespace,
        cronjob=cronjob["metadata"]["name"],
        schedule=spec["schedule"],
        time_zone=spec.get("timeZone"),
        suspended=suspended,
        last_schedule=status.get("lastScheduleTime"),
        last_success=status.get("lastSuccessfulTime"),
        next_run=coming.isoformat() if coming else None,
        active=active,
        leases=leases,
        passes=passes[:PASSES],
        missing=reader.missing,
        missed=missed_run(cronjob, active, now),
        week=last_week(passes, cronjob, now),
        ended_holders=ended_holders(leases, cronjob, namespace, jobs, pods),
    )


def _passes(jobs: list[Document], pods: dict[str, list[Document]] | None, cluster: Cluster, namespace: str) -> list[PassResult]:
    refusals = _refusals(cluster, namespace) if _lacks_pod(jobs, pods) else {}
    return [pass_result(job, (pods or {}).get(_name(job), []), refusals.get(_name(job), [])) for job in jobs]


def _name(job: Document) -> str:
    return str(job["metadata"]["name"])


def _started_by_schedule(status: Document) -> list[str]:
    """The active Jobs that the CronJob itself knows: those that it started."""
    return [entry["name"] for entry in status.get("active") or []]


def _lacks_pod(jobs: list[Document], pods: dict[str, list[Document]] | None) -> bool:
    return pods is not None and any(
        not pods.get(_name(job)) and not (job.get("status") or {}).get("conditions") for job in jobs
    )


def _refusals(cluster: Cluster, namespace: str) -> dict[str, list[Document]]:
    """The events that say why a Job's pod could not be created, by the Job's name; none where they may not be read."""
    try:
        found = cluster.call("CoreV1Api", "list_namespaced_event", namespace, field_selector="reason=FailedCreate")
    except CallError:
        return {}  # only a help
    events: dict[str, list[Document]] = {}
    for event in found.get("items") or []:
        events.setdefault(str(event["involvedObject"].get("name")), []).append(event)
    return events


def _jobs(reader: Reader, cronjob: Document, namespace: str) -> list[Document] | None:
    """The CronJob's Jobs, newest first; None where they can't be read."""
    try:
        found = reader.ask(("list", "jobs.batch"), "BatchV1Api", "list_namespaced_job", namespace)
    except UnreadableError:
        return None
    uid = cronjob["metadata"]["uid"]
    own = [job for job in (found or {}).get("items", []) if uid in _owners(job)]
    return by_age(own)[::-1]


def _pods(reader: Reader, namespace: str) -> dict[str, list[Document]] | None:
    """The pods of each Job; None where they can't be read."""
    try:
        found = reader.ask(("list", "pods"), "CoreV1Api", "list_namespaced_pod", namespace, label_selector=JOB_NAME)
    except UnreadableError:
        return None
    pods: dict[str, list[Document]] = {}
    for pod in (found or {}).get("items", []):
        pods.setdefault(pod["metadata"]["labels"][JOB_NAME], []).append(pod)
    return pods


def _owners(job: Document) -> set[str]:
    return {owner["uid"] for owner in job["metadata"].get("ownerReferences") or []}
