"""The pass as a task of ClearML: parameters from the Web UI, when it is due, and the run that it leaves."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest

from cleanup_job.cli.main import main
from cleanup_job.job import pod
from cleanup_job.job.pass_job import PassJob
from cleanup_job.service_task import run_reporter
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.web_ui import WebUI

FIRST = {
    "cleanup_period_in_days": "1.0",
    "delete_threshold_days": "30",
    "force_delete": "False",
    "run_as_service": "False",
}


@pytest.fixture
def ui(filled: Sandbox, monkeypatch: pytest.MonkeyPatch) -> WebUI:
    """The Web UI of a server with something to clean; CLEANUP_TASK is on."""
    monkeypatch.setenv("CLEANUP_TASK", "true")
    return WebUI(filled)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def scheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Job is one that the CronJob's schedule made."""
    monkeypatch.setenv("CLEANUP_CRONJOB", "nightly")
    monkeypatch.setenv("CLEANUP_JOB", f"nightly-{int(datetime.now(UTC).timestamp()) // 60}")
    monkeypatch.setattr("cleanup_job.job.pod.leave_event", lambda *_: None)


# -- the draft
def test_register_makes_the_draft_of_the_original_service(ui: WebUI) -> None:
    assert main(["register"]) == 0
    draft = ui.draft()
    assert (draft["type"], draft["status"], draft["tags"]) == ("service", "created", ["clearml-cleanup"])
    assert ui.call("projects.get_by_id", project=draft["project"])["project"]["name"] == "DevOps"
    assert ui.values() == FIRST
    entries = draft["hyperparams"]["General"]
    assert {name: entry["type"] for name, entry in entries.items()} == {
        "cleanup_period_in_days": "float",
        "delete_threshold_days": "float",
        "force_delete": "bool",
        "run_as_service": "bool",
    }
    assert all(entry["description"] for entry in entries.values())
    assert "clearml-cleanup==" in draft["script"]["requirements"]["pip"]
    assert 'main(["run"])' in draft["script"]["diff"]


def test_registering_again_changes_nothing(filled: Sandbox, ui: WebUI) -> None:
    assert main(["register"]) == 0
    before = filled.store.tasks[ui.draft()["id"]]
    assert main(["register"]) == 0
    assert filled.store.tasks[ui.draft()["id"]] == before


def test_a_value_edited_in_the_web_ui_is_never_overwritten_and_others_follow(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["register"])
    ui.edit("delete_threshold_days", "90")
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "7")
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    assert main(["register"]) == 0
    assert ui.values() == FIRST | {"delete_threshold_days": "90", "force_delete": "True"}
    assert ui.values(section="Settings") == {"keep_projects": "lab"}


def test_what_nobody_edited_follows_the_environment_back_to_the_default(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "90")
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    monkeypatch.setenv("CLEANUP_ARCHIVED_FOR_DAYS", "5")
    main(["register"])
    ui.edit("archived_for_days", "9", "Settings")
    for name in ("DELETE_THRESHOLD_DAYS", "KEEP_PROJECTS", "ARCHIVED_FOR_DAYS"):
        monkeypatch.delenv(f"CLEANUP_{name}")
    assert main(["register"]) == 0
    assert ui.values() == FIRST
    assert ui.values(section="Settings") == {"archived_for_days": "9"}, "that was edited"


