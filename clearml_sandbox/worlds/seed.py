"""A realistic world from a seed number: what the demo cleans up, and tests and benchmarks run on.

About half of the tasks are archived and past the usual 30 days. Most are ordinary: of any status, age, user, type and
tags, with artifacts, models, debug samples, plots with several images. The rest are the kinds that a clean-up must tell
apart, and `roles` in the world names the first task of each:

- `every_status`: one living and one old archived task of each status; among them drafts that never ran, and so have no
  `status_changed`, and running and queued tasks
- `reporting`: archived long after it was started, and still reporting
- `archived_yesterday`: changed long ago, archived only now; `archived_young`: archived, but changed days ago
- `published_model`, `ready_model`: a published model of a published task, of one that is not
- `model_in_use`, `model_released`: its model is the input of a living task, of an archived one
- `shared_uri`: two models, one URI, one of the two tasks living
- `linked`: an artifact and a debug sample registered by link, and an artifact that is another task's
- `renamed`, `moved`, `project_renamed`: wrote files before and after (two task folders), or only before
- `parent`: archived, its child lives
- `pipeline`: a controller with steps, one of them hidden
- `dataset`: an archived version with a living child version, and a task that reads the child
- `interrupted`: two tasks whose models were never uploaded, and so share a URI without a file
- `first_iteration`: many debug samples, all at iteration 0
- `left_over`: a file in its task folder that no record names
- `public`: an example task, which belongs to no company

Each kind occurs from 60 tasks on. The same seed and `now` give the very same world.
"""

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder

_PROJECTS = (
    "vision/classification",
    "vision/detection",
    "vision/detection/night",
    "vision/segmentation",
    "speech/recognition",
    "speech/recognition/far field",
    "language/summaries",
    "language/ranking",
    "forecasting/energy demand",
    "forecasting/sales",
    "recommender",
    "playground",
)
_USERS = ("Default User", "Research", "Platform", "Data Engineering", "Automation")
_TAGS = ("baseline", "ablation", "candidate", "smoke test", "nightly", "quantized", "keep")
_TYPES = ("training",) * 8 + ("testing", "inference", "data_processing", "optimizer", "monitor", "application", "qc")
_STATUSES = ("created", "queued", "in_progress", "stopped", "failed", "completed", "published")
_USUAL_STATUSES = ("completed",) * 9 + ("failed",) * 4 + ("stopped",) * 3 + ("created",) * 2 + ("published",)
_VERBS = ("train", "fine-tune", "evaluate", "sweep", "distill", "pretrain", "export", "reproduce")
_SUBJECTS = ("resnet50", "yolo", "unet", "conformer", "transformer", "encoder", "xgboost", "two-tower", "lstm", "vit")
_ARTIFACTS = ("config", "predictions", "confusion table", "report", "train split", "features")
_PLOTS = ("confusion matrix", "pr curve", "embedding", "feature importance")
_KB = 1000


def seeded_world(seed: int, tasks: int, now: datetime, files_url: str = "{FILES}", *, outputs: bool = True) -> Document:
    """A world of so many tasks (give or take a few below 60), in the format of `World.as_dict`.

    `outputs=False` leaves out what ordinary tasks write, for worlds of many small tasks; the special kinds keep theirs.
    """
    return _Seed(seed, tasks, now, files_url, outputs).world.as_dict()


