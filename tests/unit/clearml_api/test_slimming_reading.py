"""What slimming reads of the server: files by the kind of event, and when models were made."""

import pytest

from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.planning.paths import ModelId, TaskId
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW
from tests.unit.clearml_api.connected import connected, sent


@pytest.fixture
def server(sandbox: Sandbox) -> ClearMLServer:
    return connected(sandbox)


def test_files_of_debug_samples_and_of_plots_come_apart(sandbox: Sandbox, server: ClearMLServer) -> None:
    world = World(NOW)
    task = world.task("task")
    images, plots = task.debug_images(2), task.plot("plot", images=2)
    sandbox.load(world.as_dict())
    one = TaskId(task.id)
    given = {
        name: [(one, uri.replace("{FILES}", sandbox.files_url)) for uri in uris] for name, uris in (("i", images), ("p", plots))
    }
    assert sorted(server.debug_samples([one])) == sorted(given["i"])
    assert sorted(server.plot_images([one])) == sorted(given["p"])
    assert sorted(map(str, server.event_files([one]))) == sorted(map(str, given["i"] + given["p"]))


def test_when_models_were_made(sandbox: Sandbox, server: ClearMLServer) -> None:
    """Those of which it can't be read, or that are gone, are left out: they count as of unknown age."""
    world = World(NOW)
    task = world.task("task")
    good, odd, silent = (task.model(name) for name in ("good", "odd", "silent"))
    good.document["created"] = "2026-08-01T00:00:00+00:00"
    odd.document["created"] = "some day"
    del silent.document["created"]
    sandbox.load(world.as_dict())
    found = server.models_created([good.id, odd.id, silent.id, ModelId("f" * 32)])
    assert {model: time.isoformat() for model, time in found.items()} == {good.id: "2026-08-01T00:00:00+00:00"}
    assert len(sent(sandbox, "models.get_all")) == 1
    assert server.models_created([]) == {}
