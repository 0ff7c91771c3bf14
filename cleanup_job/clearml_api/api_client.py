"""Calls to ClearML's API server: within limits, retried, and with every failure as one of the job's own errors."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, TypeVar

import msgspec
import requests
from jwt.exceptions import PyJWTError
from msgspec import Struct

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS
from cleanup_job.clearml_api.clock_difference import ClockDifference
from cleanup_job.clearml_api.session import BoundedSession, ServerAccess, answer_data
from cleanup_job.errors import AnswerError, LargeAnswerError, SettingsError, UnreachableError
from cleanup_job.retry import TransientError
from cleanup_job.transport.bounded_http import MOST_BYTES, TooBigError, UnreadableError, most_bytes
from cleanup_job.transport.connection_errors import failure_reason

API_VERSION = (2, 31)
"""The newest API version that the calls here were tried with. With an older server, the server's own version is used."""

T = TypeVar("T")


class _Token(Struct, frozen=True):
    """What a token says about itself."""

    iat: float


class ApiClient:
    """Calls the API server, with retries. Safe to use from many threads."""

    def __init__(self, access: ServerAccess) -> None:
        """Log in.

        Raises:
            SettingsError: the server refused the credentials, or is not a ClearML API server.
            UnreachableError: no answer, after all tries.
        """
        self._access = access
        self._lock = Lock()
        self.sent = 0
        self.clock = ClockDifference()
        try:
            self._session = self._retried("auth.login", self._log_in)
            self.version = _version(str(self._session.api_version))
        except (AnswerError, PyJWTError, ValueError, TypeError, RecursionError) as error:
            message = f"CLEARML_API_HOST={access.api_host} does not answer like ClearML's API server: {error}"
            raise SettingsError(message) from error
        self.token_ahead = self._token_ahead()
        """How far the job's clock is ahead of the one that the API server dated its token by; None if the token has no date."""

    def _token_ahead(self) -> timedelta | None:
        try:
            issued = msgspec.convert(self._session.get_decoded_token(self._session.raw_token), _Token).iat
            return datetime.now(UTC) - datetime.fromtimestamp(issued, UTC)
        except (PyJWTError, *DECODING_ERRORS, OverflowError, OSError):
            return None

    def token(self) -> str:
        """The bearer token of the session, for the fileserver."""
        if self._session.get_token_valid_period_sec() <= 0:
            self._retried("auth.login", self._log_in_again)
        return str(self._session.raw_token)

    def call(self, name: str, body: dict[str, Any], before: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Like ``ask``, and return the answer's data as plain JSON."""
        return self.ask(name, body, dict[str, Any], before)

    def call_lines(self, name: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Like ``call``, for the endpoints that take one JSON object per line."""
        return self._retried(name, lambda: self.ask_once(name, "\n".join(map(json.dumps, lines)), dict[str, Any]))

    def ask(  # noqa: PLR0913 -- what to send, and within which limits
        self,
        name: str,
        body: dict[str, Any],
        shape: type[T],
        before: Callable[[], None] = lambda: None,
        *,
        most: int = MOST_BYTES,
        few_tries: bool = False,
        nan_as_null: bool = False,
    ) -> T:
        """Call ``service.action``, retry transient failures, and return the answer's data.

        Only for calls that may be repeated.

        Args:
            name: The call, such as ``tasks.get_all``.
            body: What it is called with.
            shape: What the answer's data has to look like.
            before: Called before each try, as in ``ask_once``.
            most: How many bytes the answer may have.
            few_tries: Whether to try a few times only.
            nan_as_null: Whether numbers that are not finite are read as null, and not refused.

        Raises:
            LargeAnswerError: the answer is larger.
            AnswerError: the server refused the call, or its answer has another shape.
            UnreachableError: no usable answer, after all tries.
            SettingsError: the server redirects to another address.
        """
        return self._retried(
            name,
            lambda: self.ask_once(name, body, shape, before, most=most, nan_as_null=nan_as_null),
            few_tries=few_tries,
        )

    def ask_once(  # noqa: PLR0913 -- what to send, and how to read the answer
        self,
        name: str,
        body: dict[str, Any] | str,
        shape: type[T],
        before: Callable[[], None] = lambda: None,
        *,
        most: int = MOST_BYTES,
        nan_as_null: bool = False,
    ) -> T:
        """Call once, with an object or with lines. A failure that may be temporary is a ``TransientError``.

        ``before`` is called when there is nothing left to wait for; if it raises, the call is not sent.
        """
        service, _, action = name.partition(".")
        version = ".".join(map(str, min(self.version, API_VERSION)))
        sent: dict[str, Any] = {"json": body}
        if isinstance(body, str):
            sent = {"data": body.encode(), "headers": {"Content-Type": "application/json-lines"}}
        with self._access.in_flight.slot():
            _with_own_errors(name, self._renew_token)
            before()
            with self._lock:
                self.sent += 1
            limit = most_bytes.set(most)
            try:
                answer = _with_own_errors(
                    name, lambda: self._session.send_request(service, action, version=version, method="post", **sent)
                )
            finally:
                most_bytes.reset(limit)
        return answer_data(answer, name, shape, self._access.api_host, nan_as_null=nan_as_null)

    def retry(self, name: str, action: Callable[[], T], *, few_tries: bool = False) -> T:
        """Repeat an action that makes several calls, each by ``ask_once``, until it succeeds.

        Raises:
            TransientError: it failed after all tries.
        """
        return self._access.retry.call(name, action, few_tries=few_tries)

    def unreachable(self, name: str, error: Exception, *, few_tries: bool = False) -> UnreachableError:
        """The error to raise when all tries are used up."""
        tries = "" if few_tries else f" in {self._access.retry.times}; the last"
        return UnreachableError(f"{name}: no answer from CLEARML_API_HOST={self._access.api_host}{tries}: {error}")

    def _retried(self, name: str, action: Callable[[], T], *, few_tries: bool = False) -> T:
        """The same, with the job's own errors."""
        try:
            return self.retry(name, lambda: _with_own_errors(name, action), few_tries=few_tries)
        except TransientError as error:
            raise self.unreachable(name, error, few_tries=few_tries) from error

    def _log_in(self) -> BoundedSession:
        with self._access.in_flight.slot():
            return BoundedSession(self._access, self.clock)

    def _log_in_again(self) -> None:
        with self._access.in_flight.slot():
            self._renew_token()

    def _renew_token(self) -> None:
        """Get a new token if the old one expires soon.

        Call it only while holding a slot: others wait for the lock in theirs.
        """
        with self._lock:
            if self._session.get_token_valid_period_sec() <= 0:
                self._session.refresh_token()


def _with_own_errors(name: str, action: Callable[[], T]) -> T:
    """What an action returns, with the errors of requests turned into the job's own."""
    try:
        return action()
    except TooBigError as error:
        raise LargeAnswerError(f"{name}: {error}") from error
    except (requests.exceptions.InvalidURL, UnreadableError) as error:
        raise AnswerError(f"{name}: {error}") from error
    except requests.RequestException as error:
        raise TransientError(failure_reason(error)) from error


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    return int(major), int(rest.partition(".")[0] or 0)
