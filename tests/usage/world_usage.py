"""A survey of a sandbox, and what it has to find, from the world alone: no module of the job is used for that."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.passes.usage import Places, Survey
from cleanup_job.planning.paths import Location
from cleanup_job.planning.usage import Space
from cleanup_job.retry import Retry
from cleanup_job.settings.sources import load
from cleanup_job.storage.mounted_folders import SCHEME, MountedFolders
from clearml_sandbox.server import Sandbox

Document = dict[str, Any]
_FOLDER = re.compile(r"(.+?/[^/]*\.([0-9a-f]{32}))/(.+)", re.DOTALL)


def volume(root: Path) -> Places:
    return [(MountedFolders([str(root)], setting="--store"), Location(SCHEME + str(root), ""))]


def survey(
    sandbox: Sandbox, places: Places = (), *, page_size: int = 500, warnings: list[str] | None = None, **filters: Any
) -> Survey:
    """One survey; without a list for ``warnings`` there must be none."""
    found: list[str] = []
    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, retry=Retry(3, wait=0), timeout=20))
    wanted, _ = load({name: value for name, value in filters.items() if value != ()}, sandbox.environment())
    done = Survey(ClearMLServer(transport, page_size), wanted, places, found.append)
    done.run()
    if warnings is None:
        assert not found
    else:
        warnings += found
    return done


@dataclass(frozen=True)
class File:
    """A file that counts, with its task; an empty one if no task has a record."""

    task: str
    kind: str
    size: int | None
    uri: str = ""
    """By which a record names it."""


def in_records(world: Document) -> list[File]:
    """What the records say of files in their tasks' own folders."""
    found = []
    for task in world["tasks"]:
        mark = f".{task['id']}/"
        found += [
            File(task["id"], "artifacts", one.get("content_size"), one["uri"])
            for one in task["execution"].get("artifacts", ())
            if one["mode"] == "output" and mark in one["uri"]
        ]
        found += [
            File(task["id"], "models", None, one["uri"])
            for one in world["models"]
            if one.get("task") == task["id"] and mark in one.get("uri", "")
        ]
    return found


def in_store(world: Document, sizes: dict[str, int]) -> list[File]:
    """The files of a listing."""
    records = {task["id"] for task in world["tasks"]}
    found = []
    for path, size in sizes.items():
        parts = _FOLDER.fullmatch(path)
        task = parts[2] if parts else ""
        kind, _, below = parts[3].partition("/") if parts else ("", "", "")
        kind = kind if below and kind in {"artifacts", "models", "metrics"} else "beside"
        known = task in records
        found.append(File(task if known else "", kind if known else "orphans" if parts else "other", size))
    return found


def sums(files: list[File], key: Any) -> dict[Any, Space]:
    found: dict[Any, Space] = {}
    for file in files:
        found.setdefault(key(file), Space()).add_file(file.size)
    return found


def without_tasks(found: dict[Any, Space]) -> dict[Any, Space]:
    """Sums of files alone."""
    return {key: Space(0, one.files, one.bytes, one.unsized) for key, one in found.items() if one.files}
