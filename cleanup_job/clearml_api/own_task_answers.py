"""Answers about the job's own tasks, read field by field.

Whether a task is the job's own shows in its entry point, or in what was registered in its runtime properties.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cleanup_job.clearml_api.documents import when
from cleanup_job.errors import AnswerError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Run, ServiceTask

ENTRY_POINT = "clearml_cleanup_pass.py"
REGISTERED = "clearml_cleanup_registered"
"""The runtime property in which the job registers the parameters, the script and the place of a task as JSON."""

Document = dict[str, Any]


def documents(data: Document, key: str) -> list[Document]:
    """The list of documents in an answer.

    Raises:
        AnswerError: there is no such list, or one of its documents has no id.
    """
    found = data.get(key)
    if not isinstance(found, list) or not all(isinstance(d, dict) and isinstance(d.get("id"), str) for d in found):
        message = f"an answer without a list of {key}"
        raise AnswerError(message)
    return found


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Wrap the reading of an answer: one with another shape than the API promises can't be trusted.

    Raises:
        AnswerError: it has another shape.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"{what}: an answer that can't be read ({error})") from error


def is_ours(document: Document) -> bool:
    """Whether this is one of the job's own tasks. Either mark is enough: people edit the one, programs overwrite the other.

    Nothing of other people's tasks is read, so one that can't be read does no harm.
    """
    script, runtime = document.get("script"), document.get("runtime")
    marked = isinstance(script, dict) and script.get("entry_point") == ENTRY_POINT
    public = document.get("company") == ""
    return not public and (marked or (isinstance(runtime, dict) and REGISTERED in runtime))


@dataclass(frozen=True, slots=True)
class _Registered:
    """What the job registered in a task. If it can't be read, it is empty, and everything in the draft counts as edited."""

    parameters: dict[str, Any] = field(default_factory=dict)
    script: dict[str, Any] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)


def service_task(document: Document) -> ServiceTask:
    """One of the job's own tasks."""
    registered = _registered(document)
    return ServiceTask(
        TaskId(document["id"]),
        _text(document, "name"),
        _text(document, "status"),
        _text(document, "project"),
        _text(document, "parent"),
        tuple(document.get("tags") or ()),
        _text(document, "comment"),
        _parameters(document),
        registered.parameters,
        _mapping(document, "script"),
        registered.script,
        place=registered.place,
        archived="archived" in (document.get("system_tags") or ()),
    )


def _registered(document: Document) -> _Registered:
    try:
        told = json.loads((document.get("runtime") or {}).get(REGISTERED) or "{}")
        parameters, script = dict(told.get("parameters") or {}), dict(told.get("script") or {})
        place = {"project": str(told["project"]), "name": str(told["name"])} if "name" in told and "project" in told else {}
    except (ValueError, TypeError, AttributeError):
        return _Registered()
    return _Registered(parameters, script, place)


def _text(document: Document, name: str) -> str:
    return str(document.get(name) or "")


def _parameters(document: Document) -> Mapping[str, Any]:
    """All sections. A record without any was not made by this job, or the answer leaves them out."""
    sections = _mapping(document, "hyperparams")
    return {name: _mapping(sections, name) for name in sections}


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    if not isinstance(found, dict):
        message = f"{name} is {found!r:.40}"
        raise TypeError(message)
    return found


def run(document: Document) -> Run:
    """A run of the job's own task."""
    return Run(
        TaskId(document["id"]),
        _text(document, "status"),
        when(document.get("started")),
        when(document.get("last_update")),
        tuple(document.get("tags") or ()),
        when(document.get("created")),
        _text(document, "status_reason"),
        _text(document, "status_message"),
    )
