"""What ClearML Server holds, as far as a pass needs it: plain, immutable records.

Field names are the API's. Times are aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cleanup_job.planning.paths import LinkedFile, ModelId, OwnedPath, TaskId

RUN_TAG = "clearml-cleanup"
"""On the job's own draft task, and on every run of it."""
DELETED_PREFIX = "__DELETED__"
"""What the server puts before the id of a record that was deleted, where other records name it."""
ACTIVE = frozenset({"in_progress", "queued"})
DRAFT = "created"
"""The status of a task that never ran."""
ARCHIVED_BY = "clearml-cleanup"
"""The ``status_reason`` of a task that a policy has archived."""
LEFT_TAG = "tasks left"
"""On a run that its budget or deadline ended: the next pass is due at once."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task as a listing gives it, without its outputs."""

    id: TaskId
    name: str
    status: str
    type: str = ""
    user: str = ""
    project: str = ""
    parent: str = ""
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    public: bool = False
    created: datetime | None = None
    status_changed: datetime | None = None
    last_update: datetime | None = None
    last_change: datetime | None = None
    input_models: tuple[ModelId, ...] = ()
    started: datetime | None = field(default=None, repr=False)
    completed: datetime | None = field(default=None, repr=False)
    """Of the last run; each None if the record has none, or none that can be read."""
    last_changed_by: str = field(default="", repr=False)
    """The id of the user who made the last change; empty if the record, or an older server, doesn't say."""
    status_reason: str = field(default="", repr=False)
    """The reason that was given when its status was last changed, or it was archived or restored; empty if none was given."""

    @property
    def archived(self) -> bool:
        """Whether the task is in the archive."""
        return "archived" in self.system_tags

    @property
    def active(self) -> datetime | None:
        """The moment from which its age counts; None if its record has no time at all.

        A draft that never ran has no ``status_changed``; an active task counts by its last report.
        """
        if self.status in ACTIVE:
            return self.last_update
        return self.status_changed or self.last_update or self.created

    @property
    def is_controller(self) -> bool:
        """Whether the task is the controller of a pipeline."""
        return self.type == "controller" or "pipeline" in self.system_tags


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A task whose record has another shape than the API promises: it is kept, and ``field`` names where."""

    id: TaskId
    field: str
    name: str = ""
    project: str = ""
    parent: str = ""
    """What can still be read of it; each empty if it can't, or if there is none."""
    refused: bool = False
    """Whether the server did not give what was asked for; ``field`` says then what that was, and what the server answered."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An entry of ``execution.artifacts``. ``size`` is in bytes; None if the record has none (registered by link)."""

    uri: str
    mode: str
    size: int | None = None
    key: str = ""
    """Its name. No two artifacts of a task have the same key and mode."""
    type: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """A task with its value of a metric."""

    task: Task | Unreadable
    value: float | None
    """None if it has none, or one that is not a finite number."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """What a task's record names that may belong to others: files, the place that it writes to, models that it lists."""

    id: TaskId
    uris: tuple[str, ...] = ()
    """The addresses of its artifacts of any mode; of a report's images, and of the folders that its text names."""
    destination: str = ""
    """Its ``output.destination``."""
    listed: tuple[ModelId, ...] = ()
    """The models of other tasks that it lists as its outputs."""
    archived: bool = False
    """Whether it is in the archive."""
    last_update: str = ""
    """As the server writes it; empty if the record has none."""
    unreadable: str = ""
    """The field in which the record has another shape than the API promises: what else it names can't be known."""
    mentions: frozenset[TaskId] = frozenset()
    """In such a record, everything that could be the id of a task."""

    @property
    def unreadable_words(self) -> str:
        """What can't be read, for people."""
        return f"{self.unreadable} of task {self.id or '(its id)'}, which names it,"


@dataclass(frozen=True, slots=True)
class Model:
    """A model's record. ``task`` is the maker's id, empty if there is none (any more)."""

    id: ModelId
    uri: str
    task: str = ""
    ready: bool = False
    """Published, in the API's word."""
    last_update: str = ""
    """As the server writes it; empty if the record has none."""
    tags: tuple[str, ...] = ()
    unreadable: str = ""
    """The field in which the record has another shape than the API promises; ``ready`` is true then, to be on the safe side."""
    mentions: frozenset[TaskId] = frozenset()
    """In such a record, everything that could be the id of a task."""

    @property
    def unreadable_words(self) -> str:
        """What can't be read, for people."""
        return f"{self.unreadable} of model {self.id or '(its id)'}"


