"""What a pass tells Kubernetes, and that it tells nothing where there is none."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cleanup_job.cli.main import main
from cleanup_job.cluster import k8s_events, killed_passes, lease
from cleanup_job.cluster.connection import CallError
from cleanup_job.errors import LeaseHeldError
from cleanup_job.job import pod
from cleanup_job.job.pass_job import PassJob
from cleanup_job.report import files
from clearml_sandbox.server import Fault, Request, Sandbox
from tests.harness import state


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events that are left on the CronJob."""
    found: list[dict[str, Any]] = []

    def leave(cronjob: str, namespace: str | None, **event: Any) -> None:
        found.append({"cronjob": cronjob, "namespace": namespace} | event)

    monkeypatch.setattr(k8s_events, "leave", leave)
    monkeypatch.setattr(killed_passes, "tell", lambda *_: [])
    monkeypatch.setenv("CLEANUP_CRONJOB", "nightly")
    return found


def test_a_pass_leaves_one_event(filled: Sandbox, left: list[dict[str, Any]]) -> None:
    assert main(["run", "--force-delete", "--lease-namespace", "ml"]) == 0
    (event,) = left
    assert (event["cronjob"], event["namespace"], event["kind"], event["reason"]) == (
        "nightly",
        "ml",
        "Normal",
        "CleanupCompleted",
    )
    assert event["message"].startswith("Deleted 4 tasks")
    assert event["pod"] in event["message"]


@pytest.mark.parametrize("flags", [[], ["--lease-namespace", "ml"]])
def test_a_pass_that_was_killed_before_is_a_warning_in_log_and_report(
    filled: Sandbox,
    left: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: list[str],
) -> None:
    asked: list[tuple[Any, ...]] = []

    def tell(*arguments: Any) -> list[str]:
        asked.append(arguments)
        return ["pod a of a pass before was evicted"]

    monkeypatch.setattr(killed_passes, "tell", tell)
    report = tmp_path / "report.json"
    assert main(["run", "--dry-run", "--report", str(report), *flags]) == 0
    assert asked == [("nightly", flags[-1] if flags else None, pod.NAME, 0)]
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in log if line["event"] == "warning"] == ["pod a of a pass before was evicted"]
    assert "pod a of a pass before was evicted" in report.read_text()


