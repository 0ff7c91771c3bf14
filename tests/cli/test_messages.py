"""A whole command and the message that it sends: to a webhook and by mail, of which runs, and what happens where it can't."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanup_job.cli.main import main
from cleanup_job.job import messages
from cleanup_job.job.pass_job import PassJob
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.redaction import redacted
from cleanup_job.service_task.run_before import NotDone
from cleanup_job.service_task.schedule import Skipped
from clearml_sandbox.server import Fault, Sandbox
from tests.harness import state
from tests.unit.exporters.mailbox import mailbox
from tests.unit.exporters.receiver import Receiver, receiver


@pytest.fixture
def hook(filled: Sandbox, no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as there:
        monkeypatch.setenv("CLEANUP_NOTIFY", f"json://user:secret-word@127.0.0.1:{there.port}/t0ken")
        monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")
        yield there


def got(hook: Receiver) -> list[dict[str, str]]:
    return [json.loads(entry.body) for entry in hook.got]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_pass_that_did_all_is_not_told_of_unless_all_are_wanted(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["run", "--dry-run"]) == 0
    assert got(hook) == []
    monkeypatch.setenv("CLEANUP_NOTIFY_WHEN", "always")
    assert main(["run"]) == 0
    (message,) = got(hook)
    assert message["title"] == "ClearML Cleanup on 127.0.0.1: 4 tasks deleted"
    assert message["message"].startswith("**Deleted 4 tasks, 0 models and 12 files")
    assert "1 task kept: it has files on a store that the job does not know" in message["message"]


def test_a_dry_run_deletes_nothing_and_says_what_it_would(hook: Receiver, filled: Sandbox) -> None:
    before = state(filled)
    assert main(["run", "--dry-run", "--notify-when", "always"]) == 0
    assert state(filled) == before
    (message,) = got(hook)
    assert message["title"] == "ClearML Cleanup on 127.0.0.1 (dry run): 4 tasks would be deleted"
    assert "Dry run: would delete 4 tasks" in message["message"]


def test_a_pass_in_which_tasks_fail_names_them(hook: Receiver, filled: Sandbox) -> None:
    filled.fault = lambda request: Fault(status=403) if request.call == "tasks.delete_many" else None
    assert main(["run", "--attempts", "1"]) == 3
    (message,) = got(hook)
    assert message["type"] == "failure"
    assert message["title"].endswith("done in part: the next pass continues with the rest")
    assert "4 tasks failed: each has a record that could not be deleted" in message["message"]
    assert "/projects/" in message["message"]


@pytest.mark.parametrize(
    ("variables", "code", "says"),
    [
        ({"CLEANUP_WORKERS": "none"}, 2, "CLEANUP\\_WORKERS=none: use a whole number."),
        ({"CLEANUP_EXCLUDE_PROJECTS": "no-such-project"}, 2, "no-such-project"),
        ({"CLEARML_API_ACCESS_KEY": "wrong-key-of-mine"}, 2, "Error:"),
        ({"CLEARML_API_HOST": "http://127.0.0.1:1", "CLEANUP_ATTEMPTS": "1"}, 4, "127.0.0.1"),
    ],
)
def test_a_pass_that_fails_before_it_begins(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], code: int, says: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["run"]) == code
    (message,) = got(hook)
    assert message["type"] == "failure"
    assert says in message["message"]
    assert f"exit code: {code}" in message["message"]


def test_a_bug_is_told_of_too(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("cleanup_job.job.pass_job.PassJob._work", broken)
    with pytest.raises(ZeroDivisionError):
        main(["run"])
    (message,) = got(hook)
    assert "unexpected error: ZeroDivisionError: a bug" in message["message"]


def test_a_sweep_that_fails(hook: Receiver, tmp_path: Path) -> None:
    assert main(["sweep", "--store", str(tmp_path / "none")]) == 2
    assert main(["sweep"]) == 2
    first, second = got(hook)
    assert "no store to sweep" in second["message"]
    assert first["type"] == second["type"] == "failure"


def test_a_url_that_apprise_does_not_know_ends_the_run_before_anything_is_deleted(
    hook: Receiver, filled: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(filled)
    monkeypatch.setenv("CLEANUP_NOTIFY", f"json://127.0.0.1:{hook.port} slak://TokenA/TokenB")
    assert main(["run"]) == 2
    assert state(filled) == before
    (message,) = got(hook)
    assert "URL 2 (slak://…)" in message["message"], "the other one is told"
    said = capsys.readouterr()
    assert "CLEANUP_NOTIFY, URL 2 (slak://…): apprise knows no such service" in said.out + said.err
    assert "TokenA" not in said.out + said.err


# -- where it can't be sent
def test_a_server_that_is_down_is_a_warning(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_NOTIFY", "json://user:secret-word@127.0.0.1:1/t0ken?key=qu3ry+part")
    monkeypatch.setenv("CLEANUP_NOTIFY_WHEN", "always")
    assert main(["run"]) == 0
    said = capsys.readouterr()
    *_, warning, finished = [json.loads(line) for line in said.out.splitlines()]
    assert (warning["event"], finished["event"], finished["exit_code"]) == ("warning", "pass_finished", 0)
    assert "CLEANUP_NOTIFY, URL 1 (json://…): the message was not taken" in warning["message"]
    assert "Connection refused" in warning["message"]
    assert not [secret for secret in ("secret-word", "t0ken", "qu3ry") if secret in said.out + said.err]


def test_a_server_that_hangs_does_not_hold_the_pod(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.hold = threading.Event()
    monkeypatch.setattr(messages, "LONGEST", 0.2)
    assert main(["run", "--notify-when", "always"]) == 0
    assert "was not taken within 0.2 seconds" in str(lines(capsys)[-2])
    assert not hook.hold.is_set()


def test_no_secret_is_shown_by_any_command(hook: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    assert redacted(f"as a library may log it: {os.environ['CLEANUP_NOTIFY']}.") == "as a library may log it: ********."
    assert main(["run", "--notify-when", "always", "--log-format", "text", "--log-level", "debug"]) == 0
    assert len(got(hook)) == 1
    said = "".join(capfd.readouterr())
    assert "CLEANUP_NOTIFY" in said
    assert not [secret for secret in ("secret-word", "t0ken") if secret in said]


# -- by mail
def test_a_mail_of_a_pass(filled: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with mailbox() as post:
        monkeypatch.setenv("CLEANUP_NOTIFY", f"mailto://127.0.0.1:{post.port}?from=cleanup@example.com&to=ops@example.com")
        assert main(["run", "--force-delete", "--notify-when", "always"]) == 0
    (mail,) = post.got
    assert mail["Subject"] == "ClearML Cleanup on 127.0.0.1: 4 tasks deleted"
    page = mail.get_body(("html",))
    assert page is not None
    assert "<strong>Deleted 4 tasks" in page.get_content()
    assert f'<a href="{filled.environment()["CLEARML_WEB_HOST"]}/projects/' in page.get_content()


# -- what only some passes have
POLICIES = """
policies:
  - name: playground
    match: {projects: [lab]}
    archive: {after: 14d}
    delete: {after: 20d}
    notice: 7d
