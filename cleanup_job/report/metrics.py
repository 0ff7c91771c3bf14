"""A finished run as metrics: gauges with the values of the last run, which replace those of the one before.

Names and labels are part of the interface: docs/metrics.md lists them, the chart's alerts and dashboard use them, and a test
compares all three. Labels have values from closed sets only. Each known value is there, if need be with 0: so the number of
series never grows, and a value that is not met any more does not stay as it was. What is not known is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Gauge

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import SERVERS, ProjectSum, Reason, Report
from cleanup_job.planning.sweep_outcome import OrphanVerdict, Sum, SweepReport

JOB = "clearml-cleanup"
"""The label ``job`` of all of them."""
PASS, SWEEP = "clearml_cleanup_last_", "clearml_cleanup_sweep_last_"
"""How the names of a pass's and of a sweep's metrics begin."""
PHASES = ("select", "plan", "audit", "files", "records")
"""What `passes.phases` measures."""

Value = float | Mapping[str, float]
"""One number, or one for each value of the metric's label."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of a metric beside its value. Its name ends in its unit, if it has one."""

    text: str
    """What it says, in a sentence."""
    label: str = ""
    """Its only label; empty if it has none."""


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "clearml_cleanup_build_info": Metric("1, with the version of the job that ran last.", "version"),
        PASS + "start_timestamp_seconds": Metric("When the last pass began."),
        PASS + "end_timestamp_seconds": Metric("When the last pass ended."),
        PASS + "success_timestamp_seconds": Metric("When the last pass with exit code 0 ended."),
        PASS + "exit_code": Metric("The exit code of the last pass."),
        PASS + "dry_run": Metric("1 if the last pass was a dry run, else 0."),
        PASS + "duration_seconds": Metric("How long the last pass took."),
        PASS + "warnings": Metric("Lines of warning in the log of the last pass."),
        PASS + "phase_duration_seconds": Metric("Time in each phase of the last pass, added up over its workers.", "phase"),
        PASS + "candidate_tasks": Metric("Tasks that the last pass selected."),
        PASS + "left_tasks": Metric("Selected tasks that the last pass did not come to."),
        PASS + "oldest_candidate_timestamp_seconds": Metric(
            "The moment from which the age of the oldest selected task counts; 0 if none was selected."
        ),
        PASS + "deleted_tasks": Metric("Tasks that the last pass deleted."),
        PASS + "deleted_models": Metric("Models that the last pass deleted."),
        PASS + "deleted_files": Metric("Files that the last pass deleted."),
        PASS + "freed_bytes": Metric("Sizes of the deleted files, as far as they are known."),
        PASS + "unsized_files": Metric("Deleted files whose size is not known."),
        PASS + "would_delete_tasks": Metric("Tasks that the last pass, a dry run, would have deleted."),
        PASS + "deleted_projects": Metric("Projects that the last pass deleted because it had emptied them."),
        PASS + "kept_tasks": Metric("Selected tasks that the last pass kept, by reason.", "reason"),
        PASS + "failed_tasks": Metric("Selected tasks that the last pass could not delete, by reason.", "reason"),
        PASS + "stage_tasks": Metric("Tasks that the last pass archived, slimmed or deleted by policies.", "stage"),
        PASS + "stage_freed_bytes": Metric("Sizes of the files that policies removed in the last pass.", "stage"),
        PASS + "noticed_tasks": Metric("Tasks for which policies announced their next stage in the last pass.", "stage"),
        PASS + "would_stage_tasks": Metric(
            "Tasks that the last pass, a dry run, would have archived, slimmed or deleted by policies.", "stage"
        ),
        PASS + "requests": Metric("Requests that the last pass sent, by server.", "server"),
        PASS + "retries": Metric("Requests that the last pass sent again, by server.", "server"),
        SWEEP + "start_timestamp_seconds": Metric("When the last sweep began."),
        SWEEP + "end_timestamp_seconds": Metric("When the last sweep ended."),
        SWEEP + "success_timestamp_seconds": Metric("When the last sweep with exit code 0 ended."),
        SWEEP + "exit_code": Metric("The exit code of the last sweep."),
        SWEEP + "dry_run": Metric("1 if the last sweep only reported, else 0."),
        SWEEP + "duration_seconds": Metric("How long the last sweep took."),
        SWEEP + "folders": Metric("Task folders that the last sweep looked at."),
        SWEEP + "deleted_orphans": Metric("Task folders without a record that the last sweep deleted."),
        SWEEP + "kept_orphans": Metric("Task folders without a record that the last sweep kept."),
        SWEEP + "failed_orphans": Metric("Task folders without a record that the last sweep could not delete."),
        SWEEP + "freed_bytes": Metric("Sizes of the files that the last sweep deleted."),
    }
)
"""Every metric by its name, in the order of the documentation."""


