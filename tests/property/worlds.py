"""Random worlds, and an oracle that knows from a world alone what a pass may and must delete.

The oracle is written from the promises, not from the code that it judges: it looks at a world as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from harness import NOW
from hypothesis import strategies as st

from cleanup_job.sandbox.builder import TaskBuilder, World

PUBLIC = "https://public.example"
BUCKET = "s3://bucket/base"
DESTINATIONS = (None, None, None, PUBLIC, BUCKET)


@st.composite
def worlds(draw: st.DrawFn, most: int = 7, destinations: Sequence[str | None] = DESTINATIONS) -> World:
    """A world of a few tasks that refer to each other in every way there is, and write to these places."""
    world = World(NOW, aliases=[PUBLIC])
    tasks: list[TaskBuilder] = []
    uris: list[str] = []
    models: list[Any] = []
    for n in range(draw(st.integers(1, most))):
        status = draw(st.sampled_from(["completed", "completed", "created", "failed", "published", "in_progress"]))
        task = world.task(
            f"exp {n}",
            project=draw(st.sampled_from(["lab", "lab/sub", "other"])),
            days_old=draw(st.sampled_from([1, 31, 45, 60])),
            archived=draw(st.booleans()) or draw(st.booleans()),
            archived_days=draw(st.sampled_from([None, 2])),
            status=status,
            tags=draw(st.sampled_from([(), ("gold",)])),
            hidden=draw(st.integers(0, 9)) == 0,
            public=draw(st.integers(0, 9)) == 0,
            parent=draw(st.sampled_from([None, *tasks])),
            destination=draw(st.sampled_from(destinations)),
        )
        tasks.append(task)
        for k in range(draw(st.integers(0, 2))):
            uris.append(task.artifact(f"a{k}"))
        if draw(st.booleans()):
            uris += task.debug_images(draw(st.integers(1, 3)))
        if draw(st.integers(0, 2)) == 0:
            uris += task.plot("plot", images=draw(st.integers(1, 3)))
        if draw(st.integers(0, 3)) == 0:
            task.renamed(f"renamed {n}")
            uris.append(task.artifact("late"))
        for k in range(draw(st.integers(0, 2))):
            shared = draw(st.sampled_from([None, None, *uris[-3:]]))
            models.append(task.model(f"m{k}", uri=shared, ready=draw(st.integers(0, 5)) == 0))
            uris.append(models[-1].uri)
        if draw(st.integers(0, 3)) == 0:
            task.linked_artifact(
                "link", draw(st.sampled_from(["s3://bucket/raw.csv", f"{world.files}/zoo/raw.csv", *uris[:2]]))
            )
    for _ in range(draw(st.integers(0, 3))):
        if models:
            draw(st.sampled_from(tasks)).input_model(draw(st.sampled_from(models)))
    if uris and draw(st.integers(0, 3)) == 0:
        world.model("free", uri=draw(st.sampled_from(uris)))
    world.stored["zoo/raw.csv"] = 5
    return world


@dataclass(frozen=True)
class Oracle:
    """What a world says by itself."""

    tasks: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]
    files: set[str]

    @classmethod
    def of(cls, world: World) -> "Oracle":
        document = world.as_dict()
        return cls(
            {t["id"]: t for t in document["tasks"]},
            {m["id"]: m for m in document["models"]},
            {f["path"] for f in document["files"]},
        )

    def eligible(self) -> set[str]:
        """Tasks that the settings of the property tests allow: archived, 30 days old, visible, not public."""
        return {i for i, task in self.tasks.items() if self._is_eligible(task)}

    @staticmethod
    def _is_eligible(task: dict[str, Any]) -> bool:
        active = task["status"] in {"in_progress", "queued"}
        since = task["last_update"] if active else task.get("status_changed") or task["last_update"]
        tags = task["system_tags"]
        return (
            "archived" in tags
            and "hidden" not in tags
            and task["company"] != ""
            and datetime.fromisoformat(since) < NOW - timedelta(days=30)
        )

    def must_stay(self, gone: set[str]) -> tuple[set[str], set[str]]:
        """The files and models that have to be there when exactly these tasks are gone."""
        used = {entry["model"] for i, task in self.tasks.items() if i not in gone for entry in task["models"]["input"]}
        models = {i for i, model in self.models.items() if model.get("task") not in gone or model["ready"] or i in used}
        needed = {path_of(self.models[i]["uri"]) for i in models}
        files = {path for path in self.files if not self.owners(path) & gone or path in needed}
        return files, models

    def owners(self, path: str) -> set[str]:
        """The tasks whose folder a path lies in."""
        return {segment.rpartition(".")[2] for segment in path.split("/")[1:-1]} & self.tasks.keys()


def path_of(uri: str) -> str:
    """The path on the fileserver of a URI under any of its addresses."""
    for prefix in ("{FILES}/", PUBLIC + "/"):
        if uri.startswith(prefix):
            return unquote(uri[len(prefix) :])
    return ""
