"""ClearML's documents, read strictly into records.

Which fields a document may lack was recorded from a real server (``list_*``, ``projects_delete_force``, ``models_list``): a
task may lack ``parent``, ``project``, ``last_update`` and, as a draft, ``status_changed``; a model ``task`` and
``last_update``. All other fields are present when they are asked for, and none is ever null. A document with another shape is
not guessed at: it is ``Malformed``.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, decoded
from cleanup_job.clearml_api.capabilities import LAST_CHANGED_BY, REPORT_ASSETS, REPORTS
from cleanup_job.planning.claim import ClaimScope
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Artifact, Claimant, Detail, Listed, Model, Project, Task

Text = Annotated[str, Meta(min_length=1)]
Maybe = str | UnsetType
"""A text that may be absent, but not null."""
MaybeTime = datetime | UnsetType
FIRST_YEAR, LAST_YEAR = 1971, 9000
"""Times outside of these years come from clocks or fields that were never set."""
Status = Literal[
    "created", "queued", "in_progress", "stopped", "publishing", "published", "closed", "failed", "completed", "unknown"
]

TASK_FIELDS = [
    *("id", "name", "status", "type", "user", "project", "parent", "company", "tags", "system_tags"),
    *("created", "status_changed", "last_update", "last_change", "models.input"),
    *("started", "completed", "status_reason"),
]
AUTHOR_FIELDS = {LAST_CHANGED_BY: "last_changed_by"}
"""What every listing of tasks asks for beside ``TASK_FIELDS`` where the server has it."""
DETAIL_FIELDS = ["execution.artifacts", "models.output", "runtime"]
"""What is read beside the fields of a listing."""
CLAIM_FIELDS = ["id", "last_update", "system_tags", "execution.artifacts", "models.output", "output.destination"]
REPORT_FIELDS = {REPORTS: "report", REPORT_ASSETS: "report_assets"}
"""Fields of a task that only some servers have: elsewhere it is an error to ask for them (400/14, recording
``list_fields``)."""
REPORT = "report"
"""The type of a report."""
MODEL_FIELDS = ["id", "task", "uri", "ready", "last_update", "tags"]
SCOPES: dict[ClaimScope, list[dict[str, Any]]] = {
    "all": [{}],
    "pipelines": [{"type": ["controller", REPORT]}, {"system_tags": ["pipeline"]}, {"status": ["created"]}],
    "off": [{"type": [REPORT]}],
}
"""The filters that find the tasks which can claim what others made. An imported task shows only in that it is a draft."""
_IMAGE = re.compile(r"""[^\s"'()<>\[\]]*?reports/+([0-9a-f]{32})/[^\s"'()<>\[\]]+""")
_FOLDER = re.compile(r"reports(?:/|%2[Ff])+([0-9a-f]{32})(?![0-9a-f])")
"""An image in the text of a report; and, less strictly, the folder of an image."""


class Entry(Struct, frozen=True, kw_only=True):
    """The fields that every document of a listing has."""

    TIMES: ClassVar[tuple[str, ...]] = ("last_update",)
    id: Text
    last_update: MaybeTime = UNSET

    def __post_init__(self) -> None:
        """Check what the decoder can't check. The message of the error is the name of the field.

        Raises:
            ValueError: a time is out of range.
        """
        for name in self.TIMES:
            time = getattr(self, name)
            if time is not UNSET and not FIRST_YEAR <= time.year <= LAST_YEAR:
                raise ValueError(name)


class MakerOf(Entry, frozen=True, kw_only=True):
    """A model with the task that made it."""

    task: Maybe = UNSET


class NameOf(Entry, frozen=True, kw_only=True):
    """A project or a user with its name."""

    name: str


class TagsOf(Entry, frozen=True, kw_only=True):
    """A task with its tags."""

    tags: tuple[str, ...]


class UserOf(Entry, frozen=True, kw_only=True):
    """A task with the user it belongs to."""

    user: Maybe = UNSET


class ParentOf(Entry, frozen=True, kw_only=True):
    """A child task with its status."""

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
    """A task with the models that it uses."""

    models: _Models

    @property
    def input_models(self) -> tuple[ModelId, ...]:
        """The ids of the models that it uses."""
        return tuple(ModelId(one.model) for one in self.models.input)


class _Runtime(Struct, frozen=True):
    datasets: tuple[str, ...] = ()


class DatasetsOf(Entry, frozen=True, kw_only=True):
    """A task with the dataset versions that it used."""

    runtime: _Runtime


class PlaceOf(Entry, frozen=True, kw_only=True):
    """A task with the project that it is in."""

    project: Maybe = UNSET


class TaskEntry(ModelsOf, frozen=True, kw_only=True):
    """A task with ``TASK_FIELDS`` and ``AUTHOR_FIELDS``.

    A task is not unreadable for what only policies look at: ``started`` and the fields after it.
    """

    TIMES: ClassVar[tuple[str, ...]] = ("created", "status_changed", "last_update", "last_change")
    name: str
    status: Status
    type: Text
    user: str
    company: str
    tags: tuple[str, ...]
    system_tags: tuple[str, ...]
    created: datetime
    last_change: MaybeTime = UNSET
    project: Maybe = UNSET
    parent: Maybe = UNSET
    status_changed: MaybeTime = UNSET
    started: Any = None
    completed: Any = None
    last_changed_by: Any = ""
    status_reason: Any = ""

    def __post_init__(self) -> None:
        """Check the times, as for every entry.

        Raises:
            ValueError: a time is out of range, or is missing.
        """
        Entry.__post_init__(self)
        if self.status != "created" and self.status_changed is UNSET and self.last_update is UNSET:
            raise ValueError("status_changed")  # only a draft may lack both: its age would count from its creation

    def task(self) -> Task:
        """The document as a record."""
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
            started=_sane_time(self.started),
            completed=_sane_time(self.completed),
            last_changed_by=intern(_any_text(self.last_changed_by)),
            status_reason=intern(_any_text(self.status_reason)),
        )


