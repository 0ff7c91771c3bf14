"""A server that can't keep up gets fewer requests at the same time, and the pass still does all of its work."""

import time
from collections.abc import Callable
from threading import Barrier, Lock, Thread
from typing import Any

import pytest

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.concurrency_limit import ConcurrencyLimit
from cleanup_job.errors import LeaseHeldError
from cleanup_job.planning.paths import ModelId, TaskId, owned_file
from cleanup_job.retry import Retry
from cleanup_job.storage.fileserver import FileServer
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state

WORKERS = 8
TROUBLE = 60
"""Requests that get no answer of use."""


class Overloaded:
    """One of the two servers: at the first requests of a kind that come together it breaks down, for a while."""

    def __init__(self, service: str, call: str, fault: Fault) -> None:
        self.at_once: list[int] = []
        """Of each request in trouble: how many were at the server when it came, itself included."""
        self._service, self._call, self._fault = service, call, fault
        self._together = Barrier(WORKERS)
        self._lock = Lock()
        self._here = 0
        self._waited = 0

    def __call__(self, request: Request) -> Fault | None:
        if request.service != self._service or not self._is_down(request):
            return None
        with self._lock:
            self._here += 1
            self.at_once.append(self._here)
            first = self._waited < WORKERS
            self._waited += 1
        try:
            if first:
                self._together.wait(30)
            else:
                time.sleep(0.005)  # long enough for others to come, were they let
        finally:
            with self._lock:
                self._here -= 1
        return self._fault

    def _is_down(self, request: Request) -> bool:
        begins = request.call == self._call and bool(request.body) and request.body.get("files") != []
        return len(self.at_once) < TROUBLE and (begins or len(self.at_once) >= WORKERS)


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=429), Fault(status=504, after=True), Fault()])
@pytest.mark.parametrize(("service", "call"), [("api", "tasks.delete_many"), ("files", "/delete_many")])
def test_with_many_workers_a_server_in_trouble_is_asked_by_one_at_a_time(service: str, call: str, fault: Fault) -> None:
    world = World(NOW)
    for number in range(3 * WORKERS):
        world.task(f"exp {number}").artifact("data")
    living = world.task("living", archived=False)
    server = Overloaded(service, call, fault)
    with Sandbox(world.as_dict(), fault=server) as sandbox:
        done = clean(sandbox, workers=WORKERS, batch_size=1, attempts=100)
        assert server.at_once[:WORKERS] == list(range(1, WORKERS + 1))
        assert len(server.at_once) == TROUBLE
        # Down from 8 in three falls: at most 8 + 4 + 2 were sent before the last one.
        assert set(server.at_once[14:]) == {1}
        assert len(done.watcher.deleted) == 3 * WORKERS
        assert state(sandbox) == ([living.id], [], [])


# -- the order of things before a request
class Told(ConcurrencyLimit):
    """Tells what is done in which order."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(1)
        self.log = log

    def slot(self) -> Any:
        self.log.append("slot")
        return super().slot()

    def ask(self, name: str, send: Callable[[], Any]) -> Any:
        self.log.append(name)
        return super().ask(name, send)


def lost(log: list[str]) -> Callable[[], None]:
    """Asks for the lease, which is lost."""

    def ask() -> None:
        log.append("lease")
        raise LeaseHeldError

    return ask


def transport_of(sandbox: Sandbox, limit: ConcurrencyLimit) -> ApiClient:
    return ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, retry=Retry(4, wait=0), in_flight=limit))


def test_a_lease_that_is_lost_while_a_call_waits_is_seen_before_it_is_sent(sandbox: Sandbox) -> None:
    limit = Told([])
    transport = transport_of(sandbox, limit)
    limit.log.clear()
    sandbox.requests.clear()
    with pytest.raises(LeaseHeldError):
        transport.call("tasks.delete_many", {"ids": ["x"]}, lost(limit.log))
    assert (limit.log, sandbox.requests) == (["slot", "lease"], [])
    transport.call("users.get_all_ex", {}, lambda: limit.log.append("lease"))
    assert limit.log[2:] == ["slot", "lease", "users.get_all_ex"]


def test_the_lease_is_looked_at_before_each_try(sandbox: Sandbox) -> None:
    limit = Told([])
    transport = transport_of(sandbox, limit)
    limit.log.clear()
    sandbox.requests.clear()
    sandbox.fault = lambda _: Fault(status=503) if len(sandbox.requests) < 3 else None
    transport.call("users.get_all_ex", {}, lambda: limit.log.append("lease"))
    assert limit.log == ["slot", "lease", "users.get_all_ex"] * 3


@pytest.mark.parametrize("version", ["2.34", "2.12"])
@pytest.mark.parametrize(
    "delete",
    [
        lambda server: server.delete_tasks([TaskId("x" * 32)], force=False),
        lambda server: server.delete_models([ModelId("x" * 32)]),
        lambda server: server.delete_project("x" * 32),
    ],
)
def test_a_lease_that_is_lost_while_a_record_waits_is_seen_before_it_is_deleted(
    delete: Callable[[ClearMLServer], object], version: str
) -> None:
    with Sandbox(max_api_version=version) as sandbox:
        limit = Told([])
        server = ClearMLServer(transport_of(sandbox, limit), before_deletion=lost(limit.log))
        limit.log.clear()
        sandbox.requests.clear()
        with pytest.raises(LeaseHeldError):
            delete(server)
        assert (limit.log, sandbox.requests) == (["slot", "lease"], [])


def test_a_lease_that_is_lost_while_a_file_waits_is_seen_before_it_is_deleted(sandbox: Sandbox) -> None:
    world = World(NOW)
    task = world.task("old")
    task.artifact("data")
    sandbox.load(world.as_dict())
    limit = Told([])
    files = FileServer(
        sandbox.files_url, (), lambda: limit.log.append("token") or "", in_flight=limit, before_deletion=lost(limit.log)
    )
    place = files.locate(f"{sandbox.files_url}/{state(sandbox)[2][0]}")
    assert place is not None
    file = owned_file(place, task.id)
    assert file is not None
    sandbox.requests.clear()
    with pytest.raises(LeaseHeldError):
        files.delete([file])
    assert (limit.log, sandbox.requests) == (["slot", "token", "lease"], [])


# -- logging in
def test_a_login_takes_a_slot_and_counts_for_the_limit(sandbox: Sandbox) -> None:
    limit = Told([])
    sandbox.fault = lambda _: Fault(status=503) if len(sandbox.requests) < 3 else None
    transport_of(sandbox, limit)
    assert limit.log == ["slot", "auth.login"] * 3


def test_tokens_that_end_at_the_same_time_keep_no_call_waiting_forever(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = transport_of(sandbox, ConcurrencyLimit(1))
    monkeypatch.setattr(transport._session, "get_token_valid_period_sec", lambda: 0)
    ended: list[object] = []

    def work(number: int) -> None:
        ended.append(transport.token() if number % 2 else transport.call("users.get_all_ex", {}))

    threads = [Thread(target=work, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    assert len(ended) == 8
