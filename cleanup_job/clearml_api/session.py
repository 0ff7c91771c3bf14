"""The login at ClearML Server: the clearml package's Session, made safe for an unattended job.

Session itself retries some failures forever (an untrusted certificate, a 503, a connection that breaks while an answer is read)
and falls back on ClearML's hosted servers. Here, every request has a time-out and is sent once, every answer has a size limit,
and only the given server is ever contacted: a redirect is an error, so that no credentials go elsewhere.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from clearml.backend_api.session import Session
from clearml.utilities.pyhocon import ConfigFactory
from msgspec import Struct
from requests.auth import HTTPBasicAuth

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, Envelope, decoded, opened
from cleanup_job.clearml_api.clock_difference import ClockDifference
from cleanup_job.concurrency_limit import ConcurrencyLimit
from cleanup_job.errors import AnswerError, ForeignAnswerError, SettingsError
from cleanup_job.redaction import hide
from cleanup_job.retry import TRANSIENT_STATUSES, Retry, TransientError, time_limits
from cleanup_job.transport.bounded_http import BoundedAdapter, fix_environment
from cleanup_job.transport.connection_errors import NamedAddress, failure_reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """Where a ClearML Server is, the credentials for it, and how hard to try.

    Times are in seconds; ``verify`` is as in requests.
    """

    api_host: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    verify: bool | str = True
    timeout: float = 120.0
    retry: Retry = field(default_factory=Retry)
    in_flight: ConcurrencyLimit = field(default_factory=ConcurrencyLimit, repr=False)


_RETRIED_FOREVER = (
    requests.exceptions.SSLError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
"""What Session would retry without end."""


class _Adapter(BoundedAdapter):
    """Turns the failures that Session would retry forever into plain connection errors, and feeds the concurrency limit.

    This is done here because every single request passes through: Session logs in again by itself, during a call, and would
    follow redirects.
    """

    def __init__(self, access: ServerAccess, clock: ClockDifference) -> None:
        super().__init__(access.verify)
        self._access = access
        self._clock = clock
        self._address = NamedAddress("CLEARML_API_HOST", access.api_host)
        self._answered = False

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        name = urlsplit(request.url or "").path.rpartition("/")[2]
        answer = self._access.in_flight.ask(name, lambda: self._send(request, *args, **options))
        if 300 <= answer.status_code < 400:  # noqa: PLR2004 -- HTTP's redirects
            raise SettingsError(_redirected(self._access.api_host, answer))
        return answer

    def _send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        began = datetime.now(UTC)
        try:
            answer = super().send(request, *args, **options)
        except requests.RequestException as error:
            if not self._answered:
                self._raise_if_permanent(self._address.permanent_problem(error))
            if isinstance(error, _RETRIED_FOREVER):
                raise requests.ConnectionError(failure_reason(error)) from error
            raise
        if not self._answered:
            self._raise_if_permanent(self._address.problem_in_answer(answer.status_code, answer.content))
        self._answered = True
        self._clock.note(answer.raw.headers.getlist("Date"), began, datetime.now(UTC))
        return answer

    @staticmethod
    def _raise_if_permanent(problem: str) -> None:
        """A problem that is there from the first request on is a wrong setting; what breaks later may be temporary."""
        if problem:
            raise SettingsError(problem)


def _redirected(host: str, answer: requests.Response) -> str:
    """The message for a redirect. It leaves out the query of the target, which may contain secrets."""
    target = answer.headers.get("Location", "").partition("?")[0].partition("#")[0]
    scheme, mark, rest = target.partition("://")
    network, slash, path = rest.partition("/")
    target = f"{scheme}{mark}{network.rpartition('@')[2]}{slash}{path}" if mark else target
    return (
        f"CLEARML_API_HOST={host} does not answer itself: it redirects to {target[:200] or 'nowhere'} "
        f"(HTTP {answer.status_code}). Redirects are not followed, so that no credentials go elsewhere. If the API server "
        "is there, set CLEARML_API_HOST to that address; if it is a login page, use an address without one."
    )


class BoundedSession(Session):  # type: ignore[misc]  # clearml has no types
    """Session without its endless retries, vaults, offline mode and default servers."""

    _offline_mode = False

    def __init__(self, access: ServerAccess, clock: ClockDifference) -> None:
        """Log in.

        Raises:
            SettingsError: the server refused the credentials, or redirects.
            TransientError: it can't do that now.
        """
        self._access = access
        self._clock = clock
        timeout = time_limits(access.timeout)
        self._session_initial_timeout = self._session_timeout = self._write_session_timeout = timeout
        config = ConfigFactory.from_dict(
            {
                "api": {
                    "http": {"max_req_size": 15_728_640, "wait_on_maintenance_forever": False},
                    "verify_certificate": access.verify,
                }
            }
        )
        super().__init__(
            api_key=access.access_key,
            secret_key=access.secret_key,
            host=access.api_host,
            config=config,
            http_retries_config={"total": 0},
        )

    def _load_vaults(self) -> None:
        """Do nothing: settings that are kept on the server are meant for experiments, not for this job."""

    def get_token_valid_period_sec(self) -> float:
        """Seconds for which the token is valid, by the server's clock: to one that is ahead, every token looks expired."""
        ends = self.token_expiration_sec
        if not self.raw_token or not isinstance(ends, int | float):
            return 0.0
        now = time.time() - (self._clock.ahead or timedelta()).total_seconds()
        return max(0.0, ends - now - float(self.token_expiration_threshold_sec))

    def refresh_token(self) -> None:
        """Log in. Session calls this right after it has made the HTTP session, so the adapter is mounted here."""
        http = self._Session__http_session  # Session has no public access to it
        if not isinstance(http.get_adapter(self._access.api_host), _Adapter):
            for scheme in ("http://", "https://"):
                http.mount(scheme, _Adapter(self._access, self._clock))
            fix_environment(http, self._access.api_host)
        super().refresh_token()

    def _do_refresh_token(self, old_token: str | None, exp: int | None = None) -> str:
        """Do what Session does, with errors that distinguish wrong credentials from a server that can't be reached."""
        del old_token, exp
        answer = self._send_request(
            method="post",
            service="auth",
            action="login",
            auth=HTTPBasicAuth(self._access.access_key, self._access.secret_key),
            refresh_token_if_unauthorized=False,
        )
        if answer.status_code in {401, 403} and b"result_msg" in answer.content:
            message = (
                f"ClearML Server at {self._access.api_host} refused the credentials ({_message(answer)}). "
                "Check CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY: the web server makes keys under Settings, Workspace."
            )
            raise SettingsError(message)
        token = answer_data(answer, "auth.login", _Login, self._access.api_host).token
        hide(token)
        return token


class _Login(Struct, frozen=True):
    token: str


def _message(answer: requests.Response) -> str:
    try:
        return f"{answer.status_code}: {opened(answer.content).meta.result_msg}"
    except DECODING_ERRORS:
        return f"HTTP {answer.status_code}"


def answer_data(answer: requests.Response, name: str, shape: type[T], host: str, *, nan_as_null: bool = False) -> T:
    """The ``data`` of an answer in ClearML's envelope; ``nan_as_null`` as in ``opened``.

    Raises:
        TransientError: the server can't answer now.
        ForeignAnswerError: this is not an answer of ClearML's API server.
        AnswerError: the server refused the call, or the data has another shape.
    """
    if answer.status_code in TRANSIENT_STATUSES:
        raise TransientError(_message(answer))
    try:
        envelope = opened(answer.content, nan_as_null=nan_as_null)
    except DECODING_ERRORS as error:
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
    return _in_shape(envelope, name, shape)


def _in_shape(envelope: Envelope, name: str, shape: type[T]) -> T:
    try:
        return decoded(envelope.data, shape)
    except DECODING_ERRORS as error:
        raise AnswerError(f"{name}: an answer that can't be read ({error})") from error
