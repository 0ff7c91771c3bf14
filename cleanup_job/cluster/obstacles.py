"""Why a Job has no pod, or its pod does not start."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cleanup_job.cluster.connection import Document

_STARTING = {"ContainerCreating", "PodInitializing"}
"""Reasons to wait that every start has."""
_CONTAINERS = ("initContainerStatuses", "containerStatuses")
_PULLS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
}
_FORBIDDEN = re.compile(r'^Error creating: (?:pods "[^"]*" is forbidden: )?')
_LIMITED = re.compile(r"^(maximum|minimum) .* usage per (Container|Pod) is |limit to request ratio")
"""How messages of a LimitRange begin: they don't name it."""
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a pod from starting."""

    cause: str
    """The same for each time that the same thing happens: without the names and numbers that change."""
    text: str
    """For people, without the random end of the pod's name."""


def _obstacle(text: str, cause: str = "") -> Obstacle:
    return Obstacle(cause or _NUMBER.sub("#", text), text)


def without_random(text: str, job: str) -> str:
    """A text in which pods of the Job have no random end to their names."""
    return re.sub(rf"\b{re.escape(job)}(-\d+)?-[a-z0-9]{{5}}\b", rf"{job}\1-…", text)


def of_pod(pod: Document, job: str) -> list[Obstacle]:
    """Why a pod does not start, as far as its own status says."""
    name, status = without_random(pod["metadata"]["name"], job), pod.get("status") or {}
    found = []
    if status.get("phase") == "Failed":
        found.append(_obstacle(f"pod {name} failed before it started: {status.get('reason')}: {status.get('message')}"))
    found += [
        _obstacle(f"pod {name} can't be scheduled: {entry.get('message')}")
        for entry in status.get("conditions") or []
        if entry["type"] == "PodScheduled" and entry["status"] == "False"
    ]
    containers = (container for kind in _CONTAINERS for container in status.get(kind) or [])
    return found + [
        _waiting(name, container) for container in containers if waits_for(container).get("reason") not in {None, *_STARTING}
    ]


def waits_for(container: Document) -> Document:
    """What a container waits for; empty where it does not wait."""
    return (container.get("state") or {}).get("waiting") or {}


def _waiting(pod: str, container: Document) -> Obstacle:
    waits = waits_for(container)
    if waits["reason"] in _PULLS:
        image = container.get("image")
        text = f"pod {pod} does not start: its image {image} can't be pulled: {waits['reason']}: {waits.get('message')}"
        return Obstacle(f"image {image}", text)
    return _obstacle(f"pod {pod} does not start: {waits['reason']}: {waits.get('message')}")


def of_warnings(pod: Document, job: str, events: Iterable[Document]) -> list[Obstacle]:
    """Why a pod does not start whose status says nothing: a Secret to mount that doesn't exist, for example."""
    name = without_random(pod["metadata"]["name"], job)
    return [
        _obstacle(f"pod {name}: {event.get('reason')}: {without_random(str(event.get('message')), job)}") for event in events
    ]


def of_job(job: Document, name: str, events: Iterable[Document]) -> list[Obstacle]:
    """Why a Job has no pod: it is suspended, or its events `FailedCreate` say that a pod was refused."""
    found = []
    if job["spec"].get("suspend"):
        found.append(_obstacle(f"Job {name} is suspended (spec.suspend) and starts no pod"))
    for event in events:
        said = without_random(_FORBIDDEN.sub("", str(event.get("message"))), name)
        limit = " (a LimitRange of the namespace)" if _LIMITED.search(said) else ""
        found.append(_obstacle(f"Job {name} has no pod: {said}{limit}"))
    return unique(found)


def unique(found: Iterable[Obstacle]) -> list[Obstacle]:
    """Each cause once."""
    first: dict[str, Obstacle] = {}
    for entry in found:
        first.setdefault(entry.cause, entry)
    return list(first.values())
