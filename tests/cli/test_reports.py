"""Reports of a pass that runs: several at once, growing while it runs, whole or not at all."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from cleanup_job.passes.cleanup import Pass
from cleanup_job.storage.destinations import FileWriter
from clearml_sandbox.server import Fault, Request, Sandbox
from tests.harness import state

COMMAND = [sys.executable, "-m", "cleanup_job", "run", "--force-delete", "--batch-size", "1", "--workers", "1"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_several_reports_tell_of_every_task(filled: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("a-{started}.jsonl", "b.csv", "c.json", "d.html", "e-{shard}-{server}.md")
    flags = [word for name in names for word in ("--report", str(tmp_path / name))]
    assert main(["run", "--force-delete", *flags]) == 0
    said = logged(capsys)
    (tasks,) = tmp_path.glob("a-2*T*Z.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {tasks.name, "b.csv", "c.json", "d.html", "e-0-127.0.0.1.md"}
    events = ("pass_started", "task", "pass_finished")
    expected = [{**line, "time": ""} for line in said if line["event"] in events]
    assert [{**line, "time": ""} for line in lines(tasks)] == expected
    with (tmp_path / "b.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_tasks = [line for line in said if line["event"] == "task"]
    assert len(rows) == 5
    for name in ("task", "name", "project", "project_id", "user", "status", "verdict", "detail"):
        assert [row[name] for row in rows] == [line[name] for line in of_tasks], name
    for name in ("models", "files", "bytes", "unsized", "files_missing"):
        assert [int(row[name]) for row in rows] == [line[name] for line in of_tasks], name
    assert [row["active"] for row in rows] == [line["active"] for line in of_tasks]
    assert all(row["user"] for row in rows)
    assert all(row["user_name"] for row in rows)


def test_the_file_grows_while_the_pass_runs_and_gets_its_name_at_the_end(filled: Sandbox, tmp_path: Path) -> None:
    report, part = tmp_path / "r.jsonl", tmp_path / ".r.jsonl.part"
    report.write_text("the one before")
    seen: list[int] = []

    def look(request: Request) -> Fault | None:
        if request.call == "tasks.delete_many":
            assert report.read_text() == "the one before"
            seen.append(len(lines(part)))
        return None

    filled.fault = look
    assert main(["run", "--force-delete", "--batch-size", "1", "--workers", "1", "--report", str(report)]) == 0
    assert seen[0] >= 1
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]
    assert len(lines(report)) == 7
    assert not part.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_pass_leaves_that_is_ended(filled: Sandbox, tmp_path: Path, number: signal.Signals) -> None:
    """Killed, it leaves the tasks so far in the temporary file; asked to end, it leaves a whole report."""
    names = ("r.jsonl", "r.csv", "r.json")
    for name in names:
        (tmp_path / name).write_text("the one before")
    calls = []

    def end(request: Request) -> Fault | None:
        if request.call == "tasks.delete_many":
            calls.append(request)
            if len(calls) == 2:
                process.send_signal(number)
        return None

    filled.fault = end
    flags = [word for name in names for word in ("--report", str(tmp_path / name))]
    process = subprocess.Popen([*COMMAND, *flags], stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    whole = number is signal.SIGTERM
    told = [line["task"] for line in map(json.loads, out.splitlines()) if line["event"] == "task"]
    left = lines(tmp_path / ("r.jsonl" if whole else ".r.jsonl.part"))
    assert [line["task"] for line in left if line["event"] == "task"][: len(told)] == told
    assert told
    assert (left[-1]["event"] == "pass_finished") is whole
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".r")} == (
        set() if whole else {".r.jsonl.part", ".r.csv.part"}
    )
    assert [(tmp_path / name).read_text() == "the one before" for name in names] == [not whole] * 3
    if not whole:  # the next pass begins new files
        filled.fault = lambda _: None
        assert main(["run", "--force-delete", *flags]) == 0
        assert not list(tmp_path.glob(".r*"))
        assert lines(tmp_path / "r.jsonl")[-1]["event"] == "pass_finished"


def test_a_report_that_fails_on_the_way_stops_nothing_and_is_told_of(
    filled: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileWriter, "flush", full)
    assert main(["run", "--force-delete", "--report", str(tmp_path / "r.csv"), "--report", str(tmp_path / "r.json")]) == 1
    said = logged(capsys)
    problem = f"CLEANUP_REPORT={tmp_path}/r.csv could not be written: [Errno 28] No space left on device"
    assert next(line["message"] for line in said if line["event"] == "warning") == f"{problem}. The pass continues without it."
    assert (said[-1]["deleted"], said[-1]["error"]) == (4, problem)
    assert json.loads((tmp_path / "r.json").read_text())["summary"]["error"] == problem


@pytest.mark.parametrize("address", ["s3://bucket.example:1/b/r.json", "azure://x/container/r.json"])
def test_a_bucket_that_can_not_be_opened_ends_the_pass_before_it_begins(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    before = state(filled)
    assert main(["run", "--force-delete", "--report", address]) == 2
    error = logged(capsys)[-1]["error"]
    assert error.startswith(f"CLEANUP_REPORT={address}: ")
    assert "Write s3://bucket/name" in error
    assert state(filled) == before


def test_without_the_names_of_users_a_report_has_their_ids(
    filled: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled.fault = lambda request: Fault(400) if request.call == "users.get_all_ex" else None
    assert main(["run", "--force-delete", "--report", str(tmp_path / "r.csv")]) == 0
    warning = next(line["message"] for line in logged(capsys) if line["event"] == "warning")
    assert warning.startswith("CLEANUP_REPORT: reports have ids of users without their names: ")
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert {row["user_name"] for row in rows} == {""}
    assert all(row["user"] for row in rows)


def test_nobody_is_asked_for_names_that_no_report_needs(filled: Sandbox) -> None:
    assert main(["run", "--force-delete"]) == 0
    assert "users.get_all_ex" not in {request.call for request in filled.requests}


def test_an_unexpected_error_leaves_what_is_there(filled: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    real = FileWriter.abandon

    def abandon(writer: FileWriter, *, keep: bool) -> None:
        ended.append(keep)
        real(writer, keep=keep)

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Pass, "run", fail)
    monkeypatch.setattr(FileWriter, "abandon", abandon)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["run", "--report", str(tmp_path / "r.jsonl")])
    assert ended == [True], "an upload to a bucket is cancelled then"
    assert [line["event"] for line in lines(tmp_path / ".r.jsonl.part")] == ["pass_started"]
    assert not (tmp_path / "r.jsonl").exists()
