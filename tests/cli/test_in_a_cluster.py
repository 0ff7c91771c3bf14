"""What a pass tells Kubernetes, and that it tells nothing where there is none."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cleanup_job import cli, pod, run_command
from cleanup_job.cluster import events, lease
from cleanup_job.cluster.connection import CallError
from cleanup_job.errors import LeaseHeldError
from cleanup_job.sandbox.server import Sandbox


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events that are left on the CronJob."""
    found: list[dict[str, Any]] = []

    def leave(cronjob: str, namespace: str | None, **event: Any) -> None:
        found.append({"cronjob": cronjob, "namespace": namespace} | event)

    monkeypatch.setattr(events, "leave", leave)
    monkeypatch.setenv("CLEANUP_CRONJOB", "nightly")
    return found


def test_a_pass_leaves_one_event(filled: Sandbox, left: list[dict[str, Any]]) -> None:
    assert cli.main(["run", "--force-delete", "--lease-namespace", "ml"]) == 0
    (event,) = left
    assert (event["cronjob"], event["namespace"], event["kind"], event["reason"]) == (
        "nightly",
        "ml",
        "Normal",
        "CleanupCompleted",
    )
    assert event["message"].startswith("Deleted 4 tasks")
    assert event["pod"] in event["message"]


@pytest.mark.parametrize(
    "flags", [["--keep-projects", "nosuch"], ["--workers", "0"], ["--refuse-above", "1", "--force-delete"]]
)
def test_a_pass_that_never_began_leaves_one_too(filled: Sandbox, left: list[dict[str, Any]], flags: list[str]) -> None:
    assert cli.main(["run", *flags]) == 2
    (event,) = left
    assert (event["kind"], event["reason"]) == ("Warning", "CleanupFailed")
    assert flags[1] in event["message"]


def test_an_unexpected_error_is_not_silent(
    filled: Sandbox, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(run_command, "_pass", broken)
    words = tmp_path / "termination-log"
    words.touch()
    monkeypatch.setattr(pod, "TERMINATION_LOG", words)
    with pytest.raises(ZeroDivisionError):
        cli.main(["run"])
    assert "unexpected error: ZeroDivisionError: a bug" in left[0]["message"]
    assert "ZeroDivisionError: a bug" in words.read_text()


def test_an_event_that_cannot_be_left_is_a_warning_and_no_failure(
    filled: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_CRONJOB", "nightly")
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert cli.main(["run", "--force-delete"]) == 0
    assert "no event was left on CronJob nightly (CLEANUP_CRONJOB)" in capsys.readouterr().out
    assert cli.main(["run", "--workers", "0"]) == 2
    assert "no event was left on CronJob nightly (CLEANUP_CRONJOB)" in " ".join(capsys.readouterr().err.split())


def test_a_missing_right_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cluster:
        namespace = "ml"

        def call(self, *_: Any) -> Any:
            raise CallError(403, "cannot get cronjobs")

    monkeypatch.setattr(events, "connect", lambda _: Cluster())
    with pytest.raises(events.EventError, match=r"cannot get cronjobs.*get on this CronJob and create on events"):
        events.leave("nightly", None, kind="Normal", reason="r", message="m", pod="p")


def test_settings_that_cannot_be_read_leave_it_where_the_environment_says(
    filled: Sandbox, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_LEASE_NAMESPACE", "ml")
    assert cli.main(["run", "--workers", "0"]) == 2
    assert (left[0]["cronjob"], left[0]["namespace"]) == ("nightly", "ml")


def test_a_dry_run_that_refuses_is_not_called_a_cleanup(filled: Sandbox, left: list[dict[str, Any]]) -> None:
    assert cli.main(["run", "--dry-run", "--refuse-above", "1", "--force-delete"]) == 2
    assert left[0]["reason"] == "DryRunFailed"
    assert "CLEANUP_REFUSE_ABOVE" in left[0]["message"]
    assert "Dry run: would delete 4 tasks" in left[0]["message"]


# -- the last words
@pytest.fixture
def last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Kubernetes' file for them."""
    words = tmp_path / "termination-log"
    words.touch()
    monkeypatch.setattr(pod, "TERMINATION_LOG", words)
    return words


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["--force-delete"], 0),
        (["--force-delete", "--dry-run"], 0),
        (["--force-delete", "--deadline-seconds", "0.000001"], 0),
        (["--force-delete", "--refuse-above", "1"], 2),
        (["--api-host", "http://127.0.0.1:1", "--attempts", "1"], 4),
    ],
)
def test_a_report_is_the_last_word(filled: Sandbox, last_words: Path, flags: list[str], code: int) -> None:
    assert cli.main(["run", *flags]) == code
    said = json.loads(last_words.read_text())
    assert (said["exit_code"], bool(said["error"])) == (code, code in {2, 4})


