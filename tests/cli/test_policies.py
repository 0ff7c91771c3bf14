"""`clearml-cleanup policies`: what becomes of which task, before the policies are rolled out."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.cli.test_explain import server

__all__ = ["server"]
DAY = timedelta(days=1)
FILE = """\
policies:
  - name: released
    match: {projects: [vision/released]}
    keep: all
  - name: playground
    match: {projects: [playground]}
    keep: {tags: [gold]}
    archive: {after: 14d}
    slim: {after: 30d, remove: [debug_samples]}
    delete: {after: 60d, archived_for: 7d}
  - name: noticed
    match: {projects: [lab]}
    delete: {after: 30d}
    notice: 7d
"""
Policies = Callable[..., dict[str, Any]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policies.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture
def filled(sandbox: Sandbox, world: World) -> Sandbox:
    world.task("published model", project="vision/released", archived=False, days_old=400)
    world.task("old run", project="playground", archived=False, days_old=100)
    world.task("gold run", project="playground", archived=False, days_old=100, tags=("gold",))
    world.task("young run", project="playground", archived=False, days_old=10)
    world.task("running", project="playground", archived=False, status="in_progress")
    world.task("archived run", project="playground", days_old=100)
    world.task("restored", project="playground", archived=False, days_old=100, tags=("cleanup:archived=2026-01-01",))
    world.task("in lab", days_old=100)
    world.task("somewhere else", project="elsewhere")
    sandbox.load(world.as_dict())
    return sandbox


@pytest.fixture
def policies(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> Policies:
    """What the command says as JSON."""

    def said(*words: str) -> dict[str, Any]:
        assert main(["policies", *words, "--output", "json"]) == 0
        assert not wrote(filled)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return said


def wrote(sandbox: Sandbox) -> list[str]:
    words = ("delete", "archive", "update", "edit", "clear")
    return [one.call for one in sandbox.requests if any(word in one.call for word in words)]


def sums(found: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    return {(one["policy"], one["outcome"]): sorted(task["name"] for task in one["examples"]) for one in found["outcomes"]}


# -- test
def test_what_a_pass_does_now(policies: Policies, file: Path) -> None:
    found = policies("test", str(file))
    assert found["tasks"] == 9
    assert sums(found) == {
        ("released", "kept"): ["published model"],
        ("playground", "archive"): ["old run"],
        ("playground", "delete"): ["archived run"],
        ("playground", "kept"): ["gold run"],
        ("playground", "restored"): ["restored"],
        ("playground", "later"): ["young run"],
        ("playground", "nothing"): ["running"],
        ("noticed", "notice"): ["in lab"],
        (None, "no_policy"): ["somewhere else"],
    }
    rules = {one["rule"] for one in found["outcomes"] if one["rule"]}
    assert rules == {"keep: all in policy 'released'", "the tag 'gold' is in keep.tags of policy 'playground'"}


def test_what_passes_have_done_by_a_date(policies: Policies, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANUP_POLICIES", str(file))
    at = datetime.now(UTC) + 10 * DAY
    found = sums(policies("test", "--at", str(at.date())))
    assert found["playground", "archive"] == ["old run", "young run"]
    assert found["playground", "slim"] == ["old run"]
    assert found["playground", "delete"] == ["archived run", "old run"]
    assert found["noticed", "delete"] == ["in lab"]
    assert ("playground", "later") not in found


def test_all_tasks_are_listed_if_asked_for(policies: Policies, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "test", str(file), "--list", "--output", "json"]) == 0
    *tasks, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert (len(tasks), last["line"], last["tasks"]) == (9, "sums", 9)
    old = next(one for one in tasks if one["name"] == "old run")
    assert [stage["stage"] for stage in old["stages"]] == ["archive", "slim", "delete"]
    assert main(["policies", "test", str(file), "--list"]) == 0
    assert "playground: kept: the tag 'gold' is in keep.tags of policy 'playground'" in capsys.readouterr().out


def test_people_see_it_in_80_columns(policies: Policies, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "test", str(file)]) == 0
    out = capsys.readouterr().out
    assert "What becomes of 9 tasks now" in out
    assert "left alone: restored from the archive" in out
    assert "playground, archived:" in out
    assert max(map(len, out.splitlines())) <= 80


def test_settings_narrow_it(policies: Policies, file: Path) -> None:
    found = sums(policies("test", str(file), "--no-force-delete", "--exclude-projects", "lab"))
    assert found["playground", "nothing"] == ["archived run", "running"]
    assert found["noticed", "left_out"] == ["in lab"]


def test_a_task_is_explained_by_the_file(policies: Policies, file: Path, filled: Sandbox) -> None:
    ids = {record["name"]: key for key, record in filled.store.tasks.items()}
    (found,) = policies("test", str(file), "--task", ids["old run"])["tasks"]
    assert (found["policy"]["name"], [one["stage"] for one in found["policy"]["stages"]]) == (
        "playground",
        ["archive", "slim", "delete"],
    )
    assert found["policy"]["keep_rules"] == ["tasks with a tag among gold"]
    (found,) = policies("test", str(file), "--task", ids["gold run"])["tasks"]
    assert (found["policy"]["kept"], found["policy"]["stages"]) == ("the tag 'gold' is in keep.tags of policy 'playground'", [])


def test_the_explanation_for_people(
    policies: Policies, file: Path, filled: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {record["name"]: key for key, record in filled.store.tasks.items()}
    assert main(["policies", "test", str(file), "--task", ids["in lab"], "--task", ids["restored"]]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Stages delete: from " in out
    assert "; a pass announces it now for " in out
    assert "left alone: it was restored from the archive" in out
    assert "archive: never, as it is now" in out


# -- diff
def test_the_tasks_whose_fate_changes(policies: Policies, file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(FILE.replace("archive: {after: 14d}", "archive: {after: 20d}").replace("keep: {tags: [gold]}\n", "\n"))
    found = policies("diff", str(file), str(new))
    assert (found["changed"], found["tasks"], found["same"]) == (2, 9, False)
    changes = [(one["stage"], one["tasks"], one["before"], one["after"], one["examples"]) for one in found["changes"]]
    archive, *gold = sorted(changes, key=lambda one: one[2]["why_not"] or "")
    young, today = archive[4][0], datetime.now(UTC).date()
    assert (young["name"], archive[0], young["before"], young["after"]) == (
        "young run",
        "archive",
        str(today + 4 * DAY),
        str(today + 10 * DAY),
    )
    assert {one[0]: one[2]["why_not"] for one in gold} == dict.fromkeys(("archive", "slim", "delete"), "kept")


def test_a_difference_until_a_date_and_none(policies: Policies, file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(FILE.replace("after: 60d", "after: 600d").replace("after: 14d", "after: 15d"))
    soon = (datetime.now(UTC) + 2 * DAY).isoformat()
    assert policies("diff", str(file), str(new), "--at", soon)["changed"] == 1
    assert policies("diff", str(file), str(file))["same"]


def test_a_difference_for_people(policies: Policies, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(FILE.replace("  - name: noticed\n", "  - name: later\n").replace("after: 30d}", "after: 200d}"))
    assert main(["policies", "diff", str(file), str(new)]) == 0
    out = capsys.readouterr().out
    today = datetime.now(UTC).date()
    assert f"1 task of noticed → later: delete {today + 8 * DAY} → {today + 101 * DAY}" in out
    assert max(map(len, out.splitlines())) <= 80
    assert main(["policies", "diff", str(file), str(file)]) == 0
    assert "No difference: the same becomes of 9 tasks by both files." in " ".join(capsys.readouterr().out.split())
    assert main(["policies", "diff", str(file), str(new), "--list"]) == 0
    assert "in lab" in capsys.readouterr().out


# -- schema, and what is wrong
def test_the_schema_is_one_of_the_file(policies: Policies) -> None:
    found = policies("schema")
    assert found["properties"]["policies"]["type"] == "array"
    assert found["additionalProperties"] is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test"], "no file was given"),
        (["test", "a.yaml", "b.yaml"], "2 files were given, and it takes 1 file at most"),
        (["diff", "{file}"], "1 files were given, and it takes 2 files"),
        (["schema", "{file}"], "it takes no file"),
        (["test", "{file}", "--at", "soon"], "--at soon: not a date"),
        (["test", "{file}", "--at", "2020-01-01"], "that is past"),
        (["test", "{file}", "--task", "x", "--list"], "have no effect"),
        (["diff", "{file}", "{file}", "--task", "x"], "--task is for `policies test` alone"),
        (["test", "nowhere.yaml"], "can't be read"),
        (["diff", "{file}", "nowhere.yaml"], "nowhere.yaml: the file can't be read"),
    ],
)
def test_what_is_wrong_is_said(
    filled: Sandbox, file: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policies", *(word.format(file=file) for word in words)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_guard_refuses_to_write(filled: Sandbox, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cleanup_job.cli import policies as command  # noqa: PLC0415 -- it is replaced in

    def writes(server: Any, *_: object) -> Any:
        server.change_tags(["x"], add=["tag"])

    monkeypatch.setattr(command, "fates", writes)
    with pytest.raises(RuntimeError, match="only reads"):
        main(["policies", "test", str(file)])
    assert not wrote(filled)
