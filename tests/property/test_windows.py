"""A pass gives the same outcome in windows of every size: nothing is lost at a border, and nothing more is deleted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cleanup_job.errors import CleanupError
from cleanup_job.planning.outcome import Reason, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.sharding import Share
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.store import api_time
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
    return {task: (outcome.verdict, outcome.reason) for task, outcome in done.watcher.ends.items()}


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
        if self.one(False, False, False, True):  # kept, which shows only when it is planned: others wait for it by then
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
@settings(few, max_examples=8)
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
@settings(few, max_examples=6)
@given(worlds(), options, sizes)
def test_a_dry_run_tells_what_a_real_pass_does(
    sandbox: Sandbox, size: int | None, world: World, chosen: dict[str, Any], how: dict[str, Any]
) -> None:
    dry = run(sandbox, world, size, **chosen, **how, dry_run=True)
    real = again(sandbox, size, **chosen, **how)
    assert became(dry) == became(real)
    assert dry.watcher.projects == real.watcher.projects
    assert dry.report.total() == real.report.total()


def far_apart(kind: str) -> World:
    """A task, and many windows later another one that it needs."""
    world = World(NOW)
    if kind == "dataset":
        needed = world.dataset("base", days_old=60)
        world.dataset("derived", parents=[needed], days_old=40)
    elif kind == "step":
        world.pipeline("pipe", days_old=40).step("step", days_old=60)
    else:
        needed = world.dataset("base", days_old=60) if kind == "used dataset" else world.task("maker", days_old=60)
        needy, model = world.task("user", days_old=40), needed.model("weights")
        match kind:
            case "model":
                needy.input_model(model)
            case "listed model":
                needy.lists_model(model)
            case "file":
                needy.linked_artifact("linked", needed.artifact("x"))
            case _:
                needy.uses_dataset(needed)
    for number in range(5):
        world.task(f"between {number}", days_old=50)
    return world


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("kind", ["model", "listed model", "file", "dataset", "used dataset", "step"])
def test_what_a_task_needed_many_windows_ago_is_free(sandbox: Sandbox, kind: str, dry_run: bool) -> None:
    """In a dry run, too, in which the server still has that task."""
    world = far_apart(kind)
    done = run(sandbox, world, 1, dry_run=dry_run, protect_used_datasets=True)
    assert done.watcher.deleted == {task.id for task in world.tasks}
    assert (state(sandbox) == ([], [], [])) is not dry_run


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


@pytest.mark.parametrize(("size", "after", "every"), [(1, False, 5), (2, True, 2), (7, False, 6)])
def test_killed_at_any_request_the_next_pass_converges(
    sandbox: Sandbox, expected: Left, size: int, after: bool, every: int
) -> None:
    """The n-th request and all that follow get no answer; with `after` the n-th one is carried out nevertheless."""
    for n in range(1, requests_of_a_pass(sandbox, size) + 1, every):

        def dead(number: int, n: int = n) -> Fault | None:
            return None if number < n else Fault(after=after and number == n)

        assert disturbed(sandbox, size, dead, attempts=1) is None
        assert orphans(sandbox) == set(), f"request {n}"
        again(sandbox, None)
        assert state(sandbox) == expected, f"request {n}"


def test_one_fault_at_any_request_is_made_good_in_the_same_pass(sandbox: Sandbox, expected: Left) -> None:
    """An error, or a lost answer: in turn."""
    for n in range(1, requests_of_a_pass(sandbox, 2) + 1, 3):
        fault = Fault(status=500) if n % 2 else Fault(after=True)
        done = disturbed(sandbox, 2, lambda number, n=n, fault=fault: fault if number == n else None)
        assert done is not None
        assert not done.watcher.failed, f"request {n}"
        assert state(sandbox) == expected, f"request {n}"


# -- what others do between the windows
def deferred_world() -> tuple[World, TaskBuilder, TaskBuilder]:
    """A maker, which its user, of a later window, lets wait for the end of the pass; and two tasks between them."""
    world = World(NOW)
    maker = world.task("maker", days_old=40)
    user = world.task("user", days_old=60)
    user.input_model(maker.model("weights"))
    for number in range(2):
        world.task(f"between {number}", days_old=50).artifact("data")
    return world, maker, user


def meanwhile(sandbox: Sandbox, world: World, act: Callable[[], object], when: Callable[[Request], bool]) -> Done:
    """A pass in windows of one task, in which someone does something right before a request is answered."""
    sandbox.load(world.as_dict())
    done = list[Request]()

    def fault(request: Request) -> None:
        if not done and when(request):
            done.append(request)
            act()

    sandbox.fault = fault
    found = again(sandbox, 1, workers=1)
    sandbox.fault = None
    assert done, "it came to that"
    return found


def edited(sandbox: Sandbox, task: str, how: str) -> Callable[[], object]:
    """What someone does to a task."""
    store, moment = sandbox.store, api_time(NOW)
    match how:
        case "restored":
            return lambda: store.tasks.change(task, system_tags=[], last_change=moment)
        case "run again":
            return lambda: store.tasks.change(task, status="in_progress", status_changed=moment, last_update=moment)
        case _:
            return lambda: store.tasks.pop(task)


HOW = ["restored", "run again", "deleted"]


def deletes(task: str) -> Callable[[Request], bool]:
    """Whether a request deletes a task's record."""
    return lambda request: request.call == "tasks.delete_many" and task in request.body["ids"]


