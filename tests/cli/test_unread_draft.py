"""A pass that can't read its draft, or can't tell which task it is, deletes nothing: nobody knows what people keep there."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Fault, Request, Sandbox
from tests.web_ui import WebUI

ARCHIVED = 5
"""Archived tasks, of which a pass deletes four unless something keeps them."""


@pytest.fixture
def ui(filled: Sandbox, monkeypatch: pytest.MonkeyPatch) -> WebUI:
    """The Web UI of a server whose draft keeps everything: somebody edited that there."""
    for name, value in (("TASK", "true"), ("FORCE_DELETE", "true"), ("ATTEMPTS", "1")):
        monkeypatch.setenv(f"CLEANUP_{name}", value)
    found = WebUI(filled)
    assert main(["register"]) == 0
    found.edit("keep_projects", "lab", "Settings")
    return found


def left(ui: WebUI) -> int:
    """Archived tasks that are still there, the job's own aside."""
    return len([task for task in ui.tasks(system_tags=["archived"]) if not task["name"].startswith("Cleanup")])


def once(call: str, fault: Fault) -> Callable[[Request], Fault | None]:
    """A fault of the first request to an endpoint; of all of them where a client logs in and asks again."""
    met: list[Request] = []

    def hook(request: Request) -> Fault | None:
        if request.call != call or (met and fault.status != 401):
            return None
        met.append(request)
        return fault

    return hook


def warnings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [line["message"] for line in log if line["event"] == "warning"]


# -- refused
@pytest.mark.parametrize("call", ["projects.get_all", "tasks.get_all"])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(200), 4),
        (Fault(400, subcode=12), 4),
        (Fault(401, subcode=99), 2),
        (Fault(403, subcode=20), 2),
        (Fault(404), 4),
        (Fault(500), 4),
        (Fault(503), 4),
        (Fault(), 4),
    ],
)
def test_a_draft_that_the_server_does_not_give_ends_the_pass(
    filled: Sandbox, ui: WebUI, capsys: pytest.CaptureFixture[str], call: str, fault: Fault, code: int
) -> None:
    filled.fault = once(call, fault)
    capsys.readouterr()
    assert main(["run"]) == code
    filled.fault = None
    assert left(ui) == ARCHIVED
    said = capsys.readouterr().out
    assert "'Cleanup Service'" in said or "no answer from" in said
    assert main(["run"]) == 0
    assert left(ui) == ARCHIVED, "the next pass reads it, and keeps what it says"


