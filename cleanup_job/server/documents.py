"""ClearML's documents, read strictly into records.

Which fields a document may lack was recorded from a real server (``list_*``, ``projects_delete_force``, ``models_list``): a
task ``parent``, ``project``, ``last_update`` and, as a draft, ``status_changed``; a model ``task`` and ``last_update``. All
others are there when they are asked for, and none is ever null. What has another shape is not guessed: it is ``Misread``.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from sys import intern
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from cleanup_job.errors import AnswerError
from cleanup_job.paths import ModelId, TaskId
from cleanup_job.records import Artifact, Claimant, Detail, Listed, Model, Project, Task, Unreadable
from cleanup_job.server.envelope import MISSHAPEN, decoded

Text = Annotated[str, Meta(min_length=1)]
Maybe = str | UnsetType
"""A text that may be absent, which null is not."""
MaybeTime = datetime | UnsetType
FIRST_YEAR, LAST_YEAR = 1971, 9000
"""Times outside of these years are clocks or fields that nobody set."""
Status = Literal[
    "created", "queued", "in_progress", "stopped", "publishing", "published", "closed", "failed", "completed", "unknown"
]

TASK_FIELDS = [
    *("id", "name", "status", "type", "user", "project", "parent", "company", "tags", "system_tags"),
    *("created", "status_changed", "last_update", "last_change", "models.input", "metric_stats"),
]
DETAIL_FIELDS = [*TASK_FIELDS, "execution.artifacts", "models.output"]
CLAIM_FIELDS = ["id", "last_update", "execution.artifacts", "models.output", "output.destination"]
MODEL_FIELDS = ["id", "task", "uri", "ready", "last_update", "tags"]


class Entry(Struct, frozen=True, kw_only=True):
    """What every document of a listing has."""

    TIMES: ClassVar[tuple[str, ...]] = ("last_update",)
    id: Text
    last_update: MaybeTime = UNSET

    def __post_init__(self) -> None:
        """Refuse what a decoder can't: the message is the field.

        Raises:
            ValueError: a time is none.
        """
        for name in self.TIMES:
            time = getattr(self, name)
            if time is not UNSET and not FIRST_YEAR <= time.year <= LAST_YEAR:
                raise ValueError(name)


class NameOf(Entry, frozen=True, kw_only=True):
    """A project or a user, and its name."""

    name: str


class TagsOf(Entry, frozen=True, kw_only=True):
    """A task, and its tags."""

    tags: tuple[str, ...]


class ParentOf(Entry, frozen=True, kw_only=True):
    """A child, and how it stands."""

    status: Status
    parent: Maybe = UNSET


class _Use(Struct, frozen=True):
    model: Text


class _Entry(Struct, frozen=True):
    model: Text
    name: str = ""


class _Models(Struct, frozen=True):
    input: tuple[_Use, ...] = ()
    output: tuple[_Entry, ...] = ()


class ModelsOf(Entry, frozen=True, kw_only=True):
    """A task, and the models that it uses."""

    models: _Models

    @property
    def input_models(self) -> tuple[ModelId, ...]:
        """Their ids."""
        return tuple(ModelId(one.model) for one in self.models.input)


class _Runtime(Struct, frozen=True):
    datasets: tuple[str, ...] = ()


class DatasetsOf(Entry, frozen=True, kw_only=True):
    """A task, and the dataset versions that it used."""

    runtime: _Runtime


class PlaceOf(Entry, frozen=True, kw_only=True):
    """A task, and the project that it is in."""

    project: Maybe = UNSET


class TaskEntry(ModelsOf, frozen=True, kw_only=True):
    """A task, by ``TASK_FIELDS``."""

    TIMES: ClassVar[tuple[str, ...]] = ("created", "status_changed", "last_update", "last_change")
    name: str
    status: Status
    type: Text
    user: str
    company: str
    tags: tuple[str, ...]
    system_tags: tuple[str, ...]
    created: datetime
    metric_stats: Raw = Raw(b"")
    """Not looked into: it may name thousands of metrics."""
    last_change: MaybeTime = UNSET
    project: Maybe = UNSET
    parent: Maybe = UNSET
    status_changed: MaybeTime = UNSET

    def __post_init__(self) -> None:
        """As of each entry.

        Raises:
            ValueError: a time is none, or is missing.
        """
        Entry.__post_init__(self)
        if self.status != "created" and self.status_changed is UNSET and self.last_update is UNSET:
            raise ValueError("status_changed")  # only a draft may lack both: ages would count from its creation

    def task(self) -> Task:
        """The record."""
        return Task(
            id=TaskId(self.id),
            name=self.name,
            status=intern(self.status),
            type=intern(self.type),
            user=intern(self.user),
            project=intern(_text(self.project)),
            parent=_text(self.parent),
            tags=tuple(map(intern, self.tags)),
            system_tags=tuple(map(intern, self.system_tags)),
            public=not self.company,
            created=utc(self.created),
            status_changed=utc(self.status_changed),
            last_update=utc(self.last_update),
            last_change=utc(self.last_change),
            input_models=self.input_models,
            reported=bytes(self.metric_stats) != b"{}",
        )


class _Artifact(Struct, frozen=True):
    uri: str = ""
    mode: Literal["input", "output"] = "output"
    content_size: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class _Execution(Struct, frozen=True):
    artifacts: tuple[_Artifact, ...]


class DetailEntry(TaskEntry, frozen=True, kw_only=True):
    """A task with what its record says of its outputs, by ``DETAIL_FIELDS``."""

    execution: _Execution

    def detail(self) -> Detail:
        """The record."""
        named = (one for one in self.execution.artifacts if one.uri)
        sizes = ((one, None if isinstance(one.content_size, UnsetType) else one.content_size) for one in named)
        outputs = tuple(Listed(one.name, ModelId(one.model)) for one in self.models.output)
        return Detail(self.task(), tuple(Artifact(one.uri, one.mode, size) for one, size in sizes), outputs)


class _Named(Struct, frozen=True):
    uri: str = ""


class _Names(Struct, frozen=True):
    artifacts: tuple[_Named, ...] = ()


class _Output(Struct, frozen=True):
    destination: str | None = None
    """Null where the SDK was told none."""


class ClaimEntry(Entry, frozen=True, kw_only=True):
    """A task with what it names of others, by ``CLAIM_FIELDS``."""

    execution: _Names = _Names()
    models: _Models = _Models()
    output: _Output = _Output()

    def claimant(self) -> Claimant:
        """Give the record."""
        return Claimant(
            TaskId(self.id),
            tuple(one.uri for one in self.execution.artifacts if one.uri),
            self.output.destination or "",
            tuple(ModelId(one.model) for one in self.models.output),
            text_of(self.last_update),
        )


class ModelEntry(Entry, frozen=True, kw_only=True):
    """A model, by ``MODEL_FIELDS``."""

    uri: str
    ready: bool
    tags: tuple[str, ...] = ()
    task: Maybe = UNSET
    project: Maybe = UNSET
    """Only where it is asked for."""

    def model(self) -> Model:
        """The record."""
        return Model(ModelId(self.id), self.uri, _text(self.task), self.ready, text_of(self.last_update), self.tags)


class ProjectEntry(NameOf, frozen=True, kw_only=True):
    """A project in the tree of all."""

    system_tags: tuple[str, ...]
    company: str

    def project(self) -> Project:
        """The record; those that the SDK names with a dot are made to be hidden."""
        hidden = "hidden" in self.system_tags or self.name.rpartition("/")[2].startswith(".")
        return Project(self.id, self.name, hidden, not self.company)


@dataclass(frozen=True, slots=True)
class Misread:
    """A document in another shape than the API promises."""

    field: str
    """Where."""
    texts: Mapping[str, str]
    """What can be read all the same, of the fields that are texts."""
    mentions: frozenset[TaskId] = frozenset()
    """Whatever in it could be the id of a task."""
    last_update: UnsetType = UNSET

    @property
    def id(self) -> str:
        """Its id; empty where that can't be read."""
        return self.texts.get("id", "")

    def task(self) -> Unreadable:
        """As a task."""
        names = (self.texts.get(name, "") for name in ("name", "project", "parent"))
        return Unreadable(TaskId(self.id), self.field, *names)

    def model(self) -> Model:
        """As a model; it counts as published."""
        uri, task = (self.texts.get(name, "") for name in ("uri", "task"))
        return Model(ModelId(self.id), uri, task, ready=True, unreadable=self.field, mentions=self.mentions)

    def claimant(self) -> Claimant:
        """Give it as what a task names."""
        return Claimant(TaskId(self.id), unreadable=self.field, mentions=self.mentions)


