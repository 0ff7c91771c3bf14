"""The product's own client, connected to an embedded server."""

from collections.abc import Callable
from typing import Any

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.retry import Retry
from clearml_sandbox.server import Sandbox


def connected(sandbox: Sandbox, *, before_deletion: Callable[[], None] = lambda: None, tries: int = 4) -> ClearMLServer:
    """Log in, and forget the requests that this took."""
    client = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, timeout=30, retry=Retry(tries, wait=0)))
    sandbox.requests.clear()
    return ClearMLServer(client, before_deletion=before_deletion)


def sent(sandbox: Sandbox, call: str) -> list[dict[str, Any]]:
    """The bodies of the requests to an endpoint."""
    return [request.body for request in sandbox.requests if request.call == call]
