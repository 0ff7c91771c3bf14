"""Leases on the Kubernetes API: the three calls that holding one takes, and what their failures mean."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from cleanup_job.cluster.connection import CONFLICT, NOT_FOUND, CallError, NoClusterError, connect
from cleanup_job.errors import CleanupError, SettingsError, UnreachableError

Verb = Literal["get", "create", "update"]


class LeaseChangedError(Exception):
    """The Lease was created, changed or deleted by another client since it was read."""


@dataclass(frozen=True)
class LeaseRecord:
    """A Lease as the server has it; a `holder` of "" means that it is free."""

    holder: str
    acquired: datetime | None
    renewed: datetime | None
    duration: float
    transitions: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """As it was read. Its `resourceVersion` makes `replace` fail if another client was faster."""

    def expired(self, now: datetime) -> bool:
        """Whether the holder did not renew it in time."""
        # Without times it was written by hand, to keep passes from running.
        if self.renewed is None or not self.duration:
            return False
        return now > self.renewed + timedelta(seconds=self.duration)


class LeaseApi(Protocol):
    """What `LeaseGuard` needs of the API server; `create` and `replace` raise `LeaseChangedError`."""

    @property
    def namespace(self) -> str:
        """The namespace of this pod or context."""

    def get(self, namespace: str, name: str) -> LeaseRecord | None:
        """Read the Lease; None if it does not exist."""

    def create(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Create the Lease, if it does not exist."""

    def replace(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Write the Lease, if it has not changed since `lease.metadata` was read."""


class KubernetesLeases:
    """`LeaseApi` on the cluster that `connect` finds."""

    def __init__(self, timeout: float) -> None:
        """Find the cluster; a request without an answer fails after `timeout` seconds."""
        try:
            self._cluster = connect(timeout)
        except NoClusterError as error:
            raise SettingsError(
                f"CLEANUP_LEASE is set, but no cluster was found: {error} In a pod, mount the service account's token "
                "(automountServiceAccountToken); elsewhere, set KUBECONFIG; or unset CLEANUP_LEASE to run without a lease."
            ) from error
        self.namespace = self._cluster.namespace

    def get(self, namespace: str, name: str) -> LeaseRecord | None:
        """Read the Lease; None if it does not exist."""
        try:
            return as_record(self._cluster.call("CoordinationV1Api", "read_namespaced_lease", name, namespace))
        except CallError as error:
            if error.status == NOT_FOUND:
                return None
            raise _failure(error, "get", namespace, name) from error

    def create(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Create the Lease, if it does not exist."""
        self._write("create", namespace, name, lease, {"name": name})

    def replace(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Write the Lease, if it has not changed since `lease.metadata` was read."""
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
            f"There is no Lease {name} (CLEANUP_LEASE) in namespace {namespace}, and Kubernetes does not allow this account "
            f"to create it: {error}. `helm upgrade` creates it; or allow create on leases of coordination.k8s.io there."
        )
    if error.refused:
        return SettingsError(
            f"Kubernetes does not allow this account to {verb} {lease}: {error}. Bind it to a Role that allows get and "
            "update on this lease of coordination.k8s.io, as the Helm chart does; or unset CLEANUP_LEASE to run without one."
        )
    if error.status == NOT_FOUND:
        return SettingsError(f"Can't {verb} {lease}: {error}. Set CLEANUP_LEASE_NAMESPACE to a namespace that exists.")
    if not error.passing:
        return SettingsError(f"Kubernetes refused to {verb} {lease}: {error}. Check CLEANUP_LEASE.")
    return UnreachableError(
        f"The Kubernetes API gave no usable answer when asked to {verb} {lease}: {error}. Without it, "
        "other passes can't be ruled out; try again when it answers."
    )


def as_record(body: Mapping[str, Any]) -> LeaseRecord:
    """The record in a Lease's document."""
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
