"""Prints the log of a Job as it is written, through retries and broken streams, until the Job has ended."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cleanup_job.cluster import obstacles
from cleanup_job.cluster.connection import NOT_FOUND, CallError, Cluster, Document
from cleanup_job.cluster.cronjob import INDEX, JOB_NAME, by_age, container_of, ending, explained, state_of
from cleanup_job.cluster.obstacles import Obstacle
from cleanup_job.cluster.pod_ends import pod_end
from cleanup_job.cluster.retrying import until_answered
from cleanup_job.errors import SettingsError
from cleanup_job.exit_codes import ExitCode

_PAUSE = 1.0
_MISSES = 30
"""Calls in a row that may go unanswered, a pause apart."""
_QUIET = 10
"""Pauses after which a start that just takes long is reported."""
UNKNOWN = ExitCode.UNEXPECTED
"""The exit code where none is known: the pod never ran, or was deleted."""

_STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d) (.*)", re.DOTALL)
_Stamp = tuple[datetime, str]


class _Place:
    """How far a log was read, by Kubernetes' time of each line: the lines before may be gone when it is read again."""

    def __init__(self) -> None:
        self._last: _Stamp | None = None
        self._at_last = 0
        self._again = 0
        self._behind = False

    def from_the_start(self) -> None:
        """The log is read from its start again."""
        self._behind, self._again = self._last is not None, 0

    def is_new(self, stamp: _Stamp) -> bool:
        """Whether this line was not read before."""
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
    """Follows one Job: ``write`` gets the lines of its log, ``notify`` everything else that the user should know."""

    cluster: Cluster
    namespace: str
    job: str
    write: Callable[[str], None]
    notify: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    _said: set[str] = field(default_factory=set)
    _followed: set[str] = field(default_factory=set)
    _codes: dict[str, int] = field(default_factory=dict)
    """The exit code of each shard's last pod; a pass without shards has one entry."""

    def run(self) -> int:
        """Follow until the Job has ended; gives the exit code of the last pod that ran, of several shards the highest.

        Raises:
            CleanupError: the Job or its pods can't be read, or the Job was deleted.
        """
        quiet = 0
        while True:
            job = self._job()
            ended = ending(job)  # before the pods are listed: then no pod can be missed
            pods = [pod for pod in self._pods() if pod["metadata"]["name"] not in self._followed]
            said = len(self._said)
            followed = [self._attend(pod, container_of(job["spec"]["template"])["name"]) for pod in pods]
            if ended:
                return self._ended(ended)
            if not pods:
                self._explain_none(job)
            quiet = 0 if any(followed) or len(self._said) > said else quiet + 1
            if quiet == _QUIET:
                self._once(f"still waiting for {'pod ' + pods[0]['metadata']['name'] if pods else 'a pod'} to start")
            self.sleep(_PAUSE)

    def _attend(self, pod: Document, container: str) -> bool:
        """Follow a pod whose container has started, or say why it hasn't; gives whether it had started."""
        name = pod["metadata"]["name"]
        if not _started(pod, container):
            self._explain(pod)
            return False
        shard = pod["metadata"].get("labels", {}).get(INDEX, "")
        if shard in self._codes:
            self.notify(f"the Job tries again: pod {name}")
        elif shard:
            self.notify(f"shard {shard}: pod {name}")
        self._followed.add(name)
        self._codes[shard] = self._follow(name, container)
        return True

    def _ended(self, condition: Document) -> int:
        if condition["type"] == "Failed":
            self._once(f"Job {self.job} failed: {condition.get('reason')}: {condition.get('message')}")
        return max(self._codes.values(), default=UNKNOWN)

    def _follow(self, pod: str, container: str) -> int:
        """Write one pod's log; gives its exit code."""
        place = _Place()
        misses = 0
        while True:
            cut = self._read(pod, container, place)
            found = self._ask("CoreV1Api", "read_namespaced_pod", pod, resource="pods")
            if found is None:
                self.notify(f"pod {pod} was deleted")
                return UNKNOWN
            state = state_of(found, container)
            over = "terminated" in state or found["status"].get("phase") in {"Succeeded", "Failed"}
            misses = misses + 1 if over and cut else 0
            if over and (not cut or misses > _MISSES):  # otherwise its last lines are still to be read
                if cut:
                    self.notify(f"the end of the log of pod {pod} could not be read")
                if cause := pod_end(found).cause:
                    self.notify(f"pod {pod} was {cause.text}")
                return int(state["terminated"]["exitCode"]) if "terminated" in state else UNKNOWN
            self.sleep(_PAUSE)

    def _read(self, pod: str, container: str, place: _Place) -> bool:
        """Write what is new until the stream ends; gives whether the stream was cut."""
        place.from_the_start()
        options = {"container": container, "follow": True, "timestamps": True}
        try:
            for line in self.cluster.lines("CoreV1Api", "read_namespaced_pod_log", pod, self.namespace, **options):
                stamped = _STAMPED.fullmatch(line)
                if stamped is None:
                    self._once(line)  # a message of the node, such as that the log is gone
                elif place.is_new((datetime.fromisoformat(stamped[1] + stamped[3]), (stamped[2] or "").ljust(9, "0"))):
                    self.write(stamped[4])
        except CallError as error:
            if error.refused:
                raise explained(error, "get", "pods/log", self.namespace) from error
            if not error.passing and error.status != NOT_FOUND:
                self._once(f"the log of pod {pod} can't be read: {error}")
            return error.passing
        return False

    # -- why nothing happens
    def _explain(self, pod: Document) -> None:
        """Why a pod does not start."""
        found = obstacles.of_pod(pod, self.job)
        if not found:  # such as a Secret to mount that doesn't exist: only events say so
            events = self._events(f"involvedObject.name={pod['metadata']['name']},type=Warning")
            found = obstacles.of_warnings(pod, self.job, events)
        self._say_once(found)

    def _explain_none(self, job: Document) -> None:
        """Why there is no pod."""
        events = self._events(f"involvedObject.name={self.job},reason=FailedCreate")
        self._say_once(obstacles.of_job(job, self.job, events))

    def _say_once(self, found: Iterable[Obstacle]) -> None:
        for entry in found:
            self._once(entry.text, entry.cause)

    def _events(self, selector: str) -> list[Document]:
        try:
            found = self.cluster.call("CoreV1Api", "list_namespaced_event", self.namespace, field_selector=selector)
        except CallError:
            return []  # only a help, and the user may lack the right to list events
        events: list[Document] = found["items"]
        return events

    def _once(self, text: str, cause: str = "") -> None:
        """Say it, unless it was said before: the same text, or another one for the same cause."""
        if (cause or text) not in self._said:
            self._said.add(cause or text)
            self.notify(text)

    # -- calls
    def _job(self) -> Document:
        found = self._ask("BatchV1Api", "read_namespaced_job", self.job, resource="jobs.batch")
        if found is None:
            raise SettingsError(f"Job {self.job} in namespace {self.namespace} was deleted before it ended.")
        return found

    def _pods(self) -> list[Document]:
        selector = f"{JOB_NAME}={self.job}"
        found = self._ask("CoreV1Api", "list_namespaced_pod", resource="pods", verb="list", label_selector=selector)
        return by_age((found or {}).get("items") or [])

    def _ask(self, api: str, method: str, *name: str, resource: str, verb: str = "get", **options: Any) -> Document | None:
        """The answer, waited for while the API is away for a moment; None where there is no such object."""

        def ask() -> Document:
            return dict(self.cluster.call(api, method, *name, self.namespace, **options))

        try:
            return until_answered(ask, may_pass, [_PAUSE] * _MISSES, self.sleep)
        except CallError as error:
            if error.status == NOT_FOUND:
                return None
            raise explained(error, verb, resource, self.namespace) from error


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(error, CallError) and error.passing


def _started(pod: Document, container: str) -> bool:
    return bool({"running", "terminated"} & set(state_of(pod, container)))
