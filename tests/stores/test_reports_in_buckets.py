"""A pass that writes its reports to buckets, as the command runs it."""

import csv
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import state
from tests.stores.servers import Bucket

TASKS = 4


@pytest.fixture
def filled(sandbox: Sandbox, target: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """A server with some tasks, and an environment with the credentials of a bucket."""
    world = World(datetime.now(UTC))
    for n in range(TASKS):
        world.task(f"=exp {n}").artifact("data")
    sandbox.load(world.as_dict())
    for name in list(os.environ):
        if name.startswith(("CLEARML_", "CLEANUP_", "AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    conf = tmp_path / "clearml.conf"
    text = "".join(f"sdk.{section}: {json.dumps(values)}\n" for section, values in target.conf.items())
    conf.write_text(re.sub(r'"container_name": "[^"]*"', '"container_name": ""', text))  # all containers of the account
    own = {"CLEARML_CONFIG_FILE": str(conf), "CLEANUP_STORES_VERIFY_CERTIFICATE": str(target.verify)}
    for name, value in (sandbox.environment() | target.environ | own).items():
        monkeypatch.setenv(name, value)
    return sandbox


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_reports_of_all_formats(filled: Sandbox, target: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    during: list[set[str]] = []

    def look(request: Request) -> Fault | None:
        if request.call == "tasks.delete_many":
            during.append(target.keys())
        return None

    filled.fault = look
    names = ("{started}.jsonl", "r.csv", "r.json", "r.html", "r.md")
    assert main(["run", "--force-delete", *(word for name in names for word in ("--report", f"{target.uri}/{name}"))]) == 0
    assert set().union(*during) == set(), "there is no half of a report"
    told = [line for line in logged(capsys) if line["event"] == "task"]
    (lines,) = target.keys() - set(names)
    assert target.keys() == {lines, *names[1:]}
    written = [json.loads(line) for line in target.get(lines)[0].splitlines()]
    assert [line["event"] for line in written] == ["pass_started", *["task"] * TASKS, "pass_finished"]
    assert [line["task"] for line in written[1:-1]] == [line["task"] for line in told]
    rows = list(csv.DictReader(target.get("r.csv")[0].decode().splitlines()))
    assert [row["name"] for row in rows] == [f"'{line['name']}" for line in told]
    assert json.loads(target.get("r.json")[0])["summary"]["deleted"] == TASKS
    page, kind = target.get("r.html")
    assert b"</html>" in page
    assert kind == "text/html; charset=utf-8"
    assert target.get("r.md")[0].startswith(b"# ClearML Cleanup")


def test_a_bucket_that_is_not_there_is_told_of_and_stops_nothing(
    filled: Sandbox, target: Bucket, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gone = f"{target.uri}x"
    flags = ["--report", f"{gone}/r.csv", "--report", f"{gone}/r.html", "--report", str(tmp_path / "r.json")]
    assert main(["run", "--force-delete", "--attempts", "1", *flags]) == 1
    last = logged(capsys)[-1]
    assert last["error"].startswith(f"CLEANUP_REPORT={gone}/r.csv could not be written: ")
    assert (last["deleted"], state(filled)[0]) == (TASKS, [])
    assert json.loads((tmp_path / "r.json").read_text())["summary"]["error"] == last["error"]
