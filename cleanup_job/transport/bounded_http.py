"""HTTP answers with bounds: no server holds a pass for ever, or fills its memory.

requests limits the silence between two bytes alone: a server that sends one byte a second is never silent, and a few kilobytes
of gzip can hold gigabytes. Here the whole answer, headers included, has a time and a size.
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
"""A whole answer may take so many times as long as the limit on silence (``CLEANUP_REQUEST_TIMEOUT_SECONDS``)."""
MOST_BYTES = 256 * 2**20
"""Bytes of an answer, unpacked. The largest that ClearML gives on purpose are pages of plots, of a few megabytes each."""
PACKINGS = frozenset({"", "identity", "gzip", "deflate"})
"""Content encodings that are unpacked, one at a time: in others a kilobyte can hold a gigabyte."""


most_bytes = ContextVar("most_bytes", default=MOST_BYTES)
"""The limit for the requests that are sent in this context: clearml's Session can't be given one for a single request."""


class UnreadableError(requests.RequestException):
    """An answer can't be read: trying again can't help."""


class TooBigError(UnreadableError):
    """It is larger than was allowed."""


class _Clocked(io.RawIOBase):
    """What a socket receives, until a moment."""

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
    """A socket as http.client reads an answer from it."""

    def __init__(self, receiver: socket.socket, until: float) -> None:
        self._socket = receiver
        self._until = until

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        raw = self._socket.makefile("rb", buffering=0)
        return io.BufferedReader(_Clocked(raw, self._socket, self._until))


def _answer(receiver: socket.socket, *args: Any, until: float, **options: Any) -> HTTPResponse:
    return HTTPResponse(_Receiver(receiver, until), *args, **options)  # type: ignore[arg-type]  # all that it uses


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:
        self.response_class = _until(self.timeout)
        return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        self.response_class = _until(self.timeout)
        return super().getresponse()


def _until(silence: Any) -> Any:
    """Makes an answer that has to be whole within ``WHOLE`` times a limit on silence in seconds."""
    return partial(_answer, until=time.monotonic() + WHOLE * silence) if isinstance(silence, int | float) else HTTPResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Bounded:
    """The body of an answer, up to ``most_bytes``."""

    def __init__(self, raw: Any, packing: str) -> None:
        self._raw = raw
        self._most = most_bytes.get()
        if packing.strip().lower() not in PACKINGS:
            raise UnreadableError(f"an answer packed as {packing[:40]!r}")

    def stream(self, size: int, *, decode_content: bool = True) -> Iterator[bytes]:
        """Parts of the body, unpacked.

        Raises:
            TooBigError: there is more.
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
    """Sends requests, and reads each answer whole, within its bounds. It needs a time-out in each request."""

    def __init__(self, verify: bool | str = True, **options: Any) -> None:
        """``verify`` is as in requests, but wins over its environment variables (``REQUESTS_CA_BUNDLE``) unless it is true."""
        self._verify = verify
        super().__init__(**{"pool_maxsize": 64, **options})

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As requests', with connections that keep the time."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Likewise."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request.

        Raises:
            UnreadableError: the answer is too big, or packed in a way that was not asked for.
            requests.RequestException: there is none, not in time, or it breaks off.
        """
        request.headers["Accept-Encoding"] = "gzip, deflate"  # requests would ask for all that it can unpack
        if self._verify is not True:
            options["verify"] = self._verify
        answer = super().send(request, *args, **{**options, "stream": True})
        try:
            answer.raw = _Bounded(answer.raw, answer.headers.get("Content-Encoding", ""))
            answer.content  # noqa: B018 -- reads the body here, where a break in it can be told
        except BaseException:
            answer.close()
            raise
        return answer
