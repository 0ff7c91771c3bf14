"""The log of a pass: one JSON object a line. docs/log-schema.md describes every field, and a test compares both."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from cleanup_job.exit_codes import DID_WELL
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import NAMED, Report, TaskOutcome, Verdict
from cleanup_job.redaction import cleaned, redacted
from cleanup_job.report import stages
from cleanup_job.report.formatting import shortened
from cleanup_job.report.phrases import link, seconds, seconds_left, store_hint, store_setting

SCHEMA = 1
"""Raised when a field is removed or changes its meaning; new fields don't raise it."""
STAGES_NAMED = 60
"""Stages of policies in a line: a file may have any number of policies."""
Line = dict[str, Any]

_TO_ESCAPE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def dumps(line: Line, indent: int | None = None) -> str:
    """Readable JSON that UTF-8 can encode, without secrets; without an ``indent``, every reader sees one line."""
    text = json.dumps(cleaned(line, _shown), ensure_ascii=False, indent=indent, default=lambda value: _shown(str(value)))
    return _TO_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _shown(text: str) -> str:
    """A text without secrets, cut at ``LONGEST``."""
    return shortened(redacted(text))


def pass_started(report: Report) -> Line:
    """The line that starts a pass."""
    return line(
        "pass_started",
        "info",
        version=report.version,
        dry_run=report.dry_run,
        server=report.server,
        cutoff=_time(report.cutoff),
        **({"policies": report.policies} if report.policies else {}),
    )


def parameters(rows: Sequence[tuple[str, str, str]]) -> Line:
    """The settings in use, and where each came from."""
    return line(
        "parameters", "info", settings=[{"setting": name, "value": value, "from": where} for name, value, where in rows]
    )


def not_due(text: str, *, last: str | None = None, due: str | None = None, run: str | None = None) -> Line:
    """There was no pass: the last one was too recent, or a run of it is queued or running elsewhere."""
    return line("not_due", "info", message=text, last=last, due=due, run=run, exit_code=0, run_before=None)


def enqueued(text: str, task: str, queue: str, workers: int | None) -> Line:
    """There was no pass here: an agent will run it."""
    return line("enqueued", "info", message=text, run=task, queue=queue, workers=workers, exit_code=0, run_before=None)


def after_run(skipped: Line, run_before: Line, exit_code: int) -> Line:
    """The line of a Job without a pass, after a run on an agent that did not do its whole pass."""
    return skipped | {"level": "warning", "exit_code": exit_code, "run_before": run_before}


def expected(tasks: int | None) -> Line:
    """About how many tasks the pass will look at; None if unknown."""
    return line("expected", "info", tasks=tasks)


def selected(total: int) -> Line:
    """All tasks are selected."""
    return line("selected", "info", tasks=total)


def progress(done: int, total: int | None, elapsed: float) -> Line:
    """The progress of a pass, ``elapsed`` seconds after its start; ``total`` is None as long as it is unknown."""
    left = None if total is None else round(seconds_left(done, total, elapsed), 1)
    return line("progress", "info", done=done, tasks=total, seconds_left=left)


def task(outcome: TaskOutcome, report: Report | None, level: str = "info") -> Line:
    """What became of one task. With the level ``debug``, all lines have it except those of tasks that failed."""
    if outcome.verdict is Verdict.FAILED:
        level = "error"
    elif outcome.verdict is Verdict.KEPT and level != "debug":
        level = "warning"
    return line(
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
        user=outcome.user or None,
        status=outcome.status or None,
        active=time_or_none(outcome.active),
        models=outcome.models,
        files=outcome.files,
        bytes=outcome.bytes,
        unsized=outcome.unsized,
        files_missing=outcome.files_missing,
        kept_models=outcome.kept_models,
        protected=list(outcome.protected[:NAMED]),
        protected_count=len(outcome.protected),
        external=list(outcome.external),
        external_count=outcome.external_count,
        unknown_stores=stores(outcome.unknown_stores),
        unknown_stores_count=len(outcome.unknown_stores),
        rule=outcome.rule or None,
        link=(link(report, outcome.task, outcome.project_id) or None) if report else None,
        **_by_policy(outcome),
    )


