"""Who holds the Lease of an installed release."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cleanup_job.cluster.connection import Document
from cleanup_job.cluster.cronjob import variable
from cleanup_job.cluster.lease_record import as_record
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
    """The Lease of the CronJob's passes, if they have one; ``namespace`` is the CronJob's own."""
    where = variable(cronjob, "CLEANUP_LEASE_NAMESPACE") or namespace
    name = variable(cronjob, "CLEANUP_LEASE")
    return [] if name is None else [_lease(reader, name, where, now)]


def _lease(reader: Reader, name: str, namespace: str, now: datetime) -> LeaseStatus:
    right = ("get", "leases.coordination.k8s.io")
    try:
        body = reader.ask(right, "CoordinationV1Api", "read_namespaced_lease", name, namespace)
    except UnreadableError:
        return LeaseStatus(name, namespace, "unknown")
    if body is None:
        return LeaseStatus(name, namespace, "absent")
    record = as_record(body)
    claim = record.claim
    if claim is None:
        return LeaseStatus(name, namespace, "free")
    ends = claim.renewed + timedelta(seconds=claim.duration) if claim.renewed and claim.duration else None
    return LeaseStatus(
        name,
        namespace,
        "expired" if ends and ends < now else "held",
        record.holder,
        *(time.isoformat() if time else None for time in (record.acquired, record.renewed, ends)),
    )