def of_report(report: Report) -> CollectorRegistry:
    """The metrics of a pass that has ended.

    Without a listing, what it would have found is left out; without a login, so is everything but how and when it ended.
    """
    finished = report.finished or report.started
    values = _ending(report.version, report.started, finished, report.exit_code)
    values |= {"dry_run": report.dry_run, "duration_seconds": _duration(report.started, finished), "warnings": report.warned}
    if report.phases:
        values |= _done(report)
    if report.counted and (report.selected or not report.left_is_least):
        values |= {"candidate_tasks": report.selected, "left_tasks": report.left}
        if report.oldest is not None or not report.selected:
            values["oldest_candidate_timestamp_seconds"] = report.oldest.timestamp() if report.oldest else 0
    return _registry(PASS, values)


def of_sweep(report: SweepReport) -> CollectorRegistry:
    """The metrics of a sweep that has ended. If it did not come to a folder, what it found is left out."""
    finished = report.finished or report.started
    values = _ending(report.version, report.started, finished, report.exit_code)
    values |= {"dry_run": not report.delete, "duration_seconds": _duration(report.started, finished)}
    if report.folders or not report.exit_code:
        sums = {verdict: report.sums.get(verdict, Sum()) for verdict in OrphanVerdict}
        deleted = sums[OrphanVerdict.DELETED]
        values |= {
            "folders": report.folders,
            "deleted_orphans": deleted.folders,
            "kept_orphans": sum(sums[kind].folders for kind in (OrphanVerdict.FOUND, OrphanVerdict.YOUNG, OrphanVerdict.ODD)),
            "failed_orphans": sums[OrphanVerdict.FAILED].folders,
            "freed_bytes": deleted.bytes,
        }
    return _registry(SWEEP, values)


def of_failure(version: str, code: int, now: datetime, *, sweep: bool = False) -> CollectorRegistry:
    """The metrics of a run that has no report: it ended before it began."""
    return _registry(SWEEP if sweep else PASS, _ending(version, now, now, code))


def unit_of(name: str) -> str:
    """A metric's unit as its name has it: ``seconds``, ``bytes``, or nothing for counts and codes."""
    last = name.rpartition("_")[2]
    return last if last in {"seconds", "bytes"} else ""


def _ending(version: str, started: datetime, finished: datetime, code: int) -> dict[str, Value]:
    values: dict[str, Value] = {
        "build_info": {version: 1},
        "start_timestamp_seconds": started.timestamp(),
        "end_timestamp_seconds": finished.timestamp(),
        "exit_code": code,
    }
    return values if code else values | {"success_timestamp_seconds": finished.timestamp()}


def _duration(started: datetime, finished: datetime) -> float:
    return max(0.0, (finished - started).total_seconds())


def _done(report: Report) -> dict[str, Value]:
    """What a pass did once it had logged in."""
    total = report.total()
    deleted = ProjectSum("") if report.dry_run else total
    reasons = {reason: report.reasons.get(reason) for reason in Reason}
    return {
        "phase_duration_seconds": {phase: report.phases.get(phase, 0) for phase in PHASES},
        "deleted_tasks": deleted.tasks,
        "deleted_models": deleted.models,
        "deleted_files": deleted.files,
        "freed_bytes": deleted.bytes,
        "unsized_files": deleted.unsized,
        "would_delete_tasks": total.tasks if report.dry_run else 0,
        "deleted_projects": 0 if report.dry_run else len(report.emptied),
        "kept_tasks": {reason: found.count - found.failed if found else 0 for reason, found in reasons.items()},
        "failed_tasks": {reason: found.failed if found else 0 for reason, found in reasons.items()},
        **_stages(report),
        "requests": {server: report.requests_to[server] for server in SERVERS},
        "retries": {server: report.retries_to[server] for server in SERVERS},
    }


def _stages(report: Report) -> dict[str, Value]:
    """What policies did, by stage; each stage is there, if need be with 0."""
    done, freed, noticed = ({stage.value: 0 for stage in Stage} for _ in range(3))
    for row in report.stages.values():
        done[row.stage] += row.done
        freed[row.stage] += row.bytes
        noticed[row.stage] += row.noticed
    none = {stage.value: 0 for stage in Stage}
    return {
        "stage_tasks": none if report.dry_run else done,
        "stage_freed_bytes": none if report.dry_run else freed,
        "noticed_tasks": none if report.dry_run else noticed,
        "would_stage_tasks": done if report.dry_run else none,
    }


def _registry(prefix: str, values: Mapping[str, Value]) -> CollectorRegistry:
    registry = CollectorRegistry()
    for short, value in values.items():
        name = f"clearml_cleanup_{short}" if short == "build_info" else prefix + short
        metric = METRICS[name]
        if isinstance(value, Mapping):
            gauge = Gauge(name, metric.text, [metric.label], registry=registry)
            for label, number in value.items():
                gauge.labels(label).set(number)
        else:
            Gauge(name, metric.text, registry=registry).set(value)
    return registry
