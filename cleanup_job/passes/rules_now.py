"""What the rules of a pass are at this moment, for commands that only tell what passes would do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cleanup_job.passes.ports import Server
from cleanup_job.planning import clock
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


def rules_now(server: Server, filters: FilterSettings, warn: Callable[[str], None], *, at: datetime | None = None) -> RulesNow:
    """Resolve the rules; ``at``: for another moment than this one.

    Raises:
        SettingsError: a filter that protects names what does not exist.
        CleanupError: the server gives no usable answer.
    """
    projects = server.projects()
    now = at or _server_time(server, warn)
    known = Known(projects, cache(server.users), server.tag_exists, server.has_tasks)
    cutoff = now - timedelta(days=filters.delete_threshold_days)
    return RulesNow(resolve(filters, now, known, warn, cutoff=cutoff), now, projects)


def _server_time(server: Server, warn: Callable[[str], None]) -> datetime:
    now, claimed = datetime.now(UTC), server.clock_ahead
    newest = server.newest() if claimed is not None and claimed < -clock.TOLERANCE else None
    found = clock.judged(now, claimed, server.token_ahead, newest)
    if found.warning:
        warn(found.warning)
    return now - found.ahead
