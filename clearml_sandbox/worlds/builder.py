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

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from clearml_sandbox.store import COMPANY, Document, api_time
from clearml_sandbox.worlds.records import (
    dataset_struct,
    metric_key,
    model_record,
    path_part,
    project_record,
    queue_record,
    scalar_summary,
    task_folder,
    task_record,
    task_times,
)

DEFAULT_SIZE = 5  # bytes of a file whose size does not matter, as in the recorded worlds


class World:
    """Everything on one server. The parts are open to tests that need what the methods do not offer."""

    def __init__(self, now: datetime, files: str = "{FILES}", *, aliases: Sequence[str] = (), seed: int = 0) -> None:
        """`files` is the fileserver's address in the URIs ({FILES}: the sandbox fills it in), `aliases` its others."""
        if now.tzinfo is None:
            raise ValueError("now needs a time zone: a naive time would mean another world on another machine")
        self.now = now.astimezone(UTC)
        self.files = files
        self.aliases = tuple(aliases)
        self.uploading_uri = f"{files}/uploading_file"  # of a model before its upload: nobody's file, often shared
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
        parent: "TaskBuilder | str | None" = None,
        hidden: bool = False,
        public: bool = False,
        folder: str | None = None,
        destination: str | None = None,
    ) -> "TaskBuilder":
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

    def pipeline(self, name: str, *, project: str = "lab", **options: Any) -> "TaskBuilder":
        """A pipeline controller; its `step` makes the steps."""
        options = {"task_type": "controller", "system_tags": ("pipeline",), **options}
        return self.task(name, project=f"{project}/.pipelines/{name}", **options)

    def dataset(
        self,
        name: str,
        *,
        project: str = "lab",
        version: str = "1.0.0",
        parents: Sequence["TaskBuilder"] = (),
        size: int = DEFAULT_SIZE,
        **options: Any,
    ) -> "TaskBuilder":
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
    ) -> "ModelBuilder":
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
        """Renames or moves a project with all below it. Files stay where they were written."""
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


