"""Tasks: those that may be deleted, what their records list, and the tasks that depend on them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cleanup_job.clearml_api import documents, event_files
from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.api_reader import ApiReader
from cleanup_job.clearml_api.datasets import Ancestors
from cleanup_job.clearml_api.deletion_answers import MISSING_TASK
from cleanup_job.clearml_api.event_pages import IMAGES, PLOTS
from cleanup_job.clearml_api.listed_documents import Malformed, raw_documents
from cleanup_job.clearml_api.listing import PAGE_CAP, Call, chunks
from cleanup_job.clearml_api.makers import makers_of
from cleanup_job.clearml_api.newest_first import NewestFirst
from cleanup_job.errors import AnswerError
from cleanup_job.planning.claim import ClaimScope
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Claimant, Detail, Task, Unreadable
from cleanup_job.planning.selection import Query
from cleanup_job.planning.sharding import ALONE, Share
from cleanup_job.transport.splitting import Splitting


class TaskReader(ApiReader):
    """Reads tasks."""

    def __init__(self, client: ApiClient, page_size: int = PAGE_CAP) -> None:
        """``page_size``: records that a listing call returns, at most 500."""
        super().__init__(client, page_size)
        self._report_fields = [field for what, field in documents.REPORT_FIELDS.items() if self._capabilities.has(what)]
        self._task_fields = [
            *documents.TASK_FIELDS,
            *(field for what, field in documents.AUTHOR_FIELDS.items() if self._capabilities.has(what)),
        ]
        self._assets_field = [field for field in self._report_fields if field != documents.REPORT]
        self._malformed_projects: set[str] = set()
        few_tries: Call = self.with_few_tries._listings.in_turn  # noqa: SLF001 -- its own
        self._split: Splitting[Call] = Splitting(self._listings.in_turn, few_tries, self.newest)

    def newest(self) -> datetime | None:
        """When a task was last updated, by the server's clock; None if there is no task, or its record can't be read."""
        body = {"only_fields": ["id", "last_update"], "order_by": ["-last_update"], "search_hidden": True}
        found = self._one_page("tasks", {**body, "page": 0, "page_size": 1}, documents.Entry)
        return documents.utc(found[0].last_update) if found else None

    def tag_exists(self, tag: str) -> bool:
        """Whether any task has this tag, including archived and hidden ones; for a malformed one the server's filter counts."""
        body = {"tags": [tag], "search_hidden": True, "only_fields": ["id", "tags"], "page": 0, "page_size": 10}
        found = self._one_page("tasks", body, documents.TagsOf)
        return any(isinstance(entry, Malformed) or tag in entry.tags for entry in found)

    def has_tasks(self, user: str) -> bool:
        """Whether any task belongs to the user with this id, who may have been removed (recording ``list_users_removed``)."""
        body = {"user": [user], "search_hidden": True, "only_fields": ["id", "user"], "page": 0, "page_size": 10}
        found = self._one_page("tasks", body, documents.UserOf)
        return any(not isinstance(entry, Malformed) and entry.user == user for entry in found)

    def archived_tasks(self, query: Query, share: Share = ALONE) -> Iterator[Task | Unreadable]:
        """Archived tasks, as far as the server's filters work: judge each by its own fields.

        The most recent ``last_update`` comes first. A page is read when its first task is asked for, and tasks that came before
        may be deleted meanwhile.

        Args:
            query: What to ask the server for.
            share: Of several pods: whose days to list.

        Raises:
            AnswerError: an answer can't be read, or the server ignores the order or the bounds of ``last_update``.
        """
        yield from self._listed({"system_tags": ["archived"]}, query, share)

    def tasks_of(self, query: Query, share: Share = ALONE) -> Iterator[Task | Unreadable]:
        """Like ``archived_tasks``, but archived or not.

        Raises:
            AnswerError: an answer can't be read, or the server ignores the order or the bounds of ``last_update``.
        """
        yield from self._listed({}, query, share)

    def _listed(self, body: dict[str, Any], query: Query, share: Share) -> Iterator[Task | Unreadable]:
        body = {**body, "only_fields": self._task_fields}
        filters = {"status": query.statuses, "type": query.types, "user": query.users}
        body |= {name: list(values) for name, values in filters.items() if values}
        if query.projects and len(query.projects) <= PAGE_CAP:
            body["project"] = list(query.projects)
        if query.hidden:
            body["search_hidden"] = True
        listing = NewestFirst(self._listings, body, documents.TaskEntry, share)
        yield from map(self._task, listing.read())

    def all_tasks(self) -> Iterator[Detail | Unreadable]:
        """Yield every task with its artifacts and, for a report, its images; each once, newest ``last_update`` first.

        Raises:
            AnswerError: an answer can't be read, or the server ignores the order or the bounds of ``last_update``.
        """
        fields = [*self._task_fields, "execution.artifacts", *self._assets_field]
        body = {"search_hidden": True, "only_fields": fields}
        for entry in NewestFirst(self._listings, body, documents.DetailEntry).read():
            task = self._task(entry)
            if isinstance(task, Unreadable):
                yield task
            elif not isinstance(entry, Malformed):
                yield entry.detail()

    def tasks(self, ids: Iterable[TaskId]) -> dict[TaskId, Task | Unreadable]:
        """These tasks as they are now, without those that no longer exist."""
        found = self._tasks_by_id(ids, self._task_fields, documents.TaskEntry)
        return {TaskId(entry.id): self._task(entry) for entry in found}

    def existing(self, ids: Iterable[TaskId]) -> frozenset[TaskId]:
        """Those of these tasks that have a record, in any state."""
        wanted = set(ids)
        found: set[str] = set()
        for chunk in chunks(sorted(wanted)):
            body = {"id": chunk, "search_hidden": True, "only_fields": ["id"]}
            found |= {entry.id for entry in self._listings.read("tasks", body, documents.Entry, PAGE_CAP)}
        return frozenset(i for i in wanted if i in found)

    def is_gone(self, task: TaskId) -> bool:
        """Whether the server says that this task does not exist. Its absence from a list would not prove that."""
        try:
            self._ask_raw("tasks.get_by_id", {"task": task, "only_fields": ["id"]})
        except AnswerError as error:
            if (error.status, error.subcode) == MISSING_TASK:
                return True
            raise
        return False

    def whole_records(self, ids: Iterable[TaskId]) -> Iterator[tuple[TaskId, bytes]]:
        """The whole documents of these tasks, each as JSON; without those that no longer exist, or whose id can't be read.

        Without ``only_fields``, the server gives every field but a few of its own (recording ``list_fields``).
        """
        for wanted, data in self._answers_by_id(ids, {"search_hidden": True}):
            for raw, entry in raw_documents(data, "tasks"):
                if entry.id in wanted:
                    yield TaskId(entry.id), bytes(raw)

    def details(self, ids: Iterable[TaskId]) -> dict[TaskId, Detail | Unreadable]:
        """What the records of these tasks say about their outputs."""
        found: dict[TaskId, Detail | Unreadable] = {}
        fields = [*self._task_fields, *documents.DETAIL_FIELDS, *self._report_fields]
        for entry in self._tasks_by_id(ids, fields, documents.DetailEntry):
            task = self._task(entry)
            if isinstance(task, Unreadable):
                found[task.id] = task
            elif not isinstance(entry, Malformed):
                found[task.id] = entry.detail()
        return found

    def event_files(self, tasks: Sequence[TaskId]) -> Iterator[tuple[TaskId, str | Unreadable]]:
        """The files of these tasks' debug samples and plots, each with its task; or what can't be read of its events."""
        for owner, found in event_files.uris(self._ask, self._capabilities, tasks):
            yield TaskId(owner), found

    def debug_samples(self, tasks: Sequence[TaskId]) -> Iterator[tuple[TaskId, str | Unreadable]]:
        """The same of debug samples alone."""
        for owner, found in event_files.uris(self._ask, self._capabilities, tasks, kinds=(IMAGES,)):
            yield TaskId(owner), found

    def plot_images(self, tasks: Sequence[TaskId]) -> Iterator[tuple[TaskId, str | Unreadable]]:
        """The same of plots alone."""
        for owner, found in event_files.uris(self._ask, self._capabilities, tasks, kinds=(PLOTS,)):
            yield TaskId(owner), found

    # -- what depends on other tasks
    def claimants(self, scope: ClaimScope, since: str = "") -> Iterator[Claimant]:
        """Yield what the tasks in a scope name; with ``since``, only of tasks changed since that ``last_update``.

        No filter of the API finds an artifact by its address (recording ``list_parts``), so all tasks are read. A task that
        changes meanwhile may come twice. Who made the models that they list is looked up for each page.
        """
        for filters in documents.SCOPES[scope]:
            body = {**filters, "search_hidden": True, "only_fields": [*documents.CLAIM_FIELDS, *self._report_fields]}
            yield from self._listings.stream("tasks", body, documents.ClaimEntry, self._claimants, since)

    def _claimants(self, found: Sequence[documents.ClaimEntry | Malformed]) -> list[Claimant]:
        listed = (model for entry in found if not isinstance(entry, Malformed) for model in entry.output_models)
        makers = makers_of(self._split, listed)
        return [entry.claimant(makers) for entry in found]

    def published_children(self, tasks: Iterable[TaskId]) -> frozenset[TaskId]:
        """Those of these tasks that have a published child."""
        body = {"status": ["published"], "search_hidden": True, "only_fields": ["id", "parent", "status"]}
        found = self._with_values("tasks", "parent", tasks, body, documents.ParentOf, lambda entry: (entry.parent,))
        return frozenset(TaskId(task) for task, child in found if isinstance(child, Malformed) or child.status == "published")

    def children(self, tasks: Iterable[TaskId]) -> Iterator[Task | Unreadable]:
        """All tasks whose parent is one of these."""
        body = {"search_hidden": True, "only_fields": self._task_fields}
        found = self._with_values("tasks", "parent", tasks, body, documents.TaskEntry, lambda entry: (entry.parent,))
        for parent, entry in found:
            task = self._task(entry)
            yield replace(task, parent=parent) if isinstance(task, Unreadable) else task

    def dataset_users(self, version: TaskId) -> frozenset[TaskId]:
        """The tasks that used a dataset version. The server takes one version per call; for a list it finds nothing."""
        body = {"runtime.datasets": version, "search_hidden": True, "only_fields": ["id", "runtime"]}
        found = self._listings.read("tasks", body, documents.DatasetsOf, PAGE_CAP)
        return frozenset(
            TaskId(entry.id) for entry in found if isinstance(entry, Malformed) or version in entry.runtime.datasets
        )

    def dataset_ancestors(self) -> Iterator[tuple[TaskId, frozenset[TaskId]]]:
        """Every dataset version on the server, with the versions that it needs, or may need, to be readable."""
        yield from Ancestors(self._listings.read).read()

    def _task(self, entry: documents.TaskEntry | Malformed) -> Task | Unreadable:
        task = entry.task()
        if task.project in self._malformed_projects and not isinstance(task, Unreadable):
            return Unreadable(task.id, "the record of its project", task.name, task.project, task.parent)
        return task
