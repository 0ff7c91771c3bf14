"""`CLEANUP_AUDIT` and `clearml-cleanup audit` as people and Kubernetes meet them."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from cleanup_job.job.audited import deletions_of
from cleanup_job.storage import audit_places
from clearml_sandbox.server import Fault, Sandbox
from clearml_sandbox.worlds.builder import World

GONE = "a" * 32


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "audit"
    folder.mkdir()
    monkeypatch.setenv("CLEANUP_AUDIT", str(folder))
    return folder


@pytest.fixture
def done(filled: Sandbox, audit: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The log of a pass."""
    assert main(["run", "--force-delete", "--threshold-rules", "lab=20", "--delete-empty-projects"]) == 0
    capsys.readouterr()
    (file,) = audit.iterdir()
    return file


def last(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_whole_log_and_who_deleted_a_task_when_and_why(done: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    task = world.tasks[0].id
    assert main(["audit", str(done), "--task", task]) == 0
    first, *facts = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{done}: ")
    assert "lines as written, 4 deletions. Last hash: " in first
    text = "\n".join(facts)
    assert f"task     {task} 'exp 0' of user __tests__ in project lab" in text
    assert "result   deleted: 3 files (at least 5 B), 0 models" in text
    assert "by       the key of user Default User, clearml-cleanup " in text
    assert "why      it is archived; was last active" in text
    assert "('lab=20' in CLEANUP_THRESHOLD_RULES); is 'completed', and CLEANUP_FORCE_DELETE is true" in text
    assert f"files    fileserver/lab/exp 0.{task}/" in text


def test_the_record_of_a_deleted_task_can_still_be_read(done: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    task = world.tasks[1].id
    assert main(["audit", str(done.parent), "--task", task, "--record"]) == 0
    out = capsys.readouterr()
    record = json.loads(out.out)
    assert (record["id"], record["name"]) == (task, "exp 1")
    assert record["execution"]["artifacts"][0]["key"] == "data"
    assert "as written" in out.err


def test_other_commands_find_a_task_in_logs_too(done: Path, world: World) -> None:
    task = world.tasks[0].id
    (found,), logs = deletions_of(task, [str(done.parent)])
    assert logs == 1
    assert (found["verdict"], found["delete"]["task"]) == ("deleted", task)
    assert "UTC: deleted: 3 files (at least 5 B), 0 models; by the key of user Default User" in found["text"]
    assert "since it is archived" in found["text"]
    assert deletions_of("f" * 32, [str(done)]) == ([], 1)


def test_programs_get_json(done: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    file = f"http://files.example/lab/exp%202.{world.tasks[2].id}/artifacts/data/data.bin"
    assert main(["audit", str(done), "--file", file, "--output", "json"]) == 0
    found, total = map(json.loads, capsys.readouterr().out.splitlines())
    assert (found["verdict"], found["delete"]["task"]) == ("deleted", world.tasks[2].id)
    assert found["begin"]["user"] == "__tests__"
    assert (total["state"], total["deletions"], total["confirmed"]) == ("whole", 4, 4)


def test_a_task_that_was_not_deleted_is_not_found(done: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(done), "--task", world.tasks[5].id]) == 0
    assert "Nothing of what was asked for" in capsys.readouterr().out


def test_a_changed_log_and_one_without_its_end_have_codes_of_their_own(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = done.read_bytes()
    done.write_bytes(whole.replace(b'"event":"record"', b'"event":"Record"', 1))
    assert main(["audit", str(done)]) == 1
    assert "CHANGED. 1 line as written, then line 2: it was changed after it was written" in capsys.readouterr().out
    done.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert main(["audit", str(done)]) == 3
    assert "Its last line is missing" in capsys.readouterr().out
    done.write_bytes(whole[:-40])
    assert main(["audit", str(done)]) == 3
    assert "is torn" in capsys.readouterr().out
    done.write_bytes(b'{"event": "pass_started"}\n')
    assert main(["audit", str(done)]) == 1
    assert "line 1: it is not a line of an audit log" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/file"], "/no/such/file: it can't be read"),
        (["{tmp}"], "there is no audit log in it"),
        (["{tmp}", "--record"], "name them with --task"),
    ],
)
def test_what_can_not_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["audit", *(one.format(tmp=tmp_path) for one in arguments)]) == 2
    assert message in capsys.readouterr().err


# -- the pass
def test_a_dry_run_creates_no_file_but_says_if_none_could_be(
    filled: Sandbox, audit: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--force-delete", "--dry-run"]) == 0
    assert list(audit.iterdir()) == []
    monkeypatch.setenv("CLEANUP_AUDIT", str(audit / "missing"))
    capsys.readouterr()
    for more in ([], ["--dry-run"]):
        assert main(["run", "--force-delete", *more]) == 2
        error = last(capsys)["error"]
        assert f"CLEANUP_AUDIT={audit}/missing: no file can be created there (No such file or directory)" in error
        assert "extraVolumes" in error
    assert len(filled.store.tasks) == 6


def test_a_link_into_a_tasks_folder_is_refused(
    filled: Sandbox, audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = tmp_path / f"lab/exp.{GONE}/artifacts"
    inside.mkdir(parents=True)
    audit.rmdir()
    audit.symlink_to(inside)
    assert main(["run", "--force-delete"]) == 2
    assert "it is in the folder of a task" in last(capsys)["error"]


def test_a_full_disk_ends_the_pass_with_code_4_and_the_reason(
    filled: Sandbox, audit: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(filled.store.tasks)
    whole = audit_places.FolderFile.append

    def append(self: Any, data: bytes, *, lasting: bool) -> None:
        if b'"event":"begin"' not in data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(self, data, lasting=lasting)

    monkeypatch.setattr(audit_places.FolderFile, "append", append)
    assert main(["run", "--force-delete"]) == 4
    *lines, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert summary["error"].startswith(f"CLEANUP_AUDIT={audit}: the record of task ")
    assert "No space left on device" in summary["error"]
    assert (summary["deleted"], summary["failed"], summary["reasons"]["not_audited"]) == (0, 4, 4)
    assert summary["files"] == 0
    assert {line["detail"][:14] for line in lines if line.get("reason") == "not_audited"} == {"CLEANUP_AUDIT="}
    assert dict(filled.store.tasks) == before


def test_a_refused_pass_leaves_a_log_that_says_why(filled: Sandbox, audit: Path) -> None:
    assert main(["run", "--force-delete", "--refuse-above", "1"]) == 2
    (file,) = audit.iterdir()
    begin, end = map(json.loads, file.read_text().splitlines())
    assert ("CLEANUP_REFUSE_ABOVE", "1") in map(tuple, begin["settings"])
    assert "CLEANUP_REFUSE_ABOVE=1" in end["error"]
    assert filled.secret not in file.read_text()


def test_a_user_that_the_server_does_not_name_is_unknown(
    filled: Sandbox, audit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled.fault = lambda request: Fault(status=403) if request.call == "users.get_current_user" else None
    assert main(["run", "--force-delete"]) == 0
    (file,) = audit.iterdir()
    assert json.loads(file.read_text().splitlines()[0])["user"] is None


# -- sweeps
def test_a_sweep_that_deletes_keeps_a_log_too(
    filled: Sandbox, world: World, audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "volume"
    for path in (f"lab/exp.{world.tasks[0].id}/models/w.pt", f"lab/old.{GONE}/models/w.pt"):
        file = root / path
        file.parent.mkdir(parents=True)
        file.write_text("12345")
        os.utime(file, (1_700_000_000, 1_700_000_000))
    assert main(["sweep", "--store", str(root)]) == 0
    assert list(audit.iterdir()) == []
    assert main(["sweep", "--store", str(root), "--delete"]) == 0
    capsys.readouterr()
    assert main(["audit", str(audit), "--task", GONE]) == 0
    text = capsys.readouterr().out
    assert f"folder   of task {GONE}, which has no record" in text
    assert "result   deleted" in text
    assert "why      it is older than CLEANUP_SWEEP_GRACE_DAYS=30.0" in text
    assert f"files    file://{root}/lab/old.{GONE}/" in text


def test_an_orphan_without_its_line_is_not_deleted(
    filled: Sandbox,
    world: World,
    audit: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "volume"
    for path in (f"lab/exp.{world.tasks[0].id}/models/w.pt", f"lab/old.{GONE}/models/w.pt"):
        file = root / path
        file.parent.mkdir(parents=True)
        file.write_text("12345")
        os.utime(file, (1_700_000_000, 1_700_000_000))
    whole = audit_places.FolderFile.append

    def append(self: Any, data: bytes, *, lasting: bool) -> None:
        if b"delete_orphan" in data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(self, data, lasting=lasting)

    monkeypatch.setattr(audit_places.FolderFile, "append", append)
    assert main(["sweep", "--store", str(root), "--delete"]) == 4
    assert "No space left" in last(capsys)["error"]
    assert (root / f"lab/old.{GONE}/models/w.pt").exists()
