"""`clearml-cleanup sweep` as people and Kubernetes meet it."""

import json
import os
from pathlib import Path

import pytest

from cleanup_job.cli.main import main
from cleanup_job.job import pod
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World

GONE = "a" * 32
OLD = 1_700_000_000


@pytest.fixture
def volume(filled: Sandbox, world: World, tmp_path: Path) -> Path:
    """A fileserver's volume with a living task's folder, an orphan, and an orphan that is in use by nobody but young."""
    root = tmp_path / "volume"
    for path in (f"lab/exp.{world.tasks[0].id}/models/w.pt", f"lab/old.{GONE}/models/w.pt"):
        file = root / path
        file.parent.mkdir(parents=True)
        file.write_text("12345")
        os.utime(file, (OLD, OLD))
    young = root / f"lab/young.{'b' * 32}/models/w.pt"
    young.parent.mkdir(parents=True)
    young.write_text("1")
    return root


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_it_reports_and_changes_nothing(volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--store", str(volume)]) == 0
    *orphans, last = lines(capsys.readouterr().out)
    assert {(line["path"], line["verdict"]) for line in orphans} == {
        (f"lab/old.{GONE}", "found"),
        (f"lab/young.{'b' * 32}", "young"),
    }
    assert (last["event"], last["folders"], last["known"], last["delete"]) == ("sweep_finished", 3, 1, False)
    assert last["orphans"] == {
        "found": {"folders": 1, "files": 1, "bytes": 5},
        "young": {"folders": 1, "files": 1, "bytes": 1},
    }
    assert (volume / f"lab/old.{GONE}").exists()


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        (["--task-log-level", "debug"], ["sweep_finished"]),
        (["--task-log-level", "debug", "--log-level", "debug"], ["orphan", "orphan", "sweep_finished"]),
        (["--log-level", "warning"], []),
    ],
)
def test_lines_of_single_folders_can_be_left_out(
    volume: Path, capsys: pytest.CaptureFixture[str], levels: list[str], shown: list[str]
) -> None:
    assert main(["sweep", "--store", str(volume), *levels]) == 0
    assert [line["event"] for line in lines(capsys.readouterr().out)] == shown


def test_it_deletes_when_told_and_says_so_to_people(
    volume: Path, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_SWEEP_STORES", f"file://{volume}")
    assert main(["sweep", "--delete", "--log-format", "text"]) == 0
    text = capsys.readouterr().out
    assert f"file://{volume}/lab/old.{GONE}" in text
    assert "3 task folders, 1 known to 127.0.0.1." in text
    assert "1 folder with 1 file (5 B): deleted" in text
    assert not (volume / f"lab/old.{GONE}").exists()
    assert (volume / f"lab/exp.{world.tasks[0].id}").exists()
    assert (volume / f"lab/young.{'b' * 32}").exists()


def test_a_wrong_server_is_refused_and_its_name_overrules(
    volume: Path, filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = tmp_path / "last words"
    words.touch()
    monkeypatch.setattr(pod, "TERMINATION_LOG", words)
    filled.load({})
    command = ["sweep", "--store", str(volume), "--delete"]
    assert main(command) == 2
    assert "knows 0 of 3 tasks" in str(lines(capsys.readouterr().out)[-1]["error"])
    assert json.loads(words.read_text())["exit_code"] == 2
    assert main([*command, "--i-know", "another.example"]) == 2
    assert "the server is 127.0.0.1" in str(lines(capsys.readouterr().out)[-1]["error"])
    assert (volume / f"lab/old.{GONE}").exists()
    assert main([*command, "--i-know", "127.0.0.1"]) == 0
    assert not (volume / f"lab/old.{GONE}").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no store to sweep"),
        (["--store", "http://files:8081"], "A fileserver can't be listed"),
        (["--store", "relative/path"], "absolute path"),
        (["--store", "/"], "absolute path"),
        (["--store", "/no/such/folder"], "is not a folder here"),
        (["--store", "s3://127.0.0.1:9/bucket"], "s3://127.0.0.1:9/bucket"),
    ],
)
def test_a_store_that_can_not_be_swept_is_named(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str], message: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "password")
    assert main(["sweep", "--attempts", "1", *flags]) == 2
    assert message in str(lines(capsys.readouterr().out)[-1]["error"])


@pytest.mark.parametrize("flags", [["--grace-days", "0"], ["--grace-days", "-1"], ["--known-one-in", "0"]])
def test_a_setting_that_would_widen_the_sweep_is_an_error(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert main(["sweep", "--store", "/mnt", *flags]) == 2
    assert flags[0] in capsys.readouterr().err


def test_a_server_that_is_not_there_ends_it(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARML_API_HOST", "http://127.0.0.1:9")
    assert main(["sweep", "--store", str(volume), "--delete", "--attempts", "1"]) == 4


def test_it_takes_no_flag_of_a_pass(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sweep", "--store", "/mnt", "--force-delete"])
    with pytest.raises(SystemExit):
        main(["run", "--store", "/mnt"])
    assert "unknown flag --store" in capsys.readouterr().err
