"""By which clock ages count, and what the rules are at this moment, for passes and for commands that tell of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cleanup_job.passes.ports import RulesServer
from cleanup_job.passes.ranks import RankReader
from cleanup_job.planning import clock
from cleanup_job.planning.clock import Clock
from cleanup_job.planning.filters import PROJECTS, Known, resolved
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import PolicyFile
from cleanup_job.planning.selection import Rules, resolve
from cleanup_job.settings.filters import FilterSettings
from cleanup_job.settings.model import Settings


@dataclass(frozen=True, slots=True)
class RulesNow:
    """The rules, and what they were resolved by."""

    rules: Rules
    now: datetime
    """In UTC, by the clock that ages count by."""
    projects: Mapping[str, str]
    """Names by id."""


def rules_now(server: RulesServer, settings: Settings, warn: Callable[[str], None], *, at: datetime | None = None) -> RulesNow:
    """Resolve the rules; ``at``: for another moment than this one.

    Raises:
        SettingsError: a filter that protects names what does not exist.
        CleanupError: the server gives no usable answer.
    """
    projects, filters = server.projects(), settings.filters
    now = at or _now(server, warn)
    known = known_to(server, projects)
    cutoff = now - timedelta(days=filters.delete_threshold_days)
    lifecycle = lifecycle_of(server, settings, known, now, warn)
    return RulesNow(resolve(filters, now, known, warn, cutoff=cutoff, lifecycle=lifecycle), now, projects)


def known_to(server: RulesServer, projects: Mapping[str, str]) -> Known:
    """What the server knows of the names in filters and policies; each user's name is read once, if at all."""
    return Known(projects, cache(server.users), server.tag_exists, server.has_tasks)


def lifecycle_of(  # noqa: PLR0913, PLR0917 -- as `resolve`
    server: RulesServer,
    settings: Settings,
    known: Known,
    now: datetime,
    warn: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
) -> Lifecycle | None:
    """The policies at a moment; None if there are none. What they keep as the last or the best of a project is read.

    Once ``stopped`` says so, what is not read by then counts as kept.

    Raises:
        SettingsError: what a policy names does not exist.
        CleanupError: the server gives no usable answer.
    """
    document, filters = settings.policies.document, settings.filters
    if document is None:
        return None
    default = FilterSettings.model_fields["delete_threshold_days"].default
    is_set = filters.delete_threshold_days != default
    return Lifecycle(
        _with_ranks(server, filters, known, document.resolved(known, warn), stopped),
        now,
        server.me(),
        floor=now - timedelta(days=filters.delete_threshold_days) if is_set else None,
        archived_for=timedelta(days=filters.archived_for_days),
        slims=filters.force_delete,
    )


def _with_ranks(
    server: RulesServer, filters: FilterSettings, known: Known, file: PolicyFile, stopped: Callable[[], bool]
) -> PolicyFile:
    if not any(policy.keep.is_ranked for policy in file.policies):
        return file
    only = resolved("projects", filters.projects, PROJECTS, known, lambda _: None) if filters.projects else None
    hidden = filters.include_hidden or filters.include_pipeline_steps
    ranks = RankReader(server, file, projects=only, hidden=hidden, stopped=stopped).read()
    return replace(file, kept_by_rank=ranks.kept)


def clock_of(server: RulesServer) -> Clock:
    """Find out by which clock ages count.

    Raises:
        CleanupError: the server gives no usable answer.
    """
    now, claimed = datetime.now(UTC), server.clock_ahead
    newest = server.newest() if claimed is not None and claimed < -clock.TOLERANCE else None
    return clock.judged(now, claimed, server.token_ahead, newest)


def _now(server: RulesServer, warn: Callable[[str], None]) -> datetime:
    found = clock_of(server)
    if found.warning:
        warn(found.warning)
    return datetime.now(UTC) - found.ahead