@pytest.mark.parametrize("how", HOW)
def test_a_deferred_task_that_someone_changes_is_left_alone(sandbox: Sandbox, how: str) -> None:
    world, maker, user = deferred_world()
    done = meanwhile(sandbox, world, edited(sandbox, maker.id, how), deletes(world.tasks[-1].id))
    assert user.id in done.watcher.deleted
    if how == "deleted":
        assert done.watcher.by_verdict(Verdict.GONE_ALREADY) == {maker.id}
    else:
        assert done.watcher.kept == {maker.id: Reason.CHANGED}
        assert maker.id in state(sandbox)[0]
        assert any(maker.id in path for path in state(sandbox)[2])


@pytest.mark.parametrize("how", HOW[:2])
def test_a_deferred_task_is_kept_if_its_user_was_changed_before_its_turn(sandbox: Sandbox, how: str) -> None:
    world, maker, user = deferred_world()
    done = meanwhile(sandbox, world, edited(sandbox, user.id, how), deletes(world.tasks[-1].id))
    assert user.id not in done.watcher.deleted
    assert user.id in state(sandbox)[0]
    models = sandbox.store.models
    assert [model["id"] for model in models.values()] == [user.document["models"]["input"][0]["model"]]
    assert any(maker.id in path for path in state(sandbox)[2]), "its file is still there, too"


@pytest.mark.parametrize("how", HOW[:2])
def test_a_task_that_is_changed_after_its_window_was_read_is_left_alone(sandbox: Sandbox, how: str) -> None:
    world, _, user = deferred_world()
    asked = list[Request]()

    def second_look(request: Request) -> bool:
        asked.extend([request] if request.call == "tasks.get_all" and user.id in str(request.body.get("id")) else [])
        return len(asked) == 2

    meanwhile(sandbox, world, edited(sandbox, user.id, how), second_look)
    assert user.id in state(sandbox)[0]
    assert len(sandbox.store.models) == 1


# -- shards
@settings(few, max_examples=6)
@given(worlds(), st.sampled_from([2, 3]), st.sampled_from([1, None]))
def test_pods_together_come_to_what_one_alone_does(sandbox: Sandbox, world: World, shards: int, size: int | None) -> None:
    run(sandbox, world, None)
    alone = state(sandbox)
    sandbox.load(world.as_dict())
    deleted = {""}
    while deleted:
        deleted = set()
        for shard in range(shards):
            done = again(sandbox, size, shard=shard, shards=shards)
            assert not done.watcher.failed
            deleted |= done.watcher.deleted
    assert state(sandbox) == alone


def test_a_task_that_another_pods_task_needs_is_kept_and_the_next_pass_deletes_it(sandbox: Sandbox) -> None:
    world = World(NOW)
    maker = world.task("maker", days_old=60)
    user = world.task("user", days_old=61)
    user.input_model(maker.model("weights"))
    shard = next(shard for shard in (0, 1) if Share(shard, 2).owns(datetime.fromisoformat(maker.document["last_update"])))
    done = run(sandbox, world, 1, shard=shard, shards=2)
    assert done.watcher.kept == {maker.id: Reason.IN_USE}
    detail = done.watcher.outcomes[TaskId(maker.id)].detail
    assert f"task {user.id}, which another pod deletes" in detail
    assert "the next pass looks again" in detail
    assert again(sandbox, 1, shard=1 - shard, shards=2).watcher.deleted == {user.id}
    assert again(sandbox, 1, shard=shard, shards=2).watcher.deleted == {maker.id}
    assert state(sandbox) == ([], [], [])
