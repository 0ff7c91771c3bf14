"""A server that has everything the guides speak of."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder


@dataclass
class Named:
    """The world, and its tasks that a pass with ``force_delete`` would delete, by what they are."""

    world: World
    old: dict[str, list[str]] = field(default_factory=dict)
    stays: list[str] = field(default_factory=list)
    untagged_model: str = ""
    tagged_model: str = ""

    def add(self, what: str, task: TaskBuilder) -> TaskBuilder:
        task.artifact("data", size=1000)
        self.old.setdefault(what, []).append(task.id)
        return task

    @property
    def all_old(self) -> set[str]:
        return {task for tasks in self.old.values() for task in tasks}


def make() -> Named:
    world = World(datetime.now(UTC))
    named = Named(world)
    for number in range(4):
        named.add("playground", world.task(f"try {number}", project="playground"))
    named.add("draft", world.task("never ran", project="playground/ideas", status="created"))
    for number in range(3):
        named.add("vision/detection", world.task(f"train {number}", project="vision/detection")).debug_images(2)
    named.add("vision/detection", world.task("train at night", project="vision/detection/night"))
    released = named.add("released", world.task("train tracker", project="vision/tracking"))
    named.tagged_model = released.model("tracker", tags=["production"]).id
    candidate = named.add("candidate", world.task("train better tracker", project="vision/tracking"))
    named.untagged_model = candidate.model("better").id
    named.add("robotics", world.task("grasp", project="robotics"))
    named.add("robotics", world.task("lift", project="robotics/arm"))
    named.add("baselines", world.task("bigram", project="language/baselines"))
    named.add("robotics-ci", world.task("simulate", project="language", user="robotics-ci"))
    named.add("paper", world.task("table 2", project="language", tags=["paper"]))
    named.add("keep", world.task("best so far", project="language", tags=["keep"]))
    for project in ("playground", "vision/detection", "robotics"):
        named.stays.append(world.task("in use", project=project, archived=False).id)
        named.stays.append(world.task("archived last week", project=project, days_old=7).id)
    return named
