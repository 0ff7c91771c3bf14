"""A Job's log as it is written, through retries and broken streams, until the Job has ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cleanup_job.cluster.connection import NOT_FOUND, PASSING, CallError, Cluster, Document
from cleanup_job.cluster.cronjob import container_of, explained
from cleanup_job.errors import SettingsError

_PAUSE = 1.0
_MISSES = 30
"""Calls in a row that may go unanswered, a pause apart."""
_STARTING = {"ContainerCreating", "PodInitializing"}
UNKNOWN = 1
"""The exit code where none is known: the pod never ran, or is gone."""


@dataclass
class Follower:
    """Follows one Job: ``write`` gets the lines of its log, ``tell`` what else there is to say."""

    cluster: Cluster
    namespace: str
    job: str
    write: Callable[[str], None]
    tell: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    _told: set[str] = field(default_factory=set)

    def run(self) -> int:
        """Follow until the Job has ended; gives the exit code of the last pod that ran.

        Raises:
            CleanupError: the Job or its pods may not be read, or it is gone.
        """
        code = UNKNOWN
        followed: set[str] = set()
        while True:
            job = self._job()
            ended = _end(job)  # before the pods are listed: then no pod can be missed
            container = container_of(job["spec"]["template"])["name"]
            pods = [pod for pod in self._pods() if pod["metadata"]["name"] not in followed]
            for pod in pods:
                name = pod["metadata"]["name"]
                if _started(pod, container):
                    if followed:
                        self.tell(f"the Job tries again: pod {name}")
                    followed.add(name)
                    code = self._follow(name, container)
                else:
                    self._explain(pod)
            if ended:
                if ended["type"] == "Failed":
                    self._once(f"Job {self.job} failed: {ended.get('reason')}: {ended.get('message')}")
                return code
            if not pods:
                self._explain_none()
            self.sleep(_PAUSE)

    def _follow(self, pod: str, container: str) -> int:
        """Write one pod's log; gives its exit code."""
        written = 0
        while True:
            seen = 0
            try:
                arguments = (pod, self.namespace)
                for line in self.cluster.lines(
                    "CoreV1Api", "read_namespaced_pod_log", *arguments, container=container, follow=True
                ):
                    seen += 1
                    if seen > written:  # else the stream was cut, and starts anew
                        self.write(line)
            except CallError as error:
                if error.status and error.status != NOT_FOUND and error.status not in PASSING:
                    raise explained(error, "get", "pods/log", self.namespace) from error
            written = max(written, seen)
            found = self._ask("CoreV1Api", "read_namespaced_pod", pod, resource="pods")
            if found is None:
                self.tell(f"pod {pod} is gone")
                return UNKNOWN
            state = _state(found, container)
            if "terminated" in state:
                return int(state["terminated"]["exitCode"])
            if found["status"].get("phase") in {"Succeeded", "Failed"}:
                return UNKNOWN
            self.sleep(_PAUSE)

    # -- what stands in the way
    def _explain(self, pod: Document) -> None:
        """Why a pod does not start."""
        name, status = pod["metadata"]["name"], pod.get("status", {})
        for entry in status.get("conditions") or []:
            if entry["type"] == "PodScheduled" and entry["status"] == "False":
                self._once(f"pod {name} can't be scheduled: {entry.get('message')}")
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in {None, *_STARTING}:
                self._once(f"pod {name} does not start: {waiting['reason']}: {waiting.get('message')}")

    def _explain_none(self) -> None:
        """Why there is no pod."""
        selector = f"involvedObject.name={self.job},reason=FailedCreate"
        try:
            found = self.cluster.call("CoreV1Api", "list_namespaced_event", self.namespace, field_selector=selector)
        except CallError:
            return  # a courtesy, which may take a right that the user has not
        for entry in found["items"]:
            self._once(f"Job {self.job} has no pod: {entry.get('message')}")

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.tell(text)

    # -- calls
    def _job(self) -> Document:
        found = self._ask("BatchV1Api", "read_namespaced_job", self.job, resource="jobs.batch")
        if found is None:
            raise SettingsError(f"Job {self.job} in namespace {self.namespace} is gone: somebody deleted it.")
        return found

    def _pods(self) -> list[Document]:
        selector = f"batch.kubernetes.io/job-name={self.job}"
        found = self._ask("CoreV1Api", "list_namespaced_pod", resource="pods", verb="list", label_selector=selector)
        pods: list[Document] = (found or {}).get("items") or []
        return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def _ask(self, api: str, method: str, *name: str, resource: str, verb: str = "get", **options: Any) -> Document | None:
        """A call that is tried again where the API is away for a moment; None where there is no such object."""
        misses = 0
        while True:
            try:
                return dict(self.cluster.call(api, method, *name, self.namespace, **options))
            except CallError as error:
                if error.status == NOT_FOUND:
                    return None
                misses += 1
                passing = not error.status or error.status in PASSING or error.status >= 500  # noqa: PLR2004 -- HTTP's own
                if not passing or misses > _MISSES:
                    raise explained(error, verb, resource, self.namespace) from error
            self.sleep(_PAUSE)


def _end(job: Document) -> Document | None:
    """The condition that says how the Job ended."""
    conditions = job.get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] in {"Complete", "Failed"} and entry["status"] == "True"), None)


def _state(pod: Document, container: str) -> Document:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return next((status.get("state") or {} for status in statuses if status["name"] == container), {})


def _started(pod: Document, container: str) -> bool:
    return bool({"running", "terminated"} & set(_state(pod, container)))
