"""HTTP answers within limits, so that no server can block a pass forever or fill its memory.

requests only limits the silence between two bytes: a server that sends one byte a second is never silent, and a few kilobytes
of gzip can hold gigabytes. Here the whole answer, including its headers, has a time limit and a size limit.
"""

import io
import socket
import time
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

WHOLE = 2.0
"""How much longer a whole answer may take than the limit on silence (``CLEANUP_REQUEST_TIMEOUT_SECONDS``)."""
MOST_BYTES = 256 * 2**20
"""Bytes of an answer, decompressed. The largest that ClearML sends are pages of plots, of a few megabytes each."""
PACKINGS = frozenset({"", "identity", "gzip", "deflate"})
"""Content encodings that are accepted, one at a time: with others, a kilobyte can hold a gigabyte."""

most_bytes = ContextVar("most_bytes", default=MOST_BYTES)
"""The limit for requests sent in this context: clearml's Session takes no limit for a single request."""


class UnreadableError(requests.RequestException):
    """An answer can't be read, and a retry can't help."""


class TooBigError(UnreadableError):
    """An answer is larger than allowed."""


class _Clocked(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, raw: io.RawIOBase, receiver: socket.socket, until: float) -> None:
        super().__init__()
        self._raw = raw
        self._socket = receiver
        self._silence = receiver.gettimeout()
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long as a whole")
        self._socket.settimeout(left if self._silence is None else min(left, self._silence))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Receiver:
    """The part of a socket's interface that http.client needs to read an answer."""

    def __init__(self, receiver: socket.socket, until: float) -> None:
        self._socket = receiver
        self._until = until

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        raw = self._socket.makefile("rb", buffering=0)
        return io.BufferedReader(_Clocked(raw, self._socket, self._until))


def _answer(receiver: socket.socket, *args: Any, until: float, **options: Any) -> HTTPResponse:
    return HTTPResponse(_Receiver(receiver, until), *args, **options)  # type: ignore[arg-type]  # it uses nothing else


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:
        self.response_class = _until(self.timeout)
        return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        self.response_class = _until(self.timeout)
        return super().getresponse()


def _until(silence: Any) -> Any:
    """A response class whose answer has to be complete within ``WHOLE`` times the limit on silence, in seconds."""
    return partial(_answer, until=time.monotonic() + WHOLE * silence) if isinstance(silence, int | float) else HTTPResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Bounded:
    """The body of an answer, limited to ``most_bytes``."""

    def __init__(self, raw: Any, packing: str) -> None:
        self._raw = raw
        self._most = most_bytes.get()
        if packing.strip().lower() not in PACKINGS:
            raise UnreadableError(f"an answer with the content encoding {packing[:40]!r}")

    def stream(self, size: int, *, decode_content: bool = True) -> Iterator[bytes]:
        """The body in parts, decompressed.

        Raises:
            TooBigError: the body is larger than allowed.
        """
        got = 0
        for part in self._raw.stream(size, decode_content=decode_content):
            got += len(part)
            if got > self._most:
                raise TooBigError(f"an answer of more than {self._most >> 20} MiB")
            yield part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class BoundedAdapter(HTTPAdapter):
    """Sends requests and reads each answer completely, within the limits. Every request needs a time-out."""

    def __init__(self, verify: bool | str = True, **options: Any) -> None:
        """``verify`` is as in requests, but overrides its environment variables (``REQUESTS_CA_BUNDLE``) unless it is true."""
        self._verify = verify
        super().__init__(**{"pool_maxsize": 64, **options})

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Use connections with a deadline."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Use them for proxies, too."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request.

        Raises:
            UnreadableError: the answer is too large, or has a content encoding that was not asked for.
            requests.RequestException: there is no answer, it is too late, or it breaks off.
        """
        request.headers["Accept-Encoding"] = "gzip, deflate"  # requests would accept every encoding that it knows
        if self._verify is not True:
            options["verify"] = self._verify
        answer = super().send(request, *args, **{**options, "stream": True})
        try:
            answer.raw = _Bounded(answer.raw, answer.headers.get("Content-Encoding", ""))
            answer.content  # noqa: B018 -- reads the body here, where it can still be an error of the request
        except BaseException:
            answer.close()
            raise
        return answer


def fix_environment(http: requests.Session, host: str) -> None:
    """Read the proxies and certificates for the only host that a session talks to from the environment, once.

    requests reads them again for each request, and ``~/.netrc`` too, whose login would replace the token.
    """
    now = http.merge_environment_settings(host, {}, None, None, None)
    http.trust_env = False
    http.proxies, http.verify, http.cert = now["proxies"], now["verify"], now["cert"]
