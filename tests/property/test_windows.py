"""A pass gives the same outcome in windows of every size: nothing is lost at a border, and nothing more is deleted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cleanup_job.errors import CleanupError
from cleanup_job.planning.outcome import Reason, Verdict
from clearml_sandbox.server import Fault, Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import ModelBuilder, TaskBuilder
from tests.harness import NOW, Done, clean, state
from tests.property.judge import Judge, in_windows, judge
from tests.property.scenario import Scenario
from tests.property.test_killed_anywhere import orphans
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


@settings(few, max_examples=8)
@given(scenarios(without={"events", "broken"}), sizes, st.sampled_from(SIZES))
def test_nor_does_it_in_a_world_with_all_that_is_odd(
    shared_judge: Judge, scenario: Scenario, how: dict[str, Any], size: int | None
) -> None:
    first = became(shared_judge.run(scenario, page_size=500, batch_size=500, workers=1, window=None))
    after = shared_judge.after()
    assert became(shared_judge.run(scenario, **how, window=size)) == first
    assert shared_judge.after().files == after.files


@pytest.mark.parametrize("size", SIZES)
@settings(few, max_examples=8)
@given(worlds(), options, sizes)
def test_a_dry_run_tells_what_a_real_pass_does(
    sandbox: Sandbox, size: int | None, world: World, chosen: dict[str, Any], how: dict[str, Any]
) -> None:
    dry = run(sandbox, world, size, **chosen, **how, dry_run=True)
    real = again(sandbox, size, **chosen, **how)
    assert became(dry) == became(real)
    assert dry.watcher.projects == real.watcher.projects
    assert dry.report.total() == real.report.total()


# -- tasks that need each other at a border, killed and disturbed
def bordering() -> World:
    """Makers before and after their users, a circle, versions, a living neighbour; half of them of one moment."""
    world = World(NOW)
    late = world.task("maker, newer than its user", days_old=40)
    world.task("user", days_old=60).input_model(late.model("weights"))
    one, other = world.task("one of a circle", days_old=45), world.task("the other", days_old=60)
    one.input_model(other.model("b"))
    other.input_model(one.model("a"))
    world.task("names a file", days_old=60).linked_artifact("linked", one.artifact("data"))
    base = world.dataset("base", days_old=35)
    world.dataset("derived", parents=[base], days_old=60)
    used = world.task("used by one that lives", days_old=60)
    world.task("lives", archived=False).input_model(used.model("weights"))
    return world


@pytest.fixture(scope="module")
def expected(shared_sandbox: Sandbox) -> tuple[list[str], list[str], list[str]]:
    """What one undisturbed pass leaves."""
    shared_sandbox.fault = None
    run(shared_sandbox, bordering(), None)
    return state(shared_sandbox)


Left = tuple[list[str], list[str], list[str]]


def requests_of_a_pass(sandbox: Sandbox, size: int | None) -> int:
    sandbox.fault = None
    sandbox.load(bordering().as_dict())
    sandbox.requests.clear()
    again(sandbox, size, workers=1)
    return len(sandbox.requests)


def disturbed(sandbox: Sandbox, size: int, fault: Callable[[int], Fault | None], **options: Any) -> Done | None:
    """A pass in which something happens to requests, by their number; None if it ended with an error."""
    sandbox.fault = None
    sandbox.load(bordering().as_dict())
    sandbox.requests.clear()
    sandbox.fault = lambda _: fault(len(sandbox.requests))
    try:
        return again(sandbox, size, workers=1, **options)
    except CleanupError:
        return None
    finally:
        sandbox.fault = None


@pytest.mark.parametrize(("size", "after"), [(1, False), (2, True), (7, False)])
def test_killed_at_every_request_the_next_pass_converges(sandbox: Sandbox, expected: Left, size: int, after: bool) -> None:
    """The n-th request and all that follow get no answer; with `after` the n-th one is carried out nevertheless."""
    for n in range(1, requests_of_a_pass(sandbox, size) + 1):

        def dead(number: int, n: int = n) -> Fault | None:
            return None if number < n else Fault(after=after and number == n)

        assert disturbed(sandbox, size, dead, attempts=1) is None
        assert orphans(sandbox) == set(), f"request {n}"
        again(sandbox, size)
        assert state(sandbox) == expected, f"request {n}"


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(after=True)], ids=["error", "lost answer"])
def test_one_fault_at_every_request_is_made_good_in_the_same_pass(sandbox: Sandbox, expected: Left, fault: Fault) -> None:
    for n in range(1, requests_of_a_pass(sandbox, 2) + 1):
        done = disturbed(sandbox, 2, lambda number, n=n: fault if number == n else None)
        assert done is not None
        assert not done.watcher.failed, f"request {n}"
        assert state(sandbox) == expected, f"request {n}"
