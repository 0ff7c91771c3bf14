"""People who work with ClearML while nights go by: a seeded random script over one sandbox."""

import json
from datetime import timedelta
from random import Random
from typing import Any

import clearml_sandbox.store
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.passes.nights import Nights

PROJECTS = ("play", "play/sub", "vision", "vision/released", "robotics", "misc")
USERS = ("Ada", "Bob")
METRIC = "validation"
ENDED = ("completed", "failed", "stopped")


class People:
    """They add tasks, run them again, archive, restore, tag, publish, use models, comment and move."""

    def __init__(self, nights: Nights, seed: int) -> None:
        """``seed``: the same seed does the same."""
        self.nights = nights
        self.random = Random(seed)  # noqa: S311 -- no secrets
        self.world = World(nights.now, seed=seed)
        self.touched: set[str] = set()
        """Tasks that somebody has changed since this was emptied."""
        self.deeds: dict[str, int] = {}
        """How often each was done."""
        self._builders: dict[str, TaskBuilder] = {}
        for project in PROJECTS:
            self.world.project(project)
        for user in USERS:
            self.world.user(user)

    # -- tasks
    def make(self, days_old: float, **options: Any) -> TaskBuilder:
        """A task with something of each kind."""
        chance = self.random
        number = len(self._builders)
        made = self.world.task(
            f"exp {number}",
            **{
                "project": chance.choice(PROJECTS),
                "user": chance.choice(USERS),
                "status": chance.choice((*ENDED, "completed", "created")),
                "days_old": days_old,
                "archived": chance.random() < 0.2,
                **options,
            },
        )
        self._builders[made.id] = made
        if made.document["status"] != "created":
            made.artifact("data")
            made.artifact("metrics csv")
            made.debug_images(2)
            made.plot("plot")
            made.scalar(METRIC, [chance.randint(0, 9) / 10, chance.randint(0, 9) / 10], "accuracy")
            for name in ("first", "last"):
                made.model(name)
        return made

    def add(self) -> None:
        """A task of this moment comes in."""
        world, store = self.world, self.nights.sandbox.store
        world.now = self.nights.now
        models, events, files = len(world.models), len(world.events), set(world.stored)
        made = self.make(0.01, archived=False)
        text = json.dumps([made.document, world.models[models:], world.events[events:]])
        task, new_models, new_events = json.loads(text.replace("{FILES}", self.nights.sandbox.files_url))
        store.tasks.put(task)
        for model in new_models:
            store.models.put(model)
        store.events[made.id] += new_events
        for path in world.stored.keys() - files:
            store.files.put(path, 5)

    # -- deeds
    def live_a_day(self) -> None:
        """What they do until the next night."""
        self.nights.later(0.5)
        for deed, odds in (
            (self.add, 0.12),
            (self.archive, 0.04),
            (self.restore, 0.06),
            (self.tag, 0.06),
            (self.untag, 0.04),
            (self.run_again, 0.04),
            (self.end_runs, 0.4),
            (self.publish, 0.01),
            (self.use_a_model, 0.02),
            (self.comment, 0.05),
            (self.move, 0.02),
        ):
            if self.random.random() < odds:
                deed()
        self.nights.later(0.5)

    def _some(self, **having: Any) -> str | None:
        """One of the tasks that are there; `archived`, `status`: only of those."""
        tasks = self.nights.sandbox.store.tasks
        found = [
            task
            for task, document in sorted(tasks.items())
            if having.get("archived") in {None, "archived" in document["system_tags"]}
            and document["status"] in having.get("status", {document["status"]})
        ]
        return self.random.choice(found) if found else None

    def _change(self, deed: str, task: str | None, **fields: Any) -> None:
        if task is not None:
            self.nights.change(task, **fields)
            self.touched.add(task)
            self.deeds[deed] = self.deeds.get(deed, 0) + 1

    def archive(self) -> None:
        self._change("archive", self._some(archived=False, status=(*ENDED, "published")), system_tags=["archived"])

    def restore(self) -> None:
        self._change("restore", self._some(archived=True), system_tags=[])

    def comment(self) -> None:
        self._change("comment", self._some(), comment="still interesting")

    def tag(self) -> None:
        """The owner's tags; some of them can't be read."""
        task = self._some()
        expires = (self.nights.now + timedelta(days=self.random.randint(-20, 120))).date()
        tag = self.random.choice(
            ("keep", "gold", "mine", "ttl=10d", "ttl=150d", "ttl=60w", f"expires={expires}", f"expires={expires}", "ttl=soon")
        )
        if task is not None:
            self._change("tag", task, tags=[*self.nights.task(task).get("tags", []), tag])

    def untag(self) -> None:
        """Somebody takes away a tag, perhaps one of the job's."""
        task = self._some()
        tags = self.nights.task(task).get("tags", []) if task is not None else []
        if tags:
            self._change("untag", task, tags=[tag for tag in tags if tag != self.random.choice(tags)])

    def run_again(self) -> None:
        stamp = clearml_sandbox.store.now()
        task = self._some(archived=False, status=ENDED)
        self._change("run", task, status="in_progress", status_changed=stamp, last_update=stamp, started=stamp, completed=None)

    def end_runs(self) -> None:
        """All runs end; each has written one more artifact and one more model."""
        stamp, store = clearml_sandbox.store.now(), self.nights.sandbox.store
        for task, document in sorted(store.tasks.items()):
            if document["status"] != "in_progress":
                continue
            key = f"again {len(document['execution']['artifacts'])} {stamp}"
            path = f"{self._builders[task].folder}/artifacts/{key}/again.bin"
            store.files.put(path, 5)
            uri = f"{self.nights.sandbox.files_url}/{path.replace(' ', '%20')}"
            entry = {"key": key, "type": "custom", "mode": "output", "uri": uri, "hash": "0" * 64, "content_size": 5}
            artifacts = [*document["execution"]["artifacts"], {**entry, "timestamp": 0, "display_data": []}]
            self._change(
                "ended",
                task,
                status=self.random.choice(ENDED),
                status_changed=stamp,
                last_update=stamp,
                completed=stamp,
                execution={**document["execution"], "artifacts": artifacts},
            )

    def publish(self) -> None:
        """A task with its models."""
        stamp = clearml_sandbox.store.now()
        task = self._some(archived=False, status=("completed",))
        self._change("publish", task, status="published", status_changed=stamp, last_update=stamp)
        for model in list(self.nights.sandbox.store.models.having("task", [task or ""])):
            self.nights.sandbox.store.models.change(model["id"], ready=True, last_update=stamp, last_change=stamp)

    def use_a_model(self) -> None:
        """One task takes another one's model, and names its artifact."""
        store, stamp = self.nights.sandbox.store, clearml_sandbox.store.now()
        user, models = self._some(archived=False), sorted(store.models)
        if user is None or not models:
            return
        model = store.models[self.random.choice(models)]
        document: Document = self.nights.task(user)
        entry = {"name": f"initial {stamp}", "model": model["id"], "updated": stamp}
        used = {**document["models"], "input": [*document["models"]["input"], entry]}
        self._change("use", user, models=used, last_update=stamp)

    def move(self) -> None:
        project = self.world.project(self.random.choice(PROJECTS))["id"]
        self._change("move", self._some(), project=project)