@pytest.mark.parametrize("status", [400, 403, 404])
def test_where_the_draft_is_not_required_the_environment_counts_and_a_warning_says_so(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    monkeypatch.setenv("CLEANUP_TASK_REQUIRED", "false")
    filled.fault = once("tasks.get_all", Fault(status))
    capsys.readouterr()
    assert main(["run"]) == 0
    assert any("can't be read, so the environment's settings count" in text for text in warnings(capsys))
    assert left(ui) == 1


@pytest.mark.parametrize("field", ["hyperparams", "script"])
@pytest.mark.parametrize("value", ["text", [1], 7, None])
def test_a_draft_whose_record_can_not_be_read_ends_the_pass(
    filled: Sandbox, ui: WebUI, capsys: pytest.CaptureFixture[str], field: str, value: Any
) -> None:
    filled.store.tasks.change(ui.draft()["id"], **{field: value})
    capsys.readouterr()
    assert main(["run"]) == 4
    assert left(ui) == ARCHIVED
    assert "can't be read" in capsys.readouterr().out


@pytest.mark.parametrize("section", ["General", "Settings"])
@pytest.mark.parametrize("value", ["text", [1], None])
def test_a_section_that_can_not_be_read_ends_the_pass(filled: Sandbox, ui: WebUI, section: str, value: Any) -> None:
    draft = ui.draft()
    filled.store.tasks.change(draft["id"], hyperparams={**draft["hyperparams"], section: value})
    assert main(["run"]) == 4
    assert left(ui) == ARCHIVED


def test_a_draft_without_parameters_is_given_those_of_the_environment_again(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = ui.draft()
    gone = [{"section": section, "name": name} for section, entries in draft["hyperparams"].items() for name in entries]
    ui.call("tasks.delete_hyper_params", task=draft["id"], hyperparams=gone)
    assert main(["register"]) == 0
    assert ui.values()["force_delete"] == "True"


def test_a_record_of_somebody_elses_that_can_not_be_read_is_no_trouble(filled: Sandbox, ui: WebUI) -> None:
    project = ui.draft()["project"]
    for name in ("Cleanup Service", "other"):
        other = ui.call("tasks.create", name=name, type="service", project=project)["id"]
        filled.store.tasks.change(other, hyperparams="text", runtime=7, script=[])
    assert main(["run"]) == 0


@pytest.mark.parametrize("words", [["register"], ["enqueue"]])
@pytest.mark.parametrize(("status", "code"), [(403, 2), (400, 4)])
def test_the_commands_say_so_too(
    filled: Sandbox, ui: WebUI, capsys: pytest.CaptureFixture[str], words: list[str], status: int, code: int
) -> None:
    filled.fault = once("tasks.get_all", Fault(status))
    assert main(words) == code
    assert "task 'Cleanup Service' in project 'DevOps' can't be read" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("fault", "code"), [(Fault(403), 2), (Fault(400, subcode=101), 4), (Fault(500), 4)])
def test_an_agents_pass_that_can_not_read_its_task_deletes_nothing(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, fault: Fault, code: int
) -> None:
    monkeypatch.delenv("CLEANUP_TASK")
    monkeypatch.setenv("CLEARML_TASK_ID", ui.draft()["id"])
    filled.fault = once("tasks.get_by_id", fault)
    assert main(["run"]) == code
    assert left(ui) == ARCHIVED


# -- there is none, or none of that name
def test_where_no_draft_can_be_made_there_was_nothing_to_read(
    filled: Sandbox, ui: WebUI, capsys: pytest.CaptureFixture[str]
) -> None:
    ui.call("tasks.delete", task=ui.draft()["id"], force=True)
    filled.fault = once("tasks.create", Fault(403))
    capsys.readouterr()
    assert main(["run"]) == 0
    assert any("could not be brought up to date" in text for text in warnings(capsys))
    assert left(ui) == 1, "whoever deletes the draft deletes what was edited in it"


def test_a_project_that_is_there_and_not_shown_may_hold_the_draft(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = ui.draft()["project"]
    filled.store.projects.change(project, system_tags=["shown to others"])
    shown = filled.store.projects.values
    monkeypatch.setattr(
        filled.store.projects, "values", lambda: [p for p in shown() if "shown to others" not in p["system_tags"]]
    )
    filled.store.tasks.change(ui.draft()["id"], runtime={})
    assert main(["run"]) == 4
    assert left(ui) == ARCHIVED


@pytest.mark.parametrize("how", ["it has another name", "it was moved", "its project has another name"])
def test_a_draft_that_was_renamed_or_moved_is_found_and_ends_the_pass(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    draft = ui.draft()
    name, project = "Cleanup Service", "Operations"
    if how == "it has another name":
        name, project = "Nightly clean-up", "DevOps"
        ui.call("tasks.edit", task=draft["id"], name=name)
    elif how == "it was moved":
        ui.call("tasks.move", ids=[draft["id"]], project_name=project)
    else:
        filled.store.projects.change(draft["project"], name=project)
    capsys.readouterr()
    assert main(["run"]) == 2
    assert left(ui) == ARCHIVED
    assert f"task {name!r} ({draft['id']})" in capsys.readouterr().out
    monkeypatch.setenv("CLEANUP_TASK_NAME", name)
    monkeypatch.setenv("CLEANUP_TASK_PROJECT", project)
    assert main(["run"]) == 0
    assert left(ui) == ARCHIVED


def test_another_name_in_the_settings_is_another_draft(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases that clean one server have drafts of their own."""
    monkeypatch.setenv("CLEANUP_TASK_NAME", "Another release")
    assert main(["run"]) == 0
    assert left(ui) == 1


def test_what_was_edited_in_a_draft_that_was_archived_still_counts(ui: WebUI, capsys: pytest.CaptureFixture[str]) -> None:
    draft = ui.draft()["id"]
    ui.call("tasks.archive_many", ids=[draft])
    capsys.readouterr()
    assert main(["run"]) == 0
    assert left(ui) == ARCHIVED
    assert any(f"({draft}) was archived" in text for text in warnings(capsys))
    drafts = [task for task in ui.tasks(name="^Cleanup Service$", status=["created"]) if "archived" not in task["system_tags"]]
    assert [ui.values(task["id"], "Settings")["keep_projects"] for task in drafts] == ["lab"], "the new one has it"
    ui.call("tasks.delete", task=draft, force=True)
    assert main(["run"]) == 0
    assert left(ui) == ARCHIVED


def test_a_draft_with_another_entry_point_is_still_the_draft(ui: WebUI) -> None:
    ui.call("tasks.edit", task=ui.draft()["id"], script={"entry_point": "mine.py"})
    assert main(["run"]) == 0
    assert left(ui) == ARCHIVED


@pytest.mark.parametrize("older", [True, False])
def test_of_two_drafts_the_edited_one_counts(filled: Sandbox, ui: WebUI, older: bool) -> None:
    first = ui.draft()
    second = ui.call("tasks.clone", task=first["id"], new_task_name="Cleanup Service")["id"]
    if not older:
        ui.call("tasks.delete_hyper_params", task=first["id"], hyperparams=[{"section": "Settings", "name": "keep_projects"}])
    else:
        ui.call("tasks.delete_hyper_params", task=second, hyperparams=[{"section": "Settings", "name": "keep_projects"}])
    assert main(["run"]) == 0
    assert left(ui) == ARCHIVED


def test_of_two_drafts_with_different_edits_nobody_knows_which_one_counts(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ui.draft()["id"]
    second = ui.call("tasks.clone", task=first, new_task_name="Cleanup Service")["id"]
    ui.edit("max_tasks", "1", "Settings", task=second)
    capsys.readouterr()
    assert main(["run"]) == 2
    said = capsys.readouterr().out
    assert first in said
    assert second in said
    assert left(ui) == ARCHIVED
    monkeypatch.setenv("CLEANUP_TASK_REQUIRED", "false")
    assert main(["run"]) == 0
    assert left(ui) == 1
    monkeypatch.setenv("CLEANUP_TASK_REQUIRED", "true")
    ui.call("tasks.archive_many", ids=[second])
    assert main(["run"]) == 0


def test_the_draft_is_found_among_more_tasks_of_its_name_than_a_page_has(filled: Sandbox, ui: WebUI) -> None:
    draft = ui.draft()
    for number in range(500):
        other = {**draft, "id": f"{number:032x}", "created": "2020-01-01T00:00:00+00:00", "script": {}, "runtime": {}}
        filled.store.tasks.put(other)
    assert main(["run"]) == 0
    assert left(ui) == ARCHIVED


# -- names as ClearML stores them
@pytest.mark.parametrize(
    ("project", "stored"),
    [
        ("DevOps / abc", "DevOps/abc"),
        ("Ops//abc", "Ops/abc"),
        ("/DevOps/x y z/", "DevOps/x y z"),
        (" DevOps (a+b) ", "DevOps (a+b)"),
    ],
)
def test_a_draft_in_a_project_that_clearml_renames_is_found_again(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, project: str, stored: str
) -> None:
    monkeypatch.setenv("CLEANUP_TASK_PROJECT", project)
    assert main(["register"]) == 0
    (made,) = [p for p in ui.call("projects.get_all")["projects"] if p["name"] == stored]
    (draft,) = ui.tasks(project=[made["id"]], name="^Cleanup Service$")
    ui.edit("keep_projects", "lab", "Settings", task=draft["id"])
    assert main(["run"]) == 0
    assert left(ui) == ARCHIVED
    assert len(ui.tasks(project=[made["id"]], name="^Cleanup Service$")) == 1


def test_case_counts_in_a_projects_name(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANUP_TASK_PROJECT", "devops")
    assert main(["register"]) == 0
    assert {p["name"] for p in ui.call("projects.get_all", name="(?i)^devops$")["projects"]} == {"DevOps", "devops"}


@pytest.mark.parametrize("project", ["DevOps/ml", "a/b/c", "ab", "/", "DevOps/ /abc", "DevOps/ ab "])
def test_a_project_that_clearml_refuses_is_a_wrong_setting(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], project: str
) -> None:
    monkeypatch.setenv("CLEANUP_TASK_PROJECT", project)
    filled.requests.clear()
    assert main(["run"]) == 2
    assert f"CLEANUP_TASK_PROJECT={project.strip()}: use parts of 3 characters or more" in capsys.readouterr().err
    assert filled.requests == []
