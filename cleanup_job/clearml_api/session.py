"""One call to ClearML Server: the clearml package's Session, made safe for an unattended job.

Session as it comes retries some failures for ever (an untrusted certificate, a 503, a connection that breaks in mid-answer)
and falls back on ClearML's hosted servers. Here every request has a time-out and a bounded number of tries, every answer a
bound, and only the given server is ever asked: a redirect is an error, so that no credentials go elsewhere.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import stamina
from clearml.backend_api.session import Session
from clearml.utilities.pyhocon import ConfigFactory
from jwt.exceptions import PyJWTError
from msgspec import Struct
from requests.auth import HTTPBasicAuth

from cleanup_job.clearml_api.envelope import MISSHAPEN, Envelope, decoded, opened
from cleanup_job.clearml_api.server_clock import ServerClock
from cleanup_job.concurrency_limit import InFlight
from cleanup_job.errors import AnswerError, CleanupError, ForeignAnswerError, LargeAnswerError, SettingsError, UnreachableError
from cleanup_job.redaction import hide
from cleanup_job.retry import PASSING, Retry, time_limits
from cleanup_job.transport.bounded_http import MOST_BYTES, BoundedAdapter, TooBigError, UnreadableError, most_bytes
from cleanup_job.transport.connection_errors import Place, words

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


_TRIED_FOR_EVER = (
    requests.exceptions.SSLError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
"""By Session."""


class _Adapter(BoundedAdapter):
    """Turns the failures that Session would retry for ever into plain connection errors, and lets the limit learn.

    Here, since this sees each request by itself: Session logs in again by its own, in mid-call, and would follow redirects.
    """

    def __init__(self, connection: Connection, clock: ServerClock) -> None:
        super().__init__(connection.verify)
        self._connection = connection
        self._clock = clock
        self._place = Place("CLEARML_API_HOST", connection.api_host)
        self._answered = False

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        name = urlsplit(request.url or "").path.rpartition("/")[2]
        answer = self._connection.in_flight.ask(name, lambda: self._send(request, *args, **options))
        if 300 <= answer.status_code < 400:  # noqa: PLR2004 -- HTTP's redirects
            raise SettingsError(_redirected(self._connection.api_host, answer))
        return answer

    def _send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        began = datetime.now(UTC)
        try:
            answer = super().send(request, *args, **options)
        except requests.RequestException as error:
            if not self._answered:
                self._end_if_lasting(self._place.lasting(error))
            if isinstance(error, _TRIED_FOR_EVER):
                raise requests.ConnectionError(words(error)) from error
            raise
        if not self._answered:
            self._end_if_lasting(self._place.refused(answer.status_code, answer.content))
        self._answered = True
        self._clock.note(answer.raw.headers.getlist("Date"), began, datetime.now(UTC))
        return answer

    @staticmethod
    def _end_if_lasting(why: str) -> None:
        """What is wrong from the first request on is a setting; what breaks later may pass."""
        if why:
            raise SettingsError(why)


def _redirected(host: str, answer: requests.Response) -> str:
    """What to say of a redirect: never the query of where it leads to, which may hold secrets."""
    target = answer.headers.get("Location", "").partition("?")[0].partition("#")[0]
    scheme, mark, rest = target.partition("://")
    network, slash, path = rest.partition("/")
    target = f"{scheme}{mark}{network.rpartition('@')[2]}{slash}{path}" if mark else target
    return (
        f"CLEARML_API_HOST={host} does not answer itself: it redirects to {target[:200] or 'nowhere'} "
        f"(HTTP {answer.status_code}). Redirects are not followed, so that no credentials go elsewhere. If the API server "
        "is there, set CLEARML_API_HOST to that address; if it is a login page, use an address without one."
    )


class _Session(Session):  # type: ignore[misc]  # clearml has no types
    """Session without its endless retries, vaults, offline mode and default servers."""

    _offline_mode = False

    def __init__(self, connection: Connection, clock: ServerClock) -> None:
        self._connection = connection
        self._clock = clock
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

    def get_token_valid_period_sec(self) -> float:
        """Seconds that the token is good for, by the server's clock: by one that is ahead of it, none ever would be."""
        ends = self.token_expiration_sec
        if not self.raw_token or not isinstance(ends, int | float):
            return 0.0
        now = time.time() - (self._clock.ahead or timedelta()).total_seconds()
        return max(0.0, ends - now - float(self.token_expiration_threshold_sec))

    def refresh_token(self) -> None:
        """Log in; called first when the HTTP session has just been made, so that is where the adapter goes in."""
        http = self._Session__http_session  # there is no public way to it
        if not isinstance(http.get_adapter(self._connection.api_host), _Adapter):
            for scheme in ("http://", "https://"):
                http.mount(scheme, _Adapter(self._connection, self._clock))
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
        if answer.status_code in {401, 403} and b"result_msg" in answer.content:
            message = (
                f"ClearML Server at {self._connection.api_host} refused the credentials ({_message(answer)}). "
                "Check CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY: the web server makes keys under Settings, Workspace."
            )
            raise SettingsError(message)
        token = _data(answer, "auth.login", _Login, self._connection.api_host).token
        hide(token)
        return token


class _Login(Struct, frozen=True):
    token: str


