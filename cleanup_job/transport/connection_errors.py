"""Why a server can't be reached, in plain words that name the setting, and whether another try can help."""

import errno
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import NameResolutionError, ReadTimeoutError

from cleanup_job.transport.bounded_http import TooBigError

VERIFY = "CLEARML_API_HOST_VERIFY_CERT"
LOOKS = 5.0
"""Seconds to find out whether an address speaks TLS."""
_ASKS_FOR_TLS = re.compile(
    rb"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server|speaking plain HTTP to an SSL|port requires TLS",
    re.IGNORECASE,
)
"""What servers answer to http:// at a port for https://: nginx, Go, Apache and Tomcat."""
_CODES = {10: "it has expired", 9: "it is not valid yet", 18: "it is signed by itself"}
"""OpenSSL's, of what is wrong with a certificate."""
_ERRNOS = {
    errno.ECONNREFUSED: "nothing listens there (connection refused)",
    errno.ENETUNREACH: "there is no way to its network",
    errno.EHOSTUNREACH: "there is no way to its host",
    errno.ECONNRESET: "the connection was closed",
    errno.EPIPE: "the connection was closed",
}
_KINDS = (
    (requests.exceptions.ProxyError, "the proxy that HTTP_PROXY or HTTPS_PROXY names can't be used"),
    (
        requests.ConnectTimeout,
        "no connection in time: is the port right, and does a firewall let it through?",
    ),
    (requests.Timeout | TimeoutError | ReadTimeoutError, "no whole answer in time"),
    (NameResolutionError | socket.gaierror, "its name is unknown (DNS): is it spelled right?"),
    (requests.exceptions.ContentDecodingError, "an answer that can't be unpacked"),
    (requests.exceptions.ChunkedEncodingError | http.client.IncompleteRead, "the answer broke off"),
    (http.client.RemoteDisconnected, "the connection was closed without an answer"),
    (http.client.BadStatusLine, "an answer that is not HTTP"),
)
"""Of an error or what is behind it: the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address, and the setting that names it."""

    setting: str
    address: str

    def __str__(self) -> str:
        return f"{self.setting}={self.address}"

    def lasting(self, error: Exception) -> str:
        """What is wrong with the address or its certificate, where no other try can help; else nothing."""
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self._certificate(cause)
        if not _was_no_answer(causes):
            return ""
        proxies = requests.utils.get_environ_proxies(self.address)
        if requests.utils.select_proxy(self.address, proxies):  # it is not for us to reach
            return ""
        other = "http" if self.address.startswith("https://") else "https"
        return self._other(other) if self._speaks(other) else ""

    def refused(self, status: int, content: bytes) -> str:
        """The same of an answer: that of a server which wants to be spoken to by TLS."""
        is_tls = status == requests.codes.bad_request and self.address.startswith("http://") and _ASKS_FOR_TLS.search(content)
        return self._other("https") if is_tls else ""

    def _other(self, scheme: str) -> str:
        what = "plain http" if scheme == "http" else "https (TLS)"
        return f"{self} answers {what}: write {scheme}://{self.address.partition('://')[2]}"

    def _certificate(self, error: ssl.SSLCertVerificationError) -> str:
        code, message = getattr(error, "verify_code", 0), getattr(error, "verify_message", "") or "unknown reason"
        what = _CODES.get(code, message)
        if "mismatch" in message.lower():
            return (
                f"{self}: its certificate is for another name ({message}). Use the name that it is for, or set {VERIFY}=false"
            )
        if code in {9, 10}:
            return f"{self}: its certificate can't be trusted: {what}. Renew it, and see that both clocks are right"
        return (
            f"{self}: its certificate is not trusted: {what}. Give the path of the CA bundle that it is signed with in "
            f"{VERIFY} (clearml.verifyCertificate in the Helm chart), or false to accept any"
        )

    def _speaks(self, scheme: str) -> bool:
        """Whether the address answers by the other scheme; sends nothing but a greeting."""
        parts = urlsplit(self.address)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        with suppress(OSError, ValueError), socket.create_connection((host, port), LOOKS) as plain:
            if scheme == "http":
                plain.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
                return plain.recv(5) == b"HTTP/"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain, server_hostname=host):
                return True
        return False


def words(error: Exception) -> str:
    """What happened to a request, without a library's words for it."""
    if isinstance(error, TooBigError):
        return str(error)
    causes = list(_causes(error))
    for kinds, text in _KINDS:
        if any(isinstance(one, kinds) for one in causes):
            return text
    for one in reversed(causes):
        if isinstance(one, ssl.SSLError):
            return f"TLS failed ({(one.reason or 'the connection was closed').replace('_', ' ').lower()})"
        if isinstance(one, OSError) and not isinstance(one, requests.RequestException) and one.errno:
            return _ERRNOS.get(one.errno, one.strerror or type(one).__name__)
    return f"no connection ({type(error).__name__})"


def _was_no_answer(causes: list[BaseException]) -> bool:
    """Whether somebody was there and did not speak as expected, as one does who speaks TLS, or does not."""
    return any(
        isinstance(one, ssl.SSLError | http.client.BadStatusLine | ConnectionResetError | BrokenPipeError) for one in causes
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that are behind it, from the outside in."""
    todo: list[BaseException] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        behind = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        todo += [other for other in behind if isinstance(other, BaseException)]
