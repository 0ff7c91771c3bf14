"""`clearml-cleanup usage` as people meet it."""

import json
from pathlib import Path

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World


@pytest.fixture
def volume(filled: Sandbox, world: World, tmp_path: Path) -> Path:
    """The fileserver's volume."""
    root = tmp_path / "volume"
    for path in filled.state()["files"]:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"123")
    return root


def test_it_prints_tables_and_writes_a_page_and_json(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    before = filled.state()
    page, document = tmp_path / "usage.html", tmp_path / "usage.json"
    assert main(["usage", "--report", str(page), "--report", str(document)]) == 0
    assert "6 tasks and 6 files on 127.0.0.1, at least 25 B." in capsys.readouterr().out
    found = json.loads(document.read_text())
    assert (found["total"]["tasks"], found["kinds"][0]["kind"]) == (6, "artifacts")
    assert [user["name"] for user in found["users"]] == ["Default User"]
    assert page.read_text().startswith("<!doctype html>")
    assert filled.state() == before


def test_with_a_store_it_counts_what_is_there(volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--store", str(volume), "--output", "json", "--force-delete"]) == 0
    found = json.loads(capsys.readouterr().out)
    there = [path for path in volume.rglob("*") if path.is_file()]
    assert found["stores"] == [{"store": str(volume), "files": len(there), "bytes": 3 * len(there), "unsized": 0}]
    assert found["total"]["bytes"] == 3 * len(there)
    assert {row["kind"] for row in found["kinds"]} == {"artifacts", "metrics", "models"}
    assert [row["force_delete"] for row in found["frees"]] == [True] * 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--report", "usage.pdf"], "ends in .html or .json"),
        (["--report", "/no/such/folder/usage.html"], "a folder that exists"),
        (["--store", "http://files:8081"], "A fileserver can't be listed"),
        (["--exclude-projects", "no such project"], "CLEANUP_EXCLUDE_PROJECTS"),
        (["--delete-threshold-days", "-1"], "--delete-threshold-days"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert main(["usage", *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_store_in_another_one_is_refused(volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--store", f"{volume},{volume}/lab"]) == 2
    assert "counted twice" in capsys.readouterr().err


def test_a_file_that_can_not_be_written_is_an_error_after_the_tables(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "taken.html").mkdir()
    assert main(["usage", "--report", str(tmp_path / "taken.html")]) == 2
    shown = capsys.readouterr()
    assert "can't be written" in shown.err
    assert "6 tasks and 6 files" in shown.out
    assert [path.name for path in tmp_path.iterdir()] == ["taken.html"]


def test_a_server_that_is_not_there_ends_it(filled: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARML_API_HOST", "http://127.0.0.1:9")
    assert main(["usage", "--attempts", "1"]) == 4


def test_it_takes_no_flag_that_deletes(filled: Sandbox) -> None:
    for flag in ("--delete", "--dry-run", "--max-tasks=1", "--sweep-grace-days=1"):
        with pytest.raises(SystemExit):
            main(["usage", flag])
