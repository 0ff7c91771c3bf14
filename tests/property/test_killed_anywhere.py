"""Killed at any request, the next pass converges: nothing eligible left, no file without a record, nothing else touched."""

import os
import subprocess
import sys

import pytest

from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state


def world() -> World:
    """Users and makers, a renamed task, shared files, living neighbours."""
    made = World(NOW)
    for n in range(6):
        task = made.task(f"exp {n}", days_old=40 + n)
        task.artifact("data")
        task.model("weights")
        task.debug_images(2)
        task.plot("plot", images=2)
    maker = made.task("maker", days_old=35)
    made.task("user", days_old=50).input_model(maker.model("weights"))
    maker.renamed("renamed").artifact("late")
    one, other = made.task("one"), made.task("other")
    one.input_model(other.model("b"))
    other.input_model(one.model("a"))
    shared = made.task("published", status="published")
    shared.model("ready", ready=True)
    shared.artifact("data")
    made.task("living", archived=False).artifact("data")
    return made


@pytest.fixture(scope="module")
def expected(shared_sandbox: Sandbox) -> tuple[list[str], list[str], list[str]]:
    """What one undisturbed pass leaves."""
    shared_sandbox.fault = None
    shared_sandbox.load(world().as_dict())
    clean(shared_sandbox, batch_size=4, workers=1)
    return state(shared_sandbox)


def orphans(sandbox: Sandbox) -> set[str]:
    """Files in the folder of a task that is gone, and that no model's record names."""
    tasks, _, files = state(sandbox)
    named = {str(model.get("uri")).rpartition("/")[2] for model in sandbox.store.models.values()}
    return {
        path
        for path in files
        if not {segment.rpartition(".")[2] for segment in path.split("/")} & set(tasks) and path.rpartition("/")[2] not in named
    }


def requests_of_a_pass(sandbox: Sandbox) -> int:
    sandbox.load(world().as_dict())
    sandbox.requests.clear()
    clean(sandbox, batch_size=4, workers=1)
    return len(sandbox.requests)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_server_fails_at_every_request(
    sandbox: Sandbox, expected: tuple[list[str], list[str], list[str]], after: bool
) -> None:
    """The n-th request and all that follow get no answer; with `after` the n-th one is carried out nevertheless."""
    for n in range(1, requests_of_a_pass(sandbox) + 1):
        sandbox.fault = None
        sandbox.load(world().as_dict())
        sandbox.requests.clear()

        def dead(request: Request, n: int = n) -> Fault | None:
            number = len(sandbox.requests)
            return None if number < n else Fault(after=after and number == n)

        sandbox.fault = dead
        with pytest.raises(Exception):  # noqa: B017, PT011 -- which one depends on n
            clean(sandbox, batch_size=4, workers=1, attempts=1)
        sandbox.fault = None
        assert orphans(sandbox) == set(), f"request {n}"
        clean(sandbox, batch_size=4)
        assert state(sandbox) == expected, f"request {n}"


def test_one_lost_answer_at_every_request_is_made_good_in_the_same_pass(
    sandbox: Sandbox, expected: tuple[list[str], list[str], list[str]]
) -> None:
    for after in (False, True):
        for n in range(1, requests_of_a_pass(sandbox) + 1):
            sandbox.fault = None
            sandbox.load(world().as_dict())
            sandbox.requests.clear()
            sandbox.fault = lambda _, n=n, after=after: Fault(after=after) if len(sandbox.requests) == n else None
            done = clean(sandbox, batch_size=4, workers=1)
            sandbox.fault = None
            assert not done.watcher.failed, f"request {n}"
            assert state(sandbox) == expected, f"request {n}"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 509])
def test_passing_failures_are_tried_again(sandbox: Sandbox, status: int) -> None:
    sandbox.load(world().as_dict())
    sandbox.fault = lambda _: Fault(status=status) if len(sandbox.requests) % 3 == 0 else None
    assert not clean(sandbox).watcher.failed


@pytest.mark.parametrize("n", [1, 4, 9, 14, 19, 24, 29])
def test_a_process_killed_at_a_request(sandbox: Sandbox, expected: tuple[list[str], list[str], list[str]], n: int) -> None:
    """SIGKILL while the server is at the n-th request."""
    sandbox.load(world().as_dict())
    sandbox.requests.clear()
    process: list[subprocess.Popen[bytes]] = []

    def kill(_: Request) -> Fault | None:
        if len(sandbox.requests) == n:
            process[0].kill()
        return None

    sandbox.fault = kill
    command = [sys.executable, "-m", "cleanup_job", "run", "--force-delete", "--batch-size", "4", "--workers", "1"]
    clear = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML_", "CLEANUP_"))}
    process.append(subprocess.Popen(command, env=clear | sandbox.environment(), stdout=subprocess.DEVNULL))
    process[0].wait(60)
    sandbox.fault = None
    assert orphans(sandbox) == set()
    clean(sandbox, batch_size=4)
    assert state(sandbox) == expected
