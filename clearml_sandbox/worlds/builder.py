"""A builder of worlds: what a ClearML Server and its fileserver hold before a test or the demo starts.

    world = World(now=datetime(2026, 11, 22, tzinfo=UTC))
    maker = world.task("train detector", project="vision/detection", days_old=60)
    maker.artifact("data", size=2_000)
    maker.debug_images(10)
    weights = maker.model("weights")
    world.task("evaluate", archived=False).input_model(weights)     # a living task that needs the model
    sandbox.load(world.as_dict())

`as_dict` gives the format of the conformance set's `worlds/NAME.json`. The documents have the fields that ClearML
Server 2.3.0 returned when that set was recorded, and lack those it lacked: a draft that never ran has no
`status_changed`. Folders and URIs are those of the clearml SDK 2.1.12. Sizes are in bytes, ages in days before
`now`. Nothing is random but the ids, and those follow from `seed`: the same calls build the same world.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import unquote

from clearml_sandbox.store import COMPANY, Document, api_time
from clearml_sandbox.worlds.records import (
    dataset_struct,
    metric_key,
    model_record,
    project_record,
    queue_record,
    task_record,
    task_times,
)
from clearml_sandbox.worlds.task_builder import DEFAULT_SIZE, ModelBuilder, TaskBuilder


class World:
    """Everything on one server. The parts are open to tests that need what the methods do not offer."""

    def __init__(self, now: datetime, files: str = "{FILES}", *, aliases: Sequence[str] = (), seed: int = 0) -> None:
        """`files` is the fileserver's address in the URIs ({FILES}: the sandbox fills it in), `aliases` its others."""
        if now.tzinfo is None:
            raise ValueError("now needs a time zone: a naive time would mean another world on another machine")
        self.now = now.astimezone(UTC)
        self.files = files
        self.aliases = tuple(aliases)
        self.uploading_uri = f"{files}/uploading_file"  # of a model before its upload: not a real file, often shared
        self.name = "built"
        self.roles: dict[str, str] = {}  # which task is which, for reading only
        self.tasks: list[TaskBuilder] = []
        self.models: list[Document] = []
        self.events: list[Document] = []
        self.stored: dict[str, int] = {}  # path on the fileserver, unquoted -> size
        self.elsewhere: dict[str, int] = {}  # URI of a file in any other store -> size
        self._ids = Random(seed)  # noqa: S311 -- ids, not secrets
        self._projects: dict[str, Document] = {}
        self._users = {"Default User": "__tests__"}  # the caller; as in the recorded worlds
        self._queue = queue_record(self.new_id(), self.days_ago(365))
        self._services = queue_record(metric_key("services"), self.days_ago(365), "services")

    def task(
        self,
        name: str,
        *,
        project: str = "lab",
        days_old: float = 60,
        archived: bool = True,
        archived_days: float | None = None,
        updated_days: float | None = None,
        status: str = "completed",
        task_type: str = "training",
        user: str = "Default User",
        tags: Iterable[str] = (),
        system_tags: Iterable[str] = (),
        parent: TaskBuilder | str | None = None,
        hidden: bool = False,
        public: bool = False,
        folder: str | None = None,
        destination: str | None = None,
    ) -> TaskBuilder:
        """A task whose status last changed `days_old` days ago (a draft: that was made then, and never ran).

        `archived_days`, `updated_days`: when it was archived and last reported, unless given with that change.
        `folder` replaces the SDK's task folder, `{id}` in it is the task's id. `destination` is where it writes
        (`s3://bucket/base`), unless given the fileserver.
        """
        updated = self.days_ago(days_old if updated_days is None else updated_days)
        archived_at = self.days_ago(days_old if archived_days is None else archived_days)
        implied = ["archived"] * archived + ["hidden"] * hidden
        in_project = self.project(project)
        document = task_record(
            self.new_id(),
            self.user(user),
            name=name,
            type=task_type,
            status=status,
            **task_times(status, self.now - timedelta(days=days_old)),
            project=in_project["id"],
            tags=sorted(tags),
            system_tags=sorted({*system_tags, *implied}),
            last_update=updated,
            last_change=archived_at if archived else updated,  # archiving changes no other time
        )
        if public:
            document["company"] = ""  # so the server marks its public examples
        if parent is not None:
            document["parent"] = parent if isinstance(parent, str) else parent.id
        if status == "queued":
            document["execution"]["queue"] = self._queue["id"]
            self._queue["entries"].append({"task": document["id"], "added": self.days_ago(days_old)})
        task = TaskBuilder(self, document, in_project, days_old, folder=folder, destination=destination or self.files)
        self.tasks.append(task)
        return task

    def pipeline(self, name: str, *, project: str = "lab", **options: Any) -> TaskBuilder:
        """A pipeline controller; its `step` makes the steps."""
        options = {"task_type": "controller", "system_tags": ("pipeline",), **options}
        return self.task(name, project=f"{project}/.pipelines/{name}", **options)

    def dataset(
        self,
        name: str,
        *,
        project: str = "lab",
        version: str = "1.0.0",
        parents: Sequence[TaskBuilder] = (),
        size: int = DEFAULT_SIZE,
        **options: Any,
    ) -> TaskBuilder:
        """A dataset version of `size` bytes, which can be read with the files of all its ancestors only."""
        options = {"task_type": "data_processing", "system_tags": ("dataset",), **options}
        task = self.task(name, project=f"{project}/.datasets/{name}", **options)
        task.artifact("data", size=size, filename=f"dataset.{task.id}.zip")
        task.artifact("state", filename="state.json")
        task.document["runtime"] |= {"version": version, "ds_file_count": 1, "ds_total_size": size}
        task.versions = {task.id: (task.document, [parent.id for parent in parents])}
        for parent in parents:
            task.versions |= parent.versions
        task.document["configuration"]["Dataset Struct"] = dataset_struct(list(task.versions.values()))
        return task

    def model(
        self,
        name: str,
        *,
        uri: str,
        project: str = "lab",
        ready: bool = False,
        tags: Iterable[str] = (),
        days_old: float = 60,
        user: str = "Default User",
        task: str | None = None,
    ) -> ModelBuilder:
        """A model without a task (or with one that is long gone), at `uri`; nothing is written there."""
        document = model_record(
            self.new_id(),
            self.user(user),
            self.days_ago(days_old),
            name=name,
            project=self.project(project)["id"],
            **({"task": task} if task else {}),
            tags=sorted(tags),
            uri=uri,
            ready=ready,  # what the web calls published
        )
        self.models.append(document)
        return ModelBuilder(document["id"], uri, document)

    def project(self, name: str) -> Document:
        """The project of this full name; it and its parents are made on demand."""
        if name not in self._projects:
            parent = self.project(name.rpartition("/")[0]) if "/" in name else None
            self._projects[name] = project_record(self.new_id(), self.days_ago(365), name, parent)
        return self._projects[name]

    def rename_project(self, old: str, new: str) -> None:
        """Renames or moves a project with all below it. Files are kept where they were written."""
        self.project(old)
        for name in sorted(self._projects):
            if name == old or name.startswith(f"{old}/"):
                document = self._projects.pop(name)  # changed in place: tasks hold on to it
                fresh = {**self.project(new + name.removeprefix(old)), "id": document["id"]}
                document.clear()
                document.update(fresh)
                self._projects[document["name"]] = document

    def user(self, name: str) -> str:
        """The id of the user of this name, who is made on demand."""
        return self._users.get(name) or self._users.setdefault(name, self.new_id())

    def path(self, uri: str) -> str:
        """The path on the fileserver of a URI with its address (or an alias), unquoted."""
        for base in (self.files, *self.aliases):
            if uri.startswith(f"{base}/"):
                return unquote(uri.removeprefix(f"{base}/"))
        raise ValueError(f"{uri} is not on this world's fileserver")

    def new_id(self) -> str:
        """A fresh id: 32 hexadecimal digits."""
        return f"{self._ids.getrandbits(128):032x}"

    def days_ago(self, days: float) -> str:
        """A time as the API writes it."""
        return api_time(self.now - timedelta(days=days))

    def as_dict(self) -> Document:
        """The world as JSON-able data. It shares the documents with the builder: build first, change nothing after."""
        users = [{"id": user_id, "name": name, "company": COMPANY} for name, user_id in self._users.items()]
        return {
            "name": self.name,
            "now": self.days_ago(0),
            "about": "",
            "credentials": {"key": "{KEY}", "secret": "{SECRET}"},
            "company": {"id": COMPANY, "name": "clearml"},
            "user": users[0],
            "users": users,
            "roles": self.roles,
            "projects": list(self._projects.values()),
            "tasks": [task.document for task in self.tasks],
            "models": self.models,
            "queues": [self._queue, self._services],
            "events": self.events,
            "files": [{"path": path, "size": size} for path, size in self.stored.items()],
        }
