"""Installations without a fileserver: what has no files there is deleted, what has some is kept."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cleanup_job import wiring
from cleanup_job.cli.main import main
from cleanup_job.settings.clearml_conf import DERIVED, DerivedAddresses
from cleanup_job.settings.sources import load
from clearml_sandbox.server import Fault, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import state

Log = list[dict[str, Any]]


@pytest.fixture
def ids(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A server with a task without files, one that links to a file, one with files in a bucket, and one with files here."""
    world = World(datetime.now(UTC))
    tasks = {name: world.task(f"{name} task") for name in ("bare", "linked", "bucket", "files")}
    tasks["linked"].linked_artifact("raw", "s3://company/raw.csv")
    tasks["bucket"].linked_artifact("data", f"s3://lab/base/x/bucket.{tasks['bucket'].id}/artifacts/data/d.bin")
    tasks["files"].artifact("data")
    sandbox.load(world.as_dict())
    for name in list(os.environ):
        if name.startswith(("CLEARML_", "CLEANUP_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    return {name: task.id for name, task in tasks.items()}


def run(capsys: pytest.CaptureFixture[str], code: int = 0) -> Log:
    assert main(["run"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def warnings(log: Log) -> list[str]:
    return [line["message"] for line in log if line["event"] == "warning"]


def verdicts(log: Log) -> dict[str, tuple[str, str | None]]:
    return {line["task"]: (line["verdict"], line["reason"]) for line in log if line["event"] == "task"}


def derive(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Let an address be derived in place of the one that is set: no test can listen on port 8008."""
    monkeypatch.delenv("CLEARML_FILES_HOST", raising=False)
    monkeypatch.setattr(DerivedAddresses, "read", lambda _: {"files_host": (address, DERIVED)})


def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    "host", ["s3://lab/base", "s3://minio.example:9000/lab", "gs://lab", "azure://a.blob.core.windows.net/lab", "/mnt/lab"]
)
def test_a_bucket_or_folder_as_files_host_keeps_tasks_with_files_on_a_fileserver(
    sandbox: Sandbox, ids: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("CLEARML_FILES_HOST", host)
    files = state(sandbox)[2]
    log = run(capsys)
    kept = ("kept", "unknown_store")
    assert verdicts(log) == {
        ids["bare"]: ("deleted", None),
        ids["linked"]: ("deleted", None),
        ids["bucket"]: kept,
        ids["files"]: kept,
    }
    assert state(sandbox)[2] == files
    assert not warnings(log)


def test_a_clearml_conf_may_name_a_bucket(
    ids: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CLEARML_FILES_HOST")
    (tmp_path / "clearml.conf").write_text('api { files_server: "s3://lab/base" }')
    assert verdicts(run(capsys))[ids["files"]] == ("kept", "unknown_store")


def test_a_derived_address_where_nothing_answers_is_no_fileserver(
    sandbox: Sandbox, ids: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = closed()
    derive(monkeypatch, address)
    files = state(sandbox)[2]
    log = run(capsys)
    assert verdicts(log)[ids["files"]] == ("kept", "unknown_store")
    assert verdicts(log)[ids["bare"]] == ("deleted", None)
    assert [address in text and "CLEARML_FILES_HOST is not set" in text for text in warnings(log)] == [True]
    assert state(sandbox)[2] == files
    assert log[-1]["warnings"] == 1


def test_a_derived_address_of_another_server_is_no_fileserver(
    sandbox: Sandbox, ids: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    derive(monkeypatch, sandbox.api_url)
    log = run(capsys)
    assert verdicts(log)[ids["files"]] == ("kept", "unknown_store")
    assert log[-1]["files_missing"] == 0


def test_a_file_at_a_derived_address_where_nothing_answers_is_not_gone(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ids: dict[str, str]
) -> None:
    address = closed()
    derive(monkeypatch, address)
    monkeypatch.setenv("CLEANUP_FILES_URL_PREFIXES", sandbox.files_url)
    world = World(datetime.now(UTC))
    task = world.task("one there")
    task.linked_artifact("data", f"{address}/lab/x.{task.id}/artifacts/data/d.bin")
    also = world.task("at a prefix")
    also.linked_artifact("data", f"{sandbox.files_url}/lab/x.{also.id}/artifacts/data/d.bin")
    sandbox.load(world.as_dict())
    assert verdicts(run(capsys)) == dict.fromkeys((task.id, also.id), ("kept", "unknown_store"))


def test_a_derived_address_of_a_fileserver_is_used(
    sandbox: Sandbox, ids: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    derive(monkeypatch, sandbox.files_url)
    log = run(capsys)
    assert verdicts(log)[ids["files"]] == ("deleted", None)
    assert not warnings(log)
    assert state(sandbox)[2] == []


def test_a_fileserver_that_is_named_has_to_answer(
    sandbox: Sandbox, ids: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARML_FILES_HOST", closed())
    monkeypatch.setenv("CLEANUP_ATTEMPTS", "1")
    before = state(sandbox)
    log = run(capsys, 4)
    assert "CLEARML_FILES_HOST" in log[-1]["error"]
    assert state(sandbox) == before


def test_one_refusal_of_a_derived_fileserver_is_tried_again(
    sandbox: Sandbox, ids: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    derive(monkeypatch, sandbox.files_url)
    monkeypatch.setenv("CLEANUP_ATTEMPTS", "3")
    faults = [Fault(status=503)]
    sandbox.fault = lambda request: faults.pop() if request.service == "files" and faults else None
    assert verdicts(run(capsys))[ids["files"]] == ("deleted", None)


@pytest.mark.parametrize("text", ["ftp://x/y", "s3://", "s3://key:secret@host/bucket", "files:8081", "file://", "http://a?b"])
def test_an_address_of_no_kind_is_an_error(text: str) -> None:
    server = {"CLEARML_API_HOST": "http://api:8008", "CLEARML_API_ACCESS_KEY": "k", "CLEARML_API_SECRET_KEY": "s"}
    with pytest.raises(wiring.SettingsError, match="CLEARML_FILES_HOST"):
        load({}, {**server, "CLEARML_FILES_HOST": text})


@pytest.mark.parametrize("text", ["s3://bucket", "gs://b/x/", "file:///mnt/x", "/mnt/x", "C:\\share", "\\\\nas\\share"])
def test_places_that_the_sdk_writes_to_are_no_fileserver(text: str) -> None:
    server = {"CLEARML_API_HOST": "http://api:8008", "CLEARML_API_ACCESS_KEY": "k", "CLEARML_API_SECRET_KEY": "s"}
    assert load({}, {**server, "CLEARML_FILES_HOST": text})[0].connection.fileserver is None
