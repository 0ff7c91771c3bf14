"""What a pass needs around it, as protocols: ClearML Server, the stores, and its observers."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from cleanup_job.planning.claim import ClaimScope
from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.orphans import Entry, FoundFolder
from cleanup_job.planning.outcome import TaskOutcome
from cleanup_job.planning.paths import LinkedFile, Locate, Location, ModelId, OwnedPath, TaskId
from cleanup_job.planning.records import (
    Artifact,
    Claimant,
    Deleted,
    Detail,
    GoneAlready,
    Listed,
    Model,
    NotDeleted,
    NotDone,
    Project,
    Removed,
    Scored,
    Task,
    Unreadable,
)
from cleanup_job.planning.selection import Query
from cleanup_job.planning.sharding import Share
from cleanup_job.planning.sweep_outcome import Orphan


class RulesServer(Protocol):
    """ClearML Server, asked for all that decides which tasks the settings select."""

    @property
    def clock_ahead(self) -> timedelta | None: ...
    @property
    def token_ahead(self) -> timedelta | None: ...
    def newest(self) -> datetime | None: ...
    def projects(self) -> dict[str, str]: ...
    def users(self) -> dict[str, str]: ...
    def tag_exists(self, tag: str) -> bool: ...
    def has_tasks(self, user: str) -> bool: ...
    def me(self) -> str: ...


class LifecycleServer(Protocol):
    """ClearML Server, asked for what policies do to tasks beside deleting them."""

    def check_lifecycle(self) -> None: ...
    def me(self) -> str: ...
    def tasks_of(self, query: Query) -> Iterator[Task | Unreadable]: ...
    def best_tasks(self, project: str, metric: str, *, highest: bool) -> Iterator[list[Scored]]: ...
    def archive_tasks(self, ids: Sequence[TaskId], *, message: str) -> dict[TaskId, NotDone]: ...
    def change_tags(self, ids: Sequence[TaskId], *, add: Collection[str] = (), remove: Collection[str] = ()) -> None: ...
    def remove_artifacts(self, task: TaskId, gone: Collection[Artifact]) -> bool: ...
    def clear_log(self, task: TaskId) -> None: ...


class Server(RulesServer, LifecycleServer, Protocol):
    """ClearML Server, as `clearml_api/` offers it."""

    @property
    def with_few_tries(self) -> "Server": ...
    def probe(self) -> None: ...
    def archived_count(self, projects: Sequence[str]) -> int | None: ...
    def archived_tasks(self, query: Query, share: Share) -> Iterator[Task | Unreadable]: ...
    def tasks(self, ids: Iterable[TaskId]) -> dict[TaskId, Task | Unreadable]: ...
    def is_gone(self, task: TaskId) -> bool: ...
    def whole_records(self, ids: Iterable[TaskId]) -> Iterator[tuple[TaskId, bytes]]: ...
    def details(self, ids: Iterable[TaskId]) -> dict[TaskId, Detail | Unreadable]: ...
    def models(self, ids: Iterable[ModelId]) -> list[Model]: ...
    def all_models(self, since: str = "") -> Iterator[Model]: ...
    def claimants(self, scope: ClaimScope, since: str = "") -> Iterator[Claimant]: ...
    def models_of(self, tasks: Iterable[TaskId]) -> dict[TaskId, list[Model]]: ...
    def users_of(self, models: Iterable[ModelId]) -> dict[ModelId, frozenset[TaskId]]: ...
    def published_children(self, tasks: Iterable[TaskId]) -> frozenset[TaskId]: ...
    def children(self, tasks: Iterable[TaskId]) -> Iterator[Task | Unreadable]: ...
    def dataset_users(self, version: TaskId) -> frozenset[TaskId]: ...
    def project_tree(self) -> list[Project]: ...
    def left_in(self, projects: Iterable[str]) -> Iterator[tuple[str, TaskId | Model]]: ...
    def delete_project(self, project: str) -> None: ...
    def dataset_ancestors(self) -> Iterator[tuple[TaskId, frozenset[TaskId]]]: ...
    def event_files(self, tasks: Sequence[TaskId]) -> Iterator[tuple[TaskId, str | Unreadable]]: ...
    def model_event_files(self, models: Sequence[ModelId]) -> Iterator[tuple[ModelId, str | Unreadable]]: ...
    def delete_tasks(
        self, ids: Sequence[TaskId], *, force: bool, keep_models: bool = False
    ) -> dict[TaskId, Deleted | GoneAlready | NotDeleted]: ...
    def list_outputs(self, task: TaskId, outputs: Sequence[Listed]) -> None: ...
    def delete_models(self, ids: Sequence[ModelId]) -> None: ...


class Storage(Protocol):
    """All stores together, as `storage/` offers them."""

    @property
    def by_file(self) -> frozenset[str]: ...
    @property
    def links(self) -> frozenset[str]: ...
    @property
    def locate(self) -> Locate: ...
    def lists(self, store: str) -> bool: ...
    def check(self) -> list[str]: ...
    def prepare(self) -> None: ...
    def prove(self, places: Sequence[Location]) -> None: ...
    def real(self, place: Location) -> Location: ...
    def warnings(self) -> list[str]: ...
    def measure(self, paths: Iterable[OwnedPath]) -> Removed: ...
    def delete(self, paths: Iterable[OwnedPath], linked: Iterable[LinkedFile]) -> Removed: ...


class Audit(Protocol):
    """Keeps what is deleted or changed: called right before each deletion or change, and after it.

    Safe to use from many threads. Each method raises ``AuditError`` if its lines could not be written: nothing of that is
    deleted or changed then.
    """

    @property
    def records(self) -> bool:
        """Whether it takes a copy of each task's record before the task is deleted."""

    def record(self, task: TaskId, record: bytes) -> None:
        """Take the record of a task, as the JSON that the server gave."""

    def before(self, planned: Sequence[tuple[Deletion, TaskOutcome, Sequence[str]]]) -> None:
        """Take what is deleted next, each task with the outcome that is planned for it, and why it may be deleted."""

    def before_stage(self, planned: Sequence[tuple[Task, TaskOutcome, Sequence[str], Sequence[str]]]) -> None:
        """Take what policies do next, apart from deletion: archive, slim, announce.

        Each task as it was read last, with the outcome that is planned for it (its verdict and stage say what is done), why it
        may be done, one text for each rule, and the URIs of what is removed with it.
        """

    def after(self, outcomes: Iterable[TaskOutcome]) -> None:
        """Take what became of tasks that ``before`` or ``before_stage`` took."""

    def before_project(self, project: Project) -> None:
        """Take an emptied project that is deleted next."""

    def after_project(self, project: Project, error: str) -> None:
        """Take what became of it; ``error`` is empty if it was deleted."""

    def before_orphan(self, orphan: Orphan) -> None:
        """Take a task folder without a record that a sweep deletes next."""

    def after_orphan(self, orphan: Orphan) -> None:
        """Take what became of it."""