"""


def test_a_pass_that_announces_something_is_told_of(
    hook: Receiver, filled: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "policies.yaml").write_text(POLICIES)
    monkeypatch.setenv("CLEANUP_POLICIES", str(tmp_path / "policies.yaml"))
    before = state(filled)
    assert main(["run", "--dry-run"]) == 0
    assert state(filled) == before
    assert main(["run"]) == 0
    would, did = got(hook)
    assert would["title"] == "ClearML Cleanup on 127.0.0.1 (dry run): 6 tasks would be announced"
    assert "1 task would be announced to be archived by policy playground, the first on 20" in would["message"]
    assert (did["type"], did["title"]) == ("warning", "ClearML Cleanup on 127.0.0.1: 6 tasks announced")
    assert "1 task will be archived by policy playground, the first on 20" in did["message"]
    assert "5 tasks will be deleted by policy playground, the first on 20" in did["message"]
    assert "[living](<http" in did["message"]
    assert main(["run", "--notify-when", "failure"]) == 0
    assert len(got(hook)) == 2


def test_wrong_policies_are_told_of(hook: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text(POLICIES.replace("after: 20d", "after: soon"))
    monkeypatch.setenv("CLEANUP_POLICIES", str(tmp_path / "policies.yaml"))
    assert main(["run"]) == 2
    (message,) = got(hook)
    assert "line 6" in message["message"]


def test_a_pass_that_only_deletes_announces_nothing(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(job: PassJob, **_: object) -> None:
        about = {"policy": "playground", "stage": Stage.DELETE}
        job._report.add(TaskOutcome(TaskId("a" * 32), "exp", "lab", "p", Verdict.DELETED, **about))

    monkeypatch.setattr(PassJob, "_work", work)
    assert main(["run"]) == 0
    assert got(hook) == []


def test_a_run_that_an_agent_did_not_do_is_told_of(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    before = NotDone(TaskId("r" * 32), "failed", "", "", "run r, which an agent was given before, ended as failed")
    given = Skipped("enqueued run s", {"event": "enqueued"}, before)
    monkeypatch.setattr(PassJob, "_work", lambda _self, **_: given)
    assert main(["run"]) == 7
    (message,) = got(hook)
    assert message["title"] == "ClearML Cleanup on 127.0.0.1: the run that an agent was given before did not do its whole pass"
    assert "ended as failed" in message["message"]
    assert "Now: enqueued run s" in message["message"]
    monkeypatch.setattr(PassJob, "_work", lambda _self, **_: Skipped("not due", {"event": "not_due"}))
    assert main(["run", "--notify-when", "always"]) == 0
    assert len(got(hook)) == 1, "there was no pass"
