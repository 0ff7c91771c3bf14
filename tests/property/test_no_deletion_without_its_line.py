"""With an audit log, no request that deletes is sent before the log on the disk has the lines of all that it deletes."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.errors import AuditError
from cleanup_job.planning.paths import AUDIT_LOG
from cleanup_job.report.audit_log import Looked, Wanted, look
from cleanup_job.report.audit_writer import AuditLog, Who
from cleanup_job.storage.audit_places import FolderFile, in_folder
from clearml_sandbox.server import Fault, Request, Sandbox
from tests.harness import NOW, clean, state
from tests.property.test_killed_anywhere import requests_of_a_pass, world

_TASK = re.compile(r"\.([0-9a-f]{32})/")
DELETING = {"tasks.delete_many", "tasks.delete", "tasks.edit", "models.delete_many", "models.delete", "delete_many"}


def audit(folder: Path, n: int = 0) -> AuditLog:
    log = AuditLog(FolderFile(folder, f"{AUDIT_LOG}{n}"), str(folder))
    log.begin("pass", Who(version="1.0", server="http://api"), NOW, [])
    return log


def announced(folder: Path) -> tuple[set[str], set[str]]:
    """The tasks and models whose deletion the logs in a folder announce, each line read by this test alone."""
    tasks, models = set(), set()
    for file in folder.glob("*.jsonl"):
        for text in file.read_text().splitlines(keepends=True):
            line = json.loads(text) if text.endswith("\n") else {"event": "torn"}
            if line["event"] == "delete":
                tasks.add(line["task"])
                models |= {model["model"] for model in line["models"]}
    return tasks, models


def deletes(request: Request) -> bool:
    """Whether a request deletes or changes something; one for no file at all only asks what is allowed."""
    named = request.call.rpartition("/")[2] in DELETING or request.method == "DELETE"
    return named and request.body != {"files": []}


def deleted_by(request: Request) -> tuple[set[str], set[str]]:
    """The tasks and models that a request deletes or changes, or whose files it deletes."""
    body: Any = request.body or {}
    if request.service == "files":
        named = json.dumps(body) + request.call + "/"
        return set(_TASK.findall(named)), set()
    ids = set(body.get("ids", ())) | {body[name] for name in ("task", "model") if name in body}
    return (ids, set()) if request.call.startswith("tasks.") else (set(), ids)


def looked(folder: Path) -> list[Looked]:
    return [look(log, Wanted()) for log in in_folder(folder)]


def test_each_request_that_deletes_comes_after_its_lines(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load(world().as_dict())
    seen: list[str] = []
    early: list[Request] = []

    def check(request: Request) -> Fault | None:
        if deletes(request):
            seen.append(request.call.rpartition("/")[2])
            known, wanted = announced(tmp_path), deleted_by(request)
            if not any(wanted) or not all(some <= all_ for some, all_ in zip(wanted, known, strict=True)):
                early.append(request)
        return None

    sandbox.fault = check
    log = audit(tmp_path)
    done = clean(sandbox, batch_size=4, workers=2, audit=log)
    log.end(done.report, "")
    assert early == []
    assert {"tasks.delete_many", "models.delete_many", "delete_many"} <= set(seen)
    (one,) = looked(tmp_path)
    assert (one.problem, one.ended, one.deletions) == ("", True, one.confirmed)
    assert announced(tmp_path)[0] == done.watcher.deleted


def gone(sandbox: Sandbox, before: tuple[list[str], list[str], list[str]]) -> tuple[set[str], set[str]]:
    """The tasks and models that are gone, and the tasks of files that are gone."""
    tasks, models, files = (set(old) - set(new) for old, new in zip(before, state(sandbox), strict=True))
    return tasks | set(_TASK.findall("".join(files))), models


def see_that_all_has_lines(sandbox: Sandbox, before: tuple[list[str], list[str], list[str]], folder: Path, when: str) -> None:
    for some, known in zip(gone(sandbox, before), announced(folder), strict=True):
        assert some <= known, when
    assert not any(one.problem for one in looked(folder)), when


def test_the_server_is_gone_after_every_request(sandbox: Sandbox, tmp_path: Path) -> None:
    """The n-th request is carried out, and neither it nor any that follows is answered."""
    for n in range(1, requests_of_a_pass(sandbox) + 4):
        sandbox.fault = None
        sandbox.load(world().as_dict())
        before = state(sandbox)
        sandbox.requests.clear()

        def dead(_: Request, n: int = n) -> Fault | None:
            number = len(sandbox.requests)
            return None if number < n else Fault(after=number == n)

        sandbox.fault = dead
        folder = tmp_path / str(n)
        folder.mkdir()
        log = audit(folder)
        with suppress(Exception):  # which one depends on n
            clean(sandbox, batch_size=4, workers=1, attempts=1, audit=log)
        log.close()
        sandbox.fault = None
        see_that_all_has_lines(sandbox, before, folder, f"request {n}")


@pytest.mark.parametrize("n", [1, 3, 6])
def test_a_process_killed_at_a_deletion(sandbox: Sandbox, tmp_path: Path, n: int) -> None:
    """SIGKILL while the server is at the n-th request that deletes, which it carries out."""
    sandbox.load(world().as_dict())
    before = state(sandbox)
    sandbox.requests.clear()
    process: list[subprocess.Popen[bytes]] = []

    deleting: list[Request] = []

    def kill(request: Request) -> Fault | None:
        if deletes(request):
            deleting.append(request)
            if len(deleting) == n:
                process[0].kill()
                process[0].wait(60)
        return None

    sandbox.fault = kill
    command = [sys.executable, "-m", "cleanup_job", "run", "--force-delete", "--batch-size", "4", "--workers", "1"]
    clear = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML_", "CLEANUP_"))}
    environ = clear | sandbox.environment() | {"CLEANUP_AUDIT": str(tmp_path)}
    process.append(subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL))
    process[0].wait(60)
    sandbox.fault = None
    assert len(deleting) >= n
    for _ in range(200):  # the server is still at the request
        if any(gone(sandbox, before)):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the request was not carried out")
    see_that_all_has_lines(sandbox, before, tmp_path, f"request {n}")
    assert not any(one.ended for one in looked(tmp_path))


def test_the_disk_is_full_at_every_write(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is deleted without its lines, and the pass fails exactly if one could not be written."""
    whole = os.write
    full: list[bool] = []
    for room in (*range(2, 24, 3), 1000):
        sandbox.load(world().as_dict())
        before = state(sandbox)
        folder = tmp_path / str(room)
        folder.mkdir()
        log = audit(folder)
        left = [room]

        def write(file: int, data: Any, left: list[int] = left, own: Any = log.place) -> int:
            if file == own._file:
                left[0] -= 1
                if left[0] < 0:
                    whole(file, bytes(data)[: len(data) // 2])
                    raise OSError(28, os.strerror(28))
            return whole(file, data)

        monkeypatch.setattr(os, "write", write)
        failed = ""
        try:
            clean(sandbox, batch_size=4, workers=2, audit=log)
        except AuditError as error:
            failed = str(error)
        monkeypatch.setattr(os, "write", whole)
        log.close()
        # how many writes a pass needs varies with how its threads share the batches
        assert ("No space left" in failed) == (left[0] < 0), f"write {room}: {failed or 'no error'}"
        full.append(left[0] < 0)
        see_that_all_has_lines(sandbox, before, folder, f"write {room}")
    assert full[0]
    assert not full[-1]
