"""Passes over a sandbox with one policy that slims."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cleanup_job.planning.outcome import TaskOutcome
from cleanup_job.planning.paths import TaskId
from clearml_sandbox.server import Sandbox
from tests.harness import clean

ALL = "debug_samples, plots, artifacts, checkpoints, console"


def policies(folder: Path, remove: str = ALL, more: str = "", delete: str = "") -> str:
    """A file with one policy, for tasks in the archive."""
    path = folder / "policies.yaml"
    slim = f"    slim:\n      after: 10d\n      remove: [{remove}]\n{more}"
    path.write_text(f"policies:\n  - name: all\n    match: {{}}\n{slim}{delete}", encoding="utf-8")
    return str(path)


def slim(sandbox: Sandbox, file: str, **settings: Any) -> dict[TaskId, TaskOutcome]:
    """One pass; gives what became of each task."""
    return clean(sandbox, policies=file, workers=1, **settings).watcher.outcomes


def paths(sandbox: Sandbox, task: str) -> list[str]:
    """The files in a task's folders, below these."""
    return sorted(path.partition(f".{task}/")[2] for path in sandbox.state()["files"] if f".{task}/" in path)


def record(sandbox: Sandbox, task: str) -> dict[str, Any]:
    """A task's record as it is."""
    return dict(sandbox.store.tasks[task])


def keys(document: dict[str, Any]) -> Sequence[str]:
    """The names of its artifacts."""
    return [artifact["key"] for artifact in document["execution"]["artifacts"]]