class ArtifactEntry(Struct, frozen=True):
    """An entry of ``execution.artifacts``."""

    uri: str = ""
    mode: Literal["input", "output"] = "output"
    content_size: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    key: Any = ""
    type: Any = ""
    hash: Any = ""

    def artifact(self) -> Artifact:
        """The entry as a record."""
        size = None if isinstance(self.content_size, UnsetType) else self.content_size
        key, kind, digest = map(_any_text, (self.key, self.type, self.hash))
        return Artifact(self.uri, self.mode, size, key, intern(kind), digest)


class _Execution(Struct, frozen=True):
    artifacts: tuple[ArtifactEntry, ...]


class DetailEntry(TaskEntry, frozen=True, kw_only=True):
    """A task with what its record says about its outputs: ``DETAIL_FIELDS`` beside those of a listing."""

    execution: _Execution
    report: str | None = ""
    report_assets: tuple[str, ...] | None = ()
    runtime: Any = None
    """Any SDK may have written anything there."""

    def detail(self) -> Detail:
        """The document as a record."""
        outputs = tuple(Listed(one.name, ModelId(one.model)) for one in self.models.output)
        artifacts = tuple(one.artifact() for one in self.execution.artifacts if one.uri)
        return Detail(self.task(), artifacts, outputs, self._assets(), self._uses_datasets())

    def _uses_datasets(self) -> bool:
        named = self.runtime.get("datasets") if isinstance(self.runtime, dict) else self.runtime
        return named not in (None, "", [], {})

    def _assets(self) -> tuple[str, ...]:
        if self.type != REPORT:
            return ()
        shown = (found[0] for found in _IMAGE.finditer(self.report or "") if found[1] == self.id)
        return tuple(dict.fromkeys([*(self.report_assets or ()), *shown]))


class _Named(Struct, frozen=True):
    uri: str = ""


class _Names(Struct, frozen=True):
    artifacts: tuple[_Named, ...] = ()


class _Output(Struct, frozen=True):
    destination: str | None = None
    """Null if the SDK was given none."""