@dataclass(frozen=True, slots=True)
class Project:
    """A project's record. ``name`` is the whole path."""

    id: str
    name: str
    hidden: bool = False
    public: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    """An entry of ``models.output``: a model, and the name that the task has for it."""

    name: str
    model: ModelId


@dataclass(frozen=True, slots=True)
class Detail:
    """A task as it is now, with what its record says of its outputs."""

    task: Task
    artifacts: tuple[Artifact, ...] = ()
    outputs: tuple[Listed, ...] = ()
    """The models that its record lists as its outputs. The server deletes them with it, also those of other tasks."""
    assets: tuple[str, ...] = ()
    """The images that a report's record names, in its list and in its text."""
    uses_datasets: bool = False
    """Whether its record names dataset versions that it used, in any shape."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """The server says that a record is deleted. ``models``: the output models deleted with it; None if it didn't say."""

    models: int | None = None


@dataclass(frozen=True, slots=True)
class GoneAlready:
    """The server says that there is no such record, although no call of ours can have deleted it."""


@dataclass(frozen=True, slots=True)
class NotDeleted:
    """The server did not delete a record; ``status`` and ``subcode`` are ClearML's."""

    status: int
    subcode: int
    message: str

    @property
    def says_missing(self) -> bool:
        """The server says that there is no such task. Up to 1.16 it also says so of published tasks."""
        return (self.status, self.subcode) == (400, 101)

    @property
    def needs_force(self) -> bool:
        """Refused for published children or models, or as a published task whose record is still there.

        400/123 also means "not archived", which force must not overrule.
        """
        for_others = "children" in self.message or "has output model" in self.message
        as_published = self.says_missing and "published" in self.message
        return as_published or ((self.status, self.subcode) == (400, 123) and for_others)

    @property
    def not_archived(self) -> bool:
        """Refused since the task is not archived. Steps of a pipeline need not be."""
        return (self.status, self.subcode) == (400, 123) and "status" in self.message

    @property
    def not_ours(self) -> bool:
        """A public example, or one that this key may not write."""
        return self.status == 403  # noqa: PLR2004 -- HTTP's Forbidden


@dataclass(frozen=True, slots=True)
class NotDone:
    """A task was not changed; ``status`` and ``subcode`` are ClearML's, or 0 if the server was not asked to change it."""

    status: int
    subcode: int
    message: str


@dataclass(frozen=True, slots=True)
class Size:
    """What a folder holds, or held: files, and their bytes."""

    files: int = 0
    bytes: int = 0
    unsized: int = 0
    """Files whose bytes are not known."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of paths that a store was asked to delete (or to measure): all others are deleted (or can be)."""

    failed: Mapping[OwnedPath | LinkedFile, str] = field(default_factory=dict)
    """Each with the reason."""
    sizes: Mapping[OwnedPath, Size] = field(default_factory=dict)
    """In stores that can list: what was there."""
    missing: frozenset[OwnedPath | LinkedFile] = frozenset()
    """Those that were not there: nothing had to be deleted."""
    parts: Mapping[OwnedPath, frozenset[str]] = field(default_factory=dict)
    """Of folders that were there in part: those of the ``KINDS`` that were not."""


@dataclass(frozen=True, slots=True)
class ServiceTask:
    """The job's own task in ClearML: the draft, or a clone of it."""

    id: TaskId
    name: str
    status: str
    project: str
    """The id of its project."""
    parent: str = ""
    tags: tuple[str, ...] = ()
    comment: str = ""
    hyperparams: Mapping[str, Any] = field(default_factory=dict)
    registered: Mapping[str, str] = field(default_factory=dict)
    """The operator's word as we last wrote it there (`parameters.statement_of`): a parameter that differs was edited."""
    script: Mapping[str, Any] = field(default_factory=dict)
    registered_script: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, str] = field(default_factory=dict)
    """Of a draft: the ``project`` and ``name`` under which it was registered, by name."""
    archived: bool = False

    @property
    def is_draft(self) -> bool:
        """Whether it is still a draft: not enqueued, and not archived."""
        return self.status == "created" and not self.archived

    @property
    def words(self) -> str:
        """The task in a message."""
        return f"task {self.name!r} ({self.id})"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the job's own task."""

    id: TaskId
    status: str
    started: datetime | None
    last_update: datetime | None
    tags: tuple[str, ...] = ()
    created: datetime | None = None
    status_reason: str = ""
    status_message: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, with the number of agents that listen on it; None if the server doesn't say."""

    id: str
    name: str
    workers: int | None