class TaskBuilder:
    """One task, to which outputs are added. Methods that write or name a file return its URI."""

    def __init__(
        self,
        world: World,
        document: Document,
        project: Document,
        days_old: float,
        *,
        folder: str | None,
        destination: str,
    ) -> None:
        self.world = world
        self.document = document
        self.id: str = document["id"]
        self.folders: list[str] = []  # every task folder that it has written to, oldest first
        self.versions: dict[str, tuple[Document, list[str]]] = {}  # of a dataset: itself, its ancestors; their parents
        self._project = project
        self._days_old = days_old
        self._seconds = int((world.now - timedelta(days=days_old)).timestamp())  # when it reported, since 1970
        self._folder = folder
        self._destination = destination
        self._next_iteration: dict[str, int] = {}

    @property
    def project(self) -> str:
        """The present full name of the task's project."""
        return str(self._project["name"])

    @property
    def folder(self) -> str:
        """Where it writes now: an unquoted path."""
        if self._folder is not None:
            return self._folder.replace("{id}", self.id)
        return task_folder(self._project, self.document["name"], self.id)

    def artifact(self, name: str, size: int = DEFAULT_SIZE, filename: str | None = None) -> str:
        """An uploaded artifact: it has a hash and a size."""
        uri = self.file(f"artifacts/{path_part(name)}/{path_part(filename or f'{name}.bin')}", size)
        return self.linked_artifact(name, uri, hash="0" * 64, content_size=size)

    def linked_artifact(self, name: str, uri: str, **upload: Any) -> str:
        """An artifact registered by link: of mode output like an uploaded one, but without hash and size."""
        artifacts: list[Document] = self.document["execution"]["artifacts"]
        entry = {"key": name, "type": "custom", "mode": "output", "uri": uri, **upload}
        artifacts.append({**entry, "timestamp": self._seconds, "display_data": []})
        artifacts.sort(key=lambda artifact: str(artifact["key"]))  # the server returns them by name
        return uri

    def model(
        self,
        name: str,
        *,
        uri: str | None = None,
        ready: bool = False,
        size: int = DEFAULT_SIZE,
        tags: Iterable[str] = (),
    ) -> "ModelBuilder":
        """An output model; unless `uri` is given, its file is written to the task folder."""
        uri = uri or self.file(f"models/{path_part(name)}.pt", size)
        full_name = f"{self.document['name']} - {name}"
        model = self.world.model(
            full_name, uri=uri, project=self.project, ready=ready, tags=tags, days_old=self._days_old, task=self.id
        )
        model.document.update(user=self.document["user"], last_changed_by=self.document["user"])
        self._refer("output", name, model.id)
        return model

    def input_model(self, model: "ModelBuilder | str", name: str = "initial") -> None:
        """Uses a model, of whichever task."""
        self._refer("input", name, model if isinstance(model, str) else model.id)

    def lists_model(self, model: "ModelBuilder | str", name: str = "listed") -> None:
        """Lists a model as its output, of whichever task: an imported task or a pipeline does."""
        self._refer("output", name, model if isinstance(model, str) else model.id)

    def writes_to(self, uri: str) -> None:
        """Is told to write its outputs there."""
        self.document["output"]["destination"] = uri

    def _refer(self, direction: str, name: str, model_id: str) -> None:
        entry = {"name": name, "model": model_id, "updated": self.document["last_update"]}
        self.document["models"][direction].append(entry)

    def debug_images(
        self, count: int, metric: str = "img", *, iterations: int | None = None, size: int = DEFAULT_SIZE
    ) -> list[str]:
        """`count` uploaded images over so many iterations (one each unless given; 1: all at iteration 0)."""
        spread = max(1, count if iterations is None else iterations)
        first = self._next_iteration.get(metric, 0)
        self._next_iteration[metric] = first + spread
        uris = []
        for number in range(count):
            variant, iteration = f"v{number // spread}", first + number % spread
            name = path_part(f"{metric}_{variant}_{iteration:08d}.jpeg")
            uri = self.file(f"metrics/{path_part(metric)}/{variant}/{name}", size)
            self._event("training_debug_image", metric, variant, iteration, key=name, url=uri)
            uris.append(uri)
        return uris

    def image(self, name: str, metric: str = "img", variant: str = "v", iteration: int = 0) -> str:
        """One uploaded image; its name is what tells two of the same title, series and iteration apart."""
        uri = self.file(f"metrics/{path_part(metric)}/{path_part(name)}")
        self._event("training_debug_image", metric, variant, iteration, key=name, url=uri)
        return uri

    def linked_image(self, uri: str, metric: str = "media") -> str:
        """A debug sample reported by its URI: nothing is uploaded."""
        iteration = self._next_iteration.get(metric, 0)
        self._next_iteration[metric] = iteration + 1
        self._event("training_debug_image", metric, "linked", iteration, key=uri.partition("//")[2], url=uri)
        return uri

    def plot(self, metric: str, *, images: int = 1, size: int = DEFAULT_SIZE) -> list[str]:
        """A plot with this many uploaded images in it (0: only data)."""
        iteration = self._next_iteration.get(metric, 0)
        self._next_iteration[metric] = iteration + 1
        names = [path_part(f"{metric}_plot_{iteration:08d}_{number}.png") for number in range(images)]
        uris = [self.file(f"metrics/{path_part(metric)}/plot/{name}", size) for name in names]
        layout = {"images": [{"source": uri} for uri in uris], "title": metric}
        self._event("plot", metric, "plot", iteration, plot_str=json.dumps({"data": [], "layout": layout}))
        return uris

    def scalar(self, metric: str, values: Sequence[float], variant: str = "train") -> None:
        """Reported numbers: events without any file."""
        for iteration, value in enumerate(values):
            self._event("training_stats_scalar", metric, variant, iteration, value=value)
        summaries = self.document["last_metrics"].setdefault(metric_key(metric), {})
        summaries[metric_key(variant)] = scalar_summary(metric, variant, values)

    def _event(self, event_type: str, metric: str, variant: str, iteration: int, **fields: Any) -> None:
        document = self.document
        stats = document["metric_stats"].setdefault(metric_key(metric), {"metric": metric, "event_stats_by_type": {}})
        milliseconds = self._seconds * 1000 + iteration
        stats["event_stats_by_type"][event_type] = {"last_update": milliseconds}
        document["last_iteration"] = max(document["last_iteration"], iteration)
        event = {"type": event_type, "task": self.id, "metric": metric, "variant": variant, "iter": iteration}
        self.world.events.append({**event, **fields, "timestamp": milliseconds})

    def file(self, below: str, size: int = DEFAULT_SIZE) -> str:
        """A file in the task folder that no record names."""
        folder = self.folder
        if folder not in self.folders:
            self.folders.append(folder)
        path = f"{folder}/{below}"
        web = self._destination.startswith(("http://", "https://", "{FILES}"))
        uri = f"{self._destination}/{quote(path) if web else path}"  # the SDK quotes nothing in an object store
        if self._destination in (self.world.files, *self.world.aliases):
            self.world.stored[path] = size
        else:
            self.world.elsewhere[uri] = size
        return uri

    def renamed(self, name: str) -> "TaskBuilder":
        """From now on it has this name, and writes to another folder."""
        self.document["name"] = name
        return self

    def sends_to(self, destination: str) -> "TaskBuilder":
        """From now on it writes to this store."""
        self._destination = destination
        return self

    def moved(self, project: str) -> "TaskBuilder":
        """From now on it is in this project, and writes to another folder."""
        self._project = self.world.project(project)
        self.document["project"] = self._project["id"]
        return self

    def step(self, name: str, **options: Any) -> "TaskBuilder":
        """A step of this pipeline controller."""
        return self.world.task(name, project=self.project, parent=self, **options)

    def uses_dataset(self, dataset: "TaskBuilder", alias: str | None = None) -> None:
        """Reads a dataset version: this is all a record tells of it."""
        self.document["runtime"].setdefault("datasets", []).append(dataset.id)
        if alias:
            entry = {"section": "Datasets", "name": alias, "value": dataset.id, "type": "str"}
            self.document["hyperparams"].setdefault("Datasets", {})[alias] = entry


class ModelBuilder(NamedTuple):
    """One model."""

    id: str
    uri: str
    document: Document