def _by_policy(outcome: TaskOutcome) -> Line:
    """What its policy did with a task; nothing without one."""
    if not outcome.policy and outcome.stage is None:
        return {}
    stage = outcome.stage.value if outcome.stage else None
    return {"policy": outcome.policy, "stage": stage, "due": time_or_none(outcome.due)}


def stores(found: Iterable[tuple[str, int]]) -> list[Line]:
    """Stores that the job doesn't know, with their numbers of files: those with the most files, at most ``NAMED``."""
    numbers = Counter(dict(found))
    return [{"address": address, "files": files} for address, files in numbers.most_common(NAMED)] if numbers else []


def warning(text: str) -> Line:
    """A line that people should look at."""
    return line("warning", "warning", message=text)


def plan(text: str) -> Line:
    """Which plan is carried out, or that one was written."""
    return line("plan", "info", message=text)


def debug(text: str) -> Line:
    """A line that only helps to find out what happens."""
    return line("debug", "debug", message=text)


def project(name: str, *, dry_run: bool) -> Line:
    """A project that was deleted because the pass had emptied it."""
    return line("project_deleted", "info", project=name, dry_run=dry_run)


def pass_finished(report: Report) -> Line:
    """The line that ends a pass: its sums."""
    level = "info" if report.exit_code == 0 else "warning" if report.exit_code in DID_WELL else "error"
    return line("pass_finished", level, **summary(report))


def summary(report: Report) -> Line:
    """The sums of a pass, as the last log line, the JSON report and Kubernetes' termination message have them."""
    total = report.total()
    return {
        "dry_run": report.dry_run,
        "exit_code": report.exit_code,
        "error": report.error or None,
        "stopped_by": report.stopped_by,
        "selected": report.selected,
        "deleted": total.tasks,
        "models": total.models,
        "files": total.files,
        "bytes": total.bytes,
        "files_missing": report.files_missing,
        "kept": total.kept,
        "failed": total.failed,
        "not_ours": total.not_ours,
        "gone_already": total.gone_already,
        "left": report.left,
        "left_at_least": report.left_is_least,
        "kept_models": report.kept_models,
        "protected_files": report.protected,
        "external_files": report.external,
        "reasons": {reason.value: entry.count for reason, entry in report.reasons.items()},
        "unknown_stores": [
            {"address": address, "files": files, "setting": store_setting(address), "hint": store_hint(address)}
            for address, files in report.unknown_stores.most_common(NAMED)
        ],
        "unknown_stores_count": len(report.unknown_stores),
        "rules": dict(report.rules.most_common(NAMED)),
        "rules_count": len(report.rules),
        "left_out": [
            {"count": entry.count, "at_least": entry.is_least, "text": entry.text, "setting": entry.setting}
            for entry in report.left_out
        ],
        "emptied_projects": len(report.emptied),
        "warnings": report.warned,
        "requests": report.requests,
        "seconds": round(seconds(report), 3),
        "phases": {name: round(spent, 3) for name, spent in report.phases.items()},
        "run": report.run or None,
        "audit": report.audit or None,
        "audit_sha256": report.audit_hash or None,
        "shard": report.shard,
        "shards": report.shards,
    } | _of_policies(report)


def _of_policies(report: Report) -> Line:
    """What policies did apart from deletion, and each of their stages; nothing without policies."""
    if not report.policies and not report.stages:
        return {}
    found, rows = stages.sums(report), stages.by_policy(report)
    return {
        "policies": report.policies,
        "archived": found.done[Stage.ARCHIVE],
        "slimmed": found.done[Stage.SLIM],
        "slimmed_bytes": found.bytes[Stage.SLIM],
        "noticed": found.noticed.total(),
        "stages": [stages.as_fields(row) for row in rows[:STAGES_NAMED]],
        "stages_count": len(rows),
    }


def line(event: str, level: str, **fields: Any) -> Line:
    """A line with the fields that all lines have."""
    return {"schema": SCHEMA, "time": _time(datetime.now(UTC)), "level": level, "event": event, **fields}


def time_or_none(moment: datetime | None) -> str | None:
    """A time as lines have it, if it is known."""
    return None if moment is None else _time(moment)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
