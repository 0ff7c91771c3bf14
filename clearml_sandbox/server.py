"""The sandbox: both servers, on loopback unless told otherwise, with latency, faults and a log of requests."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock, Semaphore, Thread
from typing import Any, Self

from werkzeug.serving import LISTEN_QUEUE, BaseWSGIServer, WSGIRequestHandler, make_server

from clearml_sandbox.api import app as api
from clearml_sandbox.fileserver import app as fileserver
from clearml_sandbox.store import Document, Store
from clearml_sandbox.worlds.builder import World

HOST = "127.0.0.1"
_EVERYWHERE = {"", "0.0.0.0"}  # noqa: S104 -- what to look for, not where to listen
OWN = "/_sandbox/"
"""Below it are the sandbox's own paths."""
_VERSION = re.compile(r"^/(?:v[\d.]+/)?")


class ListenError(OSError):
    """A server can't listen where it should."""

    def __init__(self, service: str, why: str) -> None:
        """``service`` is `api` or `files`."""
        super().__init__(f"the {service} server can't listen: {why}")
        self.service, self.why = service, why


@dataclass(frozen=True)
class Request:
    """An entry of the log, and what a fault hook sees."""

    number: int
    """From 1, over both servers; requests to `/_sandbox/` don't count."""
    service: str
    """`api` or `files`."""
    method: str
    call: str
    """`tasks.delete_many`, or a path on the fileserver."""
    body: Any = None
    port: int = 0
    """The client's, which tells its connections apart."""


@dataclass(frozen=True)
class Fault:
    """What happens to a request instead of its answer."""

    status: int | None = None
    """The HTTP status to answer with; None: the connection is dropped."""
    after: bool = False
    """Whether the request is carried out first, so that only its answer is lost."""
    subcode: int = 0
    delay: float = 0.0
    """Seconds to wait before."""
    body: str | None = None
    """What is answered in place of ClearML's envelope."""
    cut: bool = False
    """Whether the answer breaks off in the middle."""


Work = Callable[[Request, bytes], float]
"""Seconds that a server is at work on a request, from the request and the answer to it."""


class _Handler(WSGIRequestHandler):
    """Keeps connections open, sends small answers at once, and is silent."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out as a whole: in two parts, the second would wait for the first one's acknowledgement

    def setup(self) -> None:
        """Note the connection: who stops the server ends it."""
        super().setup()
        self.server.connections.add(self.connection)  # type: ignore[attr-defined]

    def finish(self) -> None:
        """The connection has ended."""
        self.server.connections.discard(self.connection)  # type: ignore[attr-defined]
        super().finish()

    def run_wsgi(self) -> None:
        """Answer a request. Werkzeug's own closes each connection; here requests have been read whole, so it may stay open."""
        status, headers = "500 -", [("Content-Type", "text/plain")]

        def start(said: str, given: list[tuple[str, str]], *_: Any) -> None:
            nonlocal status, headers
            status, headers = said, given

        try:
            body = b"".join(self.server.app(self.make_environ(), start))  # type: ignore[arg-type]
        except ConnectionError:
            self.close_connection = True
            return
        except Exception as error:  # noqa: BLE001 -- a client gets an answer in any case
            status, headers, body = "500 -", [("Content-Type", "text/plain")], repr(error).encode()
            self.close_connection = True
        code, _, words = status.partition(" ")
        self.send_response(int(code), words)
        for name, value in headers:
            self.send_header(name, value)
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        if length is None:
            self.send_header("Content-Length", str(len(body)))
        elif length > len(body) and self.command != "HEAD":  # an answer that breaks off: no client should wait for the rest
            self.close_connection = True
        # A client that loads a world or reads the state asks once, and may forget the connection.
        self.close_connection |= self.path.startswith(OWN)
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log(self, *_: Any) -> None:
        """Nothing: the sandbox has a log of its own."""

    def handle(self) -> None:
        """A client that is gone is not an error of the server."""
        with contextlib.suppress(ConnectionError):
            super().handle()


