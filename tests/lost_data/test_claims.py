"""What a surviving record needs stays, whoever made it: each kind of claim, written by the real clearml package; one pass.

What is needed is read from the records themselves, before the pass and without a line of the job's own code.
"""

import json
import os
import posixpath
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import now
from clearml_sandbox.worlds.records import queue_record
from tests.harness import Done, clean, state

WRITER = Path(__file__).with_name("written_by_clearml.py")
OLD = "2026-01-01T00:00:00+00:00"
SITUATIONS = (
    "pipeline", "imported", "original_of_an_import", "base_model", "base_model_of_a_living_task", "connected_model",
    "artifact_by_url", "model_by_url", "writes_below", "writes_into_a_kind_of_file",
)  # fmt: skip


@dataclass(frozen=True)
class Night:
    """What was there before the pass, and what it left."""

    tasks: dict[str, dict[str, str]]
    """Of each situation the task that was archived and the one that was not."""
    needed_models: dict[str, frozenset[str]]
    """By task that was not archived."""
    needed_files: dict[str, frozenset[str]]
    before: tuple[frozenset[str], frozenset[str], frozenset[str]]
    after: tuple[frozenset[str], frozenset[str], frozenset[str]]
    """Tasks, models and files."""
    done: Done


def written(sandbox: Sandbox, folder: Path) -> dict[str, dict[str, str]]:
    """Let the clearml package write all situations, in a process of its own outside of any repository."""
    shutil.copy(WRITER, folder)
    clear = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")}
    conf = folder / "clearml.conf"
    # A thread that asks git for the repository, while the SDK forks, may wait for ever for a pipe that the fork holds open.
    conf.write_text("sdk { development { vcs_repo_detect_async: false } }", encoding="utf-8")
    environ = clear | sandbox.environment() | {"HOME": str(folder), "CLEARML_CONFIG_FILE": str(conf)}
    command = [sys.executable, str(folder / WRITER.name)]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    tasks: dict[str, dict[str, str]] = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    return tasks


def path_of(uri: str) -> str:
    """What an address means on the fileserver, however it is spelled."""
    return posixpath.normpath(unquote(urlsplit(uri).path)).strip("/")


def listed_models(task: dict[str, Any]) -> set[str]:
    return {entry["model"] for way in ("input", "output") for entry in task["models"][way]}


def files_needed(sandbox: Sandbox, task: dict[str, Any], models: set[str], files: set[str]) -> set[str]:
    """Its own files, those that its artifacts and models name, and what lies below the place that it writes to."""
    addresses = [artifact["uri"] for artifact in task["execution"].get("artifacts") or ()]
    addresses += [sandbox.store.models[model]["uri"] for model in models]
    named = {path_of(uri) for uri in addresses}
    destination = path_of((task.get("output") or {}).get("destination") or "")
    below = {path for path in files if destination != "." and path.startswith(f"{destination}/")} if destination else set()
    return {path for path in files if path in named or f".{task['id']}/" in path} | below


@pytest.fixture(scope="module")
def night(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Night:
    sandbox = shared_sandbox
    sandbox.load(
        {"queues": [queue_record("q" * 32, now()) | {"name": "services"}, queue_record("d" * 32, now()) | {"name": "default"}]}
    )
    tasks = written(sandbox, tmp_path_factory.mktemp("written"))
    for made in tasks.values():
        sandbox.store.tasks.change(made["old"], system_tags=["archived"], status_changed=OLD, last_update=OLD, last_change=OLD)
    before = tuple(frozenset(part) for part in state(sandbox))
    living = {made["living"] for made in tasks.values()}
    records = {key: sandbox.store.tasks[key] for key in living}
    models = {
        key: listed_models(record) | {one["id"] for one in sandbox.store.models.having("task", [key])}
        for key, record in records.items()
    }
    files = {key: frozenset(files_needed(sandbox, record, models[key], set(before[2]))) for key, record in records.items()}
    done = clean(sandbox)
    after = tuple(frozenset(part) for part in state(sandbox))
    return Night(tasks, {key: frozenset(ids) for key, ids in models.items()}, files, before, after, done)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_a_living_task_needs_is_there_after_the_pass(night: Night, situation: str) -> None:
    made = night.tasks[situation]
    living = made["living"]
    folder = f".{made['old']}/"
    claimed = {path for path in night.needed_files[living] if folder in path}
    assert claimed or night.needed_models[living], f"{situation}: the living task needs nothing of the other one's"
    assert made["old"] in night.done.watcher.deleted, "what is kept whole shows nothing"
    assert living in night.after[0]
    assert night.needed_models[living] - night.after[1] == set()
    assert night.needed_files[living] - night.after[2] == set()


@pytest.mark.parametrize("situation", [*SITUATIONS, "nobody_needs"])
def test_no_file_of_a_deleted_task_is_left_that_nobody_needs(night: Night, situation: str) -> None:
    old = night.tasks[situation]["old"]
    needed = frozenset[str]().union(*night.needed_files.values())
    if old not in night.after[0]:
        assert {path for path in night.after[2] - needed if f".{old}/" in path} == set()


def test_what_nobody_needs_is_deleted_whole(night: Night) -> None:
    old = night.tasks["nobody_needs"]["old"]
    assert old in night.done.watcher.deleted
    assert old not in night.after[0]
    assert not any(f".{old}/" in path for path in night.after[2])
