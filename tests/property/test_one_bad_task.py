"""One task's trouble is its own: no matter what goes wrong with the requests that name one task, all others are deleted."""

from collections.abc import Callable
from itertools import count

import pytest

from cleanup_job.errors import AnswerError, DownError, UnreachableError
from cleanup_job.transport.splitting import IN_A_LONG_ROW, IN_A_ROW, Splitting
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW, Done, clean, state

FAULTS = {
    "500": Fault(status=500),
    "400": Fault(status=400, subcode=12),
    "403": Fault(status=403, subcode=20),
    "404": Fault(status=404),
    "503": Fault(status=503),
    "dropped": Fault(),
    "lost": Fault(after=True),
    "slow": Fault(delay=0.3),
    "cut": Fault(status=200, body='{"meta": {"result_code": 200', cut=True),
    "truncated": Fault(status=200, body='{"meta": {"result_code": 200'),
    "no JSON": Fault(status=200, body="<html>upstream error</html>"),
    "another shape": Fault(
        status=200, body='{"meta": {"result_code": 200}, "data": {"tasks": 5, "models": {}, "metrics": "no"}}'
    ),
    "a list": Fault(status=200, body="[]"),
}


def world(healthy: int = 7) -> tuple[World, TaskBuilder]:
    """Tasks with all kinds of outputs, one of them to be the bad one; and users, makers, a pipeline, a living neighbour."""
    made = World(NOW)
    tasks = []
    for number in range(healthy + 1):
        task = made.task(f"exp {number}", days_old=40 + number)
        task.artifact("data")
        task.model("weights")
        task.debug_images(1)
        task.plot("plot", images=1)
        tasks.append(task)
    made.task("living", archived=False).artifact("data")
    return made, tasks[healthy // 2]


def whenever_named(sandbox: Sandbox, names: set[str], fault: Fault) -> Callable[[Request], Fault | None]:
    def bad(request: Request) -> Fault | None:
        text = f"{request.call} {request.body}"
        return fault if any(name in text for name in names) else None

    return bad


def names_of(made: World, task: TaskBuilder) -> set[str]:
    return {task.id, *(model["id"] for model in made.models if model.get("task") == task.id)}


def run(sandbox: Sandbox, fault: Fault) -> Done:
    return clean(sandbox, workers=1, attempts=2, request_timeout_seconds=0.15 if fault.delay else 30)


@pytest.mark.parametrize("kind", FAULTS)
def test_whatever_happens_to_each_request_that_names_one_task_the_others_are_deleted(sandbox: Sandbox, kind: str) -> None:
    made, bad = world()
    sandbox.load(made.as_dict())
    before = state(sandbox)
    sandbox.fault = whenever_named(sandbox, names_of(made, bad), FAULTS[kind])
    done = run(sandbox, FAULTS[kind])
    assert len(done.watcher.deleted - {bad.id}) == 7, "all healthy ones"
    if kind == "lost":  # a call without an answer is followed by a look: that the files are gone, and the record
        assert done.watcher.failed <= {bad.id}
    else:
        assert done.watcher.failed == {bad.id}
        assert done.watcher.outcomes[bad.id].detail
        assert {path for path in before[2] if bad.id in path} <= set(state(sandbox)[2]), "nothing of it is lost"
    sandbox.fault = None
    assert not run(sandbox, Fault()).watcher.failed
    tasks, models, files = state(sandbox)
    assert (len(tasks), models, len(files)) == (1, [], 1), "the next pass finishes"


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind != "slow"])
@pytest.mark.parametrize(
    "call",
    [
        *("events.get_multi_task_metrics", "events.get_task_metrics", "models.get_all", "tasks.get_all"),
        *("tasks.delete_many", "/delete_many"),
    ],
)
def test_one_call_that_always_fails_for_one_task_fails_that_task_alone(sandbox: Sandbox, call: str, kind: str) -> None:
    made, bad = world(3)
    sandbox.load(made.as_dict())
    named = whenever_named(sandbox, names_of(made, bad), FAULTS[kind])
    sandbox.fault = lambda request: named(request) if request.call == call else None
    done = run(sandbox, FAULTS[kind])
    assert len(done.watcher.deleted - {bad.id}) == 3
    assert done.watcher.failed <= {bad.id}
    there = set(state(sandbox)[0])
    assert done.watcher.deleted.isdisjoint(there), "nothing is called deleted that is there"
    left = {path for path in state(sandbox)[2] if bad.id in path}
    assert not left or bad.id in there, "no file without its record"
    sandbox.fault = None
    assert not run(sandbox, Fault()).watcher.failed
    assert len(state(sandbox)[0]) == 1


