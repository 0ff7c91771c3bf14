"""Leases on the Kubernetes API: the three calls that holding one takes, and what their failures mean."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol

from cleanup_job.cluster.connection import CONFLICT, FORBIDDEN, NOT_FOUND, CallError, NoClusterError, connect
from cleanup_job.cluster.lease_record import LeaseRecord, as_body, as_record
from cleanup_job.errors import CleanupError, SettingsError, UnreachableError

Verb = Literal["get", "create", "update"]
_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by")
_HELM = "meta.helm.sh/"
"""Begins the annotations by which Helm knows the objects of a release: with them it adopts one that it did not create."""


class LeaseChangedError(Exception):
    """The Lease was created, changed or deleted by another client since it was read."""


class RefusedError(SettingsError):
    """Kubernetes refuses the account. An API server that has just started does so too, until it has read accounts and Roles."""


class ForbiddenError(RefusedError):
    """Kubernetes knows the account, and does not allow the call."""


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
        """Create the Lease, if it does not exist, with the labels of the CronJob that has the same name, and as its own.

        The chart gives both the same name, so the Lease is deleted with the release. Without such a CronJob, or the right to
        read it, the Lease stays until someone deletes it.
        """
        metadata = {"name": name, **self._belongs_to(namespace, name)}
        self._write("create", namespace, name, replace(lease, metadata=metadata))

    def replace(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Write the Lease, if it has not changed since `lease.metadata` was read."""
        self._write("update", namespace, name, lease)

    def _belongs_to(self, namespace: str, name: str) -> Mapping[str, Any]:
        try:
            cronjob = self._cluster.call("BatchV1Api", "read_namespaced_cron_job", name, namespace)["metadata"]
        except CallError as error:
            if error.refused or error.status == NOT_FOUND:
                return {"labels": {"app.kubernetes.io/name": "clearml-cleanup"}}
            raise _failure(error, "create", namespace, name) from error
        labels, annotations = (cronjob.get(kind) or {} for kind in ("labels", "annotations"))
        return {
            "labels": {label: labels[label] for label in _LABELS if label in labels},
            "annotations": {key: text for key, text in annotations.items() if key.startswith(_HELM)},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cronjob["uid"]}],
        }

    def _write(self, verb: Verb, namespace: str, name: str, lease: LeaseRecord) -> None:
        try:
            if verb == "create":
                self._cluster.call("CoordinationV1Api", "create_namespaced_lease", namespace, as_body(lease))
            else:
                self._cluster.call("CoordinationV1Api", "replace_namespaced_lease", name, namespace, as_body(lease))
        except CallError as error:
            if error.status == CONFLICT or (error.status == NOT_FOUND and verb == "update"):
                raise LeaseChangedError from error
            raise _failure(error, verb, namespace, name) from error


def _failure(error: CallError, verb: Verb, namespace: str, name: str) -> CleanupError:
    lease = f"the Lease {name} (CLEANUP_LEASE) in namespace {namespace}"
    kind = ForbiddenError if error.status == FORBIDDEN else RefusedError
    if error.refused and verb == "create":
        return kind(
            f"There is no Lease {name} (CLEANUP_LEASE) in namespace {namespace}, and Kubernetes does not allow this account "
            f"to create it: {error}. `helm upgrade` creates it. Argo CD leaves Leases out of what it applies, unless its "
            "resource.exclusions are changed: set the chart's value lease.create=true, and passes create it. Or create it: "
            f"{way_to_create(namespace, name)}"
        )
    if error.refused:
        return kind(
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


def way_to_create(namespace: str, name: str) -> str:
    """The command with which people create a Lease."""
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": namespace}}
    return f"kubectl create --filename - <<< '{json.dumps(lease)}'"