Shape = TypeVar("Shape", bound=Entry)


def page(data: Mapping[str, Raw], key: str, shape: type[Shape]) -> list[Shape | Misread]:
    """The documents in an answer. Two that have the same id and differ are both misread.

    Raises:
        AnswerError: the answer has no list of them.
    """
    try:
        raws = decoded(data[key], list[Raw])
    except (*MISSHAPEN, KeyError) as error:
        message = f"an answer without a list of {key}"
        raise AnswerError(message) from error
    found = [read(raw, shape) for raw in raws]
    if len({entry.id for entry in found}) == len(found):
        return found
    forms: dict[str, set[bytes]] = defaultdict(set)
    for entry, raw in zip(found, raws, strict=True):
        forms[entry.id].add(bytes(raw))
    return [
        _misread("id", raw) if entry.id and len(forms[entry.id]) > 1 else entry for entry, raw in zip(found, raws, strict=True)
    ]


def read(raw: Raw | bytes, shape: type[Shape]) -> Shape | Misread:
    """One document."""
    try:
        return decoded(raw, shape)
    except MISSHAPEN as error:
        return _misread(_place(error), raw)


_ID = re.compile(rb"[0-9a-f]{32}")


def _misread(field: str, raw: Raw | bytes) -> Misread:
    return Misread(field, _texts(raw), frozenset(TaskId(i.decode()) for i in _ID.findall(bytes(raw))))