def tangled() -> tuple[World, dict[str, tuple[TaskBuilder, set[str]]]]:
    """Tasks that hold on to each other; for each role one, and the others that have to stay with it."""
    made = World(NOW)
    for number in range(6):
        made.task(f"exp {number}", days_old=40 + number).artifact("data")
    maker, user = made.task("maker", days_old=90), made.task("user", days_old=35)
    user.input_model(maker.model("used"))
    one, other = made.task("one"), made.task("other")
    one.input_model(other.model("b"))
    other.input_model(one.model("a"))
    own = made.task("own")
    own.input_model(own.model("checkpoint"))
    lister = made.task("lister")
    living = made.task("living", archived=False)
    lister.lists_model(living.model("theirs"))
    lister.model("mine")
    published = made.task("published", status="published")
    published.model("ready", ready=True)
    controller = made.pipeline("nightly")
    step = controller.step("step")
    step.artifact("data")
    version = made.dataset("data")
    return made, {
        "maker": (maker, {user.id}),  # its model can't be asked for, so its user may be unreadable, too
        "user": (user, {maker.id}),
        "circle": (one, {other.id}),
        "own": (own, set()),
        "lister": (lister, {living.id}),
        "published": (published, set()),
        "controller": (controller, {step.id}),
        "step": (step, {controller.id}),
        "dataset": (version, set()),
    }


@pytest.mark.parametrize("kind", ["500", "400", "404", "dropped", "lost", "truncated", "no JSON"])
@pytest.mark.parametrize("role", tangled()[1])
@pytest.mark.parametrize("steps", [False, True])
def test_a_bad_task_in_whatever_role_keeps_no_more_than_those_that_it_is_tied_to(
    sandbox: Sandbox, role: str, kind: str, steps: bool
) -> None:
    made, roles = tangled()
    bad, tied = roles[role]
    sandbox.load(made.as_dict())
    everybody = set(state(sandbox)[0])
    living = {task for task in everybody if "archived" not in sandbox.store.tasks[task]["system_tags"]}
    sandbox.fault = whenever_named(sandbox, names_of(made, bad), FAULTS[kind])
    done = clean(sandbox, workers=1, attempts=2, filters={"include_pipeline_steps": steps})
    tasks, _, files = state(sandbox)
    assert set(tasks) <= {bad.id} | tied | living, "no other stays"
    assert done.watcher.deleted.isdisjoint(tasks)
    assert living <= set(tasks)
    owners = {segment.rpartition(".")[2] for path in files for segment in path.split("/")}
    makers = {str(model["task"]).removeprefix("__DELETED__") for model in sandbox.state()["models"]}
    assert owners & everybody <= set(tasks) | makers, "no file without a record"
    sandbox.fault = None
    assert not clean(sandbox, filters={"include_pipeline_steps": steps}).watcher.failed
    assert set(state(sandbox)[0]) == living


def test_one_bad_task_of_many_costs_a_few_calls(sandbox: Sandbox) -> None:
    made = World(NOW)
    tasks = [made.task(f"exp {number}") for number in range(256)]
    for task in tasks:
        task.debug_images(1)
    sandbox.load(made.as_dict())
    sandbox.requests.clear()
    assert len(run(sandbox, Fault()).watcher.deleted) == 256
    usual = len(sandbox.requests)
    sandbox.load(made.as_dict())
    sandbox.requests.clear()
    bad = tasks[100]
    sandbox.fault = lambda request: (
        Fault(status=500) if request.call.startswith("events.") and bad.id in str(request.body) else None
    )
    assert run(sandbox, Fault()).watcher.failed == {bad.id}
    bulk = [r for r in sandbox.requests if r.call.startswith("events.") and r.call != "events.get_task_events"]
    assert len(bulk) < 5 * 2 * 8, "a few for each of log2 256 steps"
    assert len(sandbox.requests) < usual + 8 * 16


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=503), Fault()])
def test_a_server_that_fails_for_everybody_is_down(sandbox: Sandbox, fault: Fault) -> None:
    made, _ = world(39)
    sandbox.load(made.as_dict())
    numbers = count()
    sandbox.fault = lambda request: fault if request.call.startswith("events.") and next(numbers) >= 0 else None
    with pytest.raises(UnreachableError):
        run(sandbox, fault)
    assert next(numbers) < 100, "it is not asked for each task"
    assert len(state(sandbox)[0]) == 41


