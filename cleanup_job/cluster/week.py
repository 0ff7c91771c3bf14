"""What the passes of the last seven days did, together."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cleanup_job.cluster.connection import Document
from cleanup_job.cluster.pass_result import PassResult

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Week:
    """What the passes did that began in the last seven days, as far as Kubernetes still has their Jobs."""

    passes: int = 0
    """Jobs, without those that ran no pass because it was not due or an agent got it."""
    failed: int = 0
    dry_runs: int = 0
    """These count as passes, and nothing that they would delete is in the sums."""
    tasks: int = 0
    models: int = 0
    files: int = 0
    bytes: int = 0
    """Bytes of deleted files whose size is known."""
    archived: int = 0
    """Tasks, by policies."""
    slimmed: int = 0
    """Tasks, by policies."""
    slimmed_bytes: int = 0
    """Bytes that this removed, as far as known; not in ``bytes``."""
    complete: bool = True
    """Whether no Job of this time can have been deleted, as the CronJob's history limits make it."""


def last_week(passes: list[PassResult], cronjob: Document, now: datetime) -> Week:
    """The sums of the passes that began in the last seven days."""
    recent = [entry for entry in passes if _began_since(entry, now - _WEEK)]
    counted = [entry for entry in recent if not entry.skipped]
    done = [summary for entry in counted for summary in _summaries(entry) if not summary.get("dry_run")]
    return Week(
        passes=len(counted),
        failed=sum(entry.state == "failed" for entry in counted),
        dry_runs=sum(bool((entry.summary or {}).get("dry_run")) for entry in counted),
        tasks=_added(done, "deleted"),
        models=_added(done, "models"),
        files=_added(done, "files"),
        bytes=_added(done, "bytes"),
        archived=_added(done, "archived"),
        slimmed=_added(done, "slimmed"),
        slimmed_bytes=_added(done, "slimmed_bytes"),
        complete=_is_complete(passes, recent, cronjob["spec"]),
    )


def _added(summaries: list[dict[str, Any]], name: str) -> int:
    return sum(int(summary.get(name) or 0) for summary in summaries)


def _began_since(entry: PassResult, since: datetime) -> bool:
    return entry.started is not None and datetime.fromisoformat(entry.started) >= since


def _summaries(entry: PassResult) -> list[dict[str, Any]]:
    """What each try of a pass did."""
    return [summary for summary in (entry.summary, *(one["summary"] for one in entry.tries_before)) if summary]


def _is_complete(passes: list[PassResult], recent: list[PassResult], spec: Document) -> bool:
    """Whether all Jobs of the last week are known: one from before it is there, or there are fewer than are kept."""
    ttl = spec["jobTemplate"]["spec"].get("ttlSecondsAfterFinished")
    if ttl is not None and ttl < _WEEK.total_seconds():
        return False
    limits = {"complete": spec.get("successfulJobsHistoryLimit", 3), "failed": spec.get("failedJobsHistoryLimit", 1)}
    for state, limit in limits.items():
        ended = [entry for entry in passes if entry.state == state]
        if len(ended) >= limit and all(entry in recent for entry in ended):
            return False
    return True