_AT = re.compile(r"`\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]*)`")


def _place(error: Exception) -> str:
    """The field that could not be read, from a decoder's message."""
    text = str(error)
    at, missing = _AT.search(text), _MISSING.search(text)
    parts = [found[1] for found in (at, missing) if found]
    if not parts and text.isidentifier():  # of ``__post_init__``
        return text
    return ".".join(part for part in parts if part)[:100] or "the whole record"


def _texts(raw: Raw | bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        fields = decoded(raw, dict[str, Raw])
    except MISSHAPEN:
        return found
    for name in ("id", "name", "project", "parent", "uri", "task"):
        try:
            found[name] = decoded(fields[name], str)
        except (*MISSHAPEN, KeyError):
            continue
    return found


def _text(found: Maybe) -> str:
    return "" if isinstance(found, UnsetType) else found


def utc(time: MaybeTime) -> datetime | None:
    """A time as the API writes it, in UTC; one without a zone is in UTC."""
    if isinstance(time, UnsetType):
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def text_of(time: MaybeTime) -> str:
    """A time as the API writes it; empty where there is none."""
    found = utc(time)
    return found.isoformat() if found is not None else ""


def dataset_ids(struct: str) -> frozenset[TaskId] | None:
    """The dataset versions that a ``Dataset Struct`` names; None where it can't be read."""
    try:
        parts = decoded(struct, dict[str, _Part])
    except MISSHAPEN:
        return None
    named = {part.job_id for part in parts.values()} | {parent for part in parts.values() for parent in part.parents or ()}
    return frozenset(map(TaskId, named))


class _Part(Struct, frozen=True):
    job_id: str
    parents: tuple[str, ...] | None = ()


# -- the job's own tasks
Document = dict[str, Any]


def documents(data: Document, key: str) -> list[Document]:
    """The list of documents in an answer.

    Raises:
        AnswerError: there is none, or one of them has no id.
    """
    found = data.get(key)
    if not isinstance(found, list) or not all(isinstance(d, dict) and isinstance(d.get("id"), str) for d in found):
        message = f"an answer without a list of {key}"
        raise AnswerError(message)
    return found


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Around the reading of an answer: what has another shape than the API promises can't be trusted.

    Raises:
        AnswerError: it has another shape.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"{what}: an answer that can't be read ({error})") from error


def when(value: object) -> datetime | None:
    """A time as the API writes it, in UTC; None where there is none or it can't be read."""
    if not isinstance(value, str):
        return None
    try:
        return utc(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        return None
