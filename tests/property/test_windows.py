"""A pass over a world gives the same outcome in windows of every size: nothing is lost, and nothing more is deleted, at a border."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cleanup_job.planning.outcome import Reason, Verdict
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import ModelBuilder, TaskBuilder
from tests.harness import NOW, Done, clean, state
from tests.property.judge import Judge, in_windows, judge
from tests.property.scenario import Scenario
from tests.property.worlds import scenarios

few = settings(
    deadline=None, derandomize=True, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)
SIZES = [1, 2, 7, None]
"""Tasks of a window; None: as a pass chooses it."""
Became = dict[str, tuple[Verdict, Reason | None]]


@pytest.fixture(scope="module")
def shared_judge() -> Iterator[Judge]:
    with judge() as one:
        yield one


def became(done: Done) -> Became:
    """What became of each task; the words may differ."""
    return {task: (outcome.verdict, outcome.reason) for task, outcome in done.watcher.outcomes.items()}


# -- worlds whose tasks need each other
@dataclass
class _Maker:
    """Tasks that need each other in every way, of few moments, so that each of them may come first."""

    draw: st.DrawFn
    world: World = field(default_factory=lambda: World(NOW))
    tasks: list[TaskBuilder] = field(default_factory=list)
    models: list[ModelBuilder] = field(default_factory=list)
    datasets: list[TaskBuilder] = field(default_factory=list)
    pipelines: list[TaskBuilder] = field(default_factory=list)

    def one(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def task(self, number: int) -> None:
        options: dict[str, Any] = {
            "days_old": self.one(60, 60, 45, 35, 10),
            "archived": self.one(True, True, True, True, False),
            "status": self.one("completed", "completed", "failed", "created", "published"),
            "updated_days": self.one(None, None, None, 32, 50, 70),
            "tags": self.one((), (), (), ("gold",)),
        }
        kind = self.one("task", "task", "pipeline", "step", "dataset")
        if kind == "step" and self.pipelines:
            made = self.one(*self.pipelines).step(f"step {number}", **options, hidden=self.one(False, True))
        elif kind == "pipeline":
            made = self.world.pipeline(f"pipe {number}", **options)
            self.pipelines.append(made)
        elif kind == "dataset":
            parents = self.draw(st.lists(st.sampled_from(self.datasets), unique_by=id, max_size=2)) if self.datasets else []
            made = self.world.dataset(f"set {number}", parents=parents, **options)
            self.datasets.append(made)
        else:
            made = self.world.task(f"exp {number}", project=self.one("lab", "other", "lab/sub"), **options)
        made.artifact("data")
        if self.one(False, False, False, True):  # it is read before that is seen: it is kept when others may wait for it
            made.linked_artifact("elsewhere", f"s3://bucket/lab/exp.{made.id}/artifacts/x")
        if self.one(True, True, False):
            self.models.append(made.model("weights", ready=self.one(False, False, False, True)))
        self.tasks.append(made)

    def need(self, number: int) -> None:
        needy = self.one(*self.tasks)
        kind = self.one("use", "use", "list", "artifact", "dataset")
        if kind in {"use", "list"} and self.models:
            (needy.input_model if kind == "use" else needy.lists_model)(self.one(*self.models), f"of others {number}")
        elif kind == "dataset" and self.datasets:
            needy.uses_dataset(self.one(*self.datasets), f"alias {number}")
        else:
            other = self.one(*self.tasks)
            needy.linked_artifact(f"linked {number}", other.document["execution"]["artifacts"][0]["uri"])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    maker = _Maker(draw)
    for number in range(draw(st.integers(2, 9))):
        maker.task(number)
    for number in range(draw(st.integers(1, 8))):
        maker.need(number)
    for task in maker.tasks:
        if maker.one(False, False, False, False, False, True):
            del task.document["last_update"]
    maker.world.task("has the tag", archived=False, tags=["gold"])
    return maker.world


options = st.fixed_dictionaries(
    {},
    optional={
        "include_pipeline_steps": st.just(True),
        "protect_used_datasets": st.just(True),
        "delete_empty_projects": st.just(True),
        "filters": st.sampled_from([{"keep_tags": ("gold",)}, {"force_delete": False}, {"include_hidden": True}]),
    },
)
sizes = st.fixed_dictionaries(
    {"page_size": st.sampled_from([1, 2, 500]), "batch_size": st.sampled_from([1, 2, 500]), "workers": st.sampled_from([1, 3])}
)


def run(sandbox: Sandbox, world: World, size: int | None, **chosen: Any) -> Done:
    """One pass over a world, in windows of a size."""
    sandbox.load(world.as_dict())
    return again(sandbox, size, **chosen)


def again(sandbox: Sandbox, size: int | None, **chosen: Any) -> Done:
    """One more pass over what is there."""
    with in_windows(size):
        return clean(sandbox, **chosen)


@pytest.mark.parametrize("size", SIZES)
@settings(few, max_examples=12)
@given(worlds(), options, sizes)
def test_no_window_page_batch_or_worker_changes_the_outcome(
    sandbox: Sandbox, size: int | None, world: World, chosen: dict[str, Any], how: dict[str, Any]
) -> None:
    alone = run(sandbox, world, None, workers=1, **chosen)
    left = state(sandbox)
    done = run(sandbox, world, size, **chosen, **how)
    assert became(done) == became(alone)
    assert done.watcher.projects == alone.watcher.projects
    assert state(sandbox) == left
    assert again(sandbox, size, **chosen, **how).watcher.deleted == set()
    assert state(sandbox) == left
