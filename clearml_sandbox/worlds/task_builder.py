"""What a task of a built world wrote and uses: artifacts, models, debug samples, plots, files."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from clearml_sandbox.store import Document, api_time
from clearml_sandbox.worlds.records import metric_key, path_part, scalar_summary, task_folder

if TYPE_CHECKING:
    from clearml_sandbox.worlds.builder import World

DEFAULT_SIZE = 5  # bytes of a file whose size does not matter, as in the recorded worlds


class TaskBuilder:
    """One task, to which outputs are added. Methods that write or name a file return its URI."""

    def __init__(
        self,
        world: "World",
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
        """Set the place that it writes its outputs to."""
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

    def console(self, *lines: str) -> None:
        """Lines of its console."""
        for number, line in enumerate(lines):
            milliseconds = self._noted("log", "", number)
            log = {"type": "log", "task": self.id, "level": "info", "msg": line, "worker": "w", "timestamp": milliseconds}
            self.world.events.append(log)

    def ran(self, seconds: float) -> "TaskBuilder":
        """Its last run took so long: it began that much before it ended."""
        ended = datetime.fromisoformat(self.document["completed"])
        self.document |= {"started": api_time(ended - timedelta(seconds=seconds)), "active_duration": int(seconds)}
        return self

    def _noted(self, event_type: str, metric: str, later: int) -> int:
        """When an event came, in milliseconds since 1970, as its record tells it."""
        stats = self.document["metric_stats"].setdefault(metric_key(metric), {"metric": metric, "event_stats_by_type": {}})
        milliseconds = self._seconds * 1000 + later
        stats["event_stats_by_type"][event_type] = {"last_update": milliseconds}
        return milliseconds

    def _event(self, event_type: str, metric: str, variant: str, iteration: int, **fields: Any) -> None:
        document = self.document
        milliseconds = self._noted(event_type, metric, iteration)
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