def test_how_passes_before_ended_is_a_help_and_no_condition(
    filled: Sandbox,
    left: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def tell(*_: Any) -> list[str]:
        raise killed_passes.UntoldError("may not list jobs")

    monkeypatch.setattr(killed_passes, "tell", tell)
    assert main(["run", "--dry-run"]) == 0
    assert "may not list jobs" not in capsys.readouterr().out
    assert main(["run", "--dry-run", "--log-level", "debug"]) == 0
    assert "may not list jobs" in capsys.readouterr().out


def test_outside_a_cluster_no_one_asks(filled: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEANUP_CRONJOB", raising=False)
    monkeypatch.setattr(killed_passes, "connect", lambda _: pytest.fail("it asked"))
    assert main(["run", "--dry-run"]) == 0


@pytest.mark.parametrize(
    "flags", [["--keep-projects", "nosuch"], ["--workers", "0"], ["--refuse-above", "1", "--force-delete"]]
)
def test_a_pass_that_never_began_leaves_one_too(filled: Sandbox, left: list[dict[str, Any]], flags: list[str]) -> None:
    assert main(["run", *flags]) == 2
    (event,) = left
    assert (event["kind"], event["reason"]) == ("Warning", "CleanupFailed")
    assert flags[1] in event["message"]


def test_an_unexpected_error_is_not_silent(
    filled: Sandbox, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(PassJob, "_clean", broken)
    words = tmp_path / "termination-log"
    words.touch()
    monkeypatch.setattr(pod, "TERMINATION_LOG", words)
    with pytest.raises(ZeroDivisionError):
        main(["run"])
    assert "unexpected error: ZeroDivisionError: a bug" in left[0]["message"]
    assert "ZeroDivisionError: a bug" in words.read_text()


def test_an_event_that_cannot_be_left_is_a_warning_and_no_failure(
    filled: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_CRONJOB", "nightly")
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert main(["run", "--force-delete"]) == 0
    assert "no event was created on CronJob nightly (CLEANUP_CRONJOB)" in capsys.readouterr().out
    assert main(["run", "--workers", "0"]) == 2
    assert "no event was created on CronJob nightly (CLEANUP_CRONJOB)" in " ".join(capsys.readouterr().err.split())


def test_a_missing_right_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cluster:
        namespace = "ml"

        def call(self, *_: Any) -> Any:
            raise CallError(403, "cannot get cronjobs")

    monkeypatch.setattr(k8s_events, "connect", lambda _: Cluster())
    with pytest.raises(k8s_events.EventError, match=r"cannot get cronjobs.*get on this CronJob and create on events"):
        k8s_events.leave("nightly", None, kind="Normal", reason="r", message="m", pod="p")


def test_settings_that_cannot_be_read_leave_it_where_the_environment_says(
    filled: Sandbox, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_LEASE_NAMESPACE", "ml")
    assert main(["run", "--workers", "0"]) == 2
    assert (left[0]["cronjob"], left[0]["namespace"]) == ("nightly", "ml")


def test_a_dry_run_that_refuses_is_not_called_a_cleanup(filled: Sandbox, left: list[dict[str, Any]]) -> None:
    assert main(["run", "--dry-run", "--refuse-above", "1", "--force-delete"]) == 2
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
    assert main(["run", *flags]) == code
    said = json.loads(last_words.read_text())
    assert (said["exit_code"], bool(said["error"])) == (code, code in {2, 4})


def test_a_refused_lease_is_a_last_word_too(filled: Sandbox, last_words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease_held(monkeypatch, "")
    assert main(["run"]) == 5
    said = json.loads(last_words.read_text())
    assert said["exit_code"] == 5
    assert "pod-1" in said["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--workers", "0"], "CLEANUP_WORKERS|--workers=0|--workers"),
        (["run", "--wrokers", "2"], "unknown flag --wrokers; did you mean --workers"),
        (["--wrokers", "2"], "unknown flag --wrokers; did you mean --workers"),
    ],
)
def test_a_pass_that_never_began_has_a_last_word(
    filled: Sandbox, last_words: Path, left: list[dict[str, Any]], arguments: list[str], words: str
) -> None:
    try:
        code = main(arguments)
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

    monkeypatch.setattr(files, "write", full)
    assert main(["run", "--force-delete", "--report", str(tmp_path / "report.html")]) == 1
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
    assert main(["run", "--lease-wait-seconds", "7"]) == 5
    assert waits == ["nightly None 7"]
    assert "waiting for pod-1" in capsys.readouterr().out
    assert "pod-1" in left[0]["message"]
    assert not filled.requests, "ClearML was asked before the lease was held"


@pytest.mark.parametrize(("signal_name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_told_to_stop_while_it_waits_it_was_stopped_and_not_refused(
    filled: Sandbox, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, signal_name: str, code: int
) -> None:
    lease_held(monkeypatch, signal_name)
    assert main(["run"]) == code
    assert left[0]["reason"] == "CleanupIncomplete"


# -- losing the lease
def lease_lost(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, call: str) -> None:
    """A lease that somebody takes when a call to ClearML comes."""

    @contextmanager
    def hold(*_: Any, **options: Any) -> Iterator[Any]:
        held = [True]

        def lose(request: Request) -> None:
            if request.call == call and held[0]:
                held[0] = False
                options["on_lost"]("The Lease nightly in namespace ml is held by pod-2 while this pass held it.")

        sandbox.fault = lose
        yield SimpleNamespace(is_safe=lambda: held[0])

    monkeypatch.setattr(lease, "hold", hold)
    monkeypatch.setenv("CLEANUP_LEASE", "nightly")


@pytest.mark.parametrize("task", ["true", "false"])
@pytest.mark.parametrize("call", ["tasks.get_all", "models.get_all", "/delete_many"])
def test_a_lease_that_is_lost_ends_with_6_and_everything_says_why(
    filled: Sandbox,
    left: list[dict[str, Any]],
    last_words: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    task: str,
    call: str,
) -> None:
    monkeypatch.setenv("CLEANUP_TASK", task)
    monkeypatch.setenv("CLEANUP_BATCH_SIZE", "1")
    lease_lost(monkeypatch, filled, call)
    report = tmp_path / "report.json"
    assert main(["run", "--force-delete", "--report", str(report)]) == 6
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    written, words = json.loads(report.read_text()), json.loads(last_words.read_text())
    is_listed = call == "/delete_many"  # else it is not known how many are left
    for said in (log[-1], written["summary"], words):
        assert (said["exit_code"], said["stopped_by"]) == (6, "lease")
        assert "is held by pod-2" in said["error"]
        assert (said["left"] > 0) is is_listed
    assert log[-1]["left_at_least"] is not is_listed
    assert log[-1]["level"] == "error"
    assert written["meaning"] == "the lease was lost during the pass"
    assert (left[0]["kind"], left[0]["reason"]) == ("Warning", "CleanupFailed")
    assert "is held by pod-2" in left[0]["message"]
    if task == "true":
        (run,) = [t for t in filled.store.tasks.values() if t.get("parent") and t["type"] == "service"]
        assert (run["status"], run["status_reason"][:11]) == ("failed", "exit code 6")
        assert "is held by pod-2" in run["status_message"]
    assert main(["run", "--force-delete"]) == 6, "somebody takes it again"
    monkeypatch.delenv("CLEANUP_LEASE")
    filled.fault = None
    assert main(["run", "--force-delete"]) == 0


def test_a_lease_that_is_lost_when_all_is_done_harms_nothing(filled: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    lease_lost(monkeypatch, filled, "tasks.delete_many")
    assert main(["run", "--force-delete"]) == 0
    assert len([task for task in filled.store.tasks.values() if "archived" in task["system_tags"]]) == 1


def test_a_pass_that_lost_its_lease_while_it_was_listing_does_not_say_that_nothing_is_left(
    filled: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_DELETE_THRESHOLD_DAYS", "10000")
    lease_lost(monkeypatch, filled, "tasks.get_all")
    before = state(filled)
    assert main(["run", "--force-delete"]) == 6
    assert state(filled) == before


# -- how many warnings
@pytest.mark.parametrize("task", ["true", "false"])
def test_the_sum_counts_every_warning_that_was_logged(
    filled: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    """From before the pass, of requests that are tried again, of the pass, of its task, and of an event that can't be left."""

    def refused(*_: Any, **__: Any) -> None:
        raise k8s_events.EventError("no event could be left")

    @contextmanager
    def hold(*_: Any, **options: Any) -> Iterator[Any]:
        options["on_wait"]("waiting for pod-1")
        yield SimpleNamespace(is_safe=lambda: True)

    monkeypatch.setattr(lease, "hold", hold)
    monkeypatch.setattr(k8s_events, "leave", refused)
    for name, value in (("TASK", task), ("LEASE", "nightly"), ("CRONJOB", "nightly"), ("RUN_AS_SERVICE", "true")):
        monkeypatch.setenv(f"CLEANUP_{name}", value)
    seen: dict[str, int] = {}

    def fault(request: Request) -> Fault | None:
        seen[request.call] = seen.get(request.call, 0) + 1
        if request.call == "tasks.get_all" and seen[request.call] == 1:
            return Fault(503)
        return Fault(403) if request.call in {"tasks.started", "tasks.completed"} else None

    filled.fault = fault
    assert main(["run", "--force-delete", "--attempts", "2"]) == 0
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    warned = [line["message"] for line in log if line["event"] == "warning"]
    assert log[-1]["warnings"] == len(warned)
    words = ["waiting for pod-1", "trying again", "no event could be left"]
    words.append("leaves no run" if task == "true" else "belongs to the CronJob's schedule")
    assert [word for word in words if not any(word in text for text in warned)] == []


# -- elsewhere
def test_outside_a_cluster_kubernetes_is_not_even_imported(filled: Sandbox) -> None:
    script = (
        "import sys; from cleanup_job.cli.main import main; code = main(['run']); "
        "sys.exit(code or any(name.startswith('kubernetes') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("command", ["trigger", "status"])
def test_without_a_cluster_the_commands_say_what_to_set(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert main([command]) == 2
    text = " ".join(capsys.readouterr().err.split())
    assert "No cluster was found" in text
    assert "KUBECONFIG" in text
    assert "--context" in text
