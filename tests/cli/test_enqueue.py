"""`enqueue`, the Jobs that hand a pass to an agent, and the pass that an agent runs."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from cleanup_job.report.k8s_event import Event
from clearml_sandbox.server import Fault, Request, Sandbox
from tests.cli.test_service_task import FIRST, began, scheduled
from tests.web_ui import WebUI


@pytest.fixture
def ui(filled: Sandbox, monkeypatch: pytest.MonkeyPatch) -> WebUI:
    monkeypatch.setenv("CLEANUP_TASK", "true")
    return WebUI(filled)


def listening(ui: WebUI) -> None:
    """An agent listens on the queue."""
    (queue,) = ui.call("queues.get_all", name="^services$")["queues"]
    ui.call("workers.register", worker="agent:0", queues=[queue["id"]])


def waiting(ui: WebUI) -> list[str]:
    (queue,) = ui.call("queues.get_all", name="^services$")["queues"]
    return [entry["task"] for entry in queue["entries"]]


def as_agent(ui: WebUI, monkeypatch: pytest.MonkeyPatch, task: str) -> int:
    """What an agent does with a task, without its virtual environment."""
    (queue,) = ui.call("queues.get_all", name="^services$")["queues"]
    entry = ui.call("queues.get_next_task", queue=queue["id"])["entry"]
    assert entry["task"] == task
    ui.call("tasks.started", task=task, force=True, status_message="pulled by agent")
    with monkeypatch.context() as its_own:
        for name in ("CLEANUP_TASK", "CLEANUP_TASK_MODE", "CLEANUP_JOB", "CLEANUP_KEEP_PROJECTS", "CLEANUP_FORCE_DELETE"):
            its_own.delenv(name, raising=False)
        its_own.setenv("CLEARML_TASK_ID", task)
        code = main(["run"])
    ui.call("tasks.completed" if code == 0 else "tasks.failed", task=task, force=True)
    return code


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_clone_waits_in_the_queue_with_the_drafts_parameters(ui: WebUI, capsys: pytest.CaptureFixture[str]) -> None:
    listening(ui)
    main(["register"])
    ui.edit("delete_threshold_days", "90")
    capsys.readouterr()
    assert main(["enqueue"]) == 0
    (clone,) = ui.runs()
    out, err = capsys.readouterr()
    assert err == ""
    assert f"task {clone['id']} waits in queue 'services'" in out
    assert waiting(ui) == [clone["id"]]
    assert (clone["status"], clone["parent"], clone["tags"]) == ("queued", ui.draft()["id"], ["clearml-cleanup"])
    assert ui.values(clone["id"]) == FIRST | {"delete_threshold_days": "90"}


def test_settings_given_to_enqueue_are_the_clones_alone(ui: WebUI) -> None:
    assert main(["enqueue", "--dry-run", "--delete-threshold-days", "7"]) == 0
    (clone,) = ui.runs()
    assert ui.values(clone["id"])["delete_threshold_days"] == "7"
    assert ui.values(clone["id"], "Settings") == {"dry_run": "True"}
    assert ui.values() == FIRST
    assert ui.values(section="Settings") == {}


def test_a_contradiction_is_not_enqueued(ui: WebUI, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enqueue", "--statuses", "failed"]) == 2
    assert "CLEANUP_STATUSES=failed, but CLEANUP_FORCE_DELETE=false" in capsys.readouterr().err
    assert not ui.runs()


def test_a_queue_that_is_missing_is_named_with_those_that_are_there(ui: WebUI, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enqueue", "--queue", "nosuch"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "CLEANUP_TASK_QUEUE=nosuch: ClearML has no such queue" in said
    assert "services" in said
    assert ui.runs() == []


def test_a_queue_without_an_agent_is_a_warning(ui: WebUI, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enqueue"]) == 0
    assert "no ClearML Agent listens on queue 'services'" in " ".join(capsys.readouterr().err.split())
    assert len(waiting(ui)) == 1


@pytest.mark.parametrize("call", ["tasks.enqueue", "projects.create"])
def test_a_lost_answer_is_no_refusal(filled: Sandbox, ui: WebUI, call: str) -> None:
    """What is tried again was done already: the server then says that the task waits, or that the project is there."""
    lost: list[Request] = []

    def lose(request: Request) -> Fault | None:
        if request.call != call or lost:
            return None
        lost.append(request)
        return Fault(500, after=True)

    filled.fault = lose
    assert main(["enqueue"]) == 0
    assert lost
    (clone,) = ui.runs()
    assert waiting(ui) == [clone["id"]]
    assert clone["status"] == "queued"


# -- the CronJob enqueues
def agent_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduled(monkeypatch)
    monkeypatch.setenv("CLEANUP_TASK_MODE", "agent")


def test_with_run_as_service_each_schedule_enqueues_one(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent_mode(monkeypatch)
    main(["register"])
    ui.edit("run_as_service", "True")
    for number in range(3):
        capsys.readouterr()
        assert main([]) == 0
        log = lines(capsys.readouterr().out)
        (run,) = waiting(ui)
        assert next(line for line in log if line["event"] == "enqueued")["run"] == run
        assert as_agent(ui, monkeypatch, run) == 0
        began(filled, ui, 1)
        assert len(ui.runs()) == number + 1


def test_without_run_as_service_it_runs_once(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent_mode(monkeypatch)
    assert main([]) == 0
    (run,) = waiting(ui)
    as_agent(ui, monkeypatch, run)
    began(filled, ui, 3)
    capsys.readouterr()
    assert main([]) == 0
    assert "run_as_service is False, and it ran once" in capsys.readouterr().out
    assert waiting(ui) == []
    monkeypatch.setenv("CLEANUP_JOB", "by-hand")
    assert main([]) == 0
    assert len(waiting(ui)) == 1, "a manual Job is never skipped"


@pytest.mark.parametrize("status", ["completed", "failed", "stopped"])
@pytest.mark.parametrize("service", ["true", "false"])
def test_a_run_that_an_agent_could_not_install_does_not_count(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: str, service: str
) -> None:
    """Agents mark it as completed all the same: no pass has begun."""
    agent_mode(monkeypatch)
    monkeypatch.setenv("CLEANUP_RUN_AS_SERVICE", service)
    monkeypatch.setenv("CLEANUP_PERIOD_IN_DAYS", "7")
    assert main([]) == 0
    (run,) = waiting(ui)
    (queue,) = ui.call("queues.get_all", name="^services$")["queues"]
    ui.call("queues.get_next_task", queue=queue["id"])
    ui.call("tasks.started", task=run, force=True)
    ui.call(f"tasks.{status}", task=run, force=True, status_reason="worker execution exit code 1")
    capsys.readouterr()
    assert main([]) == 7
    log = lines(capsys.readouterr().out)
    (again,) = waiting(ui)
    assert (log[-1]["event"], log[-1]["level"], log[-1]["exit_code"], log[-1]["run"]) == ("enqueued", "warning", 7, again)
    web = filled.environment()["CLEARML_WEB_HOST"]
    assert log[-1]["run_before"] == {
        "run": run,
        "status": status,
        "reason": "worker execution exit code 1",
        "link": f"{web}/projects/{ui.draft()['project']}/experiments/{run}/output/execution",
    }
    (warned,) = [line["message"] for line in log if line["event"] == "warning" and run in line["message"]]
    assert f"run {run}, which an agent was given before, ended before its pass began ({status}: worker exec" in warned
    assert log[-1]["run_before"]["link"] in warned
    assert as_agent(ui, monkeypatch, again) == 0
    capsys.readouterr()
    assert main([]) == 0
    assert waiting(ui) == [], "that one counts"
    assert '"not_due"' in capsys.readouterr().out


def test_what_nobody_took_from_the_queue_does_not_pile_up(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent_mode(monkeypatch)
    monkeypatch.setenv("CLEANUP_RUN_AS_SERVICE", "true")
    assert main([]) == 0
    capsys.readouterr()
    assert main([]) == 0, "another try of the same Job"
    assert "still waits in its queue; nothing was enqueued" in capsys.readouterr().out
    (run,) = waiting(ui)
    filled.store.tasks.change(run, created="2026-01-01T00:00:00+00:00")
    assert main([]) == 7, "the next schedule"
    log = lines(capsys.readouterr().out)
    assert (log[-1]["event"], log[-1]["run"], log[-1]["exit_code"]) == ("not_due", run, 7)
    assert any("since 2026-01-01 00:00:00 UTC: no agent has taken it" in line.get("message", "") for line in log)
    assert waiting(ui) == [run]


def test_kubernetes_is_told_how_the_run_before_ended(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And when a Job is tried again because its pod was evicted, it comes to the same result and enqueues nothing more."""
    agent_mode(monkeypatch)
    monkeypatch.setenv("CLEANUP_RUN_AS_SERVICE", "true")
    left: list[Event] = []
    monkeypatch.setattr("cleanup_job.job.pod.leave_event", lambda *event: left.append(event[2]))
    words = tmp_path / "termination-log"
    words.touch()
    monkeypatch.setattr("cleanup_job.job.pod.TERMINATION_LOG", words)
    assert main([]) == 0
    (run,) = waiting(ui)
    said = json.loads(words.read_text())
    assert (said["event"], said["run"], said["queue"], said["workers"]) == ("enqueued", run, "services", 0)
    assert (said["exit_code"], said["run_before"], left) == (0, None, [])
    filled.store.tasks[run]["hyperparams"]["General"]["delete_threshold_days"]["value"] = "soon"
    assert as_agent(ui, monkeypatch, run) == 2
    left.clear()
    for again in (False, True):
        assert main([]) == 7
        (new,) = waiting(ui)
        said = json.loads(words.read_text())
        assert (said["event"], said["run"], said["exit_code"]) == ("not_due" if again else "enqueued", new, 7)
        assert (said["run_before"]["run"], said["run_before"]["status"]) == (run, "failed")
        event = left.pop()
        assert (event.type, event.reason, left) == ("Warning", "AgentRunNotDone", [])
        assert f"run {run}, which an agent was given before, " in event.message
        assert f"{new} {'still waits' if again else 'waits in queue'}" in event.message
    assert as_agent(ui, monkeypatch, new) == 0
    began(filled, ui, 1)
    left.clear()
    assert main([]) == 0, "that one did its pass"
    assert left == []


