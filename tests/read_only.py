"""The parts of the commands that only read, over a sandbox, in this process."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.passes.by_settings import claim_index
from cleanup_job.passes.explanation import Explainer
from cleanup_job.passes.forecast import Forecaster
from cleanup_job.passes.rules_now import RulesNow, rules_now
from cleanup_job.passes.windows import Windows
from cleanup_job.planning.explanation import Explained
from cleanup_job.planning.forecast import Forecast
from cleanup_job.planning.paths import TaskId
from cleanup_job.retry import Retry
from cleanup_job.settings.model import Settings
from cleanup_job.settings.sources import load
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.stores import Stores
from cleanup_job.transport.splitting import Splitting
from clearml_sandbox.server import Sandbox
from tests.harness import NOW


def _refuse() -> None:
    raise AssertionError("something is about to be deleted")


@dataclass
class Reading:
    """A server with its files, and the rules by some settings; as in the harness, tasks in any status are deleted."""

    server: ClearMLServer
    stores: Stores
    settings: Settings
    known: RulesNow

    @classmethod
    def of(cls, sandbox: Sandbox, *, filters: dict[str, Any] | None = None, at: datetime = NOW, **settings: Any) -> "Reading":
        given = {"force_delete": True, **(filters or {}), **settings}
        wanted, _ = load({name: value for name, value in given.items() if value != ()}, sandbox.environment())
        retry = Retry(4, wait=0)
        transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, timeout=30, retry=retry))
        server = ClearMLServer(transport, wanted.run.page_size, before_deletion=_refuse)
        files = FileServer(sandbox.files_url, (), transport.token, timeout=30, retry=retry, before_deletion=_refuse)
        return cls(server, Stores((files,)), wanted, rules_now(server, wanted, lambda _: None, at=at))

    def explain(self, *ids: str) -> list[Explained]:
        explainer = Explainer(self.server, self.stores, self.settings, self.known, warn=lambda _: None)
        return explainer.explain(map(TaskId, ids))

    def forecast(self, days: int) -> Forecast:
        return Forecaster(self.server, self.known).read(days)

    def selected(self) -> int:
        """How many tasks a pass selects, by its own count."""
        claims = claim_index(self.server, self.stores, self.settings, lambda: False)
        split: Splitting[Any] = Splitting(self.server, self.server.with_few_tries, self.server.probe)
        return sum(map(len, Windows(self.server, self.known.rules, claims, split=split).to_delete()))
