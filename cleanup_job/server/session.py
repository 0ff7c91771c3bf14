"""One call to ClearML Server: the clearml package's Session, made safe for an unattended job.

Session as it comes retries some failures for ever (an untrusted certificate, a 503, a connection that breaks in mid-answer)
and falls back on ClearML's hosted servers. Here every request has a time-out and a bounded number of tries, and only the given
server is ever asked.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import stamina
from clearml.backend_api.session import Session
from clearml.utilities.pyhocon import ConfigFactory
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from cleanup_job.errors import AnswerError, CleanupError, SettingsError, UnreachableError
from cleanup_job.in_flight import InFlight
from cleanup_job.redaction import hide
from cleanup_job.retry import PASSING, Retry, time_limits

API_VERSION = (2, 31)
"""The newest API version that the calls here were tried with; an older server's own is used instead."""


T = TypeVar("T")


class PassingError(CleanupError):
    """A failure that may be gone on the next try."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a ClearML Server, and how hard. Times are in seconds; ``verify`` is as in requests."""

    api_host: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    verify: bool | str = True
    timeout: float = 120.0
    retry: Retry = field(default_factory=Retry)
    in_flight: InFlight = field(default_factory=InFlight, repr=False)


class _Adapter(HTTPAdapter):
    """Turns the failures that Session would retry for ever into plain connection errors, and lets the limit learn.

    Here, since this sees each request by itself: Session logs in again by its own, in mid-call.
    """

    def __init__(self, in_flight: InFlight) -> None:
        super().__init__(pool_maxsize=64)
        self._in_flight = in_flight

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        name = urlsplit(request.url or "").path.rpartition("/")[2]
        return self._in_flight.ask(name, lambda: self._send(request, *args, **{**options, "stream": False}))

    def _send(self, *args: Any, **options: Any) -> requests.Response:
        try:
            answer = super().send(*args, **options)
            answer.content  # noqa: B018 -- reads the body here, where a break in it can be told
        except requests.exceptions.SSLError as error:
            raise requests.ConnectionError(f"TLS: {error}") from error
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise requests.ConnectionError(f"broken answer: {error}") from error
        return answer


class _Session(Session):  # type: ignore[misc]  # clearml has no types
    """Session without its endless retries, vaults, offline mode and default servers."""

    _offline_mode = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        timeout = time_limits(connection.timeout)
        self._session_initial_timeout = self._session_timeout = self._write_session_timeout = timeout
        config = ConfigFactory.from_dict(
            {
                "api": {
                    "http": {"max_req_size": 15_728_640, "wait_on_maintenance_forever": False},
                    "verify_certificate": connection.verify,
                }
            }
        )
        super().__init__(
            api_key=connection.access_key,
            secret_key=connection.secret_key,
            host=connection.api_host,
            config=config,
            http_retries_config={"total": 0},
        )

    def _load_vaults(self) -> None:
        """Settings kept on the server are for experiments, not for this job."""

    def refresh_token(self) -> None:
        """Log in; called first when the HTTP session has just been made, so that is where the adapter goes in."""
        http = self._Session__http_session  # there is no public way to it
        if not isinstance(http.get_adapter(self._connection.api_host), _Adapter):
            for scheme in ("http://", "https://"):
                http.mount(scheme, _Adapter(self._connection.in_flight))
        super().refresh_token()

    def _do_refresh_token(self, old_token: str | None, exp: int | None = None) -> str:
        """As Session's own, but with errors that tell wrong credentials from a server that can't be reached."""
        del old_token, exp
        answer = self._send_request(
            method="post",
            service="auth",
            action="login",
            auth=HTTPBasicAuth(self._connection.access_key, self._connection.secret_key),
            refresh_token_if_unauthorized=False,
        )
        if answer.status_code in {401, 403} and "result_msg" in answer.text:
            message = (
                f"ClearML Server at {self._connection.api_host} refused the credentials ({_message(answer)}). "
                "Check CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY: the web server makes keys under Settings, Workspace."
            )
            raise SettingsError(message)
        token = str(_data(answer, "auth.login")["token"])
        hide(token)
        return token


