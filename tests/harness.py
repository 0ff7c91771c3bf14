"""A pass over a sandbox, in this process, with the real rooms around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.passes.cleanup import Options, Pass, Stop
from cleanup_job.planning.filters import Filters
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.retry import Retry
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.interface import Store
from cleanup_job.storage.stores import Stores
from clearml_sandbox.server import Sandbox

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass
class Watcher:
    """Remembers what a pass tells."""

    outcomes: dict[TaskId, TaskOutcome] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)

    def selected(self, total: int, projects: Mapping[str, int]) -> None:
        pass

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
    def deleted(self) -> set[str]:
        return self.by_verdict(Verdict.DELETED)

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
    days: float = 30,
    force: bool = True,
    filters: dict[str, Any] | None = None,
    prefixes: tuple[str, ...] = (),
    page_size: int = 500,
    stop: Stop | None = None,
    attempts: int = 4,
    timeout: float = 30,
    stores: Callable[[Retry, Callable[[], None]], Sequence[Store]] = lambda *_: (),
    **options: Any,
) -> Done:
    """One pass as the CLI assembles it, but with retries that don't wait; with ``stores`` beside the fileserver."""
    retry = Retry(attempts, wait=0)
    connection = ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, timeout=timeout, retry=retry)
    transport = ApiClient(connection)
    stop = stop or Stop()
    gate = stop.before_deletion
    files = FileServer(sandbox.files_url, prefixes, transport.token, timeout=timeout, retry=retry, before_deletion=gate)
    watcher = Watcher()
    chosen = replace(Filters(timedelta(days=days), drafts_only=not force), **(filters or {}))
    report = Report("test", bool(options.get("dry_run")), NOW, NOW - timedelta(days=days))
    server = ClearMLServer(transport, page_size, before_deletion=gate)
    places = Stores((files, *stores(retry, gate)))
    try:
        doing = Pass(server, places, Options(chosen, **options), report, watcher, stop)
        doing.set_clock()
        doing.run()
    finally:
        report.requests = transport.sent + places.sent
    return Done(report, watcher)


def state(sandbox: Sandbox) -> tuple[list[str], list[str], list[str]]:
    """Tasks, models and files that are there."""
    now = sandbox.state()
    return sorted(now["tasks"]), sorted(model["id"] for model in now["models"]), sorted(now["files"])
