"""Passes before this one that Kubernetes ended: an event and a warning for what they could not say themselves.

Nothing is remembered from pass to pass. An end counts as told if another pod that tells has started after it, and the name of
its event is made of the pod's or the Job's uid, so that a second one is refused.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cleanup_job.cluster import k8s_events
from cleanup_job.cluster.connection import CallError, Cluster, Document, NoClusterError, connect
from cleanup_job.cluster.cronjob import JOB_NAME, by_age, container_of, ending
from cleanup_job.cluster.pod_ends import has_ended, job_cause, pod_end, shard_of
from cleanup_job.report import k8s_event
from cleanup_job.report.formatting import moment

LABEL = "app.kubernetes.io/component=job"
"""Selects Jobs and pods of passes; the chart gives both this label."""
_TIMEOUT = 2.0
"""Seconds for each call."""
_AT_MOST = 5.0
"""Seconds after which no further event is begun: a pass does not wait for it."""

_ODD = (LookupError, TypeError, ValueError, AttributeError)
"""What a document of an unexpected form raises: a help does not end a pass."""


class UntoldError(Exception):
    """Pods or Jobs could not be read. ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class Killed:
    """A pod or Job that was ended from outside."""

    uid: str
    job: str
    shard: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class _Start:
    """When a pod started, which told of what it found."""

    job: str
    shard: int
    at: datetime


def tell(cronjob: str, namespace: str | None, host: str, shard: int) -> list[str]:
    """Leave an event for each end that no other pass has told, as far as the account may; gives their texts.

    Args:
        cronjob: The CronJob that the passes belong to.
        namespace: Its namespace; None for the pod's own.
        host: The host name of this pod.
        shard: The number of this pod's shard.

    Raises:
        UntoldError: pods or Jobs could not be read.
    """
    began = time.monotonic()
    try:
        cluster = connect(_TIMEOUT)
        where = namespace or cluster.namespace
        jobs = _listed(cluster, "BatchV1Api", "list_namespaced_job", where)
        pods = _listed(cluster, "CoreV1Api", "list_namespaced_pod", where)
        found = untold([job for job in jobs if _belongs(job, cronjob)], pods, host, shard)
    except (NoClusterError, CallError, *_ODD) as error:
        raise UntoldError(f"it is not known how the passes before this one ended: {error}") from error
    return [entry.text for entry in found if _is_news(entry, cronjob, namespace, host, began)]


def _listed(cluster: Cluster, api: str, method: str, namespace: str) -> list[Document]:
    found: list[Document] = cluster.call(api, method, namespace, label_selector=LABEL)["items"]
    return found


def _belongs(job: Document, cronjob: str) -> bool:
    owners = job["metadata"].get("ownerReferences") or []
    return any(owner.get("kind") == "CronJob" and owner.get("name") == cronjob for owner in owners)


def _is_news(entry: Killed, cronjob: str, namespace: str | None, host: str, began: float) -> bool:
    """Leave the event; gives whether there was none for this end."""
    if time.monotonic() - began > _AT_MOST:
        return True  # the log has it
    event = k8s_event.of_killed(entry.text, host)
    fields = {"kind": event.type, "reason": event.reason, "message": event.message}
    try:
        return k8s_events.leave(cronjob, namespace, **fields, pod=host, name=f"{cronjob}.{entry.uid}")
    except k8s_events.EventError:
        return True  # this pass's own event fails in the same way, and that is a warning


def untold(jobs: list[Document], pods: list[Document], host: str, shard: int) -> list[Killed]:
    """The ends that are this pod's to tell, oldest first; ``jobs`` are those of its CronJob."""
    names = {str(job["metadata"]["name"]) for job in jobs}
    of_passes = [pod for pod in by_age(pods) if _job_of(pod) in names]
    me = next((pod for pod in of_passes[::-1] if _host(pod) == host), None)  # each try of a shard has the same host name
    others = [pod for pod in of_passes if pod is not me]
    own = _job_of(me) if me else ""
    starts = list(_starts(others, jobs, own))
    found = [*_killed_pods(others), *_killed_jobs(jobs, others)]
    return sorted((end for end in found if _tells(own, shard, end) and not _is_told(end, starts)), key=lambda end: end.at)


def _tells(job: str, shard: int, end: Killed) -> bool:
    """Whether a pod of this Job and shard tells of an end: of its own shard's earlier tries; the first shard, of other Jobs."""
    return shard == end.shard if job == end.job else shard == 0


def _is_told(end: Killed, starts: Iterable[_Start]) -> bool:
    return any(start.at > end.at and _tells(start.job, start.shard, end) for start in starts)


def _job_of(pod: Document) -> str:
    return str((pod["metadata"].get("labels") or {}).get(JOB_NAME) or "")


def _host(pod: Document) -> str:
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])


def _starts(pods: list[Document], jobs: list[Document], own: str) -> Iterator[_Start]:
    """When other passes started, by their pods; by the Job where it succeeded and its pods are gone."""
    for pod in pods:
        started = pod_end(pod).started
        if started:
            yield _Start(_job_of(pod), shard_of(pod), datetime.fromisoformat(started))
    for job in jobs:
        status, name = job.get("status") or {}, str(job["metadata"]["name"])
        if name != own and status.get("succeeded") and status.get("startTime"):
            yield _Start(name, 0, datetime.fromisoformat(status["startTime"]))


def _killed_pods(pods: list[Document]) -> Iterator[Killed]:
    for pod in pods:
        end = pod_end(pod)
        if end.cause and has_ended(pod, container_of(pod)["name"]):
            at = end.finished or pod["metadata"]["creationTimestamp"]
            yield _killed(pod, _job_of(pod), end.shard, at, f"pod {end.pod} of a pass before was {end.cause.text}")


def _killed_jobs(jobs: list[Document], pods: list[Document]) -> Iterator[Killed]:
    """Jobs that reached their time limit, and those that failed and have no pods that say why."""
    with_pods = {_job_of(pod) for pod in pods}
    for job in jobs:
        name, condition = job["metadata"]["name"], ending(job) or {}
        cause = job_cause(job)
        if cause:
            yield _killed(job, name, 0, condition["lastTransitionTime"], f"Job {name}, a pass before, was {cause.text}")
        elif condition.get("type") == "Failed" and condition.get("reason") != "PodFailurePolicy" and name not in with_pods:
            said = f"{condition.get('reason')}: {condition.get('message')}"
            text = f"Job {name}, a pass before, failed, and its pods are gone with the reason ({said})"
            yield _killed(job, name, 0, condition["lastTransitionTime"], text)


def _killed(item: Document, job: str, shard: int, at: str, text: str) -> Killed:
    when = datetime.fromisoformat(at)
    return Killed(item["metadata"]["uid"], job, shard, when, f"{text}. It ended at {moment(at)}.")
