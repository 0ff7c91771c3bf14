"""Slimming in stores that can list: mounted folders and buckets."""

from pathlib import Path

import pytest

from cleanup_job.planning.outcome import Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.storage.mounted_folders import MountedFolders
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean
from tests.passes.slimmer import keys, policies, record, slim
from tests.stores.servers import Bucket
from tests.stores.test_objects import stores


@pytest.mark.parametrize("name", ["exp", "näme 1"])
def test_single_files_go_and_the_rest_of_the_task_with_its_deletion(
    sandbox: Sandbox, folder: Path, tmp_path: Path, name: str
) -> None:
    """Of a slimmed task nothing need be left, whichever way its addresses can be read."""
    world = World(NOW)
    task = world.task(name, destination=f"file://{folder}", user="Ann")
    task.artifact("data", size=7)
    task.debug_images(2)
    named = list(world.elsewhere)
    unnamed = task.file("artifacts/data/unnamed")
    sandbox.load(world.as_dict())
    for uri, size in world.elsewhere.items():
        path = Path(uri.removeprefix("file://"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)

    def stores(*_: object) -> list[MountedFolders]:
        return [MountedFolders([str(folder)])]

    found = slim(sandbox, policies(tmp_path), stores=stores)[TaskId(task.id)]
    assert (found.verdict, found.files, found.bytes, found.unsized) == (Verdict.SLIMMED, 3, 7 + 2 * 5, 0)
    assert not any(Path(uri.removeprefix("file://")).exists() for uri in named)
    assert Path(unnamed.removeprefix("file://")).exists()
    assert keys(record(sandbox, task.id)) == []
    Path(unnamed.removeprefix("file://")).unlink()
    done = clean(sandbox, stores=stores, missing_files="keep_record")
    assert done.watcher.outcomes[TaskId(task.id)].verdict is Verdict.DELETED


def test_single_objects_go(sandbox: Sandbox, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(NOW)
    task = world.task("näme #1 a+b", destination=f"{bucket.uri}/base", user="Ann")
    task.artifact("data", size=7)
    task.artifact("data 2", size=9)
    task.debug_images(2)
    task.file("artifacts/data/unnamed")
    sandbox.load(world.as_dict())
    for uri, size in world.elsewhere.items():
        bucket.put(uri.removeprefix(f"{bucket.uri}/"), b"x" * size)
    file = policies(tmp_path, "debug_samples, artifacts", '      artifacts: {except: ["* 2"]}\n')
    found = slim(sandbox, file, stores=lambda *_: [stores(bucket, monkeypatch)])[TaskId(task.id)]
    assert (found.verdict, found.files, found.bytes, found.unsized) == (Verdict.SLIMMED, 3, 7 + 2 * 5, 0)
    there = bucket.keys()
    assert sorted(key.rpartition("/")[2] for key in there) == ["data 2.bin", "unnamed"]
    assert keys(record(sandbox, task.id)) == ["data 2"]