# -- the helper itself
class Server:
    """Fails for some, and counts its calls."""

    def __init__(self, bad: set[int], error: Exception | None = None) -> None:
        self.bad, self.error = bad, error or UnreachableError("500")
        self.asked: list[tuple[int, ...]] = []
        self.pinged = 0
        self.down = False
        self.split = Splitting(self, self, self.ping)

    def ping(self) -> None:
        self.pinged += 1
        if self.down:
            raise UnreachableError("refused")

    def ask(self, server: "Server", some: "list[int]") -> set[int]:
        assert server is self
        self.asked.append(tuple(some))
        if self.bad & set(some):
            raise self.error
        return set(some)


@pytest.mark.parametrize("error", [UnreachableError("500"), AnswerError("400", status=400), AnswerError("no list")])
@pytest.mark.parametrize("size", [1, 2, 3, 100, 500])
def test_a_culprit_is_found_in_about_two_log_n_calls_and_remembered(size: int, error: Exception) -> None:
    server = Server({size // 3}, error)
    answers, failed = server.split.each("call", range(size), server.ask)
    assert (set().union(*answers), failed) == (set(range(size)) - {size // 3}, {size // 3: error})
    assert len(server.asked) <= 2 * size.bit_length() + 4
    server.asked.clear()
    assert server.split.each("call", range(size), server.ask)[1] == {size // 3: error}
    assert server.asked == ([tuple(one for one in range(size) if one != size // 3)] if size > 1 else [])
    server.split.each("another call", range(size), server.ask)
    assert server.asked[-1] != ()


def test_what_is_asked_for_keeps_its_order() -> None:
    server = Server({2})
    answers, _ = server.split.each("call", range(8), lambda _, some: server.ask(server, some) and list(some))
    assert [one for some in answers for one in some] == [0, 1, 3, 4, 5, 6, 7]


def test_a_server_that_is_down_ends_it_at_once() -> None:
    server = Server({1})
    server.down = True
    with pytest.raises(DownError):
        server.split.each("call", range(500), server.ask)
    assert (len(server.asked), server.pinged) == (1, 1)


def test_single_ones_that_fail_in_a_row_are_a_server_in_trouble() -> None:
    server = Server(set(range(500)))
    with pytest.raises(DownError):
        server.split.each("call", range(500), server.ask)
    assert len({some for some in server.asked if len(some) == 1}) <= IN_A_ROW + 1
    assert len(server.asked) < 50


def test_a_server_that_refuses_everything_is_not_down_and_not_asked_for_each() -> None:
    error = AnswerError("403", status=403)
    server = Server(set(range(500)), error)
    answers, failed = server.split.each("call", range(500), server.ask)
    assert (answers, failed) == ([], dict.fromkeys(range(500), error))
    assert len(server.asked) < 30


def test_bad_ones_beside_each_other_are_no_trouble_of_the_server() -> None:
    """As the tasks of one experiment are, none of which can be read."""
    bad = set(range(100, 120))
    server = Server(bad)
    answers, failed = server.split.each("call", range(500), server.ask)
    assert (set().union(*answers), set(failed)) == (set(range(500)) - bad, bad)
    assert len(server.asked) < 20 * 2 * 9


def test_a_few_that_are_all_bad_are_no_trouble_of_the_server() -> None:
    """As those that the night before has left."""
    few = IN_A_LONG_ROW - 1
    server = Server(set(range(few)))
    assert len(server.split.each("call", range(few), server.ask)[1]) == few
    server = Server(set(range(few + 1)))
    with pytest.raises(DownError):
        server.split.each("call", range(few + 1), server.ask)


def test_what_is_gone_meanwhile_is_no_trouble_of_the_server() -> None:
    server = Server(set(range(20)), AnswerError("Invalid task id", status=400, subcode=101))
    assert len(server.split.each("call", range(20), server.ask)[1]) == 20
    assert {some for some in server.asked if len(some) == 1} == {(one,) for one in range(20)}


def test_healthy_ones_in_between_show_that_the_server_works() -> None:
    server = Server({one for one in range(100) if one % 4 == 0})
    answers, failed = server.split.each("call", range(100), server.ask)
    assert (len(set().union(*answers)), len(failed)) == (75, 25)


def test_nothing_is_asked_where_there_is_nothing_to_ask_for() -> None:
    server = Server(set())
    assert server.split.each("call", [], server.ask) == ([], {})
    assert server.asked == []
