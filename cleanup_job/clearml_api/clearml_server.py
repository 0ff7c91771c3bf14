"""ClearML Server as a pass needs it: bulk reads, and the deletion of records."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from msgspec import Raw

from cleanup_job.clearml_api import documents, event_files
from cleanup_job.clearml_api.datasets import Ancestors
from cleanup_job.clearml_api.deletion_answers import MISSING_TASK, Failed, Succeeded, count, entries, not_deleted
from cleanup_job.clearml_api.listing import LARGE, MANY, Listings, chunks
from cleanup_job.clearml_api.misread import Misread, Shape, page
from cleanup_job.clearml_api.session import PassingError, Transport
from cleanup_job.clearml_api.versions import DELETE_EXTERNAL, MODEL_EVENTS, MODELS_DELETE_MANY, TASKS_DELETE_MANY, Offer
from cleanup_job.errors import AnswerError, LargeAnswerError
from cleanup_job.planning.claim import ClaimScope
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import (
    Claimant,
    Deleted,
    Detail,
    GoneAlready,
    Listed,
    Model,
    NotDeleted,
    Project,
    Task,
    Unreadable,
)
from cleanup_job.planning.selection import Query
from cleanup_job.transport.bounded_http import MOST_BYTES

WAITED_FOR = 99
"""Tasks in one call whose events (up to 100,000) the server deletes before it answers. For more it leaves it to Elasticsearch,
at 1,000 events a second (``max_async_deleted_events_per_sec``) for each 100 tasks: a big pass would queue millions."""
MISSING = frozenset({MISSING_TASK, (400, 201), (400, 401)})
T = TypeVar("T")


class ClearMLServer:
    """The server's records. Safe to use from many threads."""

    def __init__(
        self, transport: Transport, page_size: int = MANY, *, before_deletion: Callable[[], None] = lambda: None
    ) -> None:
        """``page_size``: records a listing call returns, at most 500. What ``before_deletion`` raises ends a deletion."""
        self._before_deletion = before_deletion
        self._transport = transport
        self._offer = Offer(transport.version)
        self._report_fields = [field for what, field in documents.REPORT_FIELDS.items() if self._offer.has(what)]
        self._misread_projects: set[str] = set()
        self._unsure: set[TaskId] = set()
        """Tasks whose deletion was sent without an answer."""
        self._is_hasty = False
        self._listings = Listings(self._ask, page_size)

    @property
    def hasty(self) -> "ClearMLServer":
        """The same server, with few tries for each call: for calls that are divided, and repeated in parts, when they fail."""
        hasty = copy(self)
        hasty._is_hasty = True  # noqa: SLF001 -- its own copy
        hasty._listings = self._listings.by(hasty._ask)  # noqa: SLF001 -- likewise
        return hasty

    def answers(self) -> None:
        """See that it answers, by a call that has nothing to do with any task.

        Raises:
            UnreachableError: it gives no usable answer, after all tries.
        """
        self.newest()

    # -- reading
    @property
    def clock_ahead(self) -> timedelta | None:
        """How far the job's clock is ahead of the server's, by its answers so far; None where none of them names a time."""
        return self._transport.clock.ahead

    @property
    def token_ahead(self) -> timedelta | None:
        """The same by the time in the token of the login, which no proxy writes; None where there is none in it."""
        return self._transport.token_ahead

    def newest(self) -> datetime | None:
        """When a task was last updated, by the server's clock; None where there is no task, or its record can't be read."""
        body = {"only_fields": ["id", "last_update"], "order_by": ["-last_update"], "search_hidden": True}
        found = self._some("tasks", {**body, "page": 0, "page_size": 1}, documents.Entry)
        return documents.utc(found[0].last_update) if found else None

    def projects(self) -> dict[str, str]:
        """The name of each project by its id, hidden ones too. The tasks of one that can't be read can't be read either."""
        body = {"search_hidden": True, "only_fields": ["id", "name"]}
        found: dict[str, str] = {}
        for entry in self._listings.read("projects", body, documents.NameOf):
            if isinstance(entry, Misread):
                self._misread_projects.add(entry.id)
            else:
                found[entry.id] = entry.name
        for project in self._misread_projects:
            found.pop(project, None)
        return found

    def users(self) -> dict[str, str]:
        """The name of each user by id, of those that can be read."""
        body = {"only_fields": ["id", "name"]}
        data = self._ask("users.get_all_ex", body)
        found = page(data, "users", documents.NameOf)
        return {entry.id: entry.name for entry in found if not isinstance(entry, Misread)}

    def tag_exists(self, tag: str) -> bool:
        """Whether any task has this tag, archived and hidden ones included; of one that can't be read the filter tells."""
        body = {"tags": [tag], "search_hidden": True, "only_fields": ["id", "tags"], "page": 0, "page_size": 10}
        found = self._some("tasks", body, documents.TagsOf)
        return any(isinstance(entry, Misread) or tag in entry.tags for entry in found)

    def has_tasks(self, user: str) -> bool:
        """Whether any task is of the user with this id, who may have been removed (recording ``list_users_removed``)."""
        body = {"user": [user], "search_hidden": True, "only_fields": ["id", "user"], "page": 0, "page_size": 10}
        found = self._some("tasks", body, documents.UserOf)
        return any(not isinstance(entry, Misread) and entry.user == user for entry in found)

    def archived_tasks(self, query: Query) -> Iterator[Task | Unreadable]:
        """Archived tasks, as far as the server's filters hold: judge each by its own fields."""
        body: dict[str, Any] = {"system_tags": ["archived"], "only_fields": documents.TASK_FIELDS}
        filters = {"status": query.statuses, "type": query.types, "user": query.users}
        body |= {name: list(values) for name, values in filters.items() if values}
        if query.projects and len(query.projects) <= MANY:
            body["project"] = list(query.projects)
        if query.hidden:
            body["search_hidden"] = True
        yield from map(self._task, self._listings.read("tasks", body, documents.TaskEntry))

    def tasks(self, ids: Iterable[TaskId]) -> dict[TaskId, Task | Unreadable]:
        """These tasks as they are now; those that are gone are left out."""
        return {TaskId(entry.id): self._task(entry) for entry in self._by_id(ids, documents.TASK_FIELDS, documents.TaskEntry)}

    def existing(self, ids: Iterable[TaskId]) -> frozenset[TaskId]:
        """Those of these tasks that have a record, whatever its state."""
        wanted = set(ids)
        found: set[str] = set()
        for chunk in chunks(sorted(wanted)):
            body = {"id": chunk, "search_hidden": True, "only_fields": ["id"]}
            found |= {entry.id for entry in self._listings.read("tasks", body, documents.Entry, MANY)}
        return frozenset(i for i in wanted if i in found)

    def is_gone(self, task: TaskId) -> bool:
        """Whether the server says that there is no such task; a list that lacks it would say nothing."""
        try:
            self._ask("tasks.get_by_id", {"task": task, "only_fields": ["id"]})
        except AnswerError as error:
            if (error.status, error.subcode) == MISSING_TASK:
                return True
            raise
        return False

    def details(self, ids: Iterable[TaskId]) -> dict[TaskId, Detail | Unreadable]:
        """What these tasks' own records say of their outputs."""
        found: dict[TaskId, Detail | Unreadable] = {}
        for entry in self._by_id(ids, [*documents.DETAIL_FIELDS, *self._report_fields], documents.DetailEntry):
            task = self._task(entry)
            if isinstance(task, Unreadable):
                found[task.id] = task
            elif not isinstance(entry, Misread):
                found[task.id] = entry.detail()
        return found

    def models(self, ids: Iterable[ModelId]) -> list[Model]:
        """These models as they are now; those that are gone are left out. One that the server tells in two ways comes twice."""
        found: list[Model] = []
        for chunk in chunks(sorted(set(ids) - {""})):
            body = {"id": chunk, "only_fields": documents.MODEL_FIELDS}
            some = self._some("models", {**body, "page": 0, "page_size": MANY}, documents.ModelEntry)
            if not {entry.id for entry in some} >= set(chunk):  # some are gone, or the server cut the page: who knows
                some += self._listings.read("models", body, documents.ModelEntry, MANY)
            here = dict.fromkeys(entry.model() for entry in some)
            found += [model for model in here if model.id in chunk]
            if any(not model.id for model in here):  # it may be any of those that seem to be gone
                missing = set(chunk) - {model.id for model in here}
                found += [Model(one, "", ready=True, unreadable="id") for one in sorted(missing)]
        return found

    def all_models(self, since: str = "") -> Iterator[Model]:
        """Yield every model on the server; with ``since`` those that were made or changed since that ``last_update``.

        One that changes meanwhile may come twice. One that can't be read comes with what can be.
        """
        body = {"only_fields": documents.MODEL_FIELDS}
        for entry in self._listings.stream("models", body, documents.ModelEntry, since):
            yield entry.model()

    def claimants(self, scope: ClaimScope, since: str = "") -> Iterator[Claimant]:
        """Yield what the tasks in a scope name; with ``since`` those that were made or changed since that ``last_update``.

        No filter of the API finds an artifact by its address (recording ``list_parts``), so all tasks are read. One that
        changes meanwhile may come twice.
        """
        for filters in documents.SCOPES[scope]:
            body = {**filters, "search_hidden": True, "only_fields": [*documents.CLAIM_FIELDS, *self._report_fields]}
            for entry in self._listings.stream("tasks", body, documents.ClaimEntry, since):
                yield entry.claimant()

    def models_of(self, tasks: Iterable[TaskId]) -> dict[TaskId, list[Model]]:
        """The output models of these tasks."""
        found: dict[TaskId, list[Model]] = defaultdict(list)
        body = {"only_fields": documents.MODEL_FIELDS}
        for task, entry in self._where("models", "task", tasks, body, documents.ModelEntry, lambda entry: (entry.task,)):
            found[TaskId(task)].append(entry.model())
        return dict(found)

    def users_of(self, models: Iterable[ModelId]) -> dict[ModelId, frozenset[TaskId]]:
        """For each of these models, the tasks that have it as an input; an empty id for one whose own can't be read."""
        found: dict[ModelId, set[TaskId]] = defaultdict(set)
        body = {"search_hidden": True, "only_fields": ["id", "models.input"]}
        field = "models.input.model"
        for model, entry in self._where("tasks", field, models, body, documents.ModelsOf, lambda entry: entry.input_models):
            found[ModelId(model)].add(TaskId(entry.id))
        return {model: frozenset(tasks) for model, tasks in found.items()}

    def published_children(self, tasks: Iterable[TaskId]) -> frozenset[TaskId]:
        """Those of these tasks that have a published child."""
        body = {"status": ["published"], "search_hidden": True, "only_fields": ["id", "parent", "status"]}
        found = self._where("tasks", "parent", tasks, body, documents.ParentOf, lambda entry: (entry.parent,))
        return frozenset(TaskId(task) for task, child in found if isinstance(child, Misread) or child.status == "published")

    def children(self, tasks: Iterable[TaskId]) -> Iterator[Task | Unreadable]:
        """All tasks that have one of these as their parent."""
        body = {"search_hidden": True, "only_fields": documents.TASK_FIELDS}
        for parent, entry in self._where("tasks", "parent", tasks, body, documents.TaskEntry, lambda entry: (entry.parent,)):
            task = self._task(entry)
            yield replace(task, parent=parent) if isinstance(task, Unreadable) else task

    def dataset_users(self, version: TaskId) -> frozenset[TaskId]:
        """The tasks that used a dataset version. The server takes one version in a call; of a list it finds nothing."""
        body = {"runtime.datasets": version, "search_hidden": True, "only_fields": ["id", "runtime"]}
        found = self._listings.read("tasks", body, documents.DatasetsOf, MANY)
        return frozenset(TaskId(entry.id) for entry in found if isinstance(entry, Misread) or version in entry.runtime.datasets)

    def project_tree(self) -> list[Project]:
        """Every project, hidden ones too; none at all where one can't be read: it might lie in any of them."""
        body = {"search_hidden": True, "only_fields": ["id", "name", "system_tags", "company"]}
        found: list[Project] = []
        for entry in self._listings.read("projects", body, documents.ProjectEntry):
            if isinstance(entry, Misread):
                return []
            found.append(entry.project())
        return found

    def left_in(self, projects: Iterable[str]) -> Iterator[tuple[str, TaskId | Model]]:
        """What is in these projects, each with its project: tasks of every kind, and models."""
        body = {"search_hidden": True, "only_fields": ["id", "project"]}
        wanted = list(projects)
        for project, entry in self._where("tasks", "project", wanted, body, documents.PlaceOf, lambda entry: (entry.project,)):
            yield project, TaskId(entry.id)
        body = {"only_fields": [*documents.MODEL_FIELDS, "project"]}
        for project, model in self._where(
            "models", "project", wanted, body, documents.ModelEntry, lambda entry: (entry.project,)
        ):
            yield project, model.model()

    def pipelines(self, tasks: Iterable[TaskId]) -> frozenset[TaskId]:
        """Those of these tasks that are pipelines' controllers; one that can't be read may be."""
        found = self.tasks(tasks).values()
        return frozenset(task.id for task in found if isinstance(task, Unreadable) or task.is_controller)

    def dataset_ancestors(self) -> Iterator[tuple[TaskId, frozenset[TaskId]]]:
        """Every dataset version on the server, with the versions it can't be read without, or may not be."""
        yield from Ancestors(self._listings.read).read()

    def event_files(self, tasks: Sequence[TaskId]) -> Iterator[tuple[TaskId, str | Unreadable]]:
        """The files of debug samples and plots of these tasks, each with its task; or what can't be read of its events."""
        for owner, found in event_files.uris(self._ask_for, self._offer, tasks):
            yield TaskId(owner), found

    def model_event_files(self, models: Sequence[ModelId]) -> Iterator[tuple[ModelId, str | Unreadable]]:
        """The same of models: they have events of their own. One whose id can't be read can't be asked for."""
        ids = [model for model in models if model]
        if ids and self._offer.has(MODEL_EVENTS) and event_files.any_of_models(self._ask_for, self._offer, ids):
            for owner, found in event_files.uris(self._ask_for, self._offer, ids, of_models=True):
                yield ModelId(owner), found

    # -- deleting
    def delete_tasks(
        self, ids: Sequence[TaskId], *, force: bool, keep_models: bool = False
    ) -> dict[TaskId, Deleted | GoneAlready | NotDeleted]:
        """Delete these tasks' records with their events and, unless ``keep_models``, their output models; but no files.

        So many at a time that the server deletes their events before it answers.

        After a failure in mid-call the server may have done any part of it: what is left is read, not guessed, and what is gone
        then was deleted by that call. A task that the server's answer does not mention is left out.

        Raises:
            UnreachableError: no usable answer, after all tries.
            AnswerError: the server refused the call as a whole, or its answer can't be read.
        """
        done: dict[TaskId, Deleted | GoneAlready | NotDeleted] = {}
        left = list(dict.fromkeys(ids))
        try:
            for attempt in self._transport.tries("tasks.delete_many", hasty=self._is_hasty):
                with attempt:
                    done |= self._deleted_before(left)
                    left = [i for i in left if i not in done]
                    for chunk in list(chunks(left, WAITED_FOR)):
                        self._unsure.update(chunk)
                        said = self._delete_chunk(chunk, {"force": force, "delete_output_models": not keep_models})
                        self._unsure.difference_update(said)
                        done |= said | self._deleted_before(chunk)
                        left = [i for i in left if i not in chunk]
        except (PassingError, AnswerError) as error:
            done |= self._deleted_before(left)
            if all(i in done for i in left):
                return done
            if isinstance(error, AnswerError):
                raise
            raise self._transport.unreachable("tasks.delete_many", error, hasty=self._is_hasty) from error
        return done

    def _deleted_before(self, ids: Iterable[TaskId]) -> dict[TaskId, Deleted]:
        """Those of these tasks that an earlier call deleted whose answer did not come."""
        unsure = [i for i in ids if i in self._unsure]
        there = self.tasks(unsure) if unsure else {}
        return {i: Deleted() for i in unsure if i not in there}

    def delete_models(self, ids: Sequence[ModelId]) -> None:
        """Delete these models' records although tasks that go with them still use them."""
        for chunk in chunks(list(ids)):
            self._offer.newest(MODELS_DELETE_MANY, partial(self._delete_some_models, chunk), partial(self._delete_each, chunk))

    def _delete_some_models(self, models: list[ModelId]) -> None:
        body = {"ids": models, "force": True, "delete_external_artifacts": False}
        self._ask_for("models.delete_many", body, dict[str, Any], self._before_deletion)

    def _delete_each(self, models: list[ModelId]) -> None:
        for model in models:
            self._unless_missing("models.delete", {"model": model, "force": True})

    def delete_project(self, project: str) -> None:
        """Delete a project that is empty; without force, and not its contents.

        Raises:
            AnswerError: the server refused.
        """
        self._unless_missing("projects.delete", {"project": project, "force": False, "delete_contents": False})

    def list_outputs(self, task: TaskId, outputs: Sequence[Listed]) -> None:
        """Set the output models that a task lists, and so its ``last_update`` (recording ``delete_listed_models_remedy``).

        That the task is missing is no failure: whoever deletes its record is told so.
        """
        models = {"output": [{"name": entry.name, "model": entry.model} for entry in outputs]}
        self._unless_missing("tasks.edit", {"task": task, "force": True, "models": models})

    def _delete_chunk(self, ids: list[TaskId], wanted: Mapping[str, bool]) -> dict[TaskId, Deleted | GoneAlready | NotDeleted]:
        options = dict(wanted)
        if self._offer.has(DELETE_EXTERNAL):
            options["delete_external_artifacts"] = False
        many = partial(self._delete_some, ids, options)
        done = self._offer.newest(TASKS_DELETE_MANY, many, lambda: {i: self._delete_one(i, options) for i in ids})
        missing = [task for task, answer in done.items() if isinstance(answer, NotDeleted) and answer.says_missing]
        there = self.existing(missing) if missing else frozenset()
        return done | {task: GoneAlready() for task in missing if task not in there}

    def _delete_some(self, ids: list[TaskId], options: Mapping[str, bool]) -> dict[TaskId, Deleted | GoneAlready | NotDeleted]:
        body = {"ids": ids, **options}
        answer = self._transport.ask_once("tasks.delete_many", body, dict[str, Raw], self._before_deletion)
        asked = set(ids)
        # An entry that can't be read is as none: its record counts as not deleted.
        done = {one.id: Deleted(count(one.deleted_models)) for one in entries(answer, "succeeded", Succeeded)}
        refused = {one.id: not_deleted(one.error) for one in entries(answer, "failed", Failed)}
        said: dict[TaskId, Deleted | GoneAlready | NotDeleted] = {
            TaskId(i): outcome for i, outcome in (done | refused).items() if i in asked
        }
        if not said:
            raise AnswerError("tasks.delete_many: the server's answer does not mention it")
        return said

    def _delete_one(self, task: TaskId, options: Mapping[str, Any]) -> Deleted | GoneAlready | NotDeleted:
        try:
            data = self._transport.ask_once("tasks.delete", {"task": task, **options}, dict[str, Raw], self._before_deletion)
            return Deleted(count(data.get("deleted_models", Raw(b"null"))))
        except AnswerError as error:
            return NotDeleted(error.status, error.subcode, str(error))

    # -- asking
    def _ask(self, name: str, body: dict[str, Any], most: int = MOST_BYTES) -> dict[str, Raw]:
        return self._ask_for(name, body, dict[str, Raw], most=most)

    def _ask_for(
        self,
        name: str,
        body: dict[str, Any],
        shape: type[T],
        before: Callable[[], None] = lambda: None,
        *,
        most: int = MOST_BYTES,
    ) -> T:
        return self._transport.ask(name, body, shape, before, most=most, hasty=self._is_hasty)

    def _some(self, service: str, body: dict[str, Any], shape: type[Shape]) -> list[Shape | Misread]:
        """One page."""
        return page(self._ask(f"{service}.get_all", body), service, shape)

    def _task(self, entry: documents.TaskEntry | Misread) -> Task | Unreadable:
        task = entry.task()
        if task.project in self._misread_projects and not isinstance(task, Unreadable):
            return Unreadable(task.id, "the record of its project", task.name, task.project, task.parent)
        return task

    def _by_id(self, ids: Iterable[TaskId], fields: list[str], shape: type[Shape]) -> Iterator[Shape | Misread]:
        """Tasks by id, in one page each: one that is missed counts as changed, and stays."""
        left = list(chunks(sorted(set(ids))))
        while left:
            chunk = left.pop()
            body = {"id": chunk, "search_hidden": True, "only_fields": fields, "page": 0, "page_size": MANY}
            try:
                data = self._ask("tasks.get_all", body, MOST_BYTES if len(chunk) == 1 else LARGE)
            except LargeAnswerError:
                if len(chunk) == 1:
                    raise
                left += [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]
                continue
            wanted = set(chunk)
            yield from (entry for entry in page(data, "tasks", shape) if entry.id in wanted)

    def _where(  # noqa: PLR0913, PLR0917 -- what to ask for, and what to make of the answers
        self,
        service: str,
        field: str,
        values: Iterable[str],
        body: dict[str, Any],
        shape: type[Shape],
        values_of: Callable[[Shape], Iterable[Any]],
    ) -> Iterator[tuple[str, Shape | Misread]]:
        """Documents that have one of these values in a field, each with it, as often as it has one.

        Of a document that can't be read the server's filter is asked: with ever fewer values, until there is one.
        """
        for chunk in chunks(sorted(set(values) - {""})):
            misread = False
            wanted = set(chunk)
            for entry in self._listings.read(service, {**body, field: chunk}, shape, MANY):
                if not isinstance(entry, Misread):
                    yield from ((value, entry) for value in wanted.intersection(values_of(entry)))
                elif len(chunk) == 1:
                    yield chunk[0], entry
                else:
                    misread = True
            for half in (chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]) if misread else ():
                again = self._where(service, field, half, body, shape, values_of)
                yield from ((value, entry) for value, entry in again if isinstance(entry, Misread))

    def _unless_missing(self, name: str, body: dict[str, Any]) -> None:
        try:
            self._ask_for(name, body, dict[str, Any], self._before_deletion)
        except AnswerError as error:
            if (error.status, error.subcode) not in MISSING:
                raise
