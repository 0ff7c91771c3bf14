"""The file with policies, from its path to what a pass does with it."""

import os
from pathlib import Path

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.cli.test_enqueue import as_agent, clone_by_hand
from tests.web_ui import WebUI

EVERYTHING = "policies:\n- name: all\n  delete: {after: 1d}\n"


@pytest.fixture
def ui(filled: Sandbox, monkeypatch: pytest.MonkeyPatch) -> WebUI:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    return WebUI(filled)


def archived(ui: WebUI) -> int:
    return len(ui.tasks(system_tags=["archived"]))


def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str = EVERYTHING) -> Path:
    file = tmp_path / "policies.yaml"
    file.write_text(text)
    monkeypatch.setenv("CLEANUP_POLICIES", str(file))
    return file


def test_a_bad_file_ends_the_job_with_the_line_and_the_field_before_anything_is_asked(
    filled: Sandbox, ui: WebUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = policies(tmp_path, monkeypatch, EVERYTHING + "  notice: 7\n")
    filled.requests.clear()
    assert main(["run"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"CLEANUP_POLICIES={file}: line 4, policies[0].notice: 7 is not a duration" in said
    assert not filled.requests


def test_settings_tell_the_content_of_the_file_by_its_digest(
    ui: WebUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["settings"]) == 0
    assert "BLAKE2b" not in capsys.readouterr().out
    policies(tmp_path, monkeypatch)
    assert main(["settings"]) == 0
    (first,) = [line for line in capsys.readouterr().out.splitlines() if "CLEANUP_POLICIES" in line]
    assert "policies.yaml (BLAKE2b " in first
    policies(tmp_path, monkeypatch, EVERYTHING + "# new\n")
    assert main(["settings"]) == 0
    assert first not in capsys.readouterr().out


def test_a_file_that_is_replaced_during_a_pass_counts_from_the_next_pass_on(
    filled: Sandbox, ui: WebUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = policies(tmp_path, monkeypatch, EVERYTHING.replace("1d", "900d"))
    before = archived(ui)
    filled.fault = lambda _request: file.write_text(EVERYTHING) and None
    assert main(["run"]) == 0
    assert archived(ui) == before
    assert main(["run"]) == 0
    assert archived(ui) < before


def test_a_file_in_a_config_map_is_read_through_its_links(ui: WebUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "..2026").mkdir()
    policies(tmp_path / "..2026", monkeypatch)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "linked.yaml").symlink_to("..data/policies.yaml")
    monkeypatch.setenv("CLEANUP_POLICIES", str(tmp_path / "linked.yaml"))
    assert main(["run"]) == 0
    assert archived(ui) == 1


# -- agents
@pytest.mark.parametrize("cleared", [False, True])
def test_an_agent_refuses_a_run_of_a_release_with_policies(
    filled: Sandbox,
    ui: WebUI,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cleared: bool,
) -> None:
    """It has no such file, also where somebody took the parameter out of the clone, and would delete by the settings alone."""
    monkeypatch.setenv("CLEANUP_TASK", "true")
    file = policies(tmp_path, monkeypatch, EVERYTHING.replace("1d", "900d"))
    assert main(["run"]) == 0
    before = archived(ui)
    assert ui.values(section="Settings")["policies"] == str(file)
    clone = clone_by_hand(ui, ui.draft()["id"])
    if cleared:
        filled.store.tasks[clone]["hyperparams"]["Settings"].clear()
    file.unlink()
    monkeypatch.delenv("CLEANUP_POLICIES")
    capsys.readouterr()
    assert as_agent(ui, monkeypatch, clone) == 2
    assert "policies.yaml: the file can't be read: No such file or directory" in " ".join(capsys.readouterr().out.split())
    assert archived(ui) == before


@pytest.mark.parametrize("content", [EVERYTHING, "", None])
def test_no_one_changes_the_policies_in_the_web_ui(
    ui: WebUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    """Nor does an edit keep the pass from running: the operator's file counts."""
    monkeypatch.setenv("CLEANUP_TASK", "true")
    policies(tmp_path, monkeypatch, EVERYTHING.replace("1d", "900d"))
    assert main(["run"]) == 0
    before = archived(ui)
    other = tmp_path / "other.yaml"
    if content is not None:
        other.write_text(content)
    ui.edit("policies", str(other), section="Settings")
    capsys.readouterr()
    assert main(["run"]) == 0
    assert archived(ui) == before
    assert f"policies={tmp_path}/policies.yaml counts" in capsys.readouterr().out


def test_neither_the_mode_for_agents_nor_enqueue_takes_policies(
    ui: WebUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policies(tmp_path, monkeypatch)
    assert main(["enqueue"]) == 2
    assert "an agent has no such file" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setenv("CLEANUP_TASK", "true")
    monkeypatch.setenv("CLEANUP_TASK_MODE", "agent")
    assert main(["run"]) == 2
    assert "an agent has no such file" in " ".join(capsys.readouterr().err.split())
    assert not ui.runs()


# -- names
def test_a_careful_policy_whose_project_is_unknown_ends_the_job(
    ui: WebUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    released = "policies:\n- name: released\n  match: {projects: [elsewhere]}\n  keep: all\n"
    policies(tmp_path, monkeypatch, released + EVERYTHING.removeprefix("policies:\n"))
    before = archived(ui)
    assert main(["run"]) == 2
    said = " ".join(capsys.readouterr().out.split())
    assert "CLEANUP_POLICIES: match.projects of policy 'released': no project is called 'elsewhere' or has this id" in said
    assert archived(ui) == before
    policies(tmp_path, monkeypatch, released)
    assert main(["run"]) == 0
    assert archived(ui) == before


def test_a_project_that_a_careful_policy_names_is_not_deleted_when_it_is_empty(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], world: World
) -> None:
    """The next pass would refuse to run otherwise."""
    world.task("old", project="slow")
    world.task("old too", project="fast")
    sandbox.load(world.as_dict())
    for name in list(os.environ):
        if name.startswith(("CLEARML_", "CLEANUP_")):
            monkeypatch.delenv(name)
    for name, value in {**sandbox.environment(), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("CLEANUP_DELETE_EMPTY_PROJECTS", "true")
    text = "policies:\n- name: slow\n  match: {projects: [slow]}\n  delete: {after: 2d}\n" + EVERYTHING.removeprefix(
        "policies:\n"
    )
    policies(tmp_path, monkeypatch, text)
    assert main(["run"]) == 0
    assert "project slow is empty, and is kept since 'slow' in CLEANUP_POLICIES would name nothing without it" in " ".join(
        capsys.readouterr().out.split()
    )
    ui = WebUI(sandbox)
    assert {project["name"] for project in ui.call("projects.get_all")["projects"]} & {"slow", "fast"} == {"slow"}
    assert main(["run"]) == 0
