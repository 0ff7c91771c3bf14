"""A ClearML Server that people go on working on: what they add, and what of it must be there at all times.

Two judges look at it, and neither shares code with the job: what each scene says itself must stay is looked for all the time,
and at the end the oracle of the random worlds (tests/property/oracle.py) judges everything that was ever added.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice, pairwise
from random import Random
from urllib.parse import quote

from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.property.oracle import After, File, Oracle
from tests.property.scenario import Scenario

KEEP_TAG = "golden"
"""The chart's `cleanup.keepTags` while it soaks."""
SCENES_IN_A_PART = 20
PROJECTS = ("lab", "vision/detection", "speech", "nightly")
STATUSES = ("created", "completed", "stopped", "failed", "published")


@dataclass
class MustStay:
    """Ids and paths."""

    tasks: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def missing(self, after: After) -> list[str]:
        """What of it is not there."""
        paths = {file.path for file in after.files}
        lost = (
            ("task", self.tasks - after.tasks.keys()),
            ("model", self.models - after.models.keys()),
            ("file", self.files - paths),
        )
        return [f"{kind} {one} had to be kept, and is gone" for kind, some in lost for one in sorted(some)]


class Growth:
    """Adds scenes to a sandbox; each is there from one moment on, as a whole."""

    def __init__(self, sandbox: Sandbox, chance: Random) -> None:
        """`chance` decides everything but the moments."""
        self._sandbox = sandbox
        self._chance = chance
        self._world = World(datetime.now(UTC), seed=chance.getrandbits(32))
        self._scenes: list[Callable[[], None]] = [
            self._forgotten, self._forgotten, self._forgotten, self._chain,
            self._living, self._young, self._tagged, self._used, self._linked, self._published, self._dataset,
        ]  # fmt: skip
        self._given: dict[str, int] = {}
        """How many of each kind of document the server has got."""
        self._grew: list[dict[str, int]] = [dict.fromkeys(("tasks", "models", "events", "files"), 0)]
        """That before the first scene, and after each."""
        self.must_stay = MustStay()
        """Changed only while the store's lock is held."""
        sandbox.load(self._world.as_dict())

    @property
    def tasks(self) -> int:
        """Added so far."""
        return len(self._world.tasks)

    def add(self) -> None:
        """Play one scene."""
        store = self._sandbox.store
        with store.lock:
            self._world.now = datetime.now(UTC)
            self._chance.choice(self._scenes)()
            world = self._world.as_dict()
            for project in self._new("projects", world["projects"]):
                store.projects.put(project)
            for file in self._new("files", world["files"]):
                store.files.put(file["path"], file["size"])
            for model in self._new("models", world["models"]):
                store.models.put(model)
            for task in self._new("tasks", world["tasks"]):
                store.tasks.put(task)
            for event in self._new("events", world["events"]):
                store.events[event["task"]].append(event)
            self._grew.append(dict(self._given))

    def _new(self, kind: str, documents: list[Document]) -> list[Document]:
        """What was added since the last time, as the server has it: the builder's own documents stay as they are."""
        fresh = list(islice(documents, self._given.get(kind, 0), None))
        self._given[kind] = len(documents)
        found: list[Document] = json.loads(json.dumps(fresh).replace("{FILES}", self._sandbox.files_url))
        return found

    # -- scenes
    def _task(self, name: str, **options: object) -> TaskBuilder:
        """A task with some outputs; archived ones were archived at this moment."""
        chance = self._chance
        given = {"project": chance.choice(PROJECTS), "status": chance.choice(STATUSES), "days_old": chance.uniform(40, 400)}
        task = self._world.task(f"{name} {len(self._world.tasks)}", **(given | {"archived_days": 0.0} | options))  # type: ignore[arg-type]  # of many types
        for number in range(chance.randrange(3)):
            task.artifact(f"data {number}")
        if chance.random() < 0.5:
            task.debug_images(chance.randrange(1, 6))
        if chance.random() < 0.3:
            task.plot("confusion")
        return task

    def _forgotten(self) -> None:
        """Archived and past the threshold: it has to go, with all that it has."""
        task = self._task("forgotten")
        for number in range(self._chance.randrange(3)):
            task.model(f"weights {number}")

    def _chain(self) -> None:
        """A consumer of what another one made, both to go: the consumer first."""
        maker = self._task("maker")
        self._task("consumer").input_model(maker.model("weights"))

    def _living(self) -> None:
        """Not archived."""
        task = self._task("living", archived=False)
        task.model("weights")
        self._stays(task)

    def _young(self) -> None:
        """Archived, and not old enough by weeks."""
        task = self._task("young", days_old=self._chance.uniform(0.1, 20), status="completed")
        task.model("weights")
        self._stays(task)

    def _tagged(self) -> None:
        """Archived and past the threshold, with a tag to keep."""
        task = self._task("tagged", tags=(KEEP_TAG,))
        task.model("weights")
        self._stays(task)

    def _used(self) -> None:
        """The maker goes, and its model stays, which a living task uses."""
        model = self._task("maker of a used model").model("weights")
        user = self._task("user", archived=False, days_old=0.0)
        user.input_model(model)
        self._stays(user)
        self.must_stay.models.add(model.id)
        self.must_stay.files.add(self._world.path(model.uri))

    def _linked(self) -> None:
        """The maker goes, and its artifact stays, which a living task names."""
        uri = self._task("maker of a linked artifact").artifact("table")
        reader = self._task("reader", archived=False, days_old=0.0)
        reader.linked_artifact("table", uri)
        self._stays(reader)
        self.must_stay.files.add(self._world.path(uri))

    def _published(self) -> None:
        """The maker goes, and its model stays, which is published."""
        model = self._task("maker of a published model").model("weights", ready=True)
        self.must_stay.models.add(model.id)
        self.must_stay.files.add(self._world.path(model.uri))

    def _dataset(self) -> None:
        """A dataset version that is archived, and the living one that is built on it."""
        name = f"set {len(self._world.tasks)}"
        first = self._world.dataset(name, days_old=90, archived_days=0.0)
        second = self._world.dataset(name, version="1.0.1", parents=[first], archived=False, days_old=0.0)
        self._stays(first)
        self._stays(second)

    def _stays(self, task: TaskBuilder) -> None:
        """A task with all that it has made, when it has been made."""
        paths = {path for folder in task.folders for path in self._world.stored if path.startswith(f"{folder}/")}
        self.must_stay.tasks.add(task.id)
        self.must_stay.models |= {model["id"] for model in self._world.models if model.get("task") == task.id}
        self.must_stay.files |= paths

    # -- judgement
    def after(self) -> After:
        """What is there now."""
        store = self._sandbox.store
        with store.lock:
            files = frozenset(File("files", path) for path in store.files.paths())
            return After(dict(store.tasks), dict(store.models), files)

    def lost(self) -> list[str]:
        """What had to be there at all times, and is not."""
        with self._sandbox.store.lock:
            return self.must_stay.missing(self.after())

    def wrong_at_the_end(self) -> list[str]:
        """All that is wrong after a pass that nothing disturbed, and during which nothing was added."""
        after = self.after()
        wrong = [*self.lost(), *orphans(after, self._sandbox.files_url)]
        for part in self._parts():
            wrong += _KeepsTagged(Scenario(part)).violations(after)
        return wrong

    def _parts(self) -> Iterator[Document]:
        """All that was added, as worlds of a few scenes: none needs another one, and the oracle looks at each pair of tasks."""
        world = json.loads(json.dumps(self._world.as_dict()))
        ends = [*self._grew[:-1:SCENES_IN_A_PART], self._grew[-1]]
        for before, end in pairwise(ends):
            yield world | {kind: world[kind][before[kind] : end[kind]] for kind in self._grew[0]}


class _KeepsTagged(Oracle):
    """The oracle, for a pass that keeps what has the tag."""

    def _is_eligible(self, task: Document) -> bool:
        return KEEP_TAG not in task["tags"] and super()._is_eligible(task)


def orphans(after: After, address: str) -> list[str]:
    """Files of tasks that are gone, and that no record names: an oracle of one rule, beside the other one's many."""
    named = {model.get("uri") for model in after.models.values()} | {
        artifact["uri"] for task in after.tasks.values() for artifact in task["execution"]["artifacts"]
    }
    return [
        f"file {file.path} is an orphan: its task {file.owner} is gone, and no record names it"
        for file in sorted(after.files)
        if file.owner not in after.tasks and f"{address}/{quote(file.path)}" not in named
    ]
