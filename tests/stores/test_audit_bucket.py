"""An audit log in a bucket, from the command's side: written, refused, found again; and no store to delete in."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError

from cleanup_job import wiring
from cleanup_job.cli.main import main
from cleanup_job.job import audited
from cleanup_job.retry import Retry
from cleanup_job.storage import audit_places
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.stores.servers import Bucket


@pytest.fixture
def world(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    made = World(datetime.now(UTC))
    for n in range(3):
        made.task(f"exp {n}").artifact("data")
    sandbox.load(made.as_dict())
    for name in list(os.environ):
        if name.startswith(("CLEARML_", "CLEANUP_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return made


def configured(bucket: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "clearml.conf").write_text("sdk.aws.s3 = " + json.dumps(bucket.conf["aws.s3"]))
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(folder / "clearml.conf"))


def test_a_pass_writes_its_log_in_parts_and_the_command_reads_them(
    world: World, s3_one: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(s3_one, tmp_path, monkeypatch)
    monkeypatch.setenv("CLEANUP_AUDIT", f"{s3_one.uri}/audit/")
    assert main(["run", "--force-delete"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [key.rpartition("/")[2] for key in sorted(s3_one.keys())] == ["000001.jsonl", "000002.jsonl", "000003.jsonl"]
    assert main(["audit", f"{s3_one.uri}/audit", "--task", world.tasks[0].id]) == 0
    text = capsys.readouterr().out
    assert f"Last hash: {summary['audit_sha256']}" in text
    assert summary["audit"] in text
    assert f"{world.tasks[0].id} 'exp 0'" in text
    assert main(["audit", f"{s3_one.uri}/empty"]) == 2
    assert "there is no audit log in it" in capsys.readouterr().err


def test_a_bucket_that_is_not_there_ends_the_pass_before_anything(
    world: World,
    sandbox: Sandbox,
    s3_one: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured(s3_one, tmp_path, monkeypatch)
    monkeypatch.setenv("CLEANUP_AUDIT", f"{s3_one.uri}x")
    assert main(["run", "--force-delete", "--attempts", "1"]) == 2
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert error.startswith(f"CLEANUP_AUDIT={s3_one.uri}x: its first line could not be written")
    assert "NoSuchBucket" in error
    assert len(sandbox.store.tasks) == 3


def test_a_bucket_that_only_the_audit_log_names_is_no_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "password")
    monkeypatch.setenv("CLEANUP_AUDIT", "s3://127.0.0.1:9/audit/logs")
    settings, _ = wiring.read_settings({})
    _, place = audited._bucket(settings, Retry(1), "s3://127.0.0.1:9/audit/logs")
    assert place.store == "s3://127.0.0.1:9/audit"
    assert wiring.object_stores(settings, Retry(1), lambda: None).locate("s3://127.0.0.1:9/audit/x") is None


def test_a_bucket_without_credentials_is_a_wrong_setting(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_AUDIT", "gs://no_such bucket/audit")
    assert main(["run", "--force-delete", "--attempts", "1"]) == 2
    assert "CLEANUP_AUDIT=gs://no_such bucket/audit: it is not open to the job" in capsys.readouterr().out


def test_a_bucket_that_refuses_later_ends_the_pass_with_code_4(
    world: World,
    sandbox: Sandbox,
    s3_one: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured(s3_one, tmp_path, monkeypatch)
    monkeypatch.setenv("CLEANUP_AUDIT", s3_one.uri)
    put = obstore.put

    def refuses(client: Any, key: str, *args: Any, **options: Any) -> Any:
        if not key.endswith("000001.jsonl"):
            raise GenericError("status code: 403: AccessDenied")
        return put(client, key, *args, **options)

    monkeypatch.setattr(audit_places.obstore, "put", refuses)
    assert main(["run", "--force-delete"]) == 4
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "the lines of 3 tasks could not be written to" in summary["error"]
    assert "AccessDenied" in summary["error"]
    assert (summary["deleted"], summary["reasons"]) == (0, {"not_audited": 3})
    assert len(sandbox.store.tasks) == 3