class _Token(Struct, frozen=True):
    """What a token says of itself."""

    iat: float


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
        self.clock = ServerClock()
        try:
            self._session = self.retried(self._log_in, "auth.login")
            self.version = _version(str(self._session.api_version))
        except (AnswerError, PyJWTError, ValueError, TypeError, RecursionError) as error:
            message = f"CLEARML_API_HOST={connection.api_host} does not answer like ClearML's API server: {error}"
            raise SettingsError(message) from error
        self.token_ahead = self._token_ahead()
        """How far the job's clock is ahead of the one that the API server dated its token by; None where it did not."""

    def _token_ahead(self) -> timedelta | None:
        try:
            issued = msgspec.convert(self._session.get_decoded_token(self._session.raw_token), _Token).iat
            return datetime.now(UTC) - datetime.fromtimestamp(issued, UTC)
        except (PyJWTError, *MISSHAPEN, OverflowError, OSError):
            return None

    def token(self) -> str:
        """The bearer token of the session, for the fileserver."""
        if self._session.get_token_valid_period_sec() <= 0:
            self.retried(self._log_in_again, "auth.login")
        return str(self._session.raw_token)

    def call(self, name: str, body: dict[str, Any], before: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """As ``ask``, with whatever object the answer's data is."""
        return self.ask(name, body, dict[str, Any], before)

    def ask(  # noqa: PLR0913 -- what to send, and in which bounds
        self,
        name: str,
        body: dict[str, Any],
        shape: type[T],
        before: Callable[[], None] = lambda: None,
        *,
        most: int = MOST_BYTES,
        hasty: bool = False,
    ) -> T:
        """Call ``service.action``, again for passing failures, and give the answer's data.

        Only for calls that may be repeated. ``before`` is called before each try, as in ``ask_once``; ``most`` is how many
        bytes the answer may have. A ``hasty`` call has few tries.

        Raises:
            LargeAnswerError: it has more.
            AnswerError: the server refused the call, or its answer has another shape.
            UnreachableError: no usable answer, after all tries.
            SettingsError: the server redirects to another place.
        """
        return self.retried(lambda: self.ask_once(name, body, shape, before, most=most), name, hasty=hasty)

    def ask_once(
        self,
        name: str,
        body: dict[str, Any] | str,
        shape: type[T],
        before: Callable[[], None] = lambda: None,
        *,
        most: int = MOST_BYTES,
    ) -> T:
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
            limit = most_bytes.set(most)
            try:
                answer = self._passing(
                    lambda: self._session.send_request(service, action, version=version, method="post", **sent), name
                )
            finally:
                most_bytes.reset(limit)
        return _data(answer, name, shape, self._connection.api_host)

    def _log_in(self) -> _Session:
        with self._connection.in_flight.slot():
            return _Session(self._connection, self.clock)

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
        return self.retried(lambda: self.ask_once(name, "\n".join(map(json.dumps, lines)), dict[str, Any]), name)

    def tries(self, name: str, *, hasty: bool = False) -> Iterator[stamina.Attempt]:
        """The tries of a call: a loop of contexts that swallow a ``PassingError`` as long as tries are left."""
        return self._connection.retry.tries(name, PassingError, hasty=hasty)

    def retried(self, action: Callable[[], T], name: str, *, hasty: bool = False) -> T:
        """What an action gives, tried again for passing failures."""
        try:
            for attempt in self.tries(name, hasty=hasty):
                with attempt:
                    return self._passing(action, name)
        except PassingError as error:
            raise self.unreachable(name, error, hasty=hasty) from error
        raise AssertionError

    def unreachable(self, name: str, error: Exception, *, hasty: bool = False) -> UnreachableError:
        """What to say when all tries are used up."""
        tries = "" if hasty else f" in {self._connection.retry.times}; the last"
        return UnreachableError(f"{name}: no answer from CLEARML_API_HOST={self._connection.api_host}{tries}: {error}")

    @staticmethod
    def _passing(action: Callable[[], T], name: str) -> T:
        try:
            return action()
        except TooBigError as error:
            raise LargeAnswerError(f"{name}: {error}") from error
        except (requests.exceptions.InvalidURL, UnreadableError) as error:
            raise AnswerError(f"{name}: {error}") from error
        except requests.RequestException as error:
            raise PassingError(words(error)) from error


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    return int(major), int(rest.partition(".")[0] or 0)


def _message(answer: requests.Response) -> str:
    try:
        return f"{answer.status_code}: {opened(answer.content).meta.result_msg}"
    except MISSHAPEN:
        return f"HTTP {answer.status_code}"


def _data(answer: requests.Response, name: str, shape: type[T], host: str) -> T:
    """The ``data`` of an answer in ClearML's envelope."""
    if answer.status_code in PASSING:
        raise PassingError(_message(answer))
    try:
        envelope = opened(answer.content)
    except MISSHAPEN as error:
        beginning = " ".join(answer.content[:60].decode(errors="replace").split())
        message = (
            f"{name}: CLEARML_API_HOST={host} answered HTTP {answer.status_code} without ClearML's envelope ({beginning!r}): "
            "a login page, or another server?"
        )
        raise ForeignAnswerError(message, status=answer.status_code) from error
    meta = envelope.meta
    if answer.status_code != requests.codes.ok or meta.result_code != requests.codes.ok:
        message = f"{name}: {meta.result_msg} ({meta.result_code}/{meta.result_subcode})"
        raise AnswerError(message, status=meta.result_code, subcode=meta.result_subcode)
    return _read(envelope, name, shape)


def _read(envelope: Envelope, name: str, shape: type[T]) -> T:
    try:
        return decoded(envelope.data, shape)
    except MISSHAPEN as error:
        raise AnswerError(f"{name}: an answer that can't be read ({error})") from error