class ClaimServer(Protocol):
    """ClearML Server, asked for what all records name."""

    def all_models(self) -> Iterator[Model]: ...
    def claimants(self, scope: ClaimScope) -> Iterator[Claimant]: ...


class SweepServer(ClaimServer, Protocol):
    """ClearML Server as a sweep asks it."""

    def existing(self, ids: Iterable[TaskId]) -> frozenset[TaskId]: ...
    def is_gone(self, task: TaskId) -> bool: ...
    def models_of(self, tasks: Iterable[TaskId]) -> dict[TaskId, list[Model]]: ...


class UsageServer(RulesServer, ClaimServer, Protocol):
    """ClearML Server as ``usage`` asks it: nothing here changes anything."""

    def all_tasks(self) -> Iterator[Detail | Unreadable]: ...
    def details(self, ids: Iterable[TaskId]) -> dict[TaskId, Detail | Unreadable]: ...
    def models_of(self, tasks: Iterable[TaskId]) -> dict[TaskId, list[Model]]: ...


class UsageStorage(Protocol):
    """A store that can list, as ``usage`` asks it."""

    def locate(self, uri: str) -> Location | None: ...
    def entries(self, place: Location) -> Iterator[Entry]: ...
    def warnings(self) -> list[str]: ...


class SweepStorage(Protocol):
    """A store that can list."""

    def folders(self, place: Location) -> Iterator[FoundFolder]: ...
    def warnings(self) -> list[str]: ...
    def delete(self, paths: Sequence[OwnedPath]) -> Removed: ...


class Observer(Protocol):
    """Watches a pass. Does nothing by itself: a subclass overrides only what it needs.

    A pass calls its observers through ``Observers``: from several threads, but never for two events at the same time.
    """

    def expected(self, tasks: int | None) -> None:
        """About how many tasks the pass will look at; None if unknown. Called once, before the first deletion.

        As far as that could be had cheaply: the archived ones by the server's own count, or those that were counted for
        ``refuse_above``.
        """
        return

    def selected(self, total: int) -> None:
        """All tasks are selected: the stream has come to its end. Not called in a pass that ended before."""
        return

    def outcome(self, outcome: TaskOutcome) -> None:
        """What became of one task."""
        return

    def project(self, name: str) -> None:
        """A project was deleted."""
        return

    def warning(self, text: str) -> None:
        """Something that people should look at."""
        return
