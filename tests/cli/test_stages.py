"""What a pass with policies shows and records: in its log, its reports, its audit log and on a terminal."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.cli.terminals import terminal
from tests.harness import state

POLICIES = """
policies:
  - name: playground
    match: {projects: [play]}
    archive: {after: 14d}
    slim: {after: 30d, remove: [artifacts]}
    delete: {after: 60d}
  - name: noisy
    match: {projects: [noisy]}
    notice: 7d
    archive: {after: 10d}
"""


@pytest.fixture
def staged(sandbox: Sandbox, filled: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """Policies, and a task for each of their stages: two to archive, and one of the others."""
    made = World(world.now)
    for name, days, archived in (("young", 20, False), ("young too", 21, False), ("fat", 40, True), ("old", 90, True)):
        made.task(name, project="play", days_old=days, archived=archived).artifact("data")
    made.task("restored", project="play", days_old=20, archived=False, tags=["cleanup:archived=2026-01-01"])
    made.task("loud", project="noisy", days_old=20, archived=False)
    sandbox.load(made.as_dict())
    path = tmp_path / "policies.yaml"
    path.write_text(POLICIES)
    monkeypatch.setenv("CLEANUP_POLICIES", str(path))
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    return filled


def logged(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


WHAT = {
    "young": ("archived", "archive", "playground"),
    "young too": ("archived", "archive", "playground"),
    "fat": ("slimmed", "slim", "playground"),
    "old": ("deleted", "delete", "playground"),
    "restored": ("kept", None, "playground"),
    "loud": ("noticed", "archive", "noisy"),
}


def test_the_log_the_reports_and_the_audit_log_say_the_same(
    staged: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = tmp_path / "audit"
    audit.mkdir()
    monkeypatch.setenv("CLEANUP_AUDIT", str(audit))
    names = [tmp_path / name for name in ("r.csv", "r.json", "r.jsonl", "r.html", "r.md")]
    assert main(["run", *(word for name in names for word in ("--report", str(name)))]) == 0
    said = logged(capsys.readouterr().out)
    of_tasks = {line["name"]: line for line in said if line["event"] == "task"}
    assert {name: (line["verdict"], line["stage"], line["policy"]) for name, line in of_tasks.items()} == WHAT
    assert of_tasks["restored"]["reason"] == "restored"
    first, last = (next(line for line in said if line["event"] == name) for name in ("pass_started", "pass_finished"))
    assert [last[name] for name in ("deleted", "archived", "slimmed", "noticed", "kept")] == [1, 2, 1, 1, 1]
    assert len(last["policies"]) == 32
    assert first["policies"] == last["policies"]
    with names[0].open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert {name: (row["verdict"], row["stage"] or None, row["policy"]) for name, row in rows.items()} == WHAT
    assert rows["loud"]["due"] == of_tasks["loud"]["due"]
    assert json.loads(names[1].read_text())["summary"]["stages"] == last["stages"]
    assert "What policies did" in names[3].read_text()
    assert "## Stages of policies" in names[4].read_text()

    (file,) = audit.iterdir()
    lines = logged(file.read_text())
    events = [(line["event"], of_name(line, of_tasks)) for line in lines if line["event"] not in {"begin", "record", "end"}]
    for name, (verdict, stage, _) in WHAT.items():
        before = "notice" if verdict == "noticed" else stage
        assert [event for event, of in events if of == name] == ([before, verdict] if before else [])
    assert (lines[-1]["stages"], lines[-1]["noticed"]) == ({"archive": 2, "slim": 1, "delete": 1}, 1)
    for name, words in (
        ("fat", "slimmed: 1 file"),
        ("young", "reaches the stage archive of policy 'playground' at "),
        ("loud", f"archive from {of_tasks['loud']['due'][:10]} on"),
    ):
        assert main(["audit", str(file), "--task", of_tasks[name]["task"]]) == 0
        text = capsys.readouterr().out
        assert "1 deletion, 4 changes by policies." in text
        assert words in text


CHANGING = {"tasks.archive_many": "tasks", "tasks.update_tags": "ids", "tasks.edit": "task", "tasks.delete_many": "ids"}


def test_nothing_is_changed_before_its_line_is_in_the_audit_log(
    staged: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = tmp_path / "audit"
    audit.mkdir()
    monkeypatch.setenv("CLEANUP_AUDIT", str(audit))
    changed: set[str] = set()
    before = {"archive", "slim", "notice", "delete"}

    def look(request: Request) -> Fault | None:
        ids: list[str] = []
        if request.call in CHANGING:
            found = request.body.get(CHANGING[request.call]) or request.body.get("ids") or request.body["tasks"]
            ids = [found] if isinstance(found, str) else found
        elif request.call == "/delete_many":
            ids = re.findall(r"\.([0-9a-f]{32})/", "".join(request.body["files"]))
        if ids:
            (file,) = audit.iterdir()
            announced = {line["task"] for line in logged(file.read_text()) if line["event"] in before}
            assert announced >= set(ids), request.call
            changed.update(ids)
        return None

    staged.fault = look
    assert main(["run"]) == 0
    assert len(changed) == 5, "each but the restored one"


def of_name(line: dict[str, Any], of_tasks: dict[str, Any]) -> str:
    return next((name for name, one in of_tasks.items() if one["task"] == line.get("task")), "")


def test_on_a_terminal_the_question_names_all_of_it_and_yes_does_that(staged: Sandbox) -> None:
    before = state(staged)
    with terminal("n\n") as screen:
        assert screen.run("run") == 0
        text = " ".join(screen.text.split())
        assert (
            max(len(line.rstrip()) for line in screen.text.splitlines() if "://" not in line and "/policies" not in line) <= 80
        )
    assert "by the policies in " in text
    asked = r"Delete 1 task, 0 models, 1 file \(.*?\), archive 2 tasks, slim 1 task \(.*?\), give notice to 1 task \(first for"
    assert re.search(asked, text)
    assert "2 tasks to archive by policy playground: young" in text
    assert "Nothing was changed." in text
    assert state(staged) == before
    with terminal("y\n") as screen:
        assert screen.run("run", "--list") == 0
        text = " ".join(screen.text.split())
    assert "Deleted 1 task, 0 models and 1 file" in text
    assert "archived 2 tasks, slimmed 1 task" in text
    assert re.search(r"play/fat \(slim\)", text)
    tasks = {task["name"]: task for task in staged.store.tasks.values()}
    assert "old" not in tasks
    assert [name for name, task in tasks.items() if "archived" in task["system_tags"]] == ["young", "young too", "fat"]
