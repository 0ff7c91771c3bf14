"""The commands as a user meets them: exit codes, what is printed, what is written."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cleanup_job.cli.main import main
from cleanup_job.job import pod
from cleanup_job.settings.model import TABLE
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import state


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_pass_logs_one_json_object_a_line_and_exits_with_0(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--force-delete"]) == 0
    log = lines(capsys.readouterr().out)
    assert [line["event"] for line in log] == ["pass_started", "expected", "selected", *["task"] * 5, "pass_finished"]
    done = log[-1]
    assert (done["deleted"], done["kept"], done["failed"], done["exit_code"]) == (4, 1, 0, 0)
    kept = next(line for line in log if line.get("verdict") == "kept")
    assert kept["reason"] == "unknown_store"
    assert str(kept["link"]).startswith("http")
    assert "CLEANUP_FILES_URL_PREFIXES" in str(done["unknown_stores"])
    assert "sandbox-secret" not in str(log)


def test_no_arguments_mean_a_pass_as_the_cronjob_calls_it(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
    assert main([]) == 0
    assert lines(capsys.readouterr().out)[-1]["deleted"] == 4


def test_a_dry_run_deletes_nothing_and_prints_the_same_plan(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    before = state(filled)
    assert main(["--dry-run", "--force-delete"]) == 0
    planned = lines(capsys.readouterr().out)
    assert state(filled) == before
    assert main(["--force-delete"]) == 0
    done = lines(capsys.readouterr().out)
    assert planned[-1]["deleted"] == done[-1]["deleted"] == 4
    assert planned[0]["dry_run"] is True


def test_text_for_people_says_what_was_done_and_why_something_stays(
    filled: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--force-delete", "--log-format", "text"]) == 0
    text = capsys.readouterr().out
    assert "Deleted 4 tasks" in text
    assert text.count("unknown store http://files.old.example") == 1


@pytest.mark.parametrize("ending", ["json", "html", "md"])
def test_a_report_file_in_each_form(filled: Sandbox, tmp_path: Path, ending: str) -> None:
    report = tmp_path / f"report.{ending}"
    assert main(["run", "--force-delete", "--report", str(report)]) == 0
    assert "unknown_store" in report.read_text() or "store that the job does not know" in report.read_text()
    assert [p.name for p in tmp_path.iterdir()] == [report.name]


def test_the_last_words_go_to_kubernetes_termination_log(
    filled: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(pod, "TERMINATION_LOG", log)
    main(["run", "--force-delete"])
    assert json.loads(log.read_text())["deleted"] == 4
    main(["run", "--workers", "0"])
    assert "--workers" in log.read_text()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--page-size", "5000"], "--page-size=5000: use 500 or less."),
        (["--keep-projects", "nosuch"], "no project is called 'nosuch'"),
        (["--exclude-users", "nobody"], "no user is called 'nobody'"),
        (["--keep-tags", "never"], "no task has the tag 'never'"),
        (["--force-delete", "--refuse-above", "2"], "CLEANUP_REFUSE_ABOVE=2"),
    ],
)
def test_mistakes_end_with_2_before_anything_is_deleted(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], flags: list[str], named: str
) -> None:
    before = state(filled)
    assert main(["run", *flags]) == 2
    out = capsys.readouterr()
    assert named in " ".join((out.out + out.err).split())
    assert "Traceback" not in out.err
    assert state(filled) == before


def test_a_dry_run_lists_what_the_valve_refuses(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--dry-run", "--force-delete", "--refuse-above", "2", "--log-format", "json"]) == 2
    log = lines(capsys.readouterr().out)
    assert sum(line.get("verdict") == "would_delete" for line in log) == 4
    assert "CLEANUP_REFUSE_ABOVE=2" in str(log[-1]["error"])
    assert log[-1]["left"] == 0


@pytest.mark.usefixtures("filled")
def test_the_names_of_settings_are_never_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["settings"]) == 0
    shown = capsys.readouterr().out
    assert all(entry.env in shown for entry in TABLE.values())
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert len({len(line) for line in shown.splitlines()}) == 1, "no row is cut at the edge"


def test_wrong_credentials_end_with_2(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARML_API_SECRET_KEY", "not-the-one")
    assert main(["run"]) == 2
    assert "not-the-one" not in capsys.readouterr().out


def test_a_server_that_can_not_be_reached_ends_with_4(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARML_API_HOST", "http://127.0.0.1:9")
    assert main(["run", "--attempts", "1"]) == 4
    assert lines(capsys.readouterr().out)[-1]["exit_code"] == 4


def test_tasks_that_failed_end_with_3(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    def restore(request: Request) -> None:
        if request.call == "tasks.delete_many":
            for task in list(filled.store.tasks):
                filled.store.tasks.change(task, system_tags=[])

    filled.fault = restore
    assert main(["run", "--force-delete"]) == 3
    assert lines(capsys.readouterr().out)[-1]["failed"] == 4


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_pass_after_the_batch_with_its_own_exit_code(
    filled: Sandbox, number: signal.Signals, code: int
) -> None:
    process: list[subprocess.Popen[str]] = []

    def send(request: Request) -> Fault | None:
        if request.call == "/delete_many" and request.body["files"]:
            process[0].send_signal(number)
        return None

    filled.fault = send
    command = [sys.executable, "-m", "cleanup_job", "run", "--force-delete", "--batch-size", "2", "--workers", "1"]
    process.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    out, _ = process[0].communicate(timeout=60)
    assert process[0].returncode == code
    done = lines(out)[-1]
    assert (done["deleted"] + done["kept"], done["stopped_by"]) == (2, number.name)


def test_without_a_fileserver_tasks_with_files_are_kept_and_it_is_said(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLEARML_FILES_HOST")
    assert main(["run", "--force-delete"]) == 0
    log = lines(capsys.readouterr().out)
    assert "CLEARML_FILES_HOST is not set" in str(log[0]["message"])
    assert (log[-1]["deleted"], log[-1]["kept"]) == (0, 5)
    assert main(["run", "--files-url-prefixes", "http://files.example"]) == 2


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--statuses", "completed"], "CLEANUP_STATUSES=completed, but CLEANUP_FORCE_DELETE=false"),
        (["--projects", "lab", "--exclude-projects", "lab"], "CLEANUP_PROJECTS=lab, but CLEANUP_EXCLUDE_PROJECTS=lab"),
        (["--projects", "lab/deep", "--keep-projects", "l*b"], "CLEANUP_PROJECTS=lab/deep, but CLEANUP_KEEP_PROJECTS=l*b"),
    ],
)
def test_filters_that_leave_nothing_are_a_mistake(
    filled: Sandbox, world: World, capsys: pytest.CaptureFixture[str], flags: list[str], named: str
) -> None:
    world.project("lab/deep")
    filled.load(world.as_dict())
    before = len(filled.store.tasks)
    for dry in ([], ["--dry-run"]):
        assert main(["run", *flags, *dry]) == 2
        assert named in str(lines(capsys.readouterr().out)[-1]["error"])
    assert len(filled.store.tasks) == before


def test_settings_shows_a_contradiction_too(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--tags", "a", "--keep-tags", "a"]) == 0
    assert "CLEANUP_TAGS=a, but CLEANUP_KEEP_TAGS=a" in capsys.readouterr().err


def test_an_entry_without_effect_is_warned_of(filled: Sandbox, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.project("spare")
    filled.load(world.as_dict())
    assert main(["run", "--projects", "lab,spare", "--exclude-projects", "spare"]) == 0
    assert "spare in CLEANUP_PROJECTS has no effect" in capsys.readouterr().out


def test_a_user_without_a_home_is_no_problem(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert main(["run"]) == 0


def test_the_original_services_schedule_is_said_to_belong_to_the_cronjob(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_RUN_AS_SERVICE", "true")
    assert main(["run"]) == 0
    said = [line for line in lines(capsys.readouterr().out) if line["event"] == "warning"]
    assert len(said) == 1
    assert "CronJob's schedule" in str(said[0]["message"])


def test_settings_shows_values_and_origins_and_no_secret(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("CLEANUP_PROJECTS", "lab")
    assert main(["settings", "--workers", "3"]) == 0
    text = capsys.readouterr().out
    for row in (("CLEANUP_PROJECTS", "lab", "CLEANUP_PROJECTS"), ("CLEANUP_WORKERS", "3", "--workers")):
        assert any(all(cell in line for cell in row) for line in text.splitlines())
    assert "sandbox-secret" not in text
    assert "sandbox-key" not in text


def test_help_names_every_setting_and_no_value(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "CLEANUP_DELETE_THRESHOLD_DAYS" in text.replace("\n", "")
    assert "sandbox-secret" not in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_the_log_says_how_long_the_rest_takes(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleanup_job.cli.terminal.EVERY", 0.0)
    assert main(["run", "--force-delete"]) == 0
    told = [line for line in lines(capsys.readouterr().out) if line["event"] == "progress"]
    assert [(line["done"], line["tasks"]) for line in told] == [(done, 5) for done in range(1, 6)]
    assert told[-1]["seconds_left"] == 0
    assert isinstance(told[0]["seconds_left"], float)


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (["--deadline-seconds", "0.000001"], (0, True)),  # the listing was not read: at least none
        (["--max-tasks", "1"], (4, False)),
    ],
)
def test_a_first_pass_can_be_done_in_parts(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], flags: list[str], left: tuple[int, bool]
) -> None:
    assert main(["run", "--force-delete", "--batch-size", "1", "--workers", "1", *flags]) == 0
    done = lines(capsys.readouterr().out)[-1]
    assert (done["exit_code"], done["level"]) == (0, "info")
    assert (done["left"], done["left_at_least"]) == left
    assert main(["run", "--force-delete"]) == 0
    done = lines(capsys.readouterr().out)[-1]
    assert (done["left"], done["left_at_least"]) == (0, False)
    assert len([t for t in filled.store.tasks.values() if "archived" in t["system_tags"]]) == 1