class _Seed:
    """One world in the making. Each method in `kinds` adds the tasks of one kind."""

    def __init__(self, seed: int, tasks: int, now: datetime, files_url: str, outputs: bool) -> None:
        self.world = World(now, files_url, seed=seed)
        self.world.name = f"seed {seed}"
        self.random = Random(seed)  # noqa: S311 -- the same world each time is the point
        self.outputs = outputs
        kinds: tuple[Callable[[], TaskBuilder], ...] = (
            self.reporting,
            self.archived_yesterday,
            self.archived_young,
            self.published_model,
            self.ready_model,
            self.model_in_use,
            self.model_released,
            self.shared_uri,
            self.linked,
            self.renamed,
            self.moved,
            self.parent,
            self.pipeline,
            self.dataset,
            self.interrupted,
            self.first_iteration,
            self.left_over,
        )
        self.ordinary(archived=True)
        for kind in (*kinds, self.every_status, self.public, self.project_renamed):
            if len(self.world.tasks) < tasks:
                self.world.roles[kind.__name__] = kind().id
        while len(self.world.tasks) < tasks:
            special = self.random.random() < 0.08 and tasks - len(self.world.tasks) >= 4  # the largest kind has 4 tasks
            self.random.choice(kinds)() if special else self.ordinary()

    # -- ordinary tasks

    def task(self, name: str = "", *, archived: bool = True, **options: Any) -> TaskBuilder:
        """A task with a believable name, user, project; past the threshold if archived, unless `days_old` is given."""
        random = self.random
        days_old = random.uniform(35, 400) if archived else random.uniform(0.1, 300)
        number = len(self.world.tasks)
        defaults: dict[str, Any] = {
            "project": random.choice(_PROJECTS),
            "days_old": days_old,
            "user": random.choice(_USERS),
            "tags": random.sample(_TAGS, random.choice((0, 0, 0, 1, 1, 2))),
            "system_tags": ("development",) if random.random() < 0.7 else (),  # agents' tasks lack it
        }
        if archived:
            oldest = float(options.get("days_old", days_old))
            defaults["archived_days"] = random.uniform(min(31, oldest), oldest)
        name = name or f"{random.choice(_VERBS)} {random.choice(_SUBJECTS)}"
        return self.world.task(f"{name} {number}", archived=archived, **{**defaults, **options})

    def ordinary(self, *, archived: bool | None = None) -> TaskBuilder:
        """A task as most are: a little over half are archived and old."""
        random = self.random
        if archived is None:
            archived = random.random() < 0.52
        options: dict[str, Any] = {"status": random.choice(_USUAL_STATUSES), "task_type": random.choice(_TYPES)}
        if archived and random.random() < 0.05:
            options["days_old"] = random.uniform(1, 29)
        task = self.task(archived=archived, **options)
        if self.outputs and options["status"] != "created":
            self.write(task)
        return task

    def write(self, task: TaskBuilder) -> None:
        """What a run leaves behind: about ten files."""
        random = self.random
        task.scalar("loss", [round(2.0 / (step + 1), 3) for step in range(3)])
        for name in random.sample(_ARTIFACTS, random.randint(0, 3)):
            task.artifact(name, random.randint(1, 400) * _KB)
        if random.random() < 0.6:
            task.model("weights", size=random.randint(200, 5000) * _KB)
        if random.random() < 0.5:
            task.debug_images(random.randint(2, 12), "samples", size=random.randint(5, 90) * _KB)
        for name in random.sample(_PLOTS, random.choice((0, 0, 1, 2))):
            task.plot(name, images=random.randint(0, 4), size=random.randint(10, 60) * _KB)

    # -- the kinds that a clean-up must tell apart

    def every_status(self) -> TaskBuilder:
        for status in _STATUSES:
            self.task(status=status, archived=False, updated_days=0.01 if status == "in_progress" else None)
            first = self.task(status=status)
        return first

    def reporting(self) -> TaskBuilder:
        task = self.task("endless", status="in_progress", archived_days=40, days_old=50, updated_days=0.01)
        task.debug_images(3)
        return task

    def archived_yesterday(self) -> TaskBuilder:
        return self.with_artifact(self.task(archived_days=1))

    def archived_young(self) -> TaskBuilder:
        return self.with_artifact(self.task(days_old=self.random.uniform(2, 28)))

    def published_model(self) -> TaskBuilder:
        task = self.with_artifact(self.task("release", status="published"))
        task.model("weights", ready=True, size=900 * _KB)
        return task

    def ready_model(self) -> TaskBuilder:
        task = self.with_artifact(self.task("release candidate"))
        task.model("weights", ready=True, size=900 * _KB)
        task.model("last checkpoint", size=900 * _KB)
        return task

    def model_in_use(self) -> TaskBuilder:
        task = self.with_artifact(self.task("pretrain backbone", days_old=200))
        self.task("fine-tune backbone", archived=False, days_old=10).input_model(task.model("backbone", size=800 * _KB))
        return task

    def model_released(self) -> TaskBuilder:
        task = self.with_artifact(self.task("pretrain encoder", days_old=200))
        self.task("fine-tune encoder", days_old=100).input_model(task.model("encoder", size=800 * _KB))
        return task

    def shared_uri(self) -> TaskBuilder:
        task = self.with_artifact(self.task("train shared", days_old=150))
        shared = task.model("weights", size=700 * _KB)
        self.task("reuse shared", archived=False, days_old=90).model("weights", uri=shared.uri)
        return task

    def linked(self) -> TaskBuilder:
        task = self.with_artifact(self.task("evaluate on raw data"))
        task.linked_artifact("raw", "s3://datasets/input/raw.csv")
        task.linked_image("s3://datasets/input/example.mp4")
        neighbour = self.task("prepare data", archived=False)
        task.linked_artifact("prepared", neighbour.artifact("prepared", 50 * _KB))
        return task

    def renamed(self) -> TaskBuilder:
        task = self.with_artifact(self.task("untitled"))
        task.debug_images(2)
        task.renamed(f"{task.document['name']} (best so far)").debug_images(2)
        task.artifact("report", 30 * _KB)
        return task

    def moved(self) -> TaskBuilder:
        task = self.with_artifact(self.task("trial", project="playground"))
        task.moved("vision/classification").artifact("report", 30 * _KB)
        return task

    def project_renamed(self) -> TaskBuilder:
        first, second = (self.with_artifact(self.task("probe", project="ideas/tracking")) for _ in range(2))
        self.world.rename_project("ideas/tracking", "vision/tracking")
        second.artifact("report", 30 * _KB)
        return first

    def parent(self) -> TaskBuilder:
        task = self.with_artifact(self.task("base run"))
        self.with_artifact(self.task("clone of base run", archived=False, days_old=20, parent=task))
        return task

    def pipeline(self) -> TaskBuilder:
        archived = self.random.random() < 0.8
        days = self.random.uniform(40, 200)
        options: dict[str, Any] = {"archived": archived, "days_old": days, "user": "Automation"}
        controller = self.world.pipeline("nightly training", project="vision", **options)
        for name in ("load", "train", "evaluate"):
            self.with_artifact(controller.step(name, hidden=name == "load", **options))
        return controller

    def dataset(self) -> TaskBuilder:
        name, days = f"images {len(self.world.tasks)}", self.random.uniform(60, 200)
        options: dict[str, Any] = {"project": "vision", "user": "Data Engineering"}
        first = self.world.dataset(name, size=3000 * _KB, days_old=days, **options)
        options |= {"version": "1.1.0", "parents": [first], "archived": False, "size": 200 * _KB}
        second = self.world.dataset(name, days_old=days / 2, **options)
        self.task("train on images", archived=False).uses_dataset(second, "training data")
        return first

    def interrupted(self) -> TaskBuilder:
        task, other = self.task("crashed", status="failed"), self.task("crashed", status="failed", archived=False)
        for crashed in (task, other):
            crashed.model("weights", uri=self.world.uploading_uri)
        return self.with_artifact(task)

    def first_iteration(self) -> TaskBuilder:
        task = self.task("inspect dataset", task_type="data_processing")
        task.debug_images(24, "preview", iterations=1, size=20 * _KB)
        return task

    def left_over(self) -> TaskBuilder:
        task = self.with_artifact(self.task(status="stopped"))
        task.file("artifacts/old checkpoint/weights.bin", 300 * _KB)
        return task

    def public(self) -> TaskBuilder:
        return self.with_artifact(self.task("example", public=True))

    def with_artifact(self, task: TaskBuilder) -> TaskBuilder:
        """So that each kind has a file of its own to lose."""
        task.artifact("config", self.random.randint(1, 40) * _KB)
        return task
