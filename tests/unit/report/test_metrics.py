"""A finished run as metrics: every known label value is there, and what is not known is not."""

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cleanup_job import passes
from cleanup_job.exit_codes import ExitCode
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, Sum, SweepReport
from cleanup_job.report.metrics import METRICS, PASS, PHASES, SWEEP, of_failure, of_report, of_sweep
from tests.unit.report.example_report import MOMENT, of_policies, report

HOW_IT_ENDED = {"start_timestamp_seconds", "end_timestamp_seconds", "exit_code", "dry_run", "duration_seconds", "warnings"}
STARTED, ENDED = MOMENT.timestamp(), MOMENT.timestamp() + 75


def values(registry: CollectorRegistry, prefix: str = PASS) -> dict[str, Any]:
    """Numbers by name; for a metric with a label, a table of them."""
    found: dict[str, Any] = {}
    for family in registry.collect():
        for sample in family.samples:
            name = sample.name.removeprefix(prefix)
            if sample.labels:
                found.setdefault(name, {})[next(iter(sample.labels.values()))] = sample.value
            else:
                found[name] = sample.value
    return found


def ran(**changed: Any) -> Report:
    """A pass that logged in and listed everything."""
    made = report(**{key: changed.pop(key) for key in ("dry_run",) if key in changed})
    made.phases, made.counted, made.selected = {"select": 1.5, "files": 30.0}, True, 16
    made.oldest = MOMENT - timedelta(days=400)
    made.requests_to, made.retries_to = Counter(api=30, files=10, s3=2), Counter(files=4)
    made.warned, made.emptied = 6, ["a", "b"]
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def test_all_that_a_pass_did() -> None:
    found = values(of_report(ran()))
    assert found["clearml_cleanup_build_info"] == {"1.0": 1}
    assert (found["start_timestamp_seconds"], found["end_timestamp_seconds"], found["duration_seconds"]) == (STARTED, ENDED, 75)
    assert (found["exit_code"], found["dry_run"], found["warnings"]) == (3, 0, 6)
    assert (found["candidate_tasks"], found["left_tasks"]) == (16, 7)
    assert found["oldest_candidate_timestamp_seconds"] == STARTED - 400 * 86400
    assert (found["deleted_tasks"], found["deleted_models"], found["deleted_files"]) == (3, 3, 3600)
    assert (found["freed_bytes"], found["unsized_files"], found["would_delete_tasks"]) == (9 << 20, 0, 0)
    assert found["deleted_projects"] == 2
    assert found["phase_duration_seconds"] == {"select": 1.5, "plan": 0, "audit": 0, "files": 30, "records": 0}
    assert found["requests"] == {"api": 30, "files": 10, "s3": 2, "gs": 0, "azure": 0}
    assert found["retries"] == {"api": 0, "files": 4, "s3": 0, "gs": 0, "azure": 0}
    assert {reason: n for reason, n in found["kept_tasks"].items() if n} == {"unknown_store": 5, "public": 1}
    assert {reason: n for reason, n in found["failed_tasks"].items() if n} == {"file_error": 1}
    assert found["kept_tasks"].keys() == found["failed_tasks"].keys() == {reason.value for reason in Reason}


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_policies_did_is_there_by_stage(dry_run: bool) -> None:
    made = of_policies(dry_run=dry_run)
    made.phases = {"select": 1.5}
    found = values(of_report(made))
    none, done = {"archive": 0, "slim": 0, "delete": 0}, {"archive": 30, "slim": 12, "delete": 46}
    assert found["stage_tasks"] == (none if dry_run else done)
    assert found["would_stage_tasks"] == (done if dry_run else none)
    assert found["noticed_tasks"] == (none if dry_run else {"archive": 0, "slim": 0, "delete": 5})
    assert found["stage_freed_bytes"] == (none if dry_run else {"archive": 0, "slim": 12 << 30, "delete": 92 << 20})
    assert found["freed_bytes"] == (0 if dry_run else 101 << 20), "slimming has a stage of its own"


def test_without_policies_each_stage_is_0() -> None:
    found = values(of_report(ran()))
    names = ("stage_tasks", "stage_freed_bytes", "noticed_tasks", "would_stage_tasks")
    assert [found[name] for name in names] == [{"archive": 0, "slim": 0, "delete": 0}] * 4


def test_a_reason_may_keep_one_task_and_fail_another() -> None:
    made = ran()
    made.add(TaskOutcome(TaskId("d" * 32), "kept", "team", "p0", Verdict.KEPT, Reason.FILE_ERROR))
    found = values(of_report(made))
    assert (found["kept_tasks"]["file_error"], found["failed_tasks"]["file_error"]) == (1, 1)