def test_what_a_manual_job_is_told_goes_into_its_clone_and_not_into_the_draft(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_mode(monkeypatch)
    main(["register"])
    monkeypatch.setenv("CLEANUP_JOB", "by-hand")
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "90")
    monkeypatch.setenv("CLEANUP_DRY_RUN", "true")
    assert main([]) == 0
    (run,) = waiting(ui)
    assert ui.values(run)["delete_threshold_days"] == "90"
    assert ui.values(run, "Settings") == {"dry_run": "True"}
    assert (ui.values(), ui.values(section="Settings")) == (FIRST, {})


# -- what an agent installs
def requirement(ui: WebUI, task: str) -> str:
    found: str = ui.call("tasks.get_by_id", task=task)["task"]["script"]["requirements"]["pip"]
    return found


@pytest.mark.parametrize("by", ["enqueue", "a manual Job", "the schedule"])
def test_an_agent_installs_what_the_environment_says_now(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", "clearml-cleanup==0.0.1")
    main(["register"])
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", "clearml-cleanup @ https://me:hunter2pw@pkgs.example/new.whl")
    agent_mode(monkeypatch)
    if by == "a manual Job":
        monkeypatch.setenv("CLEANUP_JOB", "by-hand")
    capsys.readouterr()
    assert main(["enqueue"] if by == "enqueue" else []) == 0
    (run,) = waiting(ui)
    assert requirement(ui, run) == "clearml-cleanup @ https://me:hunter2pw@pkgs.example/new.whl"
    assert (requirement(ui, ui.draft()["id"]) == requirement(ui, run)) is (by == "the schedule"), "others leave the draft"
    out, err = capsys.readouterr()
    assert "CLEANUP_TASK_REQUIREMENT holds credentials" in " ".join((out + err).split())
    assert "hunter2pw" not in out + err


def test_a_manual_job_installs_its_own_version_where_the_environment_says_nothing_any_more(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", "clearml-cleanup @ https://pkgs.example/old.whl")
    main(["register"])
    monkeypatch.delenv("CLEANUP_TASK_REQUIREMENT")
    agent_mode(monkeypatch)
    monkeypatch.setenv("CLEANUP_JOB", "by-hand")
    assert main([]) == 0
    assert requirement(ui, waiting(ui)[0]).startswith("clearml-cleanup==")


@pytest.mark.parametrize(
    ("registered", "installed"),
    [
        ("clearml-cleanup @ https://pkgs.example/a.whl", "clearml-cleanup @ https://pkgs.example/a.whl"),
        ("clearml-cleanup==0.0.1", None),
    ],
)
def test_enqueue_without_a_word_of_its_own_installs_from_where_the_release_does(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, registered: str, installed: str | None
) -> None:
    """The settings that it hands over are those of its own version; where packages come from, only the release knows."""
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", registered)
    main(["register"])
    monkeypatch.delenv("CLEANUP_TASK_REQUIREMENT")
    assert main(["enqueue"]) == 0
    assert requirement(ui, waiting(ui)[0]) == (installed or f"clearml-cleanup=={version('clearml-cleanup')}")


def test_what_somebody_edited_in_the_drafts_packages_goes_into_each_clone(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["register"])
    ui.call("tasks.edit", task=ui.draft()["id"], script={"requirements": {"pip": "clearml-cleanup==0.0.9"}})
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", "clearml-cleanup==0.0.1")
    assert main(["enqueue"]) == 0
    assert requirement(ui, waiting(ui)[0]) == "clearml-cleanup==0.0.9"


def test_a_missing_queue_fails_the_job(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    agent_mode(monkeypatch)
    monkeypatch.setenv("CLEANUP_TASK_QUEUE", "nosuch")
    assert main([]) == 2


# -- the pass that an agent runs
def test_an_agents_pass_has_the_settings_of_the_release_that_enqueued_it(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep rules above all: an agent's environment knows none of them."""
    agent_mode(monkeypatch)
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    assert main([]) == 0
    (run,) = waiting(ui)
    assert as_agent(ui, monkeypatch, run) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5, "all of them are in project lab"


def test_an_agents_pass_reports_in_its_own_task(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["enqueue", "--force-delete"])
    (run,) = waiting(ui)
    capsys.readouterr()
    assert as_agent(ui, monkeypatch, run) == 0
    assert [r.call for r in filled.requests].count("tasks.completed") == 1, "the status is the agent's to set"
    log = lines(capsys.readouterr().out)
    assert (log[-1]["deleted"], log[-1]["run"]) == (4, run)
    (task,) = ui.runs()
    assert task["execution"]["artifacts"][0]["key"] == "report"
    assert "agent" in task["tags"]
    kinds = {event["type"] for event in filled.store.events[run]}
    assert kinds == {"plot", "training_stats_scalar"}, "the agent itself sends the console"


def test_a_wrong_parameter_of_a_clone_is_told_in_the_clone(filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["enqueue", "--force-delete"])
    (run,) = waiting(ui)
    filled.store.tasks[run]["hyperparams"]["General"]["delete_threshold_days"]["value"] = "soon"
    assert as_agent(ui, monkeypatch, run) == 2
    (task,) = ui.runs()
    assert "use a number" in task["comment"]
    assert len(ui.tasks(system_tags=["archived"])) == 5


def test_two_passes_do_not_run_at_once(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No lease reaches an agent: runs in ClearML keep them apart."""
    main(["enqueue", "--force-delete"])
    (first,) = waiting(ui)
    (queue,) = ui.call("queues.get_all", name="^services$")["queues"]
    ui.call("queues.get_next_task", queue=queue["id"])
    ui.call("tasks.started", task=first, force=True)
    main(["enqueue", "--force-delete"])
    (second,) = waiting(ui)
    assert as_agent(ui, monkeypatch, second) == 5
    assert main(["run", "--force-delete"]) == 5
    assert f"Another pass is running: task {first}" in capsys.readouterr().out
    assert len(ui.tasks(system_tags=["archived"])) == 5
    filled.store.tasks.change(first, last_update="2026-01-01T00:00:00+00:00")
    assert main(["run", "--force-delete"]) == 0, "it has been silent for too long"


# -- the operator's word goes along
def edit_clone(filled: Sandbox, run: str, **values: str) -> None:
    """What somebody does who takes a clone from its queue, edits it and puts it back."""
    for name, value in values.items():
        section = "General" if name in FIRST else "Settings"
        filled.store.tasks[run]["hyperparams"].setdefault(section, {})[name] = {
            "section": section,
            "name": name,
            "value": value,
        }


def test_enqueue_hands_over_all_that_the_environment_says(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only flags: `CLEANUP_DRY_RUN=true clearml-cleanup enqueue` must give no agent a real pass."""
    main(["register"])
    monkeypatch.setenv("CLEANUP_DRY_RUN", "true")
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    assert main(["enqueue", "--workers", "2"]) == 0
    (run,) = waiting(ui)
    assert ui.values(run, "Settings") == {"dry_run": "True", "keep_projects": "lab", "workers": "2"}
    assert ui.values(section="Settings") == {}, "the draft stays as it is"
    monkeypatch.delenv("CLEANUP_DRY_RUN")
    assert as_agent(ui, monkeypatch, run) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5


def test_what_the_release_registered_counts_where_enqueue_is_told_nothing(ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has the release's environment at hand who enqueues a pass from a laptop."""
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    main(["register"])
    monkeypatch.delenv("CLEANUP_KEEP_PROJECTS")
    monkeypatch.delenv("CLEANUP_FORCE_DELETE")
    assert main(["enqueue"]) == 0
    (run,) = waiting(ui)
    assert as_agent(ui, monkeypatch, run) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5


def test_a_wrong_value_in_the_draft_is_told_there_and_nothing_is_enqueued(ui: WebUI) -> None:
    main(["register"])
    ui.edit("delete_threshold_days", "soon")
    assert main(["enqueue"]) == 2
    assert waiting(ui) == []
    assert "use a number" in ui.draft()["comment"]


def test_the_clone_has_none_of_the_drafts_edits_that_do_not_count(
    ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    main(["register"])
    ui.edit("keep_projects", "other", "Settings")
    ui.edit("mounted_folders", "/etc", "General")
    ui.edit("delete_threshold_days", "90")
    capsys.readouterr()
    assert main(["enqueue"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "mounted_folders of task" in said
    (run,) = waiting(ui)
    assert ui.values(run) == FIRST | {"delete_threshold_days": "90"}
    assert ui.values(run, "Settings") == {"keep_projects": "lab,other"}
    assert "can't be set in ClearML" in ui.draft()["comment"]


@pytest.mark.parametrize("by", ["enqueue", "schedule"])
def test_whoever_edits_a_clone_loosens_nothing(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    if by == "schedule":
        agent_mode(monkeypatch)
    monkeypatch.setenv("CLEANUP_DRY_RUN", "true")
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    assert main(["enqueue"] if by == "enqueue" else []) == 0
    (run,) = waiting(ui)
    edit_clone(filled, run, dry_run="False", force_delete="True", delete_threshold_days="0", external_files="delete")
    del filled.store.tasks[run]["hyperparams"]["Settings"]["keep_projects"]
    capsys.readouterr()
    monkeypatch.delenv("CLEANUP_DRY_RUN")
    assert as_agent(ui, monkeypatch, run) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5
    log = lines(capsys.readouterr().out)
    assert log[-1]["dry_run"] is True
    warned = " ".join(line["message"] for line in log if line["event"] == "warning")
    comment = next(task["comment"] for task in ui.runs() if task["id"] == run)
    for name in ("dry_run", "force_delete", "delete_threshold_days", "external_files"):
        assert f"/{name} of task" in warned
        assert f"/{name} of task" in comment
    assert {row["setting"]: row["value"] for row in next(li for li in log if li["event"] == "parameters")["settings"]}[
        "CLEANUP_KEEP_PROJECTS"
    ] == "lab"


def clone_by_hand(ui: WebUI, task: str) -> str:
    """What the Web UI's Clone and Enqueue do; no runtime properties go along."""
    clone: str = ui.call("tasks.clone", task=task, new_task_name="Clone Of Cleanup Service")["id"]
    (queue,) = ui.call("queues.get_all", name="^services$")["queues"]
    ui.call("tasks.enqueue", task=clone, queue=queue["id"])
    return clone


@pytest.mark.parametrize("of_a_run", [False, True])
def test_a_clone_that_somebody_made_is_bound_by_the_word_of_its_draft(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, of_a_run: bool
) -> None:
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    monkeypatch.setenv("CLEANUP_TASK_NAME", "another name")
    main(["run"])
    monkeypatch.delenv("CLEANUP_TASK_NAME")
    draft, run = (task["id"] for task in ui.tasks(name="^another name"))
    clone = clone_by_hand(ui, run if of_a_run else draft)
    edit_clone(filled, clone, force_delete="True")
    filled.store.tasks[clone]["hyperparams"]["Settings"].clear()
    assert as_agent(ui, monkeypatch, clone) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5


def test_the_draft_itself_may_be_enqueued_and_is_bound_by_its_own_word(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_DRY_RUN", "true")
    main(["register"])
    draft = ui.draft()["id"]
    edit_clone(filled, draft, dry_run="False", force_delete="True")
    (queue,) = ui.call("queues.get_all", name="^services$")["queues"]
    ui.call("tasks.enqueue", task=draft, queue=queue["id"])
    monkeypatch.delenv("CLEANUP_DRY_RUN")
    assert as_agent(ui, monkeypatch, draft) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5


@pytest.mark.parametrize("how", ["its draft was deleted", "it has another parent", "it is its own parent"])
def test_a_clone_of_which_nobody_knows_the_release_deletes_nothing(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    main(["register"])
    draft = ui.draft()["id"]
    clone = clone_by_hand(ui, draft)
    if how == "its draft was deleted":
        ui.call("tasks.delete", task=draft, force=True)
    else:
        living = next(task["id"] for task in ui.tasks(name="^living$"))
        filled.store.tasks.change(clone, parent=clone if "own" in how else living)
    capsys.readouterr()
    assert as_agent(ui, monkeypatch, clone) == 2
    assert "does not say which release it belongs to" in capsys.readouterr().out
    assert len(ui.tasks(system_tags=["archived"])) == 5, "nothing is deleted"


def test_an_older_agent_that_overwrites_the_word_of_a_clone_gets_its_drafts(
    filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents before 1.9 or so put their host's name in place of all runtime properties."""
    monkeypatch.setenv("CLEANUP_KEEP_PROJECTS", "lab")
    main(["register"])
    assert main(["enqueue", "--force-delete"]) == 0
    (run,) = waiting(ui)
    filled.store.tasks.change(run, runtime={"_exec_agent_hostname": "host"})
    del filled.store.tasks[run]["hyperparams"]["Settings"]["keep_projects"]
    assert as_agent(ui, monkeypatch, run) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5


def test_what_the_agents_own_environment_keeps_is_kept(filled: Sandbox, ui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["enqueue", "--force-delete"])
    (run,) = waiting(ui)
    monkeypatch.setenv("CLEANUP_KEEP_TAGS", "unused")
    monkeypatch.setenv("CLEANUP_THRESHOLD_RULES", "lab=never")
    filled.store.tasks.change(next(t["id"] for t in ui.tasks(name="^living$")), tags=["unused"])
    assert as_agent(ui, monkeypatch, run) == 0
    assert len(ui.tasks(system_tags=["archived"])) == 5