def test_a_dry_run_of_register_says_what_it_would_write_and_writes_nothing(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = filled.state()
    assert main(["register", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "make a draft: task 'Cleanup Service' in project 'DevOps'" in out
    assert "set General/delete_threshold_days=30" in out
    assert filled.state() == before
    monkeypatch.setenv("CLEANUP_KEEP_TAGS", "old")
    main(["register"])
    monkeypatch.delenv("CLEANUP_KEEP_TAGS")
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "90")
    monkeypatch.setenv("CLEANUP_DRY_RUN", "true")
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", "clearml-cleanup==9.9")
    monkeypatch.setenv("CLEANUP_TASK_EDITABLE", "workers")
    before, writes = filled.state(), len(filled.requests)
    capsys.readouterr()
    assert main(["register", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"task {ui.draft()['id']}: would",
        "  set General/delete_threshold_days=90 (now 30)",
        "  set Settings/dry_run=True",
        "  delete Settings/keep_tags=old",
        "  change what an agent installs and runs",
        "  note what can be edited, and from which values on",
    ]
    assert filled.state() == before
    reading = {"auth.login", "tasks.get_all", "projects.get_all"}
    assert {request.call for request in filled.requests[writes:]} <= reading
    assert main(["register"]) == 0
    capsys.readouterr()
    assert main(["register", "--dry-run"]) == 0
    assert "nothing to change" in capsys.readouterr().out


def test_a_token_in_the_requirement_is_shown_nowhere_and_warned_of(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", "clearml-cleanup @ https://me:hunter2pw@pkgs.example/x.whl?sig=SIGNATURE")
    for words in (["settings"], ["register", "--dry-run"], ["register"], ["run"]):
        assert main(words) == 0
    out, err = capsys.readouterr()
    assert "https://pkgs.example/x.whl" in out
    assert "CLEANUP_TASK_REQUIREMENT holds credentials" in " ".join(err.split())
    assert not [secret for secret in ("hunter2pw", "SIGNATURE") if secret in out + err]
    assert "hunter2pw" in ui.draft()["script"]["requirements"]["pip"], "an agent needs it"


def test_the_original_service_of_that_name_and_a_public_example_are_not_ours(ui: WebUI, filled: Sandbox) -> None:
    project = ui.call("projects.create", name="DevOps")["id"]
    other = ui.call("tasks.create", name="Cleanup Service", type="service", project=project)["id"]
    before = filled.store.tasks[other]
    assert main(["register"]) == 0
    assert filled.store.tasks[other] == before
    assert len([t for t in ui.tasks(project=[project]) if t["status"] == "created"]) == 2


def test_where_the_draft_itself_was_enqueued_the_next_one_has_its_values(ui: WebUI) -> None:
    main(["register"])
    first = ui.draft()["id"]
    ui.edit("delete_threshold_days", "90")
    ui.call("tasks.started", task=first)
    ui.call("tasks.completed", task=first)
    assert main(["register"]) == 0
    assert ui.draft()["id"] != first
    assert ui.values()["delete_threshold_days"] == "90"


def test_after_a_draft_that_was_archived_comes_a_new_one(ui: WebUI) -> None:
    main(["register"])
    first = ui.draft()["id"]
    ui.call("tasks.archive_many", ids=[first])
    assert main(["register"]) == 0
    drafts = [task for task in ui.tasks(name="^Cleanup Service$") if "archived" not in task["system_tags"]]
    assert [task["id"] for task in drafts] != [first]
    assert len(drafts) == 1


# -- what a pass takes from it
def test_the_web_uis_value_wins_over_the_environments_and_the_log_says_so(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "20")
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "nobody/*, lab")
    monkeypatch.delenv("CLEANUP_KEEP_PROJECTS")
    main(["register"])
    ui.edit("force_delete", "True")
    monkeypatch.setenv("CLEANUP_TASK_ALLOW_FORCE_DELETE", "true")
    capsys.readouterr()
    assert main(["run"]) == 0
    log = lines(capsys)
    assert log[-1]["deleted"] == 4, "force_delete of the environment is false"
    said = {row["setting"]: (row["value"], row["from"]) for row in log[0]["settings"]}
    assert said["CLEANUP_FORCE_DELETE"] == ("True", f"General/force_delete of task 'Cleanup Service' ({ui.draft()['id']})")
    assert said["CLEANUP_DELETE_THRESHOLD_DAYS"] == ("20", "CLEANUP_DELETE_THRESHOLD_DAYS")
    assert said["CLEANUP_PERIOD_IN_DAYS"] == (
        "1.0",
        "default",
    )


def test_a_threshold_edited_in_the_web_ui_changes_the_next_pass(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    main(["register"])
    ui.edit("delete_threshold_days", "10000")
    assert main(["run"]) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5
    ui.edit("delete_threshold_days", "30")
    assert main(["run"]) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 1


def test_a_value_that_nobody_edited_follows_the_environment(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a draft registered with 30 days would win over the 10,000 that the release says now."""
    main(["register"])
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "10000")
    assert main(["run"]) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5
    assert ui.values()["delete_threshold_days"] == "30", "a manual pass leaves the draft as it is"
    scheduled(monkeypatch)
    monkeypatch.setattr("cleanup_job.job.pass_job.too_early", lambda *_: None)
    assert main(["run"]) == 0
    assert ui.values()["delete_threshold_days"] == "10000"


def test_what_is_said_for_one_pass_wins_and_does_not_stay_in_the_draft(ui: WebUI, capsys: pytest.CaptureFixture[str]) -> None:
    main(["register"])
    ui.edit("force_delete", "False ")
    capsys.readouterr()
    assert main(["run", "--force-delete"]) == 0
    assert lines(capsys)[-1]["deleted"] == 4
    assert ui.values()["force_delete"] == "False "
    assert main(["run", "--delete-threshold-days", "7"]) == 0
    assert ui.values()["delete_threshold_days"] == "30"


@pytest.mark.parametrize(
    ("name", "value", "section", "said"),
    [
        ("delete_threshold_days", "soon", "General", "use a number"),
        ("delete_threshold_days", "-1", "General", "use 0 or more"),
        ("cleanup_period_in_days", "0", "General", "use more than 0"),
        ("force_delete", "perhaps", "General", "use true or false"),
        ("delete_treshold_days", "30", "General", "did you mean delete_threshold_days?"),
        ("keep_tags", " ", "Settings", "is empty"),
        ("dry_run", "perhaps", "Settings", "use true or false"),
        ("keep_projects", "nosuch", "Settings", "no project is called 'nosuch'"),
    ],
)
def test_a_wrong_value_deletes_nothing_and_is_told_where_it_was_edited(
    filled: Sandbox,
    ui: WebUI,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    section: str,
    said: str,
) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    main(["register"])
    ui.call("tasks.update", task=ui.draft()["id"], comment="Ask the platform team.")
    ui.edit(name, value, section)
    before = {task["id"] for task in ui.tasks(system_tags=["archived"])}
    assert main(["run"]) == 2
    assert {task["id"] for task in ui.tasks(system_tags=["archived"])} == before
    comment = ui.draft()["comment"]
    assert comment.startswith("Ask the platform team.\n\n[clearml-cleanup] The last pass deleted nothing: ")
    assert said in comment
    assert said in capsys.readouterr().out.replace('\\"', '"')
    ui.call("tasks.delete_hyper_params", task=ui.draft()["id"], hyperparams=[{"section": section, "name": name}])
    assert main(["run"]) == 0
    assert ui.draft()["comment"] == "Ask the platform team."


# -- what the operator does not let it take
@pytest.mark.parametrize(
    ("environ", "edits"),
    [
        ({"DRY_RUN": "true"}, {"dry_run": "False"}),
        ({"KEEP_PROJECTS": "lab"}, {"keep_projects": "other"}),
        ({"EXCLUDE_PROJECTS": "lab"}, {"exclude_projects": "other"}),
        ({"PROJECTS": "other"}, {"projects": "lab"}),
        ({"STATUSES": "failed"}, {"statuses": "completed"}),
        ({"THRESHOLD_RULES": "lab=never"}, {"threshold_rules": "lab=0"}),
        ({"THRESHOLD_RULES": "lab=never"}, {"threshold_rules": "*=0, lab=0"}),
        ({"ARCHIVED_FOR_DAYS": "10000"}, {"archived_for_days": "0"}),
        ({"DELETE_THRESHOLD_DAYS": "10000"}, {"delete_threshold_days": "0"}),
        ({"DELETE_THRESHOLD_DAYS": "10000", "TASK_MIN_THRESHOLD_DAYS": "100"}, {"delete_threshold_days": "99"}),
        ({"FORCE_DELETE": "false"}, {"force_delete": "True"}),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_an_edit_never_loosens_what_the_operator_has_fixed(
    filled: Sandbox,
    ui: WebUI,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environ: dict[str, str],
    edits: dict[str, str],
    listed: bool,
) -> None:
    other = world.task("elsewhere", project="other", archived=False)
    other.artifact("data")
    filled.load(world.as_dict())
    for name, value in ({"FORCE_DELETE": "true"} | environ).items():
        monkeypatch.setenv(f"CLEANUP_{name}", value)
    if listed:
        monkeypatch.setenv("CLEANUP_TASK_EDITABLE", ",".join(edits))
    main(["register"])
    ui.call("tasks.update", task=ui.draft()["id"], comment="Ask the platform team.")
    for name, value in edits.items():
        ui.edit(name, value, "General" if name in FIRST else "Settings")
    capsys.readouterr()
    assert main(["run"]) == 0
    log = lines(capsys)
    assert (log[-1]["deleted"] if not log[-1]["dry_run"] else 0) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5
    for name in edits:
        (said,) = [line["message"] for line in log if line["event"] == "warning" and f"/{name} of task" in line["message"]]
        assert "was not taken" in said
        assert said in ui.draft()["comment"]
    assert ui.draft()["comment"].startswith("Ask the platform team.\n\n[clearml-cleanup] ")
    for name in edits:
        section = "General" if name in FIRST else "Settings"
        ui.call("tasks.delete_hyper_params", task=ui.draft()["id"], hyperparams=[{"section": section, "name": name}])
    assert main(["run"]) == 0
    assert ui.draft()["comment"] == "Ask the platform team.", "there is nothing more to say"


@pytest.mark.parametrize(
    "name", ["mounted_folders", "files_url_prefixes", "lease", "access_key", "verify_certificate", "shards"]
)
def test_what_belongs_to_the_operator_alone_is_not_taken_from_an_edit(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("CLEANUP_TASK_EDITABLE", name)
    main(["register"])
    ui.edit(name, "hunter2 no value of it", "Settings")
    capsys.readouterr()
    assert main(["run"]) == 0
    log = lines(capsys)
    assert log[-1]["deleted"] == 4, "the pass goes on with the operator's value"
    (said,) = [line["message"] for line in log if line["event"] == "warning"]
    assert f"Settings/{name} of task 'Cleanup Service' ({ui.draft()['id']}) was not taken: it can't be set in ClearML" in said
    assert "hunter2" not in json.dumps(log)


def test_what_deletes_less_is_taken_without_being_listed(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    main(["register"])
    ui.edit("dry_run", "True", "Settings")
    assert main(["run"]) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5
    ui.edit("dry_run", "False", "Settings")
    ui.edit("max_tasks", "1", "Settings")
    capsys.readouterr()
    assert main(["run"]) == 0
    assert lines(capsys)[-1]["deleted"] == 1


def test_how_fast_a_pass_is_can_be_edited_where_the_operator_lists_it(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["register"])
    ui.edit("workers", "2", "Settings")
    for listed, value in ((False, None), (True, "2")):
        if listed:
            monkeypatch.setenv("CLEANUP_TASK_EDITABLE", "workers")
        capsys.readouterr()
        assert main(["run"]) == 0
        log = lines(capsys)
        (rows,) = [line["settings"] for line in log if line["event"] == "parameters"]
        assert next((row["value"] for row in rows if row["setting"] == "CLEANUP_WORKERS"), None) == value
        warned = [line["message"] for line in log if line["event"] == "warning"]
        assert [("CLEANUP_TASK_EDITABLE does not list it; workers=4 counts" in text) for text in warned] == (
            [] if listed else [True]
        )


def test_a_shorter_threshold_is_taken_down_to_what_the_operator_allows(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "10000")
    monkeypatch.setenv("CLEANUP_TASK_MIN_THRESHOLD_DAYS", "7")
    main(["register"])
    for value, deleted in (("6.9", 0), ("7", 4)):
        ui.edit("delete_threshold_days", value)
        capsys.readouterr()
        assert main(["run"]) == 0
        assert lines(capsys)[-1]["deleted"] == deleted


@pytest.mark.parametrize(
    ("operator", "edit"),
    [
        ({"STATUSES": "completed", "FORCE_DELETE": "true"}, ("force_delete", "False", "General")),
        ({"PROJECTS": "lab", "FORCE_DELETE": "true"}, ("exclude_projects", "lab", "Settings")),
        ({"PROJECTS": "lab", "FORCE_DELETE": "true"}, ("keep_projects", "l*b", "Settings")),  # only the server knows that
    ],
)
def test_an_edit_that_leaves_nothing_to_delete_does_not_keep_a_pass_from_running(
    ui: WebUI,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    operator: dict[str, str],
    edit: tuple[str, str, str],
) -> None:
    for name, value in operator.items():
        monkeypatch.setenv(f"CLEANUP_{name}", value)
    main(["register"])
    name, value, section = edit
    ui.edit(name, value, section)
    capsys.readouterr()
    assert main(["run"]) == 0
    log = lines(capsys)
    assert log[-1]["deleted"] == 0
    assert [line["message"] for line in log if "nothing can be deleted" in str(line.get("message"))]


def test_what_an_edit_makes_possible_is_no_contradiction_and_the_operators_own_is_one(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_STATUSES", "completed")
    monkeypatch.setenv("CLEANUP_TASK_ALLOW_FORCE_DELETE", "true")
    main(["register"])
    capsys.readouterr()
    assert main(["run"]) == 2
    assert "CLEANUP_STATUSES=completed, but CLEANUP_FORCE_DELETE=false" in str(lines(capsys)[-1]["error"])
    ui.edit("force_delete", "True")
    assert main(["run"]) == 0
    assert lines(capsys)[-1]["deleted"] == 4


# -- when it is due
def began(filled: Sandbox, ui: WebUI, days: float) -> None:
    """As if the last run had begun so many days ago."""
    run = ui.runs()[-1]["id"]
    moment = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    filled.store.tasks.change(run, started=moment, completed=moment, status_changed=moment)


def test_a_scheduled_pass_before_its_period_ends_as_not_due(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scheduled(monkeypatch)
    assert main([]) == 0
    ui.edit("cleanup_period_in_days", "3")
    capsys.readouterr()
    for days, due in ((0, False), (1, False), (2.69, False), (2.71, True)):
        began(filled, ui, days)
        runs = len(ui.runs())
        assert main([]) == 0
        log = lines(capsys)
        assert ("not_due" not in [line["event"] for line in log]) is due, days
        assert (len(ui.runs()) == runs + 1) is due
    said = [line for line in log if line["event"] == "pass_finished"]
    assert said


def test_a_daily_schedule_with_a_period_of_a_day_skips_no_day(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled(monkeypatch)
    main([])
    began(filled, ui, 1 - 20 / 1440)  # the last one was 20 minutes late
    assert main([]) == 0
    assert len(ui.runs()) == 2


def test_a_manual_job_is_never_skipped(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduled(monkeypatch)
    main([])
    for job in ("by-hand", "nightly-manual-abc123", "nightly-00000001"):
        monkeypatch.setenv("CLEANUP_JOB", job)
        assert main([]) == 0
    assert len(ui.runs()) == 4


def test_a_pass_that_failed_or_was_a_dry_run_does_not_count(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled(monkeypatch)
    main(["run", "--dry-run"])
    main(["run", "--keep-projects", "nosuch"])
    assert [run["status"] for run in ui.runs()] == ["completed", "failed"]
    assert main([]) == 0
    assert len(ui.runs()) == 3


def test_a_pass_that_left_tasks_does_not_count_either(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first pass in parts goes on with the next schedule, however long the period is."""
    scheduled(monkeypatch)
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("CLEANUP_PERIOD_IN_DAYS", "7")
    main(["run", "--max-tasks", "1"])
    assert (ui.runs()[0]["status"], "tasks left" in ui.runs()[0]["tags"]) == ("completed", True)
    assert main([]) == 0
    assert "tasks left" not in ui.runs()[1]["tags"]
    assert main([]) == 0
    assert len(ui.runs()) == 2, "now it is not due"


# -- the run
def test_a_pass_leaves_a_run_with_all_that_it_did(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_RELEASE", "nightly")
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    assert main(["run"]) == 0
    (run,) = ui.runs()
    assert lines(capsys)[-1]["run"] == run["id"]
    assert (run["status"], run["type"], run["parent"]) == ("completed", "service", ui.draft()["id"])
    assert {"clearml-cleanup", "release:nightly"} <= set(run["tags"])
    assert any(tag.startswith("pod:") for tag in run["tags"])
    assert run["status_message"].startswith("Deleted 4 tasks")
    assert ui.values(run["id"]) == FIRST | {"force_delete": "True"}
    console = ui.console(filled, run["id"])
    assert console.count(" info: deleted ") == 4
    assert " info: kept " in console
    assert console.index("about 5 tasks to look at") < console.index("5 tasks selected")
    events = filled.store.events[run["id"]]
    tables = {(e["metric"], e["variant"]): json.loads(e["plot_str"])["data"][0] for e in events if e["type"] == "plot"}
    assert tables["Result", "projects"]["cells"]["values"][1] == ["4", "4"]
    assert tables["Result", "tasks not deleted"]["cells"]["values"][1] == ["1"]
    assert tables["All projects", "tasks"]["y"] == [4]
    assert tables["Project", "lab"]["x"] == ["lab"]
    scalars = {e["variant"]: e["value"] for e in events if e["type"] == "training_stats_scalar" and e["metric"] == "Summary"}
    assert (scalars["tasks"], scalars["files"], scalars["failures"]) == (4, 12, 0)
    assert {"models", "bytes", "seconds: select", "seconds: plan", "seconds: files", "seconds: records"} <= scalars.keys()
    (artifact,) = run["execution"]["artifacts"]
    assert artifact["key"] == "report"
    assert artifact["uri"].endswith(f".{run['id']}/artifacts/report/report.html")
    assert any(path.endswith("report.html") for path in filled.state()["files"])


def test_failures_and_interruptions_show_in_the_status(filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    filled.fault = lambda request: Fault(400, subcode=1) if request.call == "tasks.delete_many" else None
    assert main(["run"]) == 3
    (run,) = ui.runs()
    assert (run["status"], run["status_reason"][:11]) == ("failed", "exit code 3")


def test_old_runs_are_archived_and_then_cleaned_though_only_drafts_are_asked_for(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_TASK_RUNS_KEPT", "2")
    monkeypatch.setenv("CLEANUP_PROJECTS", "lab")
    for _ in range(4):
        assert main([]) == 0
    states = ["archived" in run["system_tags"] for run in ui.runs()]
    assert states == [True, True, False, False]
    long_ago = (datetime.now(UTC) - timedelta(days=31)).isoformat()
    oldest = ui.runs()[0]["id"]
    filled.store.tasks.change(oldest, status_changed=long_ago, last_update=long_ago)
    assert main([]) == 0
    assert oldest not in {run["id"] for run in ui.runs()}
    assert not any(oldest in path for path in filled.state()["files"]), "its report went along"
    assert len(ui.runs()) == 4


def test_neither_the_draft_nor_a_running_run_is_ever_selected(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "0")
    main(["register"])
    draft = ui.draft()["id"]
    archived: list[str] = []

    def archive(request: Request) -> None:
        if request.call == "projects.get_all" and not archived and ui.runs():
            archived.extend([draft, ui.runs()[0]["id"]])
            for task in archived:
                tags = [*filled.store.tasks[task]["system_tags"], "archived"]
                filled.store.tasks.change(task, system_tags=tags, status="created", last_update="2020-01-01T00:00:00+00:00")

    filled.fault = archive
    assert main(["run", "--force-delete"]) == 0
    assert archived
    assert set(archived) <= set(filled.state()["tasks"])


def test_a_run_that_is_aborted_in_the_web_ui_ends_the_pass_after_its_batches(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_reporter, "EVERY", 0.01)
    monkeypatch.setattr(run_reporter, "PING", 0.01)
    for name, value in (("FORCE_DELETE", "true"), ("BATCH_SIZE", "1"), ("WORKERS", "1")):
        monkeypatch.setenv(f"CLEANUP_{name}", value)

    def abort(request: Request) -> None:
        if request.call == "tasks.delete_many" and filled.store.tasks[ui.runs()[0]["id"]]["status"] == "in_progress":
            filled.fault = None
            ui.call("tasks.stopped", task=ui.runs()[0]["id"])
            pings = [r for r in filled.requests if r.call == "tasks.ping"]
            while len([r for r in filled.requests if r.call == "tasks.ping"]) < len(pings) + 3:
                sleep(0.01)

    filled.fault = abort
    assert main(["run"]) == 143
    done = lines(capsys)[-1]
    assert (done["stopped_by"], done["deleted"]) == ("aborted", 1)
    assert ui.runs()[0]["status"] == "stopped"


def at_first(filled: Sandbox, call: str, act: Callable[[], Any]) -> None:
    """Do something when a request to an endpoint, or an upload, first comes."""
    met: list[Request] = []

    def hook(request: Request) -> None:
        wanted = request.call == call or (call == "upload" and (request.service, request.method) == ("files", "POST"))
        wanted = wanted and request.call != "/delete_many" and request.body != {"files": []}
        if wanted and not met:
            met.append(request)
            act()

    filled.fault = hook


@pytest.mark.parametrize("moment", ["tasks.delete_many", "tasks.add_or_update_artifacts", "upload"])
@pytest.mark.parametrize("how", ["tasks.stop", "tasks.stopped", "tasks.failed", "tasks.archive"])
def test_a_run_that_is_ended_between_two_pings_stays_as_it_was_ended(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, moment: str, how: str
) -> None:
    """A short pass never pings: it looks at the end, and its report is in the record all the same."""
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")

    def end() -> None:
        run = ui.runs()[0]["id"]
        ui.call(how, **({"tasks": [run]} if how == "tasks.archive" else {"task": run}))

    at_first(filled, moment, end)
    assert main(["run"]) == 0
    (run,) = ui.runs()
    assert run["status"] == ("failed" if how == "tasks.failed" else "stopped")
    assert [artifact["key"] for artifact in run["execution"]["artifacts"]] == ["report"]
    assert [path for path in filled.state()["files"] if run["id"] in path]


def test_an_unexpected_error_leaves_a_run_aborted_that_was_aborted(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        ui.call("tasks.stop", task=ui.runs()[0]["id"])
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(PassJob, "_clean", broken)
    with pytest.raises(ZeroDivisionError):
        main(["run"])
    assert ui.runs()[0]["status"] == "stopped"


@pytest.mark.parametrize("deleted", [False, True])
def test_no_report_is_uploaded_that_no_record_names(filled: Sandbox, ui: WebUI, deleted: bool) -> None:
    if deleted:
        call = "tasks.add_or_update_artifacts"
        at_first(filled, call, lambda: ui.call("tasks.delete", task=ui.runs()[0]["id"], force=True))
    else:
        filled.fault = lambda r: Fault(403) if r.call in {"tasks.add_or_update_artifacts", "tasks.edit"} else None
    assert main(["run"]) == 0
    assert not [path for path in filled.state()["files"] if "report.html" in path]


def test_a_report_that_the_fileserver_refuses_is_in_no_record(filled: Sandbox, ui: WebUI) -> None:
    filled.fault = lambda r: Fault(403) if (r.service, r.method, r.call) == ("files", "POST", "/") else None
    assert main(["run"]) == 0
    (run,) = ui.runs()
    assert (run["status"], run["execution"]["artifacts"]) == ("completed", [])


def test_the_run_of_a_pod_that_was_killed_is_ended_by_the_next_pass(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lease says that the pod is gone, however little time has passed: a Job tries again within seconds."""
    monkeypatch.setenv("CLEANUP_RELEASE", "nightly")
    monkeypatch.setattr(pod, "lease", lambda *_: nullcontext(SimpleNamespace(is_safe=lambda: True)))
    main([])
    killed = ui.runs()[0]["id"]
    ui.call("tasks.started", task=killed, force=True)
    capsys.readouterr()
    assert main([]) == 0
    assert f"run {killed} ended without saying so" in capsys.readouterr().out
    assert [run["status"] for run in ui.runs()] == ["failed", "completed"]
    assert ui.runs()[0]["status_reason"] == "its pod is gone"


def test_an_unexpected_error_does_not_leave_a_run_behind_that_seems_to_work(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(PassJob, "_clean", broken)
    with pytest.raises(ZeroDivisionError):
        main(["run"])
    (run,) = ui.runs()
    assert (run["status"], run["status_message"]) == ("failed", "ZeroDivisionError: a bug")


def test_each_shard_leaves_a_run_and_takes_its_part(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("FORCE_DELETE", "true"), ("SHARDS", "3"), ("RELEASE", "nightly")):
        monkeypatch.setenv(f"CLEANUP_{name}", value)
    monkeypatch.setattr(pod, "lease", lambda *_: nullcontext(SimpleNamespace(is_safe=lambda: True)))
    deleted = []
    for shard in range(3):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(shard))
        assert main([]) == 0
        log = lines(capsys)
        assert (log[-1]["shard"], log[-1]["shards"]) == (shard, 3)
        deleted += [line["task"] for line in log if line.get("verdict") == "deleted"]
        ui.call("tasks.started", task=ui.runs()[-1]["id"], force=True)  # as if it still ran when the next one starts
    assert len(deleted) == len(set(deleted)) == 4
    assert [tag for run in ui.runs() for tag in run["tags"] if "shard" in tag] == ["shard:0/3", "shard:1/3", "shard:2/3"]
    assert len(ui.tasks(system_tags=["archived"])) == 1


# -- what ClearML does not allow
@pytest.mark.parametrize(
    "refused",
    ["projects.create", "tasks.create", "tasks.edit", "tasks.started", "events.add_batch", "tasks.add_or_update_artifacts",
     "tasks.completed", "tasks.archive_many", "/"],
)  # fmt: skip
def test_without_rights_the_pass_still_runs_and_says_what_it_could_not_report(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refused: str
) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("CLEANUP_TASK_RUNS_KEPT", "1")
    if refused == "tasks.archive_many":
        main(["run", "--threshold-rules", "lab=never"])
        capsys.readouterr()
    filled.fault = lambda r: Fault(403, subcode=20) if r.call == refused and (r.service, r.method) != ("files", "GET") else None
    assert main(["run"]) == 0
    log = lines(capsys)
    assert log[-1]["deleted"] == 4
    assert [line for line in log if line["event"] == "warning"]


def test_an_api_from_before_parameters_is_said_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, filled: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    with Sandbox(max_api_version="2.8") as old:
        for name, value in old.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLEANUP_TASK", "true")
        assert main(["run"]) == 2
        assert "the server's API is 2.8" in capsys.readouterr().out
        monkeypatch.setenv("CLEANUP_TASK_REQUIRED", "false")
        assert main(["run"]) == 0
        assert "the server's API is 2.8" in capsys.readouterr().out
        assert old.state()["tasks"] == []


def test_a_fault_at_every_request_never_harms_the_pass(
    filled: Sandbox, ui: WebUI, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One lost answer at each request in turn; with one try each, so that every loss is felt."""
    for name, value in (("ATTEMPTS", "1"), ("FORCE_DELETE", "true"), ("RELEASE", "nightly")):
        monkeypatch.setenv(f"CLEANUP_{name}", value)
    monkeypatch.setattr(pod, "lease", lambda *_: nullcontext(SimpleNamespace(is_safe=lambda: True)))
    filled.requests.clear()
    assert main(["run"]) == 0
    calls = [request.call for request in filled.requests]
    living = {task["id"] for task in world.as_dict()["tasks"] if "archived" not in task["system_tags"]}
    for number, call in enumerate(calls, 1):
        for after in (False, True):
            filled.load(world.as_dict())
            lost = filled.requests[-1].number + number
            filled.fault = lambda r, lost=lost, after=after: Fault(500, after=after) if r.number == lost else None
            code = main(["run"])
            assert code in {0, 2, 3, 4}, (call, code)
            assert living <= set(filled.state()["tasks"]), call
            filled.fault = None
            assert main(["run"]) == 0, (call, capsys.readouterr().out)
            assert len(ui.tasks(system_tags=["archived"])) == 1, call
            assert not [run for run in ui.runs() if run["status"] == "in_progress"], call
            assert len([t for t in ui.tasks(name="^Cleanup Service$", status=["created"]) if not t.get("parent")]) <= 2, call