def test_a_dry_run_deletes_nothing() -> None:
    found = values(of_report(ran(dry_run=True)))
    assert (found["dry_run"], found["would_delete_tasks"]) == (1, 3)
    deleted = {name for name in found if name.startswith(("deleted", "freed", "unsized"))}
    assert {found[name] for name in deleted} == {0}
    assert len(deleted) == 6


def test_a_success_has_its_moment_and_a_failure_keeps_the_one_before() -> None:
    assert values(of_report(ran(exit_code=0)))["success_timestamp_seconds"] == ENDED
    for code in ExitCode:
        assert ("success_timestamp_seconds" in values(of_report(ran(exit_code=code)))) is (code == 0), code


def test_a_pass_that_never_logged_in_tells_only_how_it_ended() -> None:
    made = Report("1.0", False, MOMENT, MOMENT, finished=MOMENT + timedelta(seconds=75), exit_code=4, warned=1)
    assert values(of_report(made)).keys() == {"clearml_cleanup_build_info", *HOW_IT_ENDED}


def test_a_pass_that_could_not_list_knows_no_candidates() -> None:
    found = values(of_report(ran(counted=False)))
    assert not found.keys() & {"candidate_tasks", "left_tasks", "oldest_candidate_timestamp_seconds"}
    assert "deleted_tasks" in found
    stopped_at_once = values(of_report(ran(selected=0, left=0, oldest=None, left_is_least=True)))
    assert "candidate_tasks" not in stopped_at_once


def test_the_oldest_candidate_is_0_without_any_and_left_out_if_it_is_not_known() -> None:
    assert values(of_report(ran(selected=0, left=0, oldest=None)))["oldest_candidate_timestamp_seconds"] == 0
    refused = values(of_report(ran(oldest=None)))
    assert "oldest_candidate_timestamp_seconds" not in refused
    assert refused["candidate_tasks"] == 16


def test_what_ended_before_it_began() -> None:
    found = values(of_failure("1.0", ExitCode.REFUSED, MOMENT))
    ended = {"start_timestamp_seconds": STARTED, "end_timestamp_seconds": STARTED, "exit_code": 2}
    assert found == {"clearml_cleanup_build_info": {"1.0": 1}} | ended
    assert values(of_failure("1.0", ExitCode.REFUSED, MOMENT, sweep=True), SWEEP).keys() == found.keys()


def swept(**changed: Any) -> SweepReport:
    made = SweepReport("1.0", "api", True, MOMENT, MOMENT + timedelta(seconds=75), folders=50, known=20)
    for n, verdict in enumerate(OrphanVerdict, 1):
        made.sums[verdict] = Sum()
        for _ in range(n):
            made.sums[verdict].add(Orphan("s3://b", "p", TaskId("a" * 32), verdict, 2, 10, None))
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def test_a_sweep() -> None:
    found = values(of_sweep(swept(exit_code=3)), SWEEP)
    assert (found["folders"], found["deleted_orphans"], found["kept_orphans"], found["failed_orphans"]) == (50, 2, 8, 5)
    assert (found["freed_bytes"], found["dry_run"], found["exit_code"], found["duration_seconds"]) == (20, 0, 3, 75)
    assert "success_timestamp_seconds" not in found
    assert values(of_sweep(swept(delete=False)), SWEEP)["success_timestamp_seconds"] == ENDED


def test_a_sweep_that_did_not_look_found_nothing_out() -> None:
    assert "folders" not in values(of_sweep(swept(folders=0, sums={}, exit_code=4)), SWEEP)
    assert values(of_sweep(swept(folders=0, sums={})), SWEEP)["deleted_orphans"] == 0


def test_every_metric_is_used() -> None:
    made = {family.name for run in (of_report(ran(exit_code=0)), of_sweep(swept())) for family in run.collect()}
    assert made == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_names_are_as_prometheus_wants_them(name: str) -> None:
    assert name.startswith("clearml_cleanup_")
    assert not name.endswith(("_total", "_count", "_sum", "_bucket")), "it would not be a gauge"
    assert METRICS[name].text.endswith(".")
    assert METRICS[name].label in {"", "version", "phase", "reason", "stage", "server"}


def test_every_phase_that_is_measured_has_its_label() -> None:
    sources = (Path(passes.__path__[0]) / name for name in ("batch.py", "cleanup.py", "stream.py"))
    measured = {name for source in sources for name in re.findall(r'phase\("(\w+)"\)', source.read_text())}
    assert measured == set(PHASES)
