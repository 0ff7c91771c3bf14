"""The log of a pass: one JSON object a line. docs/log-schema.md describes every field; a test holds it there."""

import json
from datetime import UTC, datetime
from typing import Any

from cleanup_job.report.outcome import REASON_TEXTS, Report, TaskOutcome, Verdict

SCHEMA = 1
"""Goes up when a field changes its meaning or goes away."""
Line = dict[str, Any]


def _line(event: str, level: str, **fields: Any) -> Line:
    return {"schema": SCHEMA, "time": _time(datetime.now(UTC)), "level": level, "event": event, **fields}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None


def dumps(line: Line) -> str:
    """A line's text: no line breaks of any kind in it."""
    text = json.dumps(line, ensure_ascii=False, default=str)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def pass_started(report: Report) -> Line:
    """A pass begins."""
    return _line(
        "pass_started",
        "info",
        version=report.version,
        dry_run=report.dry_run,
        server=report.server,
        cutoff=_time(report.cutoff),
    )


def selected(total: int) -> Line:
    """All pages are read."""
    return _line("selected", "info", tasks=total)


def task(outcome: TaskOutcome, report: Report | None) -> Line:
    """What became of one task."""
    level = {Verdict.FAILED: "error", Verdict.KEPT: "warning"}.get(outcome.verdict, "info")
    return _line(
        "task",
        level,
        verdict=outcome.verdict.value,
        dry_run=bool(report and report.dry_run),
        reason=outcome.reason.value if outcome.reason else None,
        detail=outcome.detail,
        task=outcome.task,
        name=outcome.name,
        project=outcome.project,
        project_id=outcome.project_id,
        models=outcome.models,
        files=outcome.files,
        bytes=outcome.bytes,
        kept_models=outcome.kept_models,
        protected=list(outcome.protected),
        external=list(outcome.external),
        external_count=outcome.external_count,
        unknown_stores=dict(outcome.unknown_stores),
        link=report.task_link(outcome.task, outcome.project_id) if report else "",
    )


def warning(text: str) -> Line:
    """Something that people should look at."""
    return _line("warning", "warning", message=text)


def pass_finished(report: Report) -> Line:
    """The sum of a pass."""
    return _line("pass_finished", "error" if report.exit_code else "info", **summary(report))


def summary(report: Report) -> Line:
    """The sums of a pass, as they stand in the last log line, the JSON report and Kubernetes' termination message."""
    total = report.total()
    seconds = (report.finished - report.started).total_seconds() if report.finished else 0.0
    return {
        "dry_run": report.dry_run,
        "exit_code": report.exit_code,
        "error": report.error or None,
        "stopped_by": report.stopped_by or None,
        "selected": report.selected,
        "deleted": total.tasks,
        "models": total.models,
        "files": total.files,
        "bytes": total.bytes,
        "kept": total.kept,
        "failed": total.failed,
        "not_ours": total.not_ours,
        "left": report.left,
        "kept_models": report.kept_models,
        "protected_files": report.protected,
        "external_files": report.external,
        "reasons": {reason.value: entry.count for reason, entry in report.reasons.items()},
        "unknown_stores": {
            address: {"files": files, "setting": store_hint(address)} for address, files in report.unknown_stores.items()
        },
        "warnings": len(report.warnings),
        "requests": report.requests,
        "seconds": round(seconds, 3),
    }


def store_hint(address: str) -> str:
    """What to do about a store that the job doesn't know."""
    if address.startswith(("http://", "https://")):
        return f"if this is the same fileserver under another name, add it: CLEANUP_FILES_URL_PREFIXES={address}"
    return "this kind of store is not supported yet; CLEANUP_UNKNOWN_STORES=delete_record leaves its files and deletes the rest"


def reason_text(outcome: TaskOutcome) -> str:
    """Why a task stays, in words."""
    return REASON_TEXTS[outcome.reason] if outcome.reason else ""
