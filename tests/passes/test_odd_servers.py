"""Servers that redirect, drip, send bombs or log-in pages: no credentials go elsewhere, and no pass hangs."""

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Event, Thread

import pytest
import requests

from cleanup_job.clearml_api import session
from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.errors import CleanupError, SettingsError, UnreachableError
from cleanup_job.planning.outcome import Reason
from cleanup_job.retry import Retry
from cleanup_job.transport import bounded_http
from cleanup_job.transport.bounded_http import BoundedAdapter, UnreadableError
from clearml_sandbox.api.answer import ENDPOINTS, Call
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state

Serve = Callable[[socket.socket, Event], None]


@contextmanager
def served(serve: Serve) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a request and answers as it likes; gives its address, and what it was sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    over, sent = Event(), []

    def work() -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    sent.append(connection.recv(65536))
                    serve(connection, over)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", sent
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def get(address: str, timeout: float = 0.3) -> requests.Response:
    with requests.Session() as http:
        http.mount("http://", BoundedAdapter())
        return http.get(address, timeout=timeout)


def drips(head: bytes, drop: bytes) -> Serve:
    def serve(connection: socket.socket, over: Event) -> None:
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(drop)
            time.sleep(0.05)

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drips(b"HTTP/1.1 200 OK\r\n", b"X"),
        drips(b"HTTP", b"1"),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunks", "head", "status", "continue"],
)
def test_an_answer_that_drips_for_ever_ends(serve: Serve) -> None:
    with served(serve) as (address, _), pytest.raises(requests.RequestException):
        get(address)


def test_an_api_server_that_drips_is_unreachable() -> None:
    serve = drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" ")
    with served(serve) as (address, sent):
        with pytest.raises(UnreachableError):
            ApiClient(ServerAccess(address, "key", "secret", timeout=0.3, retry=Retry(2, wait=0)))
        assert len(sent) == 2


@pytest.mark.parametrize("packing", ["gzip", "gzip, gzip", "br"])
def test_an_answer_has_a_size_unpacked_and_known_packings_only(monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    monkeypatch.setattr(bounded_http, "most_bytes", ContextVar("most_bytes", default=100_000))
    bomb = gzip.compress(b" " * 10_000_000)

    def serve(connection: socket.socket, _: Event) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {packing}\r\nContent-Length: {len(bomb)}\r\n\r\n"
        connection.sendall(head.encode() + bomb)

    with served(serve) as (address, _), pytest.raises(UnreadableError):
        get(address, timeout=5)


def test_an_answer_within_the_bounds_is_whole() -> None:
    body = b"x" * 300_000

    def serve(connection: socket.socket, _: Event) -> None:
        packed = gzip.compress(body)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + packed)

    with served(serve) as (address, _):
        assert get(address, timeout=5).content == body


def answers(head: str, body: bytes = b"") -> Serve:
    def serve(connection: socket.socket, _: Event) -> None:
        connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)

    return serve


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_named_and_never_followed(status: str) -> None:
    with served(answers("200 OK", b"{}")) as (other, elsewhere):
        where = other.replace("http://", "http://user:pass@") + "/login?secret=1"
        with served(answers(f"{status}\r\nLocation: {where}")) as (address, _), pytest.raises(SettingsError) as told:
            ApiClient(ServerAccess(address, "key", "secret", retry=Retry(2, wait=0)))
        assert elsewhere == []
    assert f"CLEARML_API_HOST={address}" in str(told.value)
    assert f"{other}/login" in str(told.value)
    assert "secret=1" not in str(told.value)
    assert "pass@" not in str(told.value)


def test_a_redirect_in_the_middle_of_a_pass_ends_it(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(NOW)
    world.task("old").artifact("data")
    sandbox.load(world.as_dict())
    before = state(sandbox)
    whole = session._Adapter._send

    def redirect(adapter: session._Adapter, request: requests.PreparedRequest, **options: object) -> requests.Response:
        answer = whole(adapter, request, **options)
        if "get_task_metrics" in str(request.url) or "models.get_all" in str(request.url):
            answer.status_code = 302
            answer.headers["Location"] = "https://sso.example/login"
        return answer

    monkeypatch.setattr(session._Adapter, "_send", lambda self, request, *_, **options: redirect(self, request, **options))
    with pytest.raises(SettingsError, match=r"https://sso\.example/login"):
        clean(sandbox)
    assert state(sandbox) == before


@pytest.mark.parametrize("body", [b"<!doctype html><title>Sign in</title>", b"", b"[]", b"{}", b'{"meta": {}, "data": {}}'])
def test_what_is_no_api_server_is_a_wrong_setting(body: bytes) -> None:
    with served(answers("200 OK", body)) as (address, _), pytest.raises(SettingsError, match=f"CLEARML_API_HOST={address}"):
        ApiClient(ServerAccess(address, "key", "secret", retry=Retry(2, wait=0)))


@pytest.mark.parametrize("token", ["x", "a.b.c", 7, None, "e30.e30.e30", "\n"])
def test_a_token_that_is_none_is_a_wrong_setting(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, token: object) -> None:
    monkeypatch.setitem(ENDPOINTS, "auth.login", ((1, 0), lambda _: {"token": token}))
    with suppress(CleanupError):
        ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, retry=Retry(2, wait=0)))


# -- events
def test_events_that_cannot_be_read_keep_their_task_alone(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(NOW)
    tasks = [world.task(f"exp {n}") for n in range(4)]
    for task in tasks:
        task.debug_images(3)
    sandbox.load(world.as_dict())
    odd = tasks[2].id

    def wrong(call: str) -> None:
        since, handler = ENDPOINTS[call]

        def answer(request: Call) -> dict[str, object]:
            data = handler(request)
            for event in data.get("events", ()):
                event.update({"url": {"path": "x"}} if event["task"] == odd else {})
            for entry in data.get("metrics", ()):
                for iteration in entry["iterations"] if entry["task"] == odd else ():
                    iteration["events"] = [{**event, "url": 7} for event in iteration["events"]]
            return data

        monkeypatch.setitem(ENDPOINTS, call, (since, answer))

    wrong("events.get_task_events")
    done = clean(sandbox)
    assert done.watcher.kept == {odd: Reason.UNREADABLE}
    assert done.watcher.deleted == {task.id for task in tasks} - {odd}
