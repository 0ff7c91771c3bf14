"""The connection to the Kubernetes API: calls that take and give JSON, and what their failures mean.

`kubernetes` is imported in functions only: a run without a cluster does not need the package or the time to import it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cleanup_job.transport.connection_errors import failure_reason

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
UNKNOWN_USER, FORBIDDEN, NOT_FOUND, CONFLICT = 401, 403, 404, 409
_SILENCE = 60.0
"""Seconds without a byte after which a stream counts as cut: a broken connection says nothing."""

Document = dict[str, Any]


class NoClusterError(Exception):
    """There is no usable kubeconfig, and this is not a pod with a token."""


class CallError(Exception):
    """A call that failed. ``status`` is that of HTTP, or 0 if there was no answer; ``str()`` is the server's message."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status

    @property
    def refused(self) -> bool:
        """Whether the account is unknown to the cluster, or lacks a right."""
        return self.status in {UNKNOWN_USER, FORBIDDEN}

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status in {0, 408, 429} or self.status >= 500  # noqa: PLR2004 -- HTTP's server errors


@dataclass(frozen=True)
class Cluster:
    """A cluster, and the namespace to work in."""

    client: Any
    namespace: str
    """The namespace of the pod, or of the kubeconfig's context."""
    timeout: float
    """Seconds after which a request without an answer fails."""

    def call(self, api: str, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of one of the package's APIs, such as `CoreV1Api`.

        It takes and gives JSON in place of the package's models, whose way to write and check times changes between versions.

        Raises:
            CallError: the API server refused, or did not answer.
        """
        with _failures():
            return json.loads(self._response(api, method, *arguments, _request_timeout=self.timeout, **options).data)

    def lines(self, api: str, method: str, *arguments: Any, **options: Any) -> Iterator[str]:
        """Call a method that streams text; gives its lines until the server ends the stream.

        Raises:
            CallError: the API server refused, or the stream was cut.
        """
        with _failures():
            response = self._response(api, method, *arguments, _request_timeout=(self.timeout, _SILENCE), **options)
            try:
                rest = b""
                for chunk in response.stream(amt=None, decode_content=False):
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
                if rest:
                    yield rest.decode(errors="replace")
            finally:
                response.close()

    def _response(self, api: str, method: str, *arguments: Any, **options: Any) -> Any:
        from kubernetes import client  # noqa: PLC0415 -- see the module

        package: Any = client  # it has no types for most of its modules
        return getattr(getattr(package, api)(self.client), method)(*arguments, _preload_content=False, **options)


@contextmanager
def _failures() -> Iterator[None]:
    from kubernetes.client import ApiException  # noqa: PLC0415 -- see the module
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 -- what `kubernetes` lets through

    try:
        yield
    except ApiException as error:
        raise CallError(error.status or 0, _said(error)) from error
    except HTTPError as error:
        raise CallError(0, failure_reason(error)) from error
    except ValueError as error:
        raise CallError(0, str(error)) from error


def _said(error: Any) -> str:
    """The API server's message: that of its Status document, if it sent one."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def connect(timeout: float, context: str | None = None) -> Cluster:
    """Find the cluster of KUBECONFIG, or else the one this pod runs in, or else the one of ~/.kube/config; sends no request.

    A kubeconfig's cluster is reached through the proxy of the environment, if there is one, the one this pod runs in directly.

    Raises:
        NoClusterError: there is none, or its configuration can't be used.
    """
    try:
        import kubernetes  # noqa: PLC0415 -- see the module
    except ModuleNotFoundError as missing:
        raise NoClusterError(f"the Python package `kubernetes` is not installed ({missing}).") from missing
    package: Any = kubernetes  # it has no types for most of its modules
    configuration = package.client.Configuration()
    configuration.retries = False  # the caller retries, and knows for how long it may
    kubeconfig = os.environ.get("KUBECONFIG") or None
    namespace = None
    try:
        if kubeconfig is None and context is None and POD_NAMESPACE.exists():
            package.config.load_incluster_config(configuration)
            # Variables such as HTTPS_PROXY are there for ClearML and stores, which may be outside; the API server is not, and
            # its address is rarely in NO_PROXY.
            configuration.proxy = None
            namespace = POD_NAMESPACE.read_text(encoding="utf-8").strip()
        else:
            package.config.load_kube_config(
                kubeconfig, context=context, client_configuration=configuration, persist_config=False
            )
            namespace = _namespace(package, kubeconfig, context)
    except Exception as error:  # of any kind: the file can hold anything
        raise NoClusterError(str(error)) from error
    return Cluster(package.client.ApiClient(configuration), namespace or "default", timeout)


def _namespace(package: Any, kubeconfig: str | None, context: str | None) -> str | None:
    """The namespace of a context. The package's own list of contexts fails where none is the current one."""
    merged = package.config.kube_config.KubeConfigMerger(kubeconfig or package.config.KUBE_CONFIG_DEFAULT_LOCATION).config
    chosen = merged["contexts"].get_with_name(context or merged["current-context"])["context"]
    namespace: str | None = chosen.safe_get("namespace")
    return namespace