def test_a_refused_lease_is_a_last_word_too(filled: Sandbox, last_words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease_held(monkeypatch, "")
    assert cli.main(["run"]) == 5
    said = json.loads(last_words.read_text())
    assert said["exit_code"] == 5
    assert "pod-1" in said["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--workers", "0"], "CLEANUP_WORKERS|--workers=0|--workers"),
        (["run", "--wrokers", "2"], "unrecognized arguments: --wrokers"),
        (["--wrokers", "2"], "unrecognized arguments: --wrokers"),
    ],
)
def test_a_pass_that_never_began_has_a_last_word(
    filled: Sandbox, last_words: Path, left: list[dict[str, Any]], arguments: list[str], words: str
) -> None:
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert re.search(words, last_words.read_text())
    assert re.search(words, left[0]["message"])


def test_a_report_that_cannot_be_written_is_said_in_the_end(
    filled: Sandbox, last_words: Path, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_command.document, "write", full)
    assert cli.main(["run", "--force-delete", "--report", str(tmp_path / "report.html")]) == 1
    assert "No space left on device" in json.loads(last_words.read_text())["error"]
    assert "No space left on device" in left[0]["message"]
    assert "Deleted 4 tasks" in left[0]["message"]


# -- waiting for the lease
def lease_held(monkeypatch: pytest.MonkeyPatch, reason: str) -> list[str]:
    """A lease that another pass holds, while something asks this one to stop."""
    waits: list[str] = []

    @contextmanager
    def hold(name: str, namespace: str | None, **options: Any) -> Iterator[str]:
        waits.append(f"{name} {namespace} {options['wait']:.0f}")
        options["on_wait"]("waiting for pod-1")
        if reason:
            signal_stop(reason)
            assert options["stopped"]()
        raise LeaseHeldError("Another pass, pod-1, holds the Lease")
        yield "never"

    monkeypatch.setattr(lease, "hold", hold)
    monkeypatch.setenv("CLEANUP_LEASE", "nightly")
    return waits


def signal_stop(name: str) -> None:
    import signal  # noqa: PLC0415 -- for the one test

    signal.raise_signal(signal.Signals[name])


def test_a_lease_that_stays_held_ends_with_5_and_names_the_holder(
    filled: Sandbox, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = lease_held(monkeypatch, "")
    assert cli.main(["run", "--lease-wait-seconds", "7"]) == 5
    assert waits == ["nightly None 7"]
    assert "waiting for pod-1" in capsys.readouterr().out
    assert "pod-1" in left[0]["message"]
    assert not filled.requests, "ClearML was asked before the lease was held"


@pytest.mark.parametrize(("signal_name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_told_to_stop_while_it_waits_it_was_stopped_and_not_refused(
    filled: Sandbox, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, signal_name: str, code: int
) -> None:
    lease_held(monkeypatch, signal_name)
    assert cli.main(["run"]) == code
    assert left[0]["reason"] == "CleanupIncomplete"


# -- elsewhere
def test_outside_a_cluster_kubernetes_is_not_even_imported(filled: Sandbox) -> None:
    script = (
        "import sys; from cleanup_job.cli import main; code = main(['run']); "
        "sys.exit(code or any(name.startswith('kubernetes') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("command", ["trigger", "status"])
def test_without_a_cluster_the_commands_say_what_to_set(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert cli.main([command]) == 2
    text = " ".join(capsys.readouterr().err.split())
    assert "No cluster to ask" in text
    assert "KUBECONFIG" in text
    assert "--context" in text
