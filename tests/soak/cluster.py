"""One release on a cluster, asked for patiently: the API server is restarted in between."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import kubernetes as typed_kubernetes
from urllib3.exceptions import HTTPError

from tests.e2e.release import CHART, Release, command

kubernetes: Any = typed_kubernetes  # half of it has no types
ApiException: Any = kubernetes.client.ApiException

T = TypeVar("T")

JOBS_PODS = "app.kubernetes.io/component=job"
PATIENCE = 120.0
"""Seconds for which the API server may be away."""
HISTORY = 3
"""The chart's successfulJobsHistoryLimit, and failedJobsHistoryLimit."""


def patiently(call: Callable[[], T]) -> T:
    """Ask until the API server answers, even while it starts: then it may refuse what it will allow."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except (HTTPError, ApiException) as error:
            passing = not isinstance(error, ApiException) or error.status in {0, 401, 403, 429} or error.status >= 500
            if not passing or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


class Cluster:
    """The API, for one namespace."""

    def __init__(self, client: Any, namespace: str) -> None:
        self.release = Release(namespace)
        self.namespace = namespace
        self._api = client
        self._core = kubernetes.client.CoreV1Api(client)
        self._batch = kubernetes.client.BatchV1Api(client)
        self._leases = kubernetes.client.CoordinationV1Api(client)

    def is_ready(self) -> bool:
        """Whether the API server says so."""
        return command("kubectl", "get", "--raw", "/readyz", "--request-timeout", "2s", check=False).returncode == 0

    # -- passes
    def pods(self) -> list[Any]:
        """All pods of passes."""
        return list(patiently(lambda: self._core.list_namespaced_pod(self.namespace, label_selector=JOBS_PODS).items))

    def log(self, pod: str) -> str:
        """What a pod has written so far; empty if it is gone."""
        with suppress(ApiException):
            # As bytes: the client would take a log of one JSON line for a document.
            answer = patiently(lambda: self._core.read_namespaced_pod_log(pod, self.namespace, _preload_content=False))
            return str(answer.data.decode(errors="replace"))
        return ""

    def delete_pod(self, pod: str) -> None:
        """Delete it with grace 0, if it is still there."""
        self._if_there(lambda: self._core.delete_namespaced_pod(pod, self.namespace, grace_period_seconds=0))

    def evict(self, pod: str) -> None:
        """Evict it as `kubectl drain` does, if it is still there."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.namespace}}
        self._if_there(lambda: self._core.create_namespaced_pod_eviction(pod, self.namespace, body))

    def jobs(self) -> dict[str, bool]:
        """The Jobs that are there, and whether each has ended."""
        found = patiently(lambda: self._batch.list_namespaced_job(self.namespace)).items
        ends = {"Complete", "Failed"}
        return {
            job.metadata.name: any(one.type in ends and one.status == "True" for one in job.status.conditions or ())
            for job in found
        }

    def start(self, job: str) -> None:
        """Start a manual pass, as `kubectl create job --from` does."""
        cronjob = patiently(lambda: self._batch.read_namespaced_cron_job(self.release.name, self.namespace))
        template = self._api.sanitize_for_serialization(cronjob.spec.job_template)
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": cronjob.metadata.name, "uid": cronjob.metadata.uid}
        metadata = template.get("metadata", {})
        body = {
            "metadata": metadata
            | {
                "name": job,
                "annotations": metadata.get("annotations", {}) | {"cronjob.kubernetes.io/instantiate": "manual"},
                "ownerReferences": [owner | {"controller": True}],
            },
            "spec": template["spec"],
        }
        patiently(lambda: self._batch.create_namespaced_job(self.namespace, body))

    # -- Leases
    def leases(self) -> dict[str, str]:
        """Who holds each; empty where it is free."""
        found = patiently(lambda: self._leases.list_namespaced_lease(self.namespace)).items
        return {lease.metadata.name: (lease.spec and lease.spec.holder_identity) or "" for lease in found}

    def change_lease(self, name: str, **spec: str) -> None:
        """Overwrite parts of it, if it is still there."""
        self._if_there(lambda: self._leases.patch_namespaced_lease(name, self.namespace, {"spec": spec}))

    def delete_lease(self, name: str) -> Callable[[], None]:
        """Delete it; gives what makes it again, free, as the chart did."""
        lease = patiently(lambda: self._leases.read_namespaced_lease(name, self.namespace))
        metadata = {"name": name, "labels": lease.metadata.labels, "annotations": lease.metadata.annotations}
        self._if_there(lambda: self._leases.delete_namespaced_lease(name, self.namespace))

        def put_back() -> None:
            with suppress(ApiException):  # an upgrade has made it already
                patiently(lambda: self._leases.create_namespaced_lease(self.namespace, {"metadata": metadata}))

        return put_back

    # -- the release
    def upgrade(self, *settings: str) -> None:
        """Change some of its values."""
        sets = [word for setting in settings for word in ("--set", setting)]
        self.release.helm("upgrade", self.release.name, str(CHART), "--reuse-values", *sets)

    def own_events(self) -> int:
        """Number of Event objects that passes have left."""
        found = patiently(lambda: self._core.list_namespaced_event(self.namespace)).items
        return sum(event.source is not None and event.source.component == "clearml-cleanup" for event in found)

    @staticmethod
    def _if_there(call: Callable[[], object]) -> None:
        try:
            patiently(call)
        except ApiException as error:
            if error.status != 404:
                raise


@contextmanager
def new_cluster(kubeconfig: Path) -> Iterator[Cluster]:
    """A namespace of its own, with the strictest of the Pod Security Standards; it is deleted in the end."""
    with kubernetes.config.new_client_from_config(str(kubeconfig), persist_config=False) as client:
        name = f"clearml-cleanup-soak-{uuid.uuid4().hex[:8]}"
        core = kubernetes.client.CoreV1Api(client)
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        patiently(lambda: core.create_namespace({"metadata": {"name": name, "labels": labels}}))
        try:
            yield Cluster(client, name)
        finally:
            patiently(lambda: core.delete_namespace(name, grace_period_seconds=0))
