"""Who holds the Lease of an installed release."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cleanup_job.cluster.connection import Document
from cleanup_job.cluster.cronjob import variable
from cleanup_job.cluster.lease_api import as_record
from cleanup_job.cluster.reading import Reader, UnreadableError


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
    expires: str | None = None
    """When it can be taken over if it is not renewed before; None where it never expires."""


def lease_statuses(reader: Reader, cronjob: Document, namespace: str, now: datetime) -> list[LeaseStatus]:
    """The Leases of the CronJob's passes, one for each shard; ``namespace`` is the CronJob's own."""
    where = variable(cronjob, "CLEANUP_LEASE_NAMESPACE") or namespace
    return [_lease(reader, name, where, now) for name in _lease_names(cronjob)]


def _lease_names(cronjob: Document) -> list[str]:
    name, shards = variable(cronjob, "CLEANUP_LEASE"), int(variable(cronjob, "CLEANUP_SHARDS") or 1)
    if name is None:
        return []
    return [name] if shards == 1 else [f"{name}-{shard}" for shard in range(shards)]


def _lease(reader: Reader, name: str, namespace: str, now: datetime) -> LeaseStatus:
    right = ("get", "leases.coordination.k8s.io")
    try:
        body = reader.ask(right, "CoordinationV1Api", "read_namespaced_lease", name, namespace)
    except UnreadableError:
        return LeaseStatus(name, namespace, "unknown")
    if body is None:
        return LeaseStatus(name, namespace, "absent")
    record = as_record(body)
    if not record.holder:
        return LeaseStatus(name, namespace, "free")
    ends = record.renewed + timedelta(seconds=record.duration) if record.renewed and record.duration else None
    return LeaseStatus(
        name,
        namespace,
        "expired" if record.expired(now) else "held",
        record.holder,
        *(time.isoformat() if time else None for time in (record.acquired, record.renewed, ends)),
    )
