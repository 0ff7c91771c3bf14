"""Each task and file is counted once, by the pass that deleted it."""

from threading import Barrier, BrokenBarrierError, Thread

import pytest

from cleanup_job.planning.outcome import Verdict
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, Done, clean, state


@pytest.fixture
def world() -> World:
    return World(NOW)


@pytest.mark.parametrize("call", ["tasks.get_all", "tasks.delete_many", "/delete_many"])
@pytest.mark.parametrize("releases", [2, 3])
def test_several_releases_at_once_delete_each_task_once(sandbox: Sandbox, world: World, releases: int, call: str) -> None:
    for number in range(30):
        world.task(f"exp {number}").artifact("data")
    world.task("living", archived=False).artifact("data")
    sandbox.load(world.as_dict())
    together, met = Barrier(releases), []

    def meet(request: Request) -> None:
        if request.call == call and len(met) < 4 * releases:
            met.append(request)
            try:
                together.wait(1)
            except BrokenBarrierError:
                together.reset()

    sandbox.fault = meet
    done: list[Done] = []
    passes = [Thread(target=lambda: done.append(clean(sandbox, batch_size=10))) for _ in range(releases)]
    for one in passes:
        one.start()
    for one in passes:
        one.join()
    assert len(done) == releases
    totals = [one.report.total() for one in done]
    assert sum(total.tasks for total in totals) == 30
    assert sum(total.files for total in totals) == 30
    assert sum(total.kept + total.failed for total in totals) == 0
    for one in done:
        deleted, gone = (one.watcher.by_verdict(verdict) for verdict in (Verdict.DELETED, Verdict.GONE_ALREADY))
        assert len(deleted | gone) == one.report.selected
    assert len(state(sandbox)[0]) == 1


@pytest.mark.parametrize("status", [None, 500, 502, 504])
@pytest.mark.parametrize("call", ["tasks.delete_many", "/delete_many"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_was_done_without_an_answer_is_counted_once(
    sandbox: Sandbox, world: World, call: str, status: int | None, times: int
) -> None:
    for number in range(9):
        world.task(f"exp {number}").artifact("data")
    sandbox.load(world.as_dict())
    seen: list[Request] = []

    def lose(request: Request) -> Fault | None:
        if request.call == call and (request.body.get("ids") or request.body.get("files")):
            seen.append(request)
            return Fault(status=status, after=True) if len(seen) <= times else None
        return None

    sandbox.fault = lose
    done = clean(sandbox)
    total = done.report.total()
    assert (total.tasks, total.files, done.report.files_missing, total.gone_already) == (9, 9, 0, 0)
    assert done.watcher.warnings == []


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_not_begun_is_not_counted_as_done(sandbox: Sandbox, world: World, status: int) -> None:
    world.task("exp").artifact("data")
    sandbox.load(world.as_dict())
    sandbox.store.files.remove("")
    seen: list[Request] = []

    def refuse(request: Request) -> Fault | None:
        if request.call == "/delete_many" and request.body["files"]:
            seen.append(request)
        return Fault(status=status) if seen and request is seen[0] else None

    sandbox.fault = refuse
    done = clean(sandbox)
    assert (done.report.total().files, done.report.files_missing) == (0, 1)


def test_the_files_of_a_task_whose_record_fails_are_counted_when_they_are_deleted(sandbox: Sandbox, world: World) -> None:
    world.task("exp").artifact("data")
    sandbox.load(world.as_dict())
    sandbox.fault = lambda request: Fault(status=400) if request.call == "tasks.delete_many" else None
    done = clean(sandbox)
    assert (done.report.total().tasks, done.report.total().files, len(done.watcher.failed)) == (0, 1, 1)
    sandbox.fault = None
    done = clean(sandbox)
    assert (done.report.total().tasks, done.report.total().files, done.report.files_missing) == (1, 0, 1)


def test_a_list_that_lacks_a_task_is_no_proof_that_it_is_gone(sandbox: Sandbox, world: World) -> None:
    maker = world.task("makes it", days_old=90)
    user = world.task("uses it", days_old=60)
    user.input_model(maker.model("weights"))
    sandbox.load(world.as_dict())
    empty = Fault(status=200, body='{"meta": {"result_code": 200}, "data": {"tasks": []}}')

    def forget(request: Request) -> Fault | None:
        return empty if request.call == "tasks.get_all" and user.id in (request.body.get("id") or ()) else None

    sandbox.fault = forget
    done = clean(sandbox)
    assert not done.watcher.by_verdict(Verdict.GONE_ALREADY)
    assert len(state(sandbox)[0]) == 2
