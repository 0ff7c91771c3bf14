"""Why a server can't be reached, in plain words that name the setting, and whether a retry can help."""

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
PROBE_SECONDS = 5.0
"""Time limit for finding out whether an address speaks TLS."""
_ASKS_FOR_TLS = re.compile(
    rb"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server|speaking plain HTTP to an SSL|port requires TLS",
    re.IGNORECASE,
)
"""What nginx, Go, Apache and Tomcat answer to http:// on a port for https://."""
_CERTIFICATE_PROBLEMS = {10: "it has expired", 9: "it is not valid yet", 18: "it is self-signed"}
"""By OpenSSL's error codes."""
_REASONS_BY_ERRNO = {
    errno.ECONNREFUSED: "nothing listens there (connection refused)",
    errno.ENETUNREACH: "its network can't be reached",
    errno.EHOSTUNREACH: "its host can't be reached",
    errno.ECONNRESET: "the connection was closed",
    errno.EPIPE: "the connection was closed",
}
_REASONS_BY_TYPE = (
    (requests.exceptions.ProxyError, "the proxy that HTTP_PROXY or HTTPS_PROXY names can't be used"),
    (
        requests.ConnectTimeout,
        "no connection in time: is the port right, and does a firewall let it through?",
    ),
    (requests.Timeout | TimeoutError | ReadTimeoutError, "no whole answer in time"),
    (NameResolutionError | socket.gaierror, "its name is unknown (DNS): is it spelled right?"),
    (requests.exceptions.ContentDecodingError, "the answer can't be decompressed"),
    (requests.exceptions.ChunkedEncodingError | http.client.IncompleteRead, "the answer broke off"),
    (http.client.RemoteDisconnected, "the connection was closed without an answer"),
    (http.client.BadStatusLine, "the answer is not HTTP"),
)
"""The first entry counts that matches the error or one of its causes."""


@dataclass(frozen=True, slots=True)
class NamedAddress:
    """An address, and the setting that it comes from."""

    setting: str
    address: str
    verify: str = VERIFY
    """The setting for its certificate."""
    value: str = "clearml.verifyCertificate"
    """The same in the Helm chart."""

    def __str__(self) -> str:
        return f"{self.setting}={self.address}"

    def permanent_problem(self, error: Exception) -> str:
        """What is wrong with the address or its certificate, if no retry can help; otherwise an empty text."""
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self._certificate_problem(cause)
        if not _spoke_differently(causes):
            return ""
        proxies = requests.utils.get_environ_proxies(self.address)
        if requests.utils.select_proxy(self.address, proxies):  # the proxy has to reach it
            return ""
        other = "http" if self.address.startswith("https://") else "https"
        return self._use_instead(other) if self._speaks(other) else ""

    def problem_in_answer(self, status: int, content: bytes) -> str:
        """The same for an answer that says that the server expects TLS."""
        is_tls = status == requests.codes.bad_request and self.address.startswith("http://") and _ASKS_FOR_TLS.search(content)
        return self._use_instead("https") if is_tls else ""

    def _use_instead(self, scheme: str) -> str:
        what = "plain http" if scheme == "http" else "https (TLS)"
        return f"{self} answers {what}: write {scheme}://{self.address.partition('://')[2]}"

    def _certificate_problem(self, error: ssl.SSLCertVerificationError) -> str:
        code, message = getattr(error, "verify_code", 0), getattr(error, "verify_message", "") or "unknown reason"
        what = _CERTIFICATE_PROBLEMS.get(code, message)
        if "mismatch" in message.lower():
            return (
                f"{self}: its certificate is for another name ({message}). Use that name in the address, or set "
                f"{self.verify}=false"
            )
        if code in {9, 10}:
            return f"{self}: its certificate can't be trusted: {what}. Renew it, and check the clocks of both sides"
        return (
            f"{self}: its certificate is not trusted: {what}. Set {self.verify} ({self.value} in the Helm chart) to "
            "the path of the CA bundle that signed it, or to false to accept any certificate"
        )

    def _speaks(self, scheme: str) -> bool:
        """Whether the address speaks a scheme; sends nothing but a greeting."""
        parts = urlsplit(self.address)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        with suppress(OSError, ValueError), socket.create_connection((host, port), PROBE_SECONDS) as plain:
            if scheme == "http":
                plain.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
                return plain.recv(5) == b"HTTP/"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain, server_hostname=host):
                return True
        return False


def failure_reason(error: Exception) -> str:
    """Why a request failed, in plain words instead of a library's."""
    if isinstance(error, TooBigError):
        return str(error)
    causes = list(_causes(error))
    for kinds, text in _REASONS_BY_TYPE:
        if any(isinstance(one, kinds) for one in causes):
            return text
    for one in reversed(causes):
        if isinstance(one, ssl.SSLError):
            return f"TLS failed ({(one.reason or 'the connection was closed').replace('_', ' ').lower()})"
        if isinstance(one, OSError) and not isinstance(one, requests.RequestException) and one.errno:
            return _REASONS_BY_ERRNO.get(one.errno, one.strerror or type(one).__name__)
    return f"no connection ({type(error).__name__})"


def _spoke_differently(causes: list[BaseException]) -> bool:
    """Whether a server is there but does not speak as expected, for example TLS instead of plain HTTP."""
    return any(
        isinstance(one, ssl.SSLError | http.client.BadStatusLine | ConnectionResetError | BrokenPipeError) for one in causes
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all errors that caused it, the outermost first."""
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
