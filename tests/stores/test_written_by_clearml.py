"""What the real clearml package writes to a store, a pass deletes: all of it, and nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.planning.paths import TaskId
from cleanup_job.retry import Retry
from cleanup_job.storage.buckets import Buckets
from cleanup_job.storage.mounted_folders import MountedFolders
from cleanup_job.storage.object_stores import ObjectStores
from clearml_sandbox.server import Sandbox
from tests.harness import clean, state
from tests.stores.servers import Bucket, Certificate

WRITER = Path(__file__).with_name("written_by_clearml.py")
OLD = "2026-01-01T00:00:00+00:00"
NAMES = ["w #1.pt", "50%.pt", "a:b.pt", "gewicht ä.pt", "вес.pt", "a+b.pt", "100%25.pt", "a&b=c.pt", "[1].pt"]
"""Names that the SDK quotes in one way in the record, and in another one for the store."""


def write(
    sandbox: Sandbox,
    place: Path,
    destination: str,
    *,
    conf: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    links: dict[str, str] | None = None,
    names: Iterable[str] = (),
) -> TaskId:
    """Let the clearml package write a task, then archive it, long ago."""
    (place / "clearml.conf").write_text(json.dumps({"sdk": conf or {}}))
    clear = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")}
    own = {"HOME": str(place), "CLEARML_CONFIG_FILE": str(place / "clearml.conf"), "NO_GCE_CHECK": "true"}
    # As a text, so that the SDK looks for no repository and no requirements.
    command = [sys.executable, "-c", WRITER.read_text(), destination, json.dumps(links or {}), json.dumps([*names])]
    environ = clear | sandbox.environment() | own | (environ or {})
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
    assert dry.watcher.ends[task] == outcome
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


def test_odd_names_leave_nothing_in_a_bucket(
    sandbox: Sandbox, tmp_path: Path, bucket: Bucket, tls: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.load({})
    environ = bucket.environ | {"REQUESTS_CA_BUNDLE": str(tls.authority)}
    # With a hash sign in the name of a file the SDK can't write to Azure; for the ways see there.
    names, ways = ([name for name in NAMES if "#" not in name], 1) if bucket.uri.startswith("azure") else (NAMES, 2)
    task = write(sandbox, tmp_path, f"{bucket.uri}/base", conf=nested(bucket.conf), environ=environ, names=names)
    written = bucket.keys()
    assert len([key for key in written if f".{task}/models/" in key]) == 1 + ways * len(names), written
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)

    def stores(retry: Retry, gate: Any) -> list[ObjectStores]:
        return [ObjectStores(Buckets(bucket.conf, verify=bucket.verify, retry=retry), retry=retry, before_deletion=gate)]

    assert clean(sandbox, stores=stores).watcher.deleted == {task}
    left = bucket.keys()
    assert not [key for key in left if f".{task}/" in key]


@pytest.mark.parametrize("published", [False, True], ids=["", "beside a published model"])
def test_odd_names_leave_nothing_on_the_fileserver(sandbox: Sandbox, tmp_path: Path, *, published: bool) -> None:
    """Also where each file has to be deleted by its name, since a model in their folder is kept."""
    sandbox.load({})
    task = write(sandbox, tmp_path, sandbox.files_url, names=NAMES)
    files = [file for file in state(sandbox)[2] if f".{task}/models/" in file]
    assert len(files) == 1 + 2 * len(NAMES), files
    kept = [model["id"] for model in sandbox.store.models.values() if model["name"] == "the model" and published]
    for model in kept:
        sandbox.store.models.change(model, ready=True)
    assert clean(sandbox).watcher.deleted == {task}
    left = [file for file in state(sandbox)[2] if f".{task}/" in file]
    assert len(left) == len(kept), left


@pytest.mark.parametrize("published", [False, True], ids=["", "beside a published model"])
def test_odd_names_leave_nothing_in_a_mounted_folder(
    sandbox: Sandbox, tmp_path: Path, folder: Path, *, published: bool
) -> None:
    sandbox.load({})
    task = write(sandbox, tmp_path, str(folder), names=NAMES)

    def there() -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and f".{task}/" in str(path)}

    assert len([file for file in there() if "/models/" in file]) == 1 + 2 * len(NAMES), there()
    kept = [model["id"] for model in sandbox.store.models.values() if model["name"] == "the model" and published]
    for model in kept:
        sandbox.store.models.change(model, ready=True)
    done = clean(sandbox, stores=lambda _, gate: [MountedFolders([str(folder)], before_deletion=gate)])
    assert done.watcher.deleted == {task}
    assert len(there()) == len(kept), there()
