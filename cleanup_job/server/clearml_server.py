"""ClearML Server as a pass needs it: bulk reads, and the deletion of records."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from cleanup_job.claim import Scope
from cleanup_job.errors import AnswerError
from cleanup_job.paths import ModelId, TaskId
from cleanup_job.records import Claimant, Deleted, Detail, Listed, Model, NotDeleted, Project, Task
from cleanup_job.selection import Query
from cleanup_job.server import events, parse
from cleanup_job.server.listing import MANY, Listings, chunks
from cleanup_job.server.session import PassingError, Transport

DELETE_MANY = (2, 13)
DELETE_EXTERNAL = (2, 21)
"""Since this API version the server deletes files by itself unless told not to: two owners would be one too many."""
MODEL_EVENTS = (2, 23)
WAITED_FOR = 99
"""Tasks in one call whose events (up to 100,000) the server deletes before it answers. For more it leaves it to Elasticsearch,
at 1,000 events a second (``max_async_deleted_events_per_sec``) for each 100 tasks: a big pass would queue millions."""
SCOPES: dict[Scope, list[dict[str, Any]]] = {
    "all": [{}],
    "pipelines": [{"type": ["controller"]}, {"system_tags": ["pipeline"]}, {"status": ["created"]}],
    "off": [],
}
"""What to ask for to read the tasks that can claim what others made. An imported task is a draft; nothing else shows it."""
MISSING_TASK = (400, 101)
MISSING = frozenset({MISSING_TASK, (400, 201), (400, 401)})


class ClearMLServer:
    """The server's records. Safe to use from many threads."""

    def __init__(
        self, transport: Transport, page_size: int = MANY, *, before_deletion: Callable[[], None] = lambda: None
    ) -> None:
        """``page_size``: records a listing call returns, at most 500. What ``before_deletion`` raises ends a deletion."""
        self._before_deletion = before_deletion
        self._transport = transport
        self._call = transport.call
        listings = Listings(transport.call, page_size)
        self._pages, self._stream = listings.read, listings.stream

    @property
    def version(self) -> tuple[int, int]:
        """The server's API version."""
        return self._transport.version

    # -- reading
    def projects(self) -> dict[str, str]:
        """Every project's name by its id, hidden ones too."""
        body = {"search_hidden": True, "only_fields": ["id", "name"]}
        return {d["id"]: str(d.get("name") or "") for d in self._pages("projects", body)}

    def users(self) -> dict[str, str]:
        """Every user's name by id."""
        data = self._call("users.get_all_ex", {"only_fields": ["id", "name"]})
        return {d["id"]: str(d.get("name") or "") for d in parse.documents(data, "users")}

    def tag_exists(self, tag: str) -> bool:
        """Whether any task has this tag, archived and hidden ones included."""
        body = {"tags": [tag], "search_hidden": True, "only_fields": ["id", "tags"], "page": 0, "page_size": 1}
        found = parse.documents(self._call("tasks.get_all", body), "tasks")
        return any(tag in (d.get("tags") or ()) for d in found)

    def archived_tasks(self, query: Query) -> Iterator[Task]:
        """Archived tasks, as far as the server's filters hold: judge each by its own fields."""
        body: dict[str, Any] = {"system_tags": ["archived"], "only_fields": parse.TASK_FIELDS}
        filters = {"status": query.statuses, "type": query.types, "user": query.users}
        body |= {name: list(values) for name, values in filters.items() if values}
        if query.projects and len(query.projects) <= MANY:
            body["project"] = list(query.projects)
        if query.hidden:
            body["search_hidden"] = True
        yield from map(parse.task, self._pages("tasks", body))

    def tasks(self, ids: Iterable[TaskId]) -> dict[TaskId, Task]:
        """These tasks as they are now; those that are gone are left out."""
        return {task.id: task for task in map(parse.task, self._by_id(ids, parse.TASK_FIELDS))}

    def existing(self, ids: Iterable[TaskId]) -> frozenset[TaskId]:
        """Those of these tasks that have a record, whatever its state."""
        wanted = set(ids)
        found: set[str] = set()
        for chunk in chunks(sorted(wanted)):
            body = {"id": chunk, "search_hidden": True, "only_fields": ["id"]}
            found |= {d["id"] for d in self._pages("tasks", body, MANY)}
        return frozenset(TaskId(i) for i in wanted & found)

    def is_gone(self, task: TaskId) -> bool:
        """Whether the server says that there is no such task; a list that lacks it would say nothing."""
        try:
            self._call("tasks.get_by_id", {"task": task, "only_fields": ["id"]})
        except AnswerError as error:
            if (error.status, error.subcode) == MISSING_TASK:
                return True
            raise
        return False

    def details(self, ids: Iterable[TaskId]) -> dict[TaskId, Detail]:
        """What these tasks' own records say of their outputs."""
        return {TaskId(d["id"]): parse.detail(d) for d in self._by_id(ids, parse.DETAIL_FIELDS)}

    def models(self, ids: Iterable[ModelId]) -> list[Model]:
        """These models as they are now; those that are gone are left out."""
        found: list[Model] = []
        for chunk in chunks(sorted(set(ids))):
            body = {"id": chunk, "only_fields": parse.MODEL_FIELDS}
            answer = self._call("models.get_all", {**body, "page": 0, "page_size": MANY})
            some = {model.id: model for model in map(parse.model, parse.documents(answer, "models"))}
            if not some.keys() >= set(chunk):  # some are gone, or the server cut the page: who knows
                some |= {model.id: model for model in map(parse.model, self._pages("models", body, MANY))}
            found += [some[one] for one in chunk if one in some]
        return found

    def all_models(self, since: str = "") -> Iterator[Model]:
        """Yield every model on the server; with ``since`` those that were made or changed at that ``last_update`` or later.

        One that changes meanwhile may come twice.
        """
        yield from map(parse.model, self._stream("models", {"only_fields": parse.MODEL_FIELDS}, since))

    def claimants(self, scope: Scope, since: str = "") -> Iterator[Claimant]:
        """Yield what the tasks in a scope name; with ``since`` those that were made or changed since that ``last_update``.

        No filter of the API finds an artifact by its address (recording ``list_parts``), so all tasks are read. One that
        changes meanwhile may come twice.
        """
        for filters in SCOPES[scope]:
            body = {**filters, "search_hidden": True, "only_fields": parse.CLAIM_FIELDS}
            yield from map(parse.claimant, self._stream("tasks", body, since))

    def models_of(self, tasks: Iterable[TaskId]) -> dict[TaskId, list[Model]]:
        """The output models of these tasks."""
        found: dict[TaskId, list[Model]] = defaultdict(list)
        wanted = set(tasks)
        for model in self._models_where("task", wanted):
            if model.task in wanted:
                found[TaskId(model.task)].append(model)
        return dict(found)

    def users_of(self, models: Iterable[ModelId]) -> dict[ModelId, frozenset[TaskId]]:
        """For each of these models, the tasks that have it as an input."""
        wanted = set(models)
        found: dict[ModelId, set[TaskId]] = defaultdict(set)
        for chunk in chunks(sorted(wanted)):
            body = {"models.input.model": chunk, "search_hidden": True, "only_fields": ["id", "models.input"]}
            for task in map(parse.task, self._pages("tasks", body, MANY)):
                for model in wanted.intersection(task.input_models):
                    found[model].add(task.id)
        return {model: frozenset(tasks) for model, tasks in found.items()}

    def published_children(self, tasks: Iterable[TaskId]) -> frozenset[TaskId]:
        """Those of these tasks that have a published child."""
        wanted = set(tasks)
        found: set[TaskId] = set()
        for chunk in chunks(sorted(wanted)):
            body = {
                "parent": chunk,
                "status": ["published"],
                "search_hidden": True,
                "only_fields": ["id", "parent", "status"],
            }
            children = self._pages("tasks", body, MANY)
            found |= {TaskId(str(d.get("parent"))) for d in children if d.get("status") == "published"}
        return frozenset(found & wanted)

    def children(self, tasks: Iterable[TaskId]) -> Iterator[Task]:
        """All tasks that have one of these as their parent."""
        wanted = set(tasks)
        for chunk in chunks(sorted(wanted)):
            body = {"parent": chunk, "search_hidden": True, "only_fields": parse.TASK_FIELDS}
            yield from (task for task in map(parse.task, self._pages("tasks", body, MANY)) if task.parent in wanted)

    def dataset_users(self, version: TaskId) -> frozenset[TaskId]:
        """The tasks that used a dataset version. The server takes one version in a call; of a list it finds nothing."""
        body = {"runtime.datasets": version, "search_hidden": True, "only_fields": ["id", "runtime"]}
        found = self._pages("tasks", body, MANY)
        return frozenset(TaskId(d["id"]) for d in found if version in ((d.get("runtime") or {}).get("datasets") or ()))

    def project_tree(self) -> list[Project]:
        """Every project, hidden ones too."""
        body = {"search_hidden": True, "only_fields": ["id", "name", "system_tags", "company"]}
        return [parse.project(document) for document in self._pages("projects", body)]

    def left_in(self, projects: Iterable[str]) -> Iterator[tuple[str, TaskId | Model]]:
        """What is in these projects, each with its project: tasks of every kind, and models."""
        wanted = set(projects)
        for chunk in chunks(sorted(wanted)):
            body = {"project": chunk, "search_hidden": True, "only_fields": ["id", "project"]}
            for document in self._pages("tasks", body, MANY):
                if document.get("project") in wanted:
                    yield document["project"], TaskId(document["id"])
            body = {"project": chunk, "only_fields": [*parse.MODEL_FIELDS, "project"]}
            for document in self._pages("models", body, MANY):
                if document.get("project") in wanted:
                    yield document["project"], parse.model(document)

    def pipelines(self, tasks: Iterable[TaskId]) -> frozenset[TaskId]:
        """Those of these tasks that are pipelines' controllers."""
        found = self.tasks(tasks).values()
        return frozenset(t.id for t in found if t.type == "controller" or "pipeline" in t.system_tags)

    def dataset_ancestors(self) -> Iterator[tuple[TaskId, frozenset[TaskId]]]:
        """Every dataset version on the server, with the versions it can't be read without."""
        body = {
            "system_tags": ["dataset"],
            "search_hidden": True,
            "only_fields": ["id", "system_tags", "configuration.Dataset Struct"],
        }
        for document in self._pages("tasks", body):
            if "dataset" in (document.get("system_tags") or ()):
                yield TaskId(document["id"]), parse.dataset_ancestors(document)

    def event_files(self, tasks: Sequence[TaskId]) -> Iterator[tuple[TaskId, str]]:
        """The files of debug samples and plots of these tasks, each with its task."""
        for owner, uri in events.uris(self._call, self.version, tasks):
            yield TaskId(owner), uri

    def model_event_files(self, models: Sequence[ModelId]) -> Iterator[tuple[ModelId, str]]:
        """The same of models: they have events of their own."""
        if self.version >= MODEL_EVENTS and events.any_of_models(self._call, models):
            for owner, uri in events.uris(self._call, self.version, models, of_models=True):
                yield ModelId(owner), uri

    # -- deleting
    def delete_tasks(
        self, ids: Sequence[TaskId], *, force: bool, reported: Collection[TaskId] = (), keep_models: bool = False
    ) -> dict[TaskId, Deleted | NotDeleted]:
        """Delete these tasks' records with their events and, unless ``keep_models``, their output models; but no files.

        Those that have ``reported`` go fewer at a time, so that the server deletes their events before it answers.

        After a failure in mid-call the server may have done any part of it: what is left is read, not guessed. A task that
        the server's answer does not mention is left out.

        Raises:
            UnreachableError: no usable answer, after all tries.
        """
        done: dict[TaskId, Deleted | NotDeleted] = {}
        left = list(dict.fromkeys(ids))
        try:
            for attempt in self._transport.tries("tasks.delete_many"):
                with attempt:
                    if attempt.num > 1:
                        there = self.tasks(left)
                        done |= {i: Deleted() for i in left if i not in there}
                        left = [i for i in left if i in there]
                    for chunk in [
                        *chunks([i for i in left if i not in reported]),
                        *chunks([i for i in left if i in reported], WAITED_FOR),
                    ]:
                        done |= self._delete_chunk(chunk, {"force": force, "delete_output_models": not keep_models})
                        left = [i for i in left if i not in done]
        except PassingError as error:
            raise self._transport.unreachable("tasks.delete_many", error) from error
        return done

    def delete_models(self, ids: Sequence[ModelId]) -> None:
        """Delete these models' records although tasks that go with them still use them."""
        for chunk in chunks(list(ids)):
            if self.version >= DELETE_MANY:
                body = {"ids": chunk, "force": True, "delete_external_artifacts": False}
                self._call("models.delete_many", body, self._before_deletion)
                continue
            for model in chunk:
                self._delete_unless_missing("models.delete", {"model": model, "force": True})

    def delete_project(self, project: str) -> None:
        """Delete a project that is empty; without force, and not its contents.

        Raises:
            AnswerError: the server refused.
        """
        self._delete_unless_missing("projects.delete", {"project": project, "force": False, "delete_contents": False})

    def list_outputs(self, task: TaskId, outputs: Sequence[Listed]) -> None:
        """Set the output models that a task lists, and so its ``last_update`` (recording ``delete_listed_models_remedy``)."""
        models = {"output": [{"name": entry.name, "model": entry.model} for entry in outputs]}
        self._call("tasks.edit", {"task": task, "force": True, "models": models}, self._before_deletion)

    def _delete_chunk(self, ids: list[TaskId], wanted: Mapping[str, bool]) -> dict[TaskId, Deleted | NotDeleted]:
        options = dict(wanted)
        if self.version >= DELETE_EXTERNAL:
            options["delete_external_artifacts"] = False
        if self.version < DELETE_MANY:
            return {i: self._delete_one(i, options) for i in ids}
        data = self._transport.call_once("tasks.delete_many", {"ids": ids, **options}, self._before_deletion)
        outcomes: dict[TaskId, Deleted | NotDeleted] = {}
        asked = set(ids)
        with parse.readable("tasks.delete_many"):
            for entry in data["succeeded"]:
                if entry["id"] in asked:
                    outcomes[entry["id"]] = Deleted(entry.get("deleted_models"))
            for entry in data["failed"]:
                if entry["id"] in asked:
                    outcomes[entry["id"]] = _not_deleted(entry.get("error") or {})
        return outcomes

    def _delete_one(self, task: TaskId, options: Mapping[str, Any]) -> Deleted | NotDeleted:
        try:
            data = self._transport.call_once("tasks.delete", {"task": task, **options}, self._before_deletion)
            return Deleted(data.get("deleted_models"))
        except AnswerError as error:
            if (error.status, error.subcode) == MISSING_TASK:
                return Deleted()
            return NotDeleted(error.status, error.subcode, str(error))

    # -- paging
    def _by_id(self, ids: Iterable[TaskId], fields: list[str]) -> Iterator[parse.Document]:
        """Tasks by id, in one page each: one that is missed counts as changed, and stays."""
        for chunk in chunks(sorted(set(ids))):
            body = {"id": chunk, "search_hidden": True, "only_fields": fields, "page": 0, "page_size": MANY}
            wanted = set(chunk)
            for document in parse.documents(self._call("tasks.get_all", body), "tasks"):
                if document["id"] in wanted:
                    yield document

    def _models_where(self, field: str, values: Iterable[str]) -> Iterator[Model]:
        for chunk in chunks(sorted(values)):
            body = {field: chunk, "only_fields": parse.MODEL_FIELDS}
            yield from map(parse.model, self._pages("models", body, MANY))

    def _delete_unless_missing(self, name: str, body: dict[str, Any]) -> None:
        try:
            self._call(name, body, self._before_deletion)
        except AnswerError as error:
            if (error.status, error.subcode) not in MISSING:
                raise


def _not_deleted(error: parse.Document) -> Deleted | NotDeleted:
    """An entry's error: a task that isn't there is as good as deleted."""
    codes: list[Any] = error.get("codes") or []
    status, subcode, *_ = [*codes, 0, 0]
    if (status, subcode) == MISSING_TASK:
        return Deleted()
    return NotDeleted(int(status), int(subcode), str(error.get("msg")))
