"""A Job's log as it is written, through retries and broken streams, until the Job has ended."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cleanup_job.cluster.connection import NOT_FOUND, CallError, Cluster, Document
from cleanup_job.cluster.cronjob import INDEX, JOB_NAME, by_age, container_of, ending, explained, state_of
from cleanup_job.errors import SettingsError
from cleanup_job.exit_codes import ExitCode

_PAUSE = 1.0
_MISSES = 30
"""Calls in a row that may go unanswered, a pause apart."""
_QUIET = 10
"""Pauses after which a start that just takes long is told of."""
_STARTING = {"ContainerCreating", "PodInitializing"}
UNKNOWN = ExitCode.UNEXPECTED
"""The exit code where none is known: the pod never ran, or is gone."""

_STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d) (.*)", re.DOTALL)
_Stamp = tuple[datetime, str]


class _Place:
    """How far a log was read, by Kubernetes' time of each line: what stands before may be gone when it is read anew."""

    def __init__(self) -> None:
        self._last: _Stamp | None = None
        self._at_last = 0
        self._again = 0
        self._behind = False

    def anew(self) -> None:
        """The log is read from its beginning."""
        self._behind, self._again = self._last is not None, 0

    def is_new(self, stamp: _Stamp) -> bool:
        """Whether the line that comes now was not read before."""
        if self._behind and self._last is not None:
            if stamp < self._last:
                return False
            if stamp == self._last and self._again < self._at_last:
                self._again += 1
                return False
        self._behind = False
        self._at_last = self._at_last + 1 if stamp == self._last else 1
        self._last = stamp
        return True


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
        """Follow until the Job has ended; gives the exit code of the last pod that ran, of several shards the highest.

        Raises:
            CleanupError: the Job or its pods may not be read, or it is gone.
        """
        codes: dict[str, int] = {}
        followed: set[str] = set()
        quiet = 0
        while True:
            job = self._job()
            ended = ending(job)  # before the pods are listed: then no pod can be missed
            container = container_of(job["spec"]["template"])["name"]
            pods = [pod for pod in self._pods() if pod["metadata"]["name"] not in followed]
            told = len(self._told)
            for pod in pods:
                name = pod["metadata"]["name"]
                if _started(pod, container):
                    index = pod["metadata"].get("labels", {}).get(INDEX, "")
                    if index in codes:
                        self.tell(f"the Job tries again: pod {name}")
                    elif index:
                        self.tell(f"shard {index}: pod {name}")
                    followed.add(name)
                    codes[index] = self._follow(name, container)
                    quiet = 0
                else:
                    self._explain(pod)
            if ended:
                if ended["type"] == "Failed":
                    self._once(f"Job {self.job} failed: {ended.get('reason')}: {ended.get('message')}")
                return max(codes.values(), default=UNKNOWN)
            if not pods:
                self._explain_none(job)
            quiet = quiet + 1 if told == len(self._told) else 0
            if quiet == _QUIET:
                self._once(f"still waiting for {'pod ' + pods[0]['metadata']['name'] if pods else 'a pod'} to start")
            self.sleep(_PAUSE)

    def _follow(self, pod: str, container: str) -> int:
        """Write one pod's log; gives its exit code."""
        place = _Place()
        misses = 0
        while True:
            cut = self._read(pod, container, place)
            found = self._ask("CoreV1Api", "read_namespaced_pod", pod, resource="pods")
            if found is None:
                self.tell(f"pod {pod} is gone")
                return UNKNOWN
            state = state_of(found, container)
            over = "terminated" in state or found["status"].get("phase") in {"Succeeded", "Failed"}
            misses = misses + 1 if over and cut else 0
            if over and (not cut or misses > _MISSES):  # else its last lines are still to be read
                if cut:
                    self.tell(f"the end of the log of pod {pod} could not be read")
                return int(state["terminated"]["exitCode"]) if "terminated" in state else UNKNOWN
            self.sleep(_PAUSE)

    def _read(self, pod: str, container: str, place: _Place) -> bool:
        """Write what is new until the stream ends; gives whether it was cut."""
        place.anew()
        options = {"container": container, "follow": True, "timestamps": True}
        try:
            for line in self.cluster.lines("CoreV1Api", "read_namespaced_pod_log", pod, self.namespace, **options):
                stamped = _STAMPED.fullmatch(line)
                if stamped is None:
                    self._once(line)  # the node's own words, such as that the log is gone
                elif place.is_new((datetime.fromisoformat(stamped[1] + stamped[3]), (stamped[2] or "").ljust(9, "0"))):
                    self.write(stamped[4])
        except CallError as error:
            if error.refused:
                raise explained(error, "get", "pods/log", self.namespace) from error
            if not error.passing and error.status != NOT_FOUND:
                self._once(f"the log of pod {pod} can't be read: {error}")
            return error.passing
        return False

    # -- what stands in the way
    def _explain(self, pod: Document) -> None:
        """Why a pod does not start."""
        name, status = pod["metadata"]["name"], pod.get("status", {})
        found = []
        if status.get("phase") == "Failed":
            found.append(f"pod {name} failed before it started: {status.get('reason')}: {status.get('message')}")
        found += [
            f"pod {name} can't be scheduled: {entry.get('message')}"
            for entry in status.get("conditions") or []
            if entry["type"] == "PodScheduled" and entry["status"] == "False"
        ]
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in {None, *_STARTING}:
                found.append(f"pod {name} does not start: {waiting['reason']}: {waiting.get('message')}")
        if not found:  # such as a Secret to mount that is not there: it shows nowhere else
            events = self._events(f"involvedObject.name={name},type=Warning")
            found = [f"pod {name}: {entry.get('reason')}: {entry.get('message')}" for entry in events]
        for text in found:
            self._once(text)

    def _explain_none(self, job: Document) -> None:
        """Why there is no pod."""
        if job["spec"].get("suspend"):
            self._once(f"Job {self.job} is suspended (spec.suspend): it makes no pod")
        for entry in self._events(f"involvedObject.name={self.job},reason=FailedCreate"):
            self._once(f"Job {self.job} has no pod: {entry.get('message')}")

    def _events(self, selector: str) -> list[Document]:
        try:
            found = self.cluster.call("CoreV1Api", "list_namespaced_event", self.namespace, field_selector=selector)
        except CallError:
            return []  # a courtesy, which may take a right that the user has not
        events: list[Document] = found["items"]
        return events

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
        selector = f"{JOB_NAME}={self.job}"
        found = self._ask("CoreV1Api", "list_namespaced_pod", resource="pods", verb="list", label_selector=selector)
        return by_age((found or {}).get("items") or [])

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
                if not error.passing or misses > _MISSES:
                    raise explained(error, verb, resource, self.namespace) from error
            self.sleep(_PAUSE)


def _started(pod: Document, container: str) -> bool:
    return bool({"running", "terminated"} & set(state_of(pod, container)))
