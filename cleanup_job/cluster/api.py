"""Leases on the Kubernetes API: the three calls that the guard needs, and what their failures mean.

`kubernetes` is imported in functions only: a run without a lease does not pay for it, and needs no such package.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from cleanup_job.errors import CleanupError, SettingsError, UnreachableError

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_CONFLICT, _NOT_FOUND, _REFUSED = 409, 404, (401, 403)
_PASSING = (408, 429)

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
    """`LeaseApi` on the cluster of KUBECONFIG, else the one this pod runs in, else the one of ~/.kube/config."""

    def __init__(self, timeout: float) -> None:
        """Find the cluster; a request without an answer fails after `timeout` seconds."""
        self._api, self.namespace = _connect()
        self._timeout = timeout

    def get(self, namespace: str, name: str) -> LeaseRecord | None:
        """Read the Lease; None when there is none."""
        body = self._call("get", namespace, name)
        if body is None:
            return None
        spec = body.get("spec") or {}
        return LeaseRecord(
            spec.get("holderIdentity") or "",
            _time(spec.get("acquireTime")),
            _time(spec.get("renewTime")),
            spec.get("leaseDurationSeconds") or 0,
            spec.get("leaseTransitions") or 0,
            body.get("metadata") or {},
        )

    def create(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Make the Lease, if there is none."""
        self._call("create", namespace, name, _body(lease, {"name": name}))

    def replace(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        """Write the Lease, if nobody did since `lease.metadata` was read."""
        self._call("update", namespace, name, _body(lease, lease.metadata))

    def _call(self, verb: Verb, namespace: str, name: str, body: Any = None) -> Any:
        # JSON in and out, without the package's models: its way to write and check times changes between versions.
        from kubernetes.client import ApiException  # noqa: PLC0415 -- see the module
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 -- what `kubernetes` lets through

        options = {"_preload_content": False, "_request_timeout": self._timeout}
        try:
            if verb == "get":
                response = self._api.read_namespaced_lease(name, namespace, **options)
            elif verb == "create":
                response = self._api.create_namespaced_lease(namespace, body, **options)
            else:
                response = self._api.replace_namespaced_lease(name, namespace, body, **options)
            return json.loads(response.data)
        except ApiException as error:
            if error.status == _NOT_FOUND and verb == "get":
                return None
            if error.status == _CONFLICT or (error.status == _NOT_FOUND and verb == "update"):
                raise LeaseChangedError from error
            raise _failure(error.status or 0, _said(error), verb, namespace, name) from error
        except (HTTPError, ValueError) as error:
            raise _failure(0, str(error), verb, namespace, name) from error


def _failure(status: int, said: str, verb: Verb, namespace: str, name: str) -> CleanupError:
    lease = f"the Lease {name} (CLEANUP_LEASE) in namespace {namespace}"
    if status in _REFUSED:
        return SettingsError(
            f"Kubernetes does not allow this account to {verb} {lease}: {said}. Bind it to a Role that allows get, create and "
            "update on leases of coordination.k8s.io there, as the Helm chart does; or unset CLEANUP_LEASE to run unguarded."
        )
    if status == _NOT_FOUND:
        return SettingsError(f"Can't {verb} {lease}: {said}. Set CLEANUP_LEASE_NAMESPACE to a namespace that exists.")
    if 400 <= status < 500 and status not in _PASSING:  # noqa: PLR2004 -- HTTP's own
        return SettingsError(f"Kubernetes refused to {verb} {lease}: {said}. Check CLEANUP_LEASE.")
    return UnreachableError(
        f"The Kubernetes API gave no usable answer when asked to {verb} {lease}: {said}. Without it nothing can be said about "
        "other passes; try again when it answers."
    )


def _said(error: Any) -> str:
    """The API server's own words: the `message` of its Status document."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def _connect() -> tuple[Any, str]:
    """The API of leases, and the namespace of whoever asks."""
    try:
        import kubernetes  # noqa: PLC0415 -- see the module
    except ModuleNotFoundError as missing:
        raise SettingsError(
            f"CLEANUP_LEASE needs the Python package `kubernetes` ({missing}): install it, or unset CLEANUP_LEASE."
        ) from missing
    package: Any = kubernetes  # half of it has no types
    configuration = package.client.Configuration()
    configuration.retries = False  # the guard retries, and knows how long it may
    kubeconfig = os.environ.get("KUBECONFIG") or None
    namespace = None
    try:
        if kubeconfig is None and POD_NAMESPACE.exists():
            package.config.load_incluster_config(configuration)
            namespace = POD_NAMESPACE.read_text(encoding="utf-8").strip()
        else:
            package.config.load_kube_config(kubeconfig, client_configuration=configuration, persist_config=False)
            namespace = package.config.list_kube_config_contexts(kubeconfig)[1]["context"].get("namespace")
    except Exception as error:  # whatever stands in that file
        raise SettingsError(
            f"CLEANUP_LEASE is set, but there is no cluster to ask: {error} In a pod, mount the service account's token "
            "(automountServiceAccountToken); elsewhere, set KUBECONFIG; or unset CLEANUP_LEASE to run unguarded."
        ) from error
    return package.client.CoordinationV1Api(package.client.ApiClient(configuration)), namespace or "default"


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
