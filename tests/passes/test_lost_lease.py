"""A pass that lost its lease sends no request that deletes any more, wherever it was; the next pass finishes the work."""

import pytest

from cleanup_job.clearml_api.event_files import AHEAD
from cleanup_job.passes.stop import Stop
from clearml_sandbox.server import Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state


def world() -> dict[str, object]:
    made = World(NOW)
    for number in range(4):
        task = made.task(f"exp {number}", days_old=40 + number)
        task.artifact("data")
        task.model("weights")
        task.debug_images(2)
    first, second = made.task("one"), made.task("other")  # they hold on to each other: their models go first, by name
    second.input_model(first.model("a"))
    first.input_model(second.model("b"))
    made.task("living", archived=False).artifact("data")
    return made.as_dict()


def deletes(request: Request) -> bool:
    if request.call == "/delete_many":
        return bool(request.body["files"])  # an empty list asks whether it is allowed
    return request.method == "DELETE" or request.call in {
        "tasks.delete_many",
        "models.delete_many",
        "tasks.delete",
        "models.delete",
    }


@pytest.mark.parametrize(
    ("batch_size", "workers", "version"), [(1, 1, "2.34"), (1, 3, "2.34"), (500, 1, "2.34"), (500, 3, "2.34"), (500, 1, "2.12")]
)
def test_lost_after_any_request_it_deletes_nothing_more(batch_size: int, workers: int, version: str) -> None:
    with Sandbox(world(), max_api_version=version) as sandbox:
        clean(sandbox)
        cleaned = state(sandbox)
        total = len(sandbox.requests)
    for held in range(1, total, 1 if batch_size == 500 else 5):
        with Sandbox(world(), max_api_version=version) as sandbox:
            stop = Stop(holds_lease=lambda held=held, sandbox=sandbox: len(sandbox.requests) < held)
            report = clean(sandbox, stop=stop, batch_size=batch_size, workers=workers).report
            # What others had in flight may come in between; none is sent once the lease is gone.
            between = 1 + (workers - 1) * AHEAD
            late = [request.call for request in sandbox.requests[held - 1 + between :] if deletes(request)]
            assert not late
            if len(sandbox.requests) <= held:
                continue  # it was over: how many requests the claims take depends on which of two readers is faster
            assert report.stopped_by == "lease"
            assert report.left + report.total().tasks + report.total().kept == 6
            clean(sandbox)
            assert state(sandbox) == cleaned
