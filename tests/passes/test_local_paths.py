"""Files on the disks of other systems: a task that wrote there is kept, as with files on any unknown store."""

import pytest

from cleanup_job.planning.outcome import Reason
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state

ADDRESSES = (
    "C:\\out\\lab\\x.{id}\\models\\w.pt",
    "C:/out/lab/x.{id}/models/w.pt",
    "\\\\nas\\share\\lab\\x.{id}\\models\\w.pt",
    "file:///C:\\out\\lab\\x.{id}\\models\\w.pt",
    "file:///C:%5Cout%5Clab%5Cx.{id}%5Cmodels%5Cw.pt",
    "\\\\?\\C:\\out\\x.{id}\\models\\w.pt",
)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("kind", ["model", "artifact", "image"])
def test_a_task_with_files_there_is_kept_whole(sandbox: Sandbox, address: str, kind: str) -> None:
    world = World(NOW)
    task, other = world.task("there"), world.task("other")
    task.artifact("data")
    uri = address.replace("{id}", task.id)
    if kind == "model":
        task.model("w", uri=uri)
    elif kind == "artifact":
        task.linked_artifact("a", uri)
    else:
        task.linked_image(uri)
    other.artifact("data")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.kept == {task.id: Reason.UNKNOWN_STORE}
    assert done.watcher.deleted == {other.id}
    assert done.watcher.outcomes[task.id].unknown_stores == (("file://", 1),)
    assert [path for path in state(sandbox)[2] if task.id in path]
    left = clean(sandbox, unknown_stores="delete_record")
    assert left.watcher.deleted == {task.id}
    assert state(sandbox)[2] == []
