"""ClearML's documents into records. What lacks its id, or has it in another type, is an answer that can't be trusted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from json import loads
from sys import intern
from typing import Any, TypeVar

from cleanup_job.errors import AnswerError
from cleanup_job.paths import ModelId, TaskId
from cleanup_job.records import Artifact, Claimant, Detail, Listed, Model, Project, Task

Document = dict[str, Any]
Read = TypeVar("Read")


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Around the reading of an answer: what has another shape than the API promises can't be trusted.

    Raises:
        AnswerError: it has another shape.
    """
    try:
        yield
    except _MISSHAPEN as error:
        raise _unreadable(what, error) from error


_MISSHAPEN = (AttributeError, KeyError, TypeError, ValueError)


def _unreadable(what: str, error: Exception) -> AnswerError:
    return AnswerError(f"{what}: an answer that can't be read ({error})")


def _strict(read: Callable[[Document], Read]) -> Callable[[Document], Read]:
    """A function that reads a document, with its mistakes as errors of the answer."""

    @wraps(read)
    def reading(document: Document) -> Read:
        try:  # as ``readable``, whose context would cost more than the reading
            return read(document)
        except _MISSHAPEN as error:
            raise _unreadable(read.__name__, error) from error

    return reading


TASK_FIELDS = [
    *("id", "name", "status", "type", "user", "project", "parent", "company", "tags", "system_tags"),
    *("created", "status_changed", "last_update", "last_change", "models.input", "metric_stats"),
]
DETAIL_FIELDS = [*TASK_FIELDS, "execution.artifacts", "models.output"]
CLAIM_FIELDS = ["id", "last_update", "execution.artifacts", "models.output", "output.destination"]
MODEL_FIELDS = ["id", "task", "uri", "ready", "last_update", "tags"]


def documents(data: Document, key: str) -> list[Document]:
    """The list of documents in an answer."""
    found = data.get(key)
    if not isinstance(found, list) or not all(isinstance(d, dict) and isinstance(d.get("id"), str) for d in found):
        message = f"an answer without a list of {key}"
        raise AnswerError(message)
    return found


@_strict
def task(document: Document) -> Task:
    """A task from ``tasks.get_all``."""
    inputs = (document.get("models") or {}).get("input") or []
    return Task(
        id=TaskId(document["id"]),
        name=str(document.get("name") or ""),
        status=intern(str(document.get("status") or "")),
        type=intern(str(document.get("type") or "")),
        user=intern(str(document.get("user") or "")),
        project=intern(str(document.get("project") or "")),
        parent=str(document.get("parent") or ""),
        tags=tuple(intern(str(tag)) for tag in document.get("tags") or ()),
        system_tags=tuple(intern(str(tag)) for tag in document.get("system_tags") or ()),
        public=document.get("company") == "",
        created=when(document.get("created")),
        status_changed=when(document.get("status_changed")),
        last_update=when(document.get("last_update")),
        last_change=when(document.get("last_change")),
        input_models=tuple(ModelId(i["model"]) for i in inputs if i.get("model")),
        reported=document.get("metric_stats") != {},
    )


@_strict
def detail(document: Document) -> Detail:
    """A task with what its record says of its outputs (``DETAIL_FIELDS``)."""
    artifacts = (document.get("execution") or {}).get("artifacts") or []
    return Detail(
        task(document),
        artifacts=tuple(
            Artifact(str(a["uri"]), str(a.get("mode") or "output"), a.get("content_size")) for a in artifacts if a.get("uri")
        ),
        outputs=tuple(
            Listed(str(entry.get("name") or ""), ModelId(str(entry["model"])))
            for entry in (document.get("models") or {}).get("output") or ()
            if entry.get("model")
        ),
    )


def claimant(document: Document) -> Claimant:
    """What a task names (``CLAIM_FIELDS``). In a record of another shape than expected, every text counts as an address."""
    last_update = str(document.get("last_update") or "")
    try:
        artifacts = (document.get("execution") or {}).get("artifacts") or ()
        outputs = (document.get("models") or {}).get("output") or ()
        return Claimant(
            TaskId(document["id"]),
            tuple(a["uri"] + "" for a in artifacts if a.get("uri")),
            (document.get("output") or {}).get("destination") or "",
            tuple(ModelId(entry["model"] + "") for entry in outputs if entry.get("model")),
            last_update,
        )
    except _MISSHAPEN:
        texts = tuple(_texts(document))
        return Claimant(TaskId(document["id"]), texts, "", tuple(map(ModelId, texts)), last_update)


def _texts(document: Any) -> Iterator[str]:
    pending = [document]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            pending += [*part, *part.values()]
        elif isinstance(part, list):
            pending += part


@_strict
def project(document: Document) -> Project:
    """A project from ``projects.get_all``; those that the SDK names with a dot are made to be hidden."""
    name = str(document.get("name") or "")
    return Project(
        document["id"],
        name,
        "hidden" in (document.get("system_tags") or ()) or name.rpartition("/")[2].startswith("."),
        document.get("company") == "",
    )


@_strict
def model(document: Document) -> Model:
    """A model from ``models.get_all``."""
    return Model(
        ModelId(document["id"]),
        str(document.get("uri") or ""),
        str(document.get("task") or ""),
        bool(document.get("ready")),
        str(document.get("last_update") or ""),
        tuple(str(tag) for tag in document.get("tags") or ()),
    )


def when(value: object) -> datetime | None:
    """A time as the API writes it, in UTC; None where there is none or it can't be read."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    if time.tzinfo is UTC:
        return time
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def dataset_ancestors(document: Document) -> frozenset[TaskId]:
    """The dataset versions that a version is made of: all others named in its ``Dataset Struct``."""
    entry = (document.get("configuration") or {}).get("Dataset Struct") or {}
    try:
        struct = loads(entry.get("value") or "{}")
        named = {str(part["job_id"]) for part in struct.values()}
        named |= {str(parent) for part in struct.values() for parent in part.get("parents") or ()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return frozenset()
    return frozenset(TaskId(i) for i in named if i != document["id"])


def event_uris(event: Document) -> Iterator[str]:
    """Every file that an event names: the image or media file, and all images of a plot."""
    if event.get("url"):
        yield str(event["url"])
    sources = event.get("source_urls")
    if sources is None and event.get("plot_str"):
        sources = _plot_sources(event["plot_str"])
    for source in sources or ():
        if not str(source).startswith("data:"):
            yield str(source)


def _plot_sources(plot: str) -> list[str]:
    """Servers before ``source_urls`` leave it to the reader to look into the plot."""
    try:
        images = (loads(plot).get("layout") or {}).get("images") or []
        return [image["source"] for image in images if image.get("source")]
    except (ValueError, AttributeError, TypeError):
        return []
