"""How the pods of a pass ended, as Kubernetes tells it: also where the pass itself could say nothing.

Pods and Jobs as a real cluster gives them are in tests/unit/cluster/recorded.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cleanup_job.cluster.connection import Document
from cleanup_job.cluster.cronjob import INDEX, container_of, ending, state_of
from cleanup_job.exit_codes import ExitCode

SIGKILL = 137
"""The exit code of a container that was killed: 128 and the signal's number."""
_UNKNOWN = "ContainerStatusUnknown"
"""The reason of a container whose end its node did not see; its message is the node's, not the pass's."""
_WITHOUT_PASS = frozenset({"enqueued", "not_due"})
_LOW = re.compile(r"low on resource: ([\w-]+)")
_DISRUPTIONS = {
    "EvictionByEvictionAPI": "evicted through Kubernetes' API, as a drain of its node does",
    "PreemptionByScheduler": "evicted for a pod of higher priority",
    "DeletionByTaintManager": "evicted from its node, which got a taint",
    "DeletionByPodGC": "evicted: its node is gone",
}
"""Reasons of the condition `DisruptionTarget`, from Kubernetes' page on disruptions."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a pod or Job was ended from outside."""

    word: str
    """Kubernetes' own word, such as ``OOMKilled``, ``Evicted`` or ``DeadlineExceeded``; ``Killed`` for SIGKILL without one."""
    text: str
    """The same for people, with the way out."""


@dataclass(frozen=True, slots=True)
class PodEnd:
    """How a pod's container ended, and its termination message: the summary of a pass, or its text."""

    pod: str
    shard: int
    started: str | None
    finished: str | None
    """ISO 8601, as Kubernetes gives it; None where it is not known."""
    exit_code: int | None
    cause: Cause | None
    """None where the pass ended by itself."""
    summary: dict[str, Any] | None
    """The termination message, as docs/log-schema.md describes it; None where it is something else."""
    said: str
    """The termination message of a pass that has no summary."""
    without_pass: dict[str, Any] | None = None
    """The termination message of a Job that ran no pass: the log's line `enqueued` or `not_due`."""


def has_ended(pod: Document, container: str) -> bool:
    """Whether a pod's container has ended, or never will begin."""
    return "terminated" in state_of(pod, container) or (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}


def pod_end(pod: Document) -> PodEnd:
    """How a pod ended; of one that has not, without an exit code."""
    container = container_of(pod)["name"]
    ended = state_of(pod, container).get("terminated") or {}
    running = state_of(pod, container).get("running") or {}
    said = "" if ended.get("reason") == _UNKNOWN else ended.get("message") or ""
    document = _document(said)
    summary = document if isinstance(document.get("deleted"), int) else None
    without_pass = document if document.get("event") in _WITHOUT_PASS else None
    return PodEnd(
        pod=pod["metadata"]["name"],
        shard=shard_of(pod),
        started=ended.get("startedAt") or running.get("startedAt"),
        finished=ended.get("finishedAt") or _failed_at(pod),
        exit_code=ended.get("exitCode"),
        cause=cause_of(pod, container) if has_ended(pod, container) else None,
        summary=summary,
        said="" if summary or without_pass else said,
        without_pass=without_pass,
    )


def shard_of(pod: Document) -> int:
    """The number of the pod's shard; 0 of a pass without shards."""
    return int((pod["metadata"].get("labels") or {}).get(INDEX) or 0)


def _document(said: str) -> dict[str, Any]:
    """A termination message as JSON; empty if it is something else."""
    with suppress(ValueError):
        document = json.loads(said)
        if isinstance(document, dict):
            return document
    return {}


def _failed_at(pod: Document) -> str | None:
    """When a pod was seen to be no longer ready: its containers' ends may not be known."""
    ready = _condition(pod, "Ready")
    return ready.get("lastTransitionTime") if ready.get("reason") in {"PodFailed", "PodCompleted"} else None


