"""Leases on the Kubernetes API: the three calls that the guard needs, and what their failures mean."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from cleanup_job.cluster.connection import CONFLICT, NOT_FOUND, CallError, NoClusterError, connect
from cleanup_job.errors import CleanupError, SettingsError, UnreachableError

Verb = Literal["get", "create", "update"]


class LeaseChangedError(Exception):
    """Somebody else created, changed or deleted the Lease since it was read."""


@dataclass(frozen=True)
class LeaseRecord:
    """A Lease as it stands on the server; a `holder` of "" means that it is free."""

    holder: str
    acquired: datetime | None
    renewed: datetime | None
    duration: float
    transitions: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """As it was read. Its `resourceVersion` makes a `replace` fail when somebody else was faster."""

    def expired(self, now: datetime) -> bool:
        """Whether the holder did not renew it in time."""
        # Without times it was written by hand, by someone who wants no pass to run.
        if self.renewed is None or not self.duration:
            return False
        return now > self.renewed + timedelta(seconds=self.duration)


class LeaseApi(Protocol):
    """What the guard asks of the API server; `create` and `replace` raise `LeaseChangedError`."""

    @property
    def namespace(self) -> str:
        """The namespace of whoever asks."""

    def get(self, namespace: str, name: str) -> LeaseRecord | None:
        """Read the Lease; None when there is none."""

    def create(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Make the Lease, if there is none."""

    def replace(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Write the Lease, if nobody did since `lease.metadata` was read."""


class KubernetesLeases:
    """`LeaseApi` on the cluster that `connect` finds."""

    def __init__(self, timeout: float) -> None:
        """Find the cluster; a request without an answer fails after `timeout` seconds."""
        try:
            self._cluster = connect(timeout)
        except NoClusterError as error:
            raise SettingsError(
                f"CLEANUP_LEASE is set, but there is no cluster to ask: {error} In a pod, mount the service account's token "
                "(automountServiceAccountToken); elsewhere, set KUBECONFIG; or unset CLEANUP_LEASE to run unguarded."
            ) from error
        self.namespace = self._cluster.namespace

    def get(self, namespace: str, name: str) -> LeaseRecord | None:
        """Read the Lease; None when there is none."""
        try:
            return as_record(self._cluster.call("CoordinationV1Api", "read_namespaced_lease", name, namespace))
        except CallError as error:
            if error.status == NOT_FOUND:
                return None
            raise _failure(error, "get", namespace, name) from error

    def create(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Make the Lease, if there is none."""
        self._write("create", namespace, name, lease, {"name": name})

    def replace(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Write the Lease, if nobody did since `lease.metadata` was read."""
        self._write("update", namespace, name, lease, lease.metadata)

    def _write(self, verb: Verb, namespace: str, name: str, lease: LeaseRecord, metadata: Mapping[str, Any]) -> None:
        body = _body(lease, metadata)
        try:
            if verb == "create":
                self._cluster.call("CoordinationV1Api", "create_namespaced_lease", namespace, body)
            else:
                self._cluster.call("CoordinationV1Api", "replace_namespaced_lease", name, namespace, body)
        except CallError as error:
            if error.status == CONFLICT or (error.status == NOT_FOUND and verb == "update"):
                raise LeaseChangedError from error
            raise _failure(error, verb, namespace, name) from error


def _failure(error: CallError, verb: Verb, namespace: str, name: str) -> CleanupError:
    lease = f"the Lease {name} (CLEANUP_LEASE) in namespace {namespace}"
    if error.refused and verb == "create":
        return SettingsError(
            f"There is no Lease {name} (CLEANUP_LEASE) in namespace {namespace}, and Kubernetes does not allow this account to "
            f"create it: {error}. `helm upgrade` makes it again; or allow create on leases of coordination.k8s.io there."
        )
    if error.refused:
        return SettingsError(
            f"Kubernetes does not allow this account to {verb} {lease}: {error}. Bind it to a Role that allows get and "
            "update on this lease of coordination.k8s.io, as the Helm chart does; or unset CLEANUP_LEASE to run unguarded."
        )
    if error.status == NOT_FOUND:
        return SettingsError(f"Can't {verb} {lease}: {error}. Set CLEANUP_LEASE_NAMESPACE to a namespace that exists.")
    if not error.passing:
        return SettingsError(f"Kubernetes refused to {verb} {lease}: {error}. Check CLEANUP_LEASE.")
    return UnreachableError(
        f"The Kubernetes API gave no usable answer when asked to {verb} {lease}: {error}. Without it nothing can be said about "
        "other passes; try again when it answers."
    )


def as_record(body: Mapping[str, Any]) -> LeaseRecord:
    """A Lease's document."""
    spec = body.get("spec") or {}
    return LeaseRecord(
        spec.get("holderIdentity") or "",
        _time(spec.get("acquireTime")),
        _time(spec.get("renewTime")),
        spec.get("leaseDurationSeconds") or 0,
        spec.get("leaseTransitions") or 0,
        body.get("metadata") or {},
    )


def _body(lease: LeaseRecord, metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": dict(metadata),
        "spec": {
            "holderIdentity": lease.holder or None,
            "acquireTime": _text(lease.acquired),
            "renewTime": _text(lease.renewed),
            "leaseDurationSeconds": max(1, math.ceil(lease.duration)),
            "leaseTransitions": lease.transitions,
        },
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _text(time: datetime | None) -> str | None:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if time else None
