"""What a real Pushgateway has after passes and sweeps, however they ended."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from cleanup_job.errors import LeaseHeldError
from cleanup_job.exporters.pushgateway import push
from cleanup_job.job import pod
from cleanup_job.job.pass_job import PassJob
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report.metrics import METRICS, of_report
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.metrics.conftest import Gateway

NOW = datetime.now(UTC)


@pytest.fixture
def told(filled: Sandbox, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """Where the passes of a test push, as release `nightly` in the namespace `ml`."""
    monkeypatch.setenv("CLEANUP_PUSHGATEWAY", gateway.address)
    monkeypatch.setenv("CLEANUP_RELEASE", "nightly")
    monkeypatch.setenv("CLEANUP_LEASE_NAMESPACE", "ml")
    return gateway


def test_a_pass_and_the_dry_run_after_it(told: Gateway, filled: Sandbox) -> None:
    assert main(["run", "--force-delete"]) == 0
    found = told.values(release="nightly", namespace="ml")
    assert (found["exit_code"], found["dry_run"], found["candidate_tasks"], found["deleted_tasks"]) == (0, 0, 5, 4)
    assert (found["left_tasks"], found["deleted_files"] > 0, found["freed_bytes"] > 0) == (0, True, True)
    assert found["kept_tasks"]["unknown_store"] == 1
    assert found["success_timestamp_seconds"] == found["end_timestamp_seconds"] >= found["start_timestamp_seconds"]
    assert 0 < found["oldest_candidate_timestamp_seconds"] < found["start_timestamp_seconds"] - 30 * 86400
    assert found["phase_duration_seconds"]["select"] > 0
    sent = sum(request.call == "/delete_many" for request in filled.requests)
    assert found["requests"]["files"] >= sent > 0
    assert found["requests"]["api"] > 0
    assert set(found["retries"].values()) == {0}
    assert main(["run", "--force-delete", "--dry-run"]) == 0
    again = told.values(release="nightly", namespace="ml")
    assert (again["dry_run"], again["deleted_tasks"], again["candidate_tasks"], again["freed_bytes"]) == (1, 0, 1, 0)
    assert again["start_timestamp_seconds"] > found["start_timestamp_seconds"]


def test_a_request_that_is_sent_again_is_counted_for_its_server(told: Gateway, filled: Sandbox) -> None:
    failed: set[str] = set()

    def once(request: Request) -> Fault | None:
        if request.call in {"/delete_many", "tasks.delete_many"} - failed:
            failed.add(request.call)
            return Fault(status=503)
        return None

    filled.fault = once
    assert main(["run", "--force-delete"]) == 0
    assert failed == {"/delete_many", "tasks.delete_many"}
    assert told.values()["retries"] == {"api": 1, "files": 1, "s3": 0, "gs": 0, "azure": 0}


# -- every way to end
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def lease(*_: Any) -> Any:
        raise LeaseHeldError("pod-1 holds the lease")
        yield

    monkeypatch.setattr(pod, "lease", lease)


def lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost:
        def is_safe(self) -> bool:
            return False

    @contextmanager
    def lease(*_: Any) -> Any:
        yield Lost()

    monkeypatch.setattr(pod, "lease", lease)


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def clean(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(PassJob, "_clean", clean)


def wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARML_API_SECRET_KEY", "not-the-one")


def wrong_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANUP_NO_SUCH", "1")


def nothing(_: pytest.MonkeyPatch) -> None: ...


@pytest.mark.parametrize(
    ("code", "flags", "change"),
    [
        (1, [], broken),
        (2, ["--workers", "0"], nothing),
        (2, ["--no-such-flag"], nothing),
        (2, [], wrong_variable),
        (2, [], wrong_key),
        (2, ["--refuse-above", "2"], nothing),
        (4, ["--attempts", "1"], lambda monkeypatch: monkeypatch.setenv("CLEARML_API_HOST", "http://127.0.0.1:9")),
        (5, [], held),
        (6, [], lost),
    ],
    ids=["bug", "value", "flag", "variable", "key", "refused", "unreachable", "held", "lost"],
)
@pytest.mark.usefixtures("filled")
def test_a_failed_pass_pushes_its_exit_code_and_no_success(
    told: Gateway, monkeypatch: pytest.MonkeyPatch, code: int, flags: list[str], change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    assert main(["run", "--force-delete", "--max-tasks", "1"]) == 0
    before = told.values(release="nightly")
    change(monkeypatch)
    with pytest.raises((SystemExit, ZeroDivisionError)) if {*flags} & {"--no-such-flag"} or code == 1 else nullcontext():
        assert main(["run", "--force-delete", *flags]) == code
    found = told.values(release="nightly")
    assert found["exit_code"] == code
    assert found["success_timestamp_seconds"] == before["success_timestamp_seconds"]
    assert found["start_timestamp_seconds"] > before["start_timestamp_seconds"]
    assert found.keys() == before.keys()
    if code in {4, 5} or change in {wrong_key, wrong_variable}:
        assert found["candidate_tasks"] == before["candidate_tasks"], "what it could not know stays"
        assert found["deleted_tasks"] == before["deleted_tasks"] == 1


def test_a_pass_that_failed_in_part(told: Gateway, filled: Sandbox) -> None:
    def restore(request: Request) -> None:
        if request.call == "tasks.delete_many":
            for task in list(filled.store.tasks):
                filled.store.tasks.change(task, system_tags=[])

    filled.fault = restore
    assert main(["run", "--force-delete"]) == 3
    found = told.values()
    assert (found["exit_code"], sum(found["failed_tasks"].values()), found["deleted_tasks"]) == (3, 4, 0)
    assert "success_timestamp_seconds" not in found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_pass_that_is_stopped_says_so_and_how_much_is_left(
    told: Gateway, filled: Sandbox, number: signal.Signals, code: int
) -> None:
    def send(request: Request) -> None:
        if request.call == "/delete_many" and request.body["files"]:
            os.kill(os.getpid(), number)

    filled.fault = send
    assert main(["run", "--force-delete", "--batch-size", "2", "--workers", "1"]) == code
    found = told.values()
    assert found["exit_code"] == code
    assert found["left_tasks"] > 0


# -- sweeps
def test_a_sweep_has_metrics_of_its_own_in_the_same_group(told: Gateway, world: World, tmp_path: Path) -> None:
    for task in (world.tasks[0].id, "a" * 32):
        folder = tmp_path / "volume" / f"lab/exp.{task}/models"
        folder.mkdir(parents=True)
        (folder / "w.pt").write_text("12345")
    assert main(["sweep", "--store", str(tmp_path / "volume")]) == 0
    found = told.values(release="nightly")
    assert (found["sweep_last_exit_code"], found["sweep_last_folders"], found["sweep_last_kept_orphans"]) == (0, 2, 1)
    assert found["sweep_last_dry_run"] == 1
    assert main(["run", "--force-delete"]) == 0
    assert main(["sweep"]) == 2
    with pytest.raises(SystemExit):
        main(["sweep", "--no-such-flag"])
    again = told.values(release="nightly")
    assert (again["sweep_last_exit_code"], again["sweep_last_folders"], again["exit_code"]) == (2, 2, 0)
    assert again["sweep_last_success_timestamp_seconds"] == found["sweep_last_success_timestamp_seconds"]


# -- series
def some_pass(rng: random.Random, n: int) -> Report:
    """A pass that ended in any way, with tasks kept and failed for any reasons."""
    report = Report(
        f"1.{n // 50}", rng.random() < 0.2, NOW, NOW, finished=NOW, exit_code=rng.choice([0, 0, 1, 2, 3, 4, 5, 6, 143])
    )
    if rng.random() < 0.8:
        report.phases, report.counted = {"select": rng.random()}, rng.random() < 0.9
        for task in range(rng.randrange(9)):
            verdict = rng.choice([Verdict.KEPT, Verdict.FAILED, Verdict.DELETED, Verdict.NOT_OURS])
            reason = None if verdict is Verdict.DELETED else rng.choice(list(Reason))
            report.add(TaskOutcome(TaskId(f"{task:032x}"), "name", f"project {n}", f"p{n}", verdict, reason, files=n))
        report.requests_to.update([rng.choice(["api", "s3", "files"])])
        report.selected = rng.randrange(3)
    return report


def test_a_hundred_passes_leave_one_set_of_series(gateway: Gateway) -> None:
    rng = random.Random(20)  # noqa: S311 -- no secret
    group = {"release": "nightly", "namespace": "ml"}
    whole = Report("1.0", False, NOW, NOW, finished=NOW, phases={"select": 1.0}, counted=True)
    push(of_report(whole), gateway.address, "clearml-cleanup", group)
    one = gateway.series()
    for n in range(100):
        push(of_report(some_pass(rng, n)), gateway.address, "clearml-cleanup", group)
    now = gateway.series()
    versions = {labels for name, labels in now if name == "clearml_cleanup_build_info"}
    assert [dict(labels)["version"] for labels in versions] == ["1.1"], "one version at a time"
    assert len(now) == len(one)
    own = {name for name, _ in now if name.startswith("clearml_")}
    assert own == {name for name in METRICS if "_sweep_" not in name}
    labels = {key for _, labels in now for key, _ in labels}
    assert labels == {"job", "instance", "release", "namespace", "version", "phase", "reason", "server", "stage"}


def test_each_shard_has_a_group_of_its_own(told: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANUP_SHARDS", "2")
    deleted = 0.0
    for shard in ("0", "1"):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", shard)
        assert main(["run", "--force-delete"]) == 0
        deleted += told.values(shard=shard)["deleted_tasks"]
    assert deleted == 4
