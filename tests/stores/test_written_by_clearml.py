"""What the real clearml package writes to a store, a pass deletes: all of it, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import clean, state
from servers import Bucket, Certificate

from cleanup_job.paths import TaskId
from cleanup_job.retry import Retry
from cleanup_job.sandbox.server import Sandbox
from cleanup_job.storage.buckets import Buckets
from cleanup_job.storage.folders import MountedFolders
from cleanup_job.storage.objects import ObjectStores

WRITER = Path(__file__).with_name("written_by_clearml.py")
OLD = "2026-01-01T00:00:00+00:00"


def write(
    sandbox: Sandbox, place: Path, destination: str, *, conf: dict[str, Any], environ: dict[str, str], links: dict[str, str]
) -> TaskId:
    """Let the clearml package write a task, then archive it, long ago."""
    (place / "clearml.conf").write_text(json.dumps({"sdk": conf}))
    clear = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")}
    own = {"HOME": str(place), "CLEARML_CONFIG_FILE": str(place / "clearml.conf"), "NO_GCE_CHECK": "true"}
    # As a text, so that the SDK looks for no repository and no requirements.
    command = [sys.executable, "-c", WRITER.read_text(), destination, json.dumps(links)]
    environ = clear | sandbox.environment() | own | environ
    done = subprocess.run(command, env=environ, cwd=place, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    task = TaskId(done.stdout.rpartition("id ")[2].split()[0])
    sandbox.store.tasks.change(task, system_tags=["archived"], status_changed=OLD, last_update=OLD, last_change=OLD)
    return task


def nested(conf: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Parts such as ``aws.s3`` as clearml.conf's ``sdk`` has them."""
    tree: dict[str, Any] = {}
    for name, part in conf.items():
        one, other = name.split(".")
        tree[one] = {other: part}
    return tree


def test_all_that_it_wrote_to_a_bucket_goes_and_what_it_only_linked_to_stays(
    sandbox: Sandbox, tmp_path: Path, bucket: Bucket, tls: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.load({})
    sources = {"input/raw.csv": "artifact", "zoo/base.pt": "model", "input/vid.mp4": "sample"}
    for key in sources:
        bucket.put(key, b"source")
    links = {kind: f"{bucket.uri}/{key}" for key, kind in sources.items()}
    environ = bucket.environ | {"REQUESTS_CA_BUNDLE": str(tls.authority)}
    task = write(sandbox, tmp_path, f"{bucket.uri}/base", conf=nested(bucket.conf), environ=environ, links=links)
    probe = "base/clearml.storage.helper-upload_test"  # the SDK's own, by which it finds out whether it may write
    others = {*sources, "base/somebody/weights.pt"} | ({probe} & bucket.keys())
    written = bucket.keys() - others
    assert len(written) == 3, written
    assert all(f".{task}/" in key for key in written)
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)

    def stores(retry: Retry, gate: Any) -> list[ObjectStores]:
        return [ObjectStores(Buckets(bucket.conf, verify=bucket.verify, retry=retry), retry=retry, before_deletion=gate)]

    before = bucket.keys()
    dry = clean(sandbox, stores=stores, dry_run=True)
    assert bucket.keys() == before
    done = clean(sandbox, stores=stores)
    assert done.watcher.deleted == {task}
    outcome = done.watcher.outcomes[task]
    assert dry.watcher.outcomes[task] == outcome
    assert (outcome.files, outcome.bytes > 0, outcome.external_count) == (3, True, 3)
    assert bucket.keys() == others
    assert state(sandbox)[:2] == ([], [])


def test_the_sdks_own_deletion_takes_three_files_that_the_task_never_wrote(
    sandbox: Sandbox, tmp_path: Path, s3_one: Bucket
) -> None:
    """Why there is this project: the same task as above, deleted by ``Task.delete``."""
    sandbox.load({})
    sources = {"input/raw.csv": "artifact", "zoo/base.pt": "model", "input/vid.mp4": "sample"}
    for key in sources:
        s3_one.put(key, b"source")
    links = {kind: f"{s3_one.uri}/{key}" for key, kind in sources.items()}
    task = write(sandbox, tmp_path, f"{s3_one.uri}/base", conf=nested(s3_one.conf), environ={}, links=links)
    assert sources.keys() <= s3_one.keys()
    code = f"from clearml import Task; Task.get_task({task!r}).delete()"
    own = {"HOME": str(tmp_path), "CLEARML_CONFIG_FILE": str(tmp_path / "clearml.conf")}
    subprocess.run([sys.executable, "-c", code], env=os.environ | sandbox.environment() | own, cwd=tmp_path, check=True)
    assert not sources.keys() & s3_one.keys()


def test_all_that_it_wrote_to_a_mounted_folder_goes(sandbox: Sandbox, tmp_path: Path, folder: Path) -> None:
    sandbox.load({})
    source = folder / "input.csv"
    source.write_text("source")
    links = dict.fromkeys(("artifact", "model", "sample"), f"file://{source}")
    task = write(sandbox, tmp_path, str(folder), conf={}, environ={}, links=links)

    def there() -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    others = {"README", "input.csv", "somebody/weights.pt"}
    assert len(there() - others) == 3, there()
    done = clean(sandbox, stores=lambda _, gate: [MountedFolders([str(folder)], before_deletion=gate)])
    assert done.watcher.deleted == {task}, done.watcher.outcomes
    assert done.watcher.outcomes[task].files == 3
    assert there() == others
