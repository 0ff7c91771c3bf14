"""A pass over a sandbox, in this process, with everything real around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.passes.cleanup import Pass
from cleanup_job.passes.ports import Audit, Observer
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen, OwnTasks
from cleanup_job.retry import Retry
from cleanup_job.settings.sources import load
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.interface import Store
from cleanup_job.storage.stores import Stores
from clearml_sandbox.server import Sandbox

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)

_DID = {
    Verdict.WOULD_DELETE: Verdict.DELETED,
    Verdict.WOULD_ARCHIVE: Verdict.ARCHIVED,
    Verdict.WOULD_SLIM: Verdict.SLIMMED,
    Verdict.WOULD_NOTICE: Verdict.NOTICED,
}


@dataclass
class Watcher(Observer):
    """Remembers what it sees of a pass."""

    outcomes: dict[TaskId, TaskOutcome] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)

    def outcome(self, outcome: TaskOutcome) -> None:
        assert outcome.task not in self.outcomes, "a task has one outcome"
        self.outcomes[outcome.task] = outcome

    def project(self, name: str) -> None:
        self.projects.append(name)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def by_verdict(self, verdict: Verdict) -> set[str]:
        return {task for task, outcome in self.outcomes.items() if outcome.verdict is verdict}

    @property
    def ends(self) -> dict[TaskId, TaskOutcome]:
        """The outcomes as a pass and its dry run have in common."""
        return {task: replace(one, verdict=_DID.get(one.verdict, one.verdict)) for task, one in self.outcomes.items()}

    @property
    def deleted(self) -> set[str]:
        """That were, or in a dry run would be."""
        return self.by_verdict(Verdict.DELETED) | self.by_verdict(Verdict.WOULD_DELETE)

    @property
    def failed(self) -> set[str]:
        return self.by_verdict(Verdict.FAILED)

    @property
    def kept(self) -> dict[str, Reason | None]:
        return {task: o.reason for task, o in self.outcomes.items() if o.verdict is Verdict.KEPT}


@dataclass
class Done:
    """What a pass did."""

    report: Report
    watcher: Watcher


def clean(
    sandbox: Sandbox,
    *,
    filters: dict[str, Any] | None = None,
    own: OwnTasks | None = None,
    chosen: Chosen | None = None,
    stop: Stop | None = None,
    attempts: int = 4,
    audit: Audit | None = None,
    watcher: Watcher | None = None,
    now: datetime = NOW,
    stores: Callable[[Retry, Callable[[], None]], Sequence[Store]] = lambda *_: (),
    **settings: Any,
) -> Done:
    """One pass as the CLI assembles it, but with retries that don't wait; ``stores`` come beside the fileserver.

    Settings are given by their names, ``filters`` too; by default, tasks in any status are deleted.
    """
    given = {"force_delete": True, "request_timeout_seconds": 30, **(filters or {}), **settings}
    wanted, _ = load({name: value for name, value in given.items() if value not in ((), None)}, sandbox.environment())
    retry, timeout = Retry(attempts, wait=0), wanted.run.request_timeout_seconds
    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, timeout=timeout, retry=retry))
    stop = stop or Stop()
    gate = stop.before_deletion
    prefixes = wanted.files.files_url_prefixes
    files = FileServer(sandbox.files_url, prefixes, transport.token, timeout=timeout, retry=retry, before_deletion=gate)
    watcher = watcher or Watcher()
    report = Report("test", wanted.run.dry_run, now, now - timedelta(days=wanted.filters.delete_threshold_days))
    server = ClearMLServer(transport, wanted.run.page_size, before_deletion=gate)
    places = Stores((files, *stores(retry, gate)))
    try:
        doing = Pass(server, places, wanted, report, watcher, stop, own=own, chosen=chosen, audit=audit)
        doing.set_clock()
        doing.run()
    finally:
        report.requests = transport.sent + places.sent.total()
    return Done(report, watcher)


def state(sandbox: Sandbox) -> tuple[list[str], list[str], list[str]]:
    """Tasks, models and files that are there."""
    now = sandbox.state()
    return sorted(now["tasks"]), sorted(model["id"] for model in now["models"]), sorted(now["files"])