class Transport:
    """Calls to the API server, with retries. Safe to use from many threads."""

    def __init__(self, connection: Connection) -> None:
        """Log in.

        Raises:
            SettingsError: the server refused the credentials, or is no ClearML API server.
            UnreachableError: no answer, after all tries.
        """
        self._connection = connection
        self._lock = Lock()
        self.sent = 0
        try:
            self._session = self.retried(self._log_in, "auth.login")
        except AnswerError as error:
            message = f"CLEARML_API_HOST={connection.api_host} does not answer like ClearML's API server: {error}"
            raise SettingsError(message) from error
        self.version = _version(str(self._session.api_version))

    def token(self) -> str:
        """The bearer token of the session, for the fileserver."""
        if self._session.get_token_valid_period_sec() <= 0:
            self.retried(self._log_in_again, "auth.login")
        return str(self._session.raw_token)

    def call(self, name: str, body: dict[str, Any], before: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Call ``service.action``, again for passing failures, and give the answer's data.

        Only for calls that may be repeated. ``before`` is called before each try, as in ``call_once``.

        Raises:
            AnswerError: the server refused the call.
            UnreachableError: no usable answer, after all tries.
        """
        return self.retried(lambda: self.call_once(name, body, before), name)

    def call_once(self, name: str, body: dict[str, Any] | str, before: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Call once, with an object or with lines; a passing failure is a ``PassingError``.

        ``before`` is called when there is nothing more to wait for; what it raises keeps the call from being sent.
        """
        service, _, action = name.partition(".")
        version = ".".join(map(str, min(self.version, API_VERSION)))
        sent: dict[str, Any] = {"json": body}
        if isinstance(body, str):
            sent = {"data": body.encode(), "headers": {"Content-Type": "application/json-lines"}}
        with self._connection.in_flight.slot():
            self._passing(self._renew, name)
            before()
            with self._lock:
                self.sent += 1
            answer = self._passing(
                lambda: self._session.send_request(service, action, version=version, method="post", **sent), name
            )
        return _data(answer, name)

    def _log_in(self) -> _Session:
        with self._connection.in_flight.slot():
            return _Session(self._connection)

    def _log_in_again(self) -> None:
        with self._connection.in_flight.slot():
            self._renew()

    def _renew(self) -> None:
        """Take a new token where the old one ends soon. Only in a slot: others wait for the lock in theirs."""
        with self._lock:
            if self._session.get_token_valid_period_sec() <= 0:
                self._session.refresh_token()

    def call_lines(self, name: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """As ``call``, for the endpoints that take one JSON object a line."""
        return self.retried(lambda: self.call_once(name, "\n".join(map(json.dumps, lines))), name)

    def tries(self, name: str) -> Iterator[stamina.Attempt]:
        """The tries of a call: a loop of contexts that swallow a ``PassingError`` as long as tries are left."""
        return self._connection.retry.tries(name, PassingError)

    def retried(self, action: Callable[[], T], name: str) -> T:
        """What an action gives, tried again for passing failures."""
        try:
            for attempt in self.tries(name):
                with attempt:
                    return self._passing(action, name)
        except PassingError as error:
            raise self.unreachable(name, error) from error
        raise AssertionError

    def unreachable(self, name: str, error: Exception) -> UnreachableError:
        """What to say when all tries are used up."""
        tries = self._connection.retry.attempts
        return UnreachableError(f"{name}: no answer from {self._connection.api_host} in {tries} tries; the last: {error}")

    @staticmethod
    def _passing(action: Callable[[], T], name: str) -> T:
        try:
            return action()
        except requests.exceptions.InvalidURL as error:
            raise AnswerError(f"{name}: {error}") from error
        except requests.RequestException as error:
            raise PassingError(f"{type(error).__name__}: {error}") from error


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    return int(major), int(rest.partition(".")[0] or 0)


def _message(answer: requests.Response) -> str:
    try:
        return f"{answer.status_code}: {answer.json()['meta']['result_msg']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"


def _data(answer: requests.Response, name: str) -> dict[str, Any]:
    """The ``data`` of an answer in ClearML's envelope."""
    if answer.status_code in PASSING:
        raise PassingError(_message(answer))
    try:
        envelope = answer.json()
        data, meta = envelope["data"], envelope["meta"]
        status, subcode, text = int(meta["result_code"]), int(meta["result_subcode"]), str(meta.get("result_msg"))
    except (ValueError, KeyError, TypeError) as error:
        message = f"{name}: HTTP {answer.status_code} without ClearML's envelope"
        raise AnswerError(message, status=answer.status_code) from error
    if answer.status_code != requests.codes.ok or status != requests.codes.ok:
        message = f"{name}: {text} ({status}/{subcode})"
        raise AnswerError(message, status=status, subcode=subcode)
    if not isinstance(data, dict):
        message = f"{name}: an answer without data"
        raise AnswerError(message)
    return data
