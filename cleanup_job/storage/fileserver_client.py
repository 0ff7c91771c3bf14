"""Requests to a fileserver: within limits, retried, and with a record of the deletions whose answer did not arrive."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any
from urllib.parse import urlsplit

import requests

from cleanup_job.concurrency_limit import ConcurrencyLimit
from cleanup_job.errors import SettingsError, UnreachableError
from cleanup_job.retry import TRANSIENT_STATUSES, Retry, TransientError, time_limits
from cleanup_job.transport.bounded_http import BoundedAdapter, fix_environment
from cleanup_job.transport.connection_errors import NamedAddress, failure_reason

NAME = "fileserver"
NOT_STARTED = frozenset({429, 503})
"""Statuses of a server that has not started the work."""


class _TransientAnswerError(TransientError):
    """An answer that may be another one on the next try."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(refusal(answer))
        self.answer = answer


class FileServerClient:
    """Sends requests to one address. Safe to use from many threads."""

    def __init__(  # noqa: PLR0913 -- all of them say how to reach it
        self,
        host: str,
        token: Callable[[], str],
        *,
        verify: bool | str = True,
        timeout: float = 120.0,
        retry: Retry | None = None,
        in_flight: ConcurrencyLimit | None = None,
        before_deletion: Callable[[], None] = lambda: None,
    ) -> None:
        """The arguments are those of ``FileServer``."""
        self.host = host
        self._token = token
        self._timeout = time_limits(timeout)
        self._retry = retry or Retry()
        self._in_flight = in_flight or ConcurrencyLimit()
        self._before_deletion = before_deletion
        self._few_tries = False
        self._http = requests.Session()
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, BoundedAdapter(verify))
        fix_environment(self._http, host)
        self._address = NamedAddress("CLEARML_FILES_HOST", host)
        self._sent = [0]
        """A list, so that copies of this object share it; so is the next one."""
        self._has_answered = [False]
        self.unsure: set[str] = set()
        """Paths whose deletion was sent but not answered: if they are gone now, that request may have deleted them."""

    def with_few_tries(self) -> "FileServerClient":
        """The same client, with few tries for each request."""
        other = copy(self)
        other._few_tries = True  # noqa: SLF001 -- a copy of this object
        return other

    @property
    def sent(self) -> int:
        """The number of requests so far."""
        return self._sent[0]

    def probe(self) -> None:
        """Check that the fileserver answers at all.

        Raises:
            UnreachableError: it gives no usable answer, after all tries.
        """
        self.send("GET", "/", deletes=False)

    def send(
        self,
        method: str,
        path: str,
        names: Sequence[str] = (),
        *,
        deletes: bool = True,
        doubted: frozenset[int] = frozenset(),
        **options: Any,
    ) -> requests.Response:
        """Send a request, and retry transient failures.

        Args:
            method: The HTTP method.
            path: The path at the fileserver, quoted.
            names: The paths that this request deletes.
            deletes: Whether it deletes anything.
            doubted: Statuses that are retried, too, and returned if they persist.
            options: Passed to requests.

        Raises:
            UnreachableError: no usable answer, after all tries.
        """
        transient = TRANSIENT_STATUSES | doubted
        try:
            return self._retry.call(
                NAME,
                lambda: self._once(method, path, names, deletes=deletes, transient=transient, **options),
                few_tries=self._few_tries,
            )
        except TransientError as last:
            if isinstance(last, _TransientAnswerError) and last.answer.status_code in doubted:
                return last.answer
            tries = "" if self._few_tries else f" in {self._retry.times}; the last"
            message = f"CLEARML_FILES_HOST={self.host}, the address of the fileserver, gave no usable answer{tries}: {last}"
            raise UnreachableError(message) from last

    def _once(
        self, method: str, path: str, names: Sequence[str], *, deletes: bool, transient: frozenset[int], **options: Any
    ) -> requests.Response:
        name = f"{method} {path}" if method == "POST" else method  # the path of a DELETE differs each time
        with self._in_flight.slot():
            options["headers"] = {"Authorization": f"Bearer {self._token()}"}
            if deletes:
                self._before_deletion()  # last: the lease may have been lost while the request waited
            self._sent[0] += 1
            address = self.host + path
            try:
                answer = self._in_flight.ask(
                    name,
                    lambda: self._http.request(method, address, timeout=self._timeout, allow_redirects=False, **options),
                )
            except requests.RequestException as error:
                self.unsure.update(() if isinstance(error, requests.ConnectTimeout) else names)
                self._raise_if_permanent(self._address.permanent_problem(error))
                raise TransientError(failure_reason(error)) from error
        self._raise_if_permanent(self._address.problem_in_answer(answer.status_code, answer.content))
        self._has_answered[0] = True
        if answer.status_code in transient:
            self.unsure.update(names if answer.status_code in TRANSIENT_STATUSES - NOT_STARTED else ())
            raise _TransientAnswerError(answer)
        return answer

    def _raise_if_permanent(self, problem: str) -> None:
        """A problem that is there from the first request on is a wrong setting; what breaks later may be temporary."""
        if problem and not self._has_answered[0]:
            raise SettingsError(f"{problem}. Nothing was deleted.")


def refusal(answer: requests.Response) -> str:
    """The server's answer in one line. Of the target of a redirect it shows only the host."""
    if answer.is_redirect:
        target = _host_of(answer.headers["Location"])
        return f"HTTP {answer.status_code}: it redirects to {target}, and redirects are not followed"
    return f"HTTP {answer.status_code}: {' '.join(answer.text.split())[:200]}"


def _host_of(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return "another address"
    return f"{parts.scheme or 'http'}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "another path of its own"