def _condition(pod: Document, kind: str) -> Document:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == kind), {})


def cause_of(pod: Document, container: str) -> Cause | None:
    """Why a pod was ended from outside, or is being ended; None if it was not."""
    status = pod.get("status") or {}
    ended = state_of(pod, container).get("terminated") or {}
    if ended.get("exitCode") == ExitCode.DONE or status.get("phase") == "Succeeded":
        return None
    return (
        _evicted(status)
        or _out_of_memory(pod, container, ended)
        or _disrupted(pod)
        or _other(status)
        or _killed(pod, ended.get("exitCode"), ended.get("reason"))
    )


def _evicted(status: Document) -> Cause | None:
    """Evicted by the kubelet, which leaves the pod's object with a reason and a message."""
    if status.get("reason") != "Evicted":
        return None
    said = str(status.get("message") or "").strip().rstrip(".")
    return Cause("Evicted", f"evicted: {said}{_way_out(said)}" if said else "evicted")


def _way_out(said: str) -> str:
    """Which value of the chart keeps it from happening again, by the kubelet's message."""
    low = _LOW.search(said)
    if low:
        return f"; raise resources.requests.{low[1]}" if low[1] in {"memory", "ephemeral-storage"} else ""
    if "EmptyDir" in said:
        return "; raise this volume's sizeLimit"
    return "; raise resources.limits.ephemeral-storage" if "ephemeral" in said else ""


def _out_of_memory(pod: Document, container: str, ended: Document) -> Cause | None:
    if ended.get("reason") != "OOMKilled":
        return None
    limits = next(
        (
            (entry.get("resources") or {}).get("limits") or {}
            for entry in pod["spec"]["containers"]
            if entry["name"] == container
        ),
        {},
    )
    if "memory" in limits:
        text = f"out of memory (OOMKilled): its limit is {limits['memory']}; raise resources.limits.memory"
    else:
        text = "out of memory (OOMKilled): it has no limit, so its node was full; raise resources.requests.memory"
    return Cause("OOMKilled", text)


def _disrupted(pod: Document) -> Cause | None:
    condition = _condition(pod, "DisruptionTarget")
    if condition.get("status") != "True":
        return None
    reason = str(condition.get("reason") or "")
    said = str(condition.get("message") or reason).strip().rstrip(".")
    return Cause("Evicted", _DISRUPTIONS.get(reason) or f"evicted: {said}")


def _other(status: Document) -> Cause | None:
    """A reason of the pod as a whole, such as `Terminated` on a node that was shut down."""
    reason = status.get("reason")
    if not reason:
        return None
    said = str(status.get("message") or "").strip().rstrip(".")
    return Cause(str(reason), f"{reason}: {said}" if said else str(reason))


def _killed(pod: Document, code: int | None, reason: str | None) -> Cause | None:
    if code != SIGKILL:
        return None
    if reason == _UNKNOWN:
        return Cause(_UNKNOWN, "killed: its node lost it (ContainerStatusUnknown)")
    grace = pod["spec"].get("terminationGracePeriodSeconds")
    within = f" within the {grace} s of terminationGracePeriodSeconds" if grace else ""
    return Cause(
        "Killed",
        f"killed with SIGKILL (exit code 137), and not for its own memory: it did not end{within} after it was asked to, or "
        "its node or a person killed it",
    )


def job_cause(job: Document) -> Cause | None:
    """Why a Job as a whole was ended from outside; None if its pods say how it ended."""
    condition = ending(job) or {}
    if condition.get("type") != "Failed" or condition.get("reason") != "DeadlineExceeded":
        return None
    limit = job["spec"].get("activeDeadlineSeconds")
    seconds = f" of {limit} s" if limit is not None else ""
    return Cause(
        "DeadlineExceeded",
        f"ended by the Job's time limit{seconds} (DeadlineExceeded), retries included: raise activeDeadlineSeconds",
    )
