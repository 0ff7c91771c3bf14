"""By which clock ages count, and what the rules are at this moment, for passes and for commands that tell of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cleanup_job.passes.ports import RulesServer
from cleanup_job.planning import clock
from cleanup_job.planning.clock import Clock
from cleanup_job.planning.filters import Known
from cleanup_job.planning.selection import Rules, resolve
from cleanup_job.settings.filters import FilterSettings


@dataclass(frozen=True, slots=True)
class RulesNow:
    """The rules, and what they were resolved by."""

    rules: Rules
    now: datetime
    """In UTC, by the clock that ages count by."""
    projects: Mapping[str, str]
    """Names by id."""


def rules_now(
    server: RulesServer, filters: FilterSettings, warn: Callable[[str], None], *, at: datetime | None = None
) -> RulesNow:
    """Resolve the rules; ``at``: for another moment than this one.

    Raises:
        SettingsError: a filter that protects names what does not exist.
        CleanupError: the server gives no usable answer.
    """
    projects = server.projects()
    now = at or _now(server, warn)
    known = Known(projects, cache(server.users), server.tag_exists, server.has_tasks)
    cutoff = now - timedelta(days=filters.delete_threshold_days)
    return RulesNow(resolve(filters, now, known, warn, cutoff=cutoff), now, projects)


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
