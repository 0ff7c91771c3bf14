"""Random scenarios: records that refer to each other in every possible way, broken answers, clocks, deeds during the pass.

Each kind of oddity is a feature that can be left out (`without`), to see what else there is to find. The first choice of every
draw is the plain one, so that what fails shrinks to the one oddity that it needs.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote

from hypothesis import strategies as st

from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import ModelBuilder, TaskBuilder
from tests.harness import NOW
from tests.property.scenario import AGAIN, BUCKET, MOUNT, PUBLIC, Document, Scenario

FEATURES = (
    "claims",  # records that name what another task made, or list its models
    "spellings",  # … by addresses that are spelled otherwise
    "nested",  # tasks that write into the folder of another one
    "projects",  # projects that are named like a task's folder
    "unnamed",  # files that no record names
    "ids",  # tasks whose id is not 32 hexadecimal digits
    "mounted",  # a mounted folder beside the fileserver
    "links",  # symbolic links in it, and a second root that is the same
    "bucket",  # a store that the job doesn't know
    "datasets",
    "pipelines",
    "images",  # more of them than any answer about many tasks holds
    "moves",  # tasks and projects that are renamed, and destinations that change, while a task runs
    "reports",  # reports with images, and those that show each other's
    "broken",  # answers in another shape than the API promises
    "clock",  # the server's clock is not the job's
    "events",  # what others do while the pass runs
    "grace",  # archived_for_days
    "drafts",  # force_delete off
)
POLICIES = "policies"
"""A feature that scenarios have only if they are asked for it."""
ODD_IDS = ("production", "0" * 31, "task-" + "7" * 27, "G" * 32)
FOREIGN = "f" * 32
"""A task that the server lists and does not have."""
_SPELLINGS = {
    "files": ("public", "upper case", "port", "user", "other host", "other host below", "local path", "bucket"),
    "mount": ("plain path", "localhost", "link", "again", "other folder"),
}


@dataclass(frozen=True)
class _Output:
    """Something that a task wrote."""

    task: TaskBuilder
    uri: str
    model: ModelBuilder | None = None

    @property
    def store(self) -> str:
        return "mount" if MOUNT in self.uri else "bucket" if self.uri.startswith(BUCKET) else "files"


@dataclass
class _Maker:
    """Makes one scenario, choice by choice."""

    draw: st.DrawFn
    without: Collection[str]
    clock: float | None = 0
    """As in `Scenario`: the world is one of the server's time."""
    world: World = field(init=False)
    tasks: list[TaskBuilder] = field(default_factory=list)
    outputs: list[_Output] = field(default_factory=list)
    destinations: dict[str, str] = field(default_factory=dict)
    pipelines: list[TaskBuilder] = field(default_factory=list)
    datasets: list[TaskBuilder] = field(default_factory=list)
    mounts: bool = False
    """Whether some tasks write to the mounted folder."""

    def __post_init__(self) -> None:
        if self.on("clock", 3):
            self.clock = self.one(-20, 20, None)
        self.world = World(NOW + timedelta(days=self.clock or 0), aliases=[PUBLIC])

    def on(self, feature: str, odds: int = 1) -> bool:
        """Whether a feature is there, once in so many times."""
        return feature not in self.without and self.draw(st.integers(0, odds)) == odds

    def one(self, *choices: Any) -> Any:
        """One of these; the first is the plain one."""
        return self.draw(st.sampled_from(choices))

    # -- tasks
    def task(self, number: int) -> None:
        """One more task, with what it wrote."""
        status = self.one("completed", "created", "failed", "published")
        match self.one("old", "living", "old", "any"):
            case "old":
                options: Document = {"days_old": self.one(60.5, 45.5, 31.5), "status": status}
            case "living":
                options = {"archived": False, "status": self.one(status, "in_progress", "queued")}
            case _:
                options = {
                    "archived": self.one(True, False),
                    "days_old": self.one(60.5, 28.5, 10.5, 1.5),
                    "status": self.one(status, "in_progress", "queued"),
                    "archived_days": self.one(None, 2.5),
                    "hidden": self.one(False, False, False, True),
                    "public": self.one(False, False, False, True),
                    "tags": self.one((), ("gold",)),
                }
        if self.tasks and self.one(False, False, True):
            options["parent"] = self.one(*self.tasks)
        destination = self._destination()
        task = self._made(number, options | {"destination": destination})
        self.tasks.append(task)
        self.destinations[task.id] = destination or self.world.files
        if destination:
            task.document["output"] = {"destination": destination}
        self._write(task)

    def _made(self, number: int, options: Document) -> TaskBuilder:
        if self.on("pipelines", 8):
            made = self.world.pipeline(f"pipe {number}", **options)
            self.pipelines.append(made)
        elif self.pipelines and self.on("pipelines", 3):
            options.pop("parent", None)
            made = self.one(*self.pipelines).step(f"step {number}", **options)
        elif self.on("datasets", 8):
            parents = self.draw(st.lists(st.sampled_from(self.datasets), unique_by=id, max_size=2)) if self.datasets else []
            made = self.world.dataset(f"set {number}", parents=parents, **options)
            self.datasets.append(made)
            self.outputs += [_Output(made, artifact["uri"]) for artifact in made.document["execution"]["artifacts"]]
        elif self.on("reports", 8):
            made = self._report(number, options)
        else:
            name = self.one(f"exp {number}", f"exp #{number} a+b", f"näme {number}", f"ends in .{number}")
            made = self.world.task(name, project=self._project(), **options)
            if self.on("ids", 12):
                self._rename(made, f"{self.one(*ODD_IDS)}"[:-1] + str(number))
        return made

    def _rename(self, task: TaskBuilder, name: str) -> None:
        task.id = task.document["id"] = name
        for entry in self.world._queue["entries"]:
            entry["task"] = name if entry["task"] not in {one.id for one in self.tasks} else entry["task"]

    def _project(self) -> str:
        if self.tasks and self.on("projects", 6):
            other = self.one(*self.tasks)
            like = unquote(other.folder)
            return str(self.one(f"lab/xyz.{other.id}", f"xyz.{other.id}", like, f"{like}/artifacts", f"{like}/runs"))
        return str(self.one("lab", "lab/sub", "other"))

    def _destination(self) -> str | None:
        if self.tasks and self.on("nested", 5):
            host = self.one(*self.tasks)
            base, below = self.destinations[host.id], self.one("/artifacts", "", "/models/runs", "/runs", "/metrics")
            if base.startswith(BUCKET):
                return None
            return f"{base}/{quote(host.folder) if not base.startswith('file://') else host.folder}{below}"
        if self.mounts and self.one(False, False, True):
            return f"file://{MOUNT}"
        if self.on("bucket", 15):
            return BUCKET
        return self.one(None, None, PUBLIC)

    def _write(self, task: TaskBuilder) -> None:
        for k in range(self.draw(st.integers(0, 2))):
            self.outputs.append(_Output(task, task.artifact(f"a{k}")))
        for k in range(self.draw(st.integers(0, 2))):
            model = task.model(f"m{k}", ready=self.draw(st.integers(0, 5)) == 5)
            self.outputs.append(_Output(task, model.uri, model))
        if self.one(False, True):
            task.debug_images(self.draw(st.integers(1, 3)))
        if self.one(False, False, True):
            task.plot("plot", images=self.draw(st.integers(1, 2)))
        if self.on("images", 6):
            self._many_images(task)
        if self.on("moves", 3):
            self._move(task)
            for uri in (task.artifact("late"), task.image("late.png", "late"), task.image("later.png", "late")):
                self.outputs.append(_Output(task, uri))
        if self.on("unnamed", 2):
            for below in self.draw(
                st.sets(st.sampled_from(["artifacts/left over", "models/x/left.pt", "notes.txt", "runs/log"]))
            ):
                task.file(below)
        if self.on("unnamed", 4):
            task.linked_artifact("beside", task.file(self.one("beside.txt", "runs/beside.txt")))

    def _many_images(self, task: TaskBuilder) -> None:
        """Images, or plots, of which an answer about many leaves out some; a few in another folder, one of use to others."""
        kind = self.one("place", "again", "series", "titles", "plots")
        numbers = range({"place": 20, "again": 3, "series": 400, "titles": 260, "plots": 110}[kind])
        moves = self.on("moves")
        written: list[str] = []
        for number in numbers:
            if moves and number == len(numbers) - 2:
                self._move(task)
            name = f"{number}.png"
            match kind:
                case "place":
                    written.append(task.image(name, iteration=7))
                case "series":
                    written.append(task.image(name, variant=f"s{number:03}"))
                case "titles":
                    written.append(task.image(name, f"t{number:03}"))
                case "plots":
                    written += task.plot(f"p{number:03}")
                case _:
                    written.append(task.image(name, "again", iteration=number))
        if self.one(True, False):
            self.world.task("keeper", archived=False).linked_artifact("kept", self.one(*written))
        if kind == "again":  # a name of before comes twice more: the server takes what it sees before for overwritten
            first = next(event for event in self.world.events if event["task"] == task.id and event["metric"] == "again")
            self.world.events += [{**first, "iter": iteration, "key": f"again {iteration}"} for iteration in (20, 21)]

    def _move(self, task: TaskBuilder) -> None:
        """From now on a task writes elsewhere."""
        match self.one("task", "project", "all of its project", "destination"):
            case "task":
                task.renamed(f"renamed {task.document['name']}")
            case "project":
                task.moved("moved to")
            case "all of its project":
                self.world.rename_project(task.project, f"renamed {len(self.tasks)}")
            case _:
                stores = [self.world.files, PUBLIC, *([f"file://{MOUNT}"] if self.mounts else [])]
                destination = self.one(*stores, *([] if "bucket" in self.without else [BUCKET]))
                task.sends_to(destination)
                task.document["output"] = {"destination": destination}
                self.destinations[task.id] = destination

    def _report(self, number: int, options: Document) -> TaskBuilder:
        """A report, with images of its own and of others."""
        made = self.world.task(
            f"report {number}", project="lab/.reports", task_type="report", system_tags=["reports"], **options
        )
        assets = [f"{self.world.files}/reports/{made.id}/{quote(name)}" for name in ("a.png", "b c.png")]
        for uri in assets:
            self.world.stored[self.world.path(uri)] = 5
        shown = assets[: self.one(2, 1, 0)]
        others = [task for task in self.tasks if task.document["type"] == "report" and task.document["report_assets"]]
        if others and self.one(True, False):
            shown.append(self.one(*self.one(*others).document["report_assets"]))
        made.document["report_assets"] = shown
        if others and self.one(False, True):
            made.document["report"] = f"![]({self.world.files}/reports/{self.one(*others).id}/a.png)"
        return made

    # -- claims
    def claim(self, number: int) -> None:
        """A record that names what some task made."""
        output, claimer = self.one(*self.outputs), self.one(*self.tasks)
        spelled = self.spelled(output) if claimer is not output.task else output.uri
        kind = self.one("artifact", "input", "output", "model", "free model", "folder")
        model = output.model
        if kind == "folder":
            folder = next((f for f in output.task.folders if quote(f) in output.uri or f in output.uri), None)
            if folder is None or claimer is output.task:
                return
            at = max(output.uri.rfind(f"{form}/") + len(form) for form in (folder, quote(folder)) if f"{form}/" in output.uri)
            claimer.linked_artifact(f"folder {number}", output.uri[:at] + self.one("/artifacts", "", "/models"))
        elif kind == "artifact" or (kind in {"input", "output"} and model is None):
            claimer.linked_artifact(f"link {number}", spelled)
        elif kind == "input":
            claimer.input_model(model)
        elif kind == "output":
            claimer._refer("output", f"listed {number}", model.id)
        elif kind == "model":
            claimer.model(f"registered {number}", uri=spelled, ready=self.one(False, True))
        else:
            self.world.model(f"free {number}", uri=spelled, ready=self.one(False, True))

    def spelled(self, output: _Output) -> str:
        """An address of the same file."""
        if output.store == "bucket" or not self.on("spellings"):
            return output.uri
        uri = self._host(output)
        start = next(len(lead) for lead in (f"file://{MOUNT}", MOUNT, f"file://{AGAIN}", "{FILES}", "") if uri.startswith(lead))
        scheme = uri.find("://", start)
        start = max(start, uri.find("/", scheme + 3) if scheme >= 0 else start)
        lead, path = uri[:start], uri[start:]
        at = self.draw(st.integers(0, path.count("/") - 1))
        cut = [n for n, letter in enumerate(path) if letter == "/"][at]
        between = self.one("/", "//", "/./", "/x/../")
        path = path[:cut] + between + path[cut + 1 :]
        end = self.one("", "?download=1&name=a/b", "#part", "/")
        return lead + self.one(str, quote, unquote)(path) + end

    def _host(self, output: _Output) -> str:
        uri, store = output.uri, output.store
        kind = self.one("", *_SPELLINGS[store])
        if store == "mount":
            path = uri.removeprefix(f"file://{MOUNT}")
            link = f"/short/{path.removeprefix('/lab/')}" if path.startswith("/lab/") and "links" not in self.without else path
            return {
                "": uri,
                "plain path": MOUNT + path,
                "localhost": f"file://localhost{MOUNT}{path}",
                "link": f"file://{MOUNT}{link}",
                "again": f"file://{AGAIN}{path}",
                "other folder": f"file:///mnt/elsewhere{path}",
            }[kind]
        path = uri.removeprefix(self.world.files).removeprefix(PUBLIC)
        return {
            "": uri,
            "public": PUBLIC + path,
            "upper case": PUBLIC.upper() + path,
            "port": f"{PUBLIC}:443{path}",
            "user": PUBLIC.replace("://", "://somebody:secret@") + path,
            "other host": f"http://files.internal:8081{path}",
            "other host below": f"https://proxy.example/clearml/files{path}",
            "local path": f"/opt/clearml/fileserver{unquote(path)}",
            "bucket": f"s3://moved-to/base{unquote(path)}",
        }[kind]

    # -- what goes wrong
    def edits(self) -> list[Document]:
        """Answers in another shape than the API promises."""
        found: list[Document] = []
        while self.on("broken", 2) and len(found) < 2:
            # With another clock something that the server wrote has to bear it out, and a foreign document may hide it.
            kind = self.one("task", "model", "twice", *(() if self.clock else ("foreign",)))
            if kind == "model" and self.world.models:
                field_, value = self.one(
                    ("ready", None), ("uri", 5), ("uri", {}), ("task", 7), ("tags", "gold"), ("ready", "no")
                )
                found.append({"in": "models", "id": self.one(*self.world.models)["id"], "set": {field_: value}})
            elif kind == "twice":
                found.append({"in": "tasks", "id": self.one(*self.tasks).id, "twice": True})
            elif kind == "foreign":
                bare = {"models": {"input": [], "output": []}, "execution": {"artifacts": []}}
                like = {**self.one(*self.tasks).document, **bare, "id": FOREIGN, "name": "nobody's", "parent": None}
                if any("add" in edit for edit in found):
                    break
                found.append({"in": "tasks", "add": like})
            else:
                found.append({"in": "tasks", "id": self.one(*self.tasks).id, **self._broken()})
        return found

    def _broken(self) -> Document:
        odd = {
            "tags": ("gold", None, [5], {"a": "b"}),
            "system_tags": ("archived", None, [None], {"archived": True}),
            "company": (None, 5, []),
            "status": (None, 5, ["completed"]),
            "status_changed": (5, "long ago", {"$date": 0}),
            "last_update": (0, "", ["2020-01-01"]),
            "models": (None, [], {"input": 5}, {"input": [], "output": "none"}),
            "execution": (None, 5, {"artifacts": 5}, {"artifacts": [None]}, {"artifacts": {"a": 1}}),
            "name": (None, 5),
            "project": (5, {}),
            "parent": (7, []),
        }
        if self.one(False, False, False, True):
            return {"deep": self.one("tags", "models", "system_tags", "name")}
        name = self.one(*odd)
        return {"set": {name: self.one(*odd[name])}}

    def events(self) -> list[Document]:
        """What others do meanwhile, to tasks and models whose files lie on the fileserver."""
        if not self.on("events", 2) or self.mounts:
            return []
        living = [task for task in self.tasks if "archived" not in task.document["system_tags"]]
        found: list[Document] = []
        for number in range(self.draw(st.integers(1, 2))):
            at = self.draw(st.integers(1, 25))
            kind = self.one("restore", "use", "list", "artifact", "model", "publish")
            output = self.one(*self.outputs) if self.outputs else None
            if kind == "restore" or output is None:
                found.append({"at": at, "kind": "restore", "task": self.one(*self.tasks).id})
            elif kind == "model":
                found.append({"at": at, "kind": "model", "id": f"{number:032x}", "uri": self.spelled(output)})
            elif kind == "publish" and output.model:
                found.append({"at": at, "kind": kind, "model": output.model.id})
            elif living and kind in {"use", "list"} and output.model:
                found.append({"at": at, "kind": kind, "task": self.one(*living).id, "model": output.model.id})
            elif living:
                found.append({"at": at, "kind": "artifact", "task": self.one(*living).id, "uri": self.spelled(output)})
        return found

    # -- policies
    def policies(self) -> Document:
        """A file of policies; the plain one says what the settings say."""
        days = self.one("30d", "30d", "10d", "0d", "45d")
        for project in ("lab", "lab/sub"):
            self.world.project(project)
        if self.one(True, False):
            return {"policies": [{"name": "all", "delete": {"after": days}}]}
        names = ("first", "second")[: self.one(1, 2)]
        return {"policies": [self._policy(name, days) for name in names], "task_tags": self.one(False, True)}

    def _policy(self, name: str, days: str) -> Document:
        kinds = ("debug_samples", "plots", "artifacts", "checkpoints", "console")
        parts: Document = {
            "match": self.one({}, {"projects": ["lab"]}, {"projects": ["lab/*"]}, {"statuses": ["completed", "created"]}),
            "archive": {"after": self.one("7d", "0d", "40d")},
            "slim": {"after": self.one("9d", "0d", "40d"), "remove": self.draw(st.permutations(kinds))[: self.one(5, 2, 1)]},
            "delete": {"after": days, "archived_for": self.one("0d", "2d")},
            "keep": {"tags": ["gol?"]},
            "notice": self.one("3d", "1h"),
        }
        if self.one(True, False):
            parts["slim"]["also"] = "not_archived"
        return {"name": name, **{part: value for part, value in parts.items() if self.one(True, True, False)}}

    # -- all together
    def scenario(self, most: int, *, policies: bool = False) -> Scenario:
        """Everything, put in order."""
        self.mounts = self.on("mounted", 2)
        for number in range(self.draw(st.integers(1, most))):
            self.task(number)
        if self.outputs and "claims" not in self.without:
            for number in range(self.draw(st.integers(0, 4))):
                self.claim(number)
        events = self.events()
        options: Document = {
            "batch_size": self.one(500, 1, 2, 3),
            "page_size": self.one(500, 1, 2, 7),
            "workers": 1 if events else self.one(1, 3),
            "window": self.one(None, 1, 2, 7),
        }
        if self.on("grace", 5):
            options["archived_for_days"] = 7
        if self.on("drafts", 7):
            options["force_delete"] = False
        mounted, links = self._mounted()
        edits = self.edits() if not events else []
        file = self.policies() if policies and self.one(False, True) else {}  # the last draw: what a seed draws else stays
        return Scenario(
            self.world.as_dict(),
            mounted,
            links,
            second_root=bool(mounted) and self.on("links"),
            options=options,
            clock=self.clock,
            edits=edits,
            events=events,
            policies=file,
        )

    def _mounted(self) -> tuple[dict[str, int], dict[str, str]]:
        """Files that lie in the mounted folder, and links; what lies in a nested folder on the fileserver is put there."""
        mounted: dict[str, int] = {}
        for uri, size in self.world.elsewhere.items():
            if uri.startswith(f"file://{MOUNT}/"):
                mounted[uri.removeprefix(f"file://{MOUNT}/")] = size
            elif not uri.startswith(BUCKET):
                self.world.stored[self.world.path(uri)] = size
        links: dict[str, str] = {}
        if mounted and "links" not in self.without:
            links["short"] = "lab"
            folders = sorted(
                {folder for task in self.tasks for folder in task.folders if self.destinations[task.id].endswith(MOUNT)}
            )
            for folder in folders if self.on("links", 2) else ():
                target = self.one(*sorted(mounted))
                if self.one(False, True):
                    links[f"{folder}/artifacts/link to a file"] = target
                elif not any(path.startswith(f"{folder}/metrics/") for path in mounted):
                    links[f"{folder}/metrics"] = target.rpartition("/")[0]
        return mounted, links


@st.composite
def scenarios(draw: st.DrawFn, most: int = 6, without: Collection[str] = (), *, policies: bool = False) -> Scenario:
    """A scenario of a few tasks, with all features but these; `policies`: some of them with such a file."""
    return _Maker(draw, without).scenario(most, policies=policies)


ON_THE_FILESERVER = frozenset({"mounted", "links", "bucket", "broken", "clock", "events", "grace", "drafts"})
"""What a world alone, with all its files on the fileserver, is without."""


@st.composite
def worlds(draw: st.DrawFn, most: int = 6, without: Collection[str] = ()) -> World:
    """The world of a scenario, with all its files on the fileserver."""
    maker = _Maker(draw, ON_THE_FILESERVER | set(without))
    maker.scenario(most)
    return maker.world
