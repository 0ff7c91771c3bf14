"""What marks a run: its name, its tags, and when it was last heard of. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cleanup_job.errors import LeaseHeldError
from cleanup_job.planning.records import Run
from cleanup_job.settings.model import Settings

SILENT = timedelta(minutes=10)
"""A run that has sent nothing for so long has ended without saying so."""
ENDED = frozenset({"completed", "failed", "stopped", "closed"})
WAITING = frozenset({"queued", "in_progress"})
DRY_RUN = "dry run"
SHARD = "shard:"
POD = "pod:"
AGENT = "agent"
"""On a run whose pass has begun, in a pod or under an agent."""


def run_name(settings: Settings, now: datetime) -> str:
    """The name of a run: the draft's, and when it began."""
    shard, shards = settings.run.shard or 0, settings.run.shards
    part = f" ({shard + 1} of {shards})" if shards > 1 else ""
    return f"{settings.service_task.task_name} {now:%Y-%m-%d %H:%M}{part}"


def tags_of(settings: Settings, pod: str) -> list[str]:
    """The tags of a run whose pass has begun; without a pod, under an agent."""
    shard = [_shard_tag(settings)] if settings.run.shards > 1 else []
    dry_run = [DRY_RUN] if settings.run.dry_run else []
    return [*release_tags(settings), POD + pod if pod else AGENT, *shard, *dry_run]


def release_tags(settings: Settings) -> list[str]:
    """The tag of the release, if there is one."""
    return [f"release:{settings.cluster.release}"] if settings.cluster.release else []


def _shard_tag(settings: Settings) -> str:
    return f"{SHARD}{settings.run.shard}/{settings.run.shards}" if settings.run.shards > 1 else ""


def is_of_shard(run: Run, settings: Settings) -> bool:
    """Whether a run concerns this part of a pass: those of other shards don't keep it from running."""
    shard = next((tag for tag in run.tags if tag.startswith(SHARD)), "")
    return shard in {"", _shard_tag(settings)}


def in_pod(run: Run) -> bool:
    """Whether a pod runs it, or ran it."""
    return any(tag.startswith(POD) for tag in run.tags)


def began(run: Run) -> bool:
    """Whether there was a pass: an agent marks a task as completed even if it could not install what the task needs."""
    return in_pod(run) or AGENT in run.tags


def is_alive(run: Run, now: datetime | None = None) -> bool:
    """Whether it was heard of lately; ``now`` is the current time unless given."""
    return run.last_update is not None and (now or datetime.now(UTC)) - run.last_update < SILENT


def require_alone(runs: Sequence[Run], own: str = "") -> None:
    """Of two passes that began at the same time, the later one gives way.

    Raises:
        LeaseHeldError: another one runs.
    """
    running = [run for run in runs if run.status == "in_progress" and (run.id == own or is_alive(run))]
    mine = next((_rank(run) for run in running if run.id == own), None)
    for run in running:
        if run.id != own and (mine is None or _rank(run) < mine):
            raise LeaseHeldError(f"Another pass is running: task {run.id} in ClearML. This one did nothing.")


def _rank(run: Run) -> tuple[float, str]:
    return (run.started.timestamp() if run.started else 0.0, run.id)