class ClaimEntry(Entry, frozen=True, kw_only=True):
    """A task with what it names of other tasks: ``CLAIM_FIELDS``."""

    system_tags: tuple[str, ...] = ()
    execution: _Names = _Names()
    models: _Models = _Models()
    output: _Output = _Output()
    report: str | None = ""
    report_assets: tuple[str, ...] | None = ()

    @property
    def output_models(self) -> Iterator[ModelId]:
        """The ids of the models that it lists as its outputs, its own and those of other tasks."""
        return (ModelId(one.model) for one in self.models.output)

    def claimant(self, makers: Mapping[ModelId, TaskId]) -> Claimant:
        """The document as a record; ``makers``: who made the models that it lists, as ``makers_of`` found it."""
        return Claimant(
            TaskId(self.id),
            (*(one.uri for one in self.execution.artifacts if one.uri), *(self.report_assets or ()), *self._folders()),
            self.output.destination or "",
            tuple(model for model in self.output_models if makers.get(model, self.id) != self.id),
            "archived" in self.system_tags,
            text_of(self.last_update),
        )

    def _folders(self) -> tuple[str, ...]:
        """The folders of other reports that a report's text names. The images in them can be spelled in too many ways."""
        others = dict.fromkeys(found[1] for found in _FOLDER.finditer(self.report or "") if found[1] != self.id)
        return tuple(f"reports/{report}" for report in others)


class ModelEntry(Entry, frozen=True, kw_only=True):
    """A model with ``MODEL_FIELDS``."""

    uri: str
    ready: bool
    tags: tuple[str, ...] = ()
    task: Maybe = UNSET
    project: Maybe = UNSET
    """Only present if it was asked for."""

    def model(self) -> Model:
        """The document as a record."""
        return Model(ModelId(self.id), self.uri, _text(self.task), self.ready, text_of(self.last_update), self.tags)


class ProjectEntry(NameOf, frozen=True, kw_only=True):
    """A project in the tree of all."""

    system_tags: tuple[str, ...]
    company: str

    def project(self) -> Project:
        """The document as a record. A name that starts with a dot is the SDK's way to hide a project."""
        hidden = "hidden" in self.system_tags or self.name.rpartition("/")[2].startswith(".")
        return Project(self.id, self.name, hidden, not self.company)


class Contents(Struct, frozen=True, kw_only=True):
    """How many tasks are in a project and below it; old servers don't tell reports from other tasks."""

    tasks: int
    non_archived_tasks: int
    reports: int = 0
    non_archived_reports: int = 0

    @property
    def archived(self) -> int:
        """Archived tasks; some may come or go between the server's counts."""
        return max(0, self.tasks - self.non_archived_tasks) + max(0, self.reports - self.non_archived_reports)


def _text(found: Maybe) -> str:
    return "" if isinstance(found, UnsetType) else found


def _any_text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _sane_time(found: Any) -> datetime | None:
    """A time that nothing but policies look at: one that makes no sense counts as none."""
    time = when(found)
    return time if time is not None and FIRST_YEAR <= time.year <= LAST_YEAR else None


def utc(time: MaybeTime) -> datetime | None:
    """A time as the API writes it, in UTC. Without a time zone, it is in UTC already."""
    if isinstance(time, UnsetType):
        return None
    if time.tzinfo is UTC:
        return time
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def text_of(time: MaybeTime) -> str:
    """A time as the API writes it; empty if there is none."""
    found = utc(time)
    return found.isoformat() if found is not None else ""


def dataset_ids(struct: str) -> frozenset[TaskId] | None:
    """The dataset versions that a ``Dataset Struct`` names; None if it can't be read."""
    try:
        parts = decoded(struct, dict[str, _Part])
    except DECODING_ERRORS:
        return None
    named = {part.job_id for part in parts.values()} | {parent for part in parts.values() for parent in part.parents or ()}
    return frozenset(map(TaskId, named))


class _Part(Struct, frozen=True):
    job_id: str
    parents: tuple[str, ...] | None = ()


def when(value: object) -> datetime | None:
    """A time as the API writes it, in UTC; None if there is none or it can't be read."""
    if not isinstance(value, str):
        return None
    try:
        return utc(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        return None