class _DroppedError(ConnectionError):
    """Ends a connection without an answer."""


class Sandbox:
    """An embedded ClearML Server; use it as a context."""

    def __init__(
        self,
        world: Document | None = None,
        *,
        host: str = HOST,
        api_port: int = 0,
        files_port: int = 0,
        api_url: str = "",
        files_url: str = "",
        latency: float = 0.0,
        key: str = "sandbox-key",
        secret: str = "sandbox-secret",  # noqa: S107 -- nothing in a sandbox is worth protecting
        fault: Callable[[Request], Fault | None] | None = None,
        allow_batch: bool = True,
        files_auth: bool = True,
        max_api_version: str = "2.34",
        log_bodies: bool = True,
        work: Work | None = None,
        at_once: int = 4,
    ) -> None:
        """Listen on the ports (0: any free one); `latency` is in seconds, added to each request.

        A client that connects from here on is kept waiting until `start`: ports that were tried first and bound again would
        refuse it in between. ListenError where a port can't be had.

        `api_url` and `files_url` are the addresses that clients know, where they are not those of the ports: the files' URIs
        name them, as a real server's do. `work` adds to each request the time that a real server would be at work on it, on
        `at_once` requests at the same time.
        """
        self.store = Store()
        self.key, self.secret = key, secret
        self.fault = fault
        self.latency = latency
        self.work = work
        self._at_work = Semaphore(at_once)
        self.requests: list[Request] = []
        self._log_bodies = log_bodies
        self._version = max_api_version
        self._lock = Lock()
        self._number = 0
        self._host = host
        known = HOST if host in _EVERYWHERE else host
        self._files = self._serve(files_port, "files", fileserver.make(self.store, auth=files_auth, allow_batch=allow_batch))
        self.files_url = files_url or f"http://{known}:{self._files.port}"
        try:
            self._api = self._serve(api_port, "api", api.make(self.store, self.files_url, max_api_version))
        except ListenError:
            self._files.server_close()
            raise
        self.api_url = api_url or f"http://{known}:{self._api.port}"
        self.load(world or World(datetime.now(UTC)).as_dict())

    @property
    def ports(self) -> tuple[int, int]:
        """Where the API server and the fileserver listen; the addresses that clients know may have others."""
        return self._api.port, self._files.port

    def __enter__(self) -> Self:
        """Start to serve."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Serve both in threads."""
        for server in (self._api, self._files):
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """End both, and free their ports."""
        for server in (self._api, self._files):
            server.shutdown()
        self.close()

    def close(self) -> None:
        """Free the ports, and end what connections there are; of one that serves, `stop` does it."""
        for server in (self._api, self._files):
            server.server_close()
            for connection in list(server.connections):  # type: ignore[attr-defined]
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def load(self, world: Document) -> None:
        """Replace everything by a world, with its placeholders filled in."""
        places = {"{API}": self.api_url, "{FILES}": self.files_url, "{KEY}": self.key, "{SECRET}": self.secret}
        self.store.load(world, places)
        self.store.credentials = self.store.credentials or {self.key: self.secret}

    def state(self) -> Document:
        """What is there: ids of tasks and projects, models, paths of files, queues."""
        return self.store.state()

    def environment(self) -> dict[str, str]:
        """The variables that make a client use this server."""
        return {
            "CLEARML_API_HOST": self.api_url,
            "CLEARML_FILES_HOST": self.files_url,
            "CLEARML_WEB_HOST": self.api_url.replace("127.0.0.1", "localhost"),
            "CLEARML_API_ACCESS_KEY": self.key,
            "CLEARML_API_SECRET_KEY": self.secret,
        }

    # -- serving
    def _serve(self, port: int, service: str, app: Any) -> BaseWSGIServer:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listening = socket.create_server((self._host, port), family=family, backlog=LISTEN_QUEUE)
        except (OSError, UnicodeError) as error:
            raise ListenError(service, str(getattr(error, "strerror", None) or error).partition(" (while")[0]) from None
        with listening:  # the server has a copy of it; where it should bind by itself and can't, it ends the process
            around = self._around(service, app)
            fd = listening.fileno()
            server = make_server(self._host, port, around, threaded=True, request_handler=_Handler, fd=fd)
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.connections = set()  # type: ignore[attr-defined]
        return server

    def _around(self, service: str, app: Any) -> Callable[..., Iterable[bytes]]:
        """The application with the sandbox's own paths, its log, latency and faults around it."""

        def serve(environ: Document, start: Callable[..., Any]) -> Iterable[bytes]:
            path, raw = environ.get("PATH_INFO", ""), _whole(environ)
            if path.startswith(OWN):
                return self._own(environ["REQUEST_METHOD"], start, path.removeprefix(OWN), raw)
            environ["sandbox.store"], environ["sandbox.version"] = self.store, self._version
            environ["wsgi.input"] = _Body(raw)
            request = self._note(service, environ["REQUEST_METHOD"], path, raw, environ.get("REMOTE_PORT", 0))
            if self.latency:
                time.sleep(self.latency)
            fault = self.fault(request) if self.fault else None
            if fault is None:
                return self._worked(request, list(app(environ, start)))
            time.sleep(fault.delay)
            if fault.after:
                list(app(environ, lambda *_: None))
            if fault.status is None:
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                raise _DroppedError
            body = json.dumps(_envelope(fault)) if fault.body is None else fault.body
            if fault.cut:
                start(f"{fault.status} -", [("Content-Type", "application/json"), ("Content-Length", str(len(body) + 100))])
                return [body.encode()]
            return _answer(start, fault.status, body)

        return serve

    def _worked(self, request: Request, answer: list[bytes]) -> list[bytes]:
        if self.work:
            with self._at_work:
                time.sleep(self.work(request, b"".join(answer)))
        return answer

    def _note(self, service: str, method: str, path: str, raw: bytes, port: int) -> Request:
        body = None
        if (self._log_bodies or self.work) and raw[:1] in {b"{", b"["}:
            with contextlib.suppress(ValueError):
                body = json.loads(raw)
        call = _VERSION.sub("", path) if service == "api" else path
        with self._lock:
            self._number += 1
            request = Request(self._number, service, method, call, body, port)
            self.requests.append(request)
        return request

    def _own(self, method: str, start: Callable[..., Any], name: str, raw: bytes) -> Iterable[bytes]:
        """The sandbox's own paths: load a world, read the state, read the log, ask whether it serves."""
        if name == "ready":
            return _answer(start, 200, {"ready": True})
        if name == "world" and method == "PUT":
            self.load(json.loads(raw))
            return _answer(start, 200, {"loaded": True})
        if name == "state":
            return _answer(start, 200, self.state())
        if name == "requests":
            return _answer(start, 200, [vars(request) for request in self.requests])
        return _answer(start, 404, {"error": f"no /_sandbox/{name}"})


def _whole(environ: Document) -> bytes:
    """A request's whole body; through a proxy it comes in chunks, without a length."""
    chunked = environ.get("wsgi.input_terminated")
    body: bytes = environ["wsgi.input"].read(-1 if chunked else int(environ.get("CONTENT_LENGTH") or 0))
    return body


class _Body:
    """A request's body that was read already."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        part, self._raw = (self._raw, b"") if size < 0 else (self._raw[:size], self._raw[size:])
        return part

    def readline(self, size: int = -1) -> bytes:
        """The next line."""
        end = self._raw.find(b"\n") + 1 or len(self._raw)
        return self.read(end if size < 0 else min(end, size))


def _envelope(fault: Fault) -> Document:
    meta = {"result_code": fault.status, "result_subcode": fault.subcode, "result_msg": "the sandbox fails as it was asked to"}
    return {"meta": meta, "data": {}}


def _answer(start: Callable[..., Any], status: int, data: Any) -> Iterable[bytes]:
    body = (data if isinstance(data, str) else json.dumps(data)).encode()
    start(f"{status} -", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
