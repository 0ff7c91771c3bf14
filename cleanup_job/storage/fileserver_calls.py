"""Requests to a fileserver: tried again, within bounds, and with what is known of those whose answer did not come."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any
from urllib.parse import urlsplit

import requests

from cleanup_job.concurrency_limit import InFlight
from cleanup_job.errors import SettingsError, UnreachableError
from cleanup_job.retry import PASSING, Retry, time_limits
from cleanup_job.transport.bounded_http import BoundedAdapter
from cleanup_job.transport.connection_errors import Place, words

NAME = "fileserver"
UNDONE = frozenset({429, 503})
"""How a server answers that has not begun with the work."""


class _PassingError(Exception):
    """A failure that may be gone on the next try."""

    def __init__(self, message: str, answer: requests.Response | None = None) -> None:
        super().__init__(message)
        self.answer = answer


class Calls:
    """Sends to one address. Safe to use from many threads."""

    def __init__(  # noqa: PLR0913 -- all of them are how to reach it
        self,
        host: str,
        token: Callable[[], str],
        *,
        verify: bool | str = True,
        timeout: float = 120.0,
        retry: Retry | None = None,
        in_flight: InFlight | None = None,
        before_deletion: Callable[[], None] = lambda: None,
    ) -> None:
        """As of ``FileServer``."""
        self.host = host
        self._token = token
        self._timeout = time_limits(timeout)
        self._retry = retry or Retry()
        self._in_flight = in_flight or InFlight()
        self._before_deletion = before_deletion
        self._hasty = False
        self._http = requests.Session()
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, BoundedAdapter(verify))
        self._place = Place("CLEARML_FILES_HOST", host)
        self._sent = [0]
        """Shared by both, as what follows."""
        self._has_answered = [False]
        self.unsure: set[str] = set()
        """Paths whose deletion was sent without an answer: if they are not there, that request may have done it."""

    def hasty(self) -> "Calls":
        """The same, with few tries for each request."""
        hasty = copy(self)
        hasty._hasty = True  # noqa: SLF001 -- its own copy
        return hasty

    @property
    def sent(self) -> int:
        """Requests so far."""
        return self._sent[0]

    def answers(self) -> None:
        """See that the fileserver answers at all.

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
        """Send, again for passing failures, and for ``doubted`` statuses, which are given if they last.

        ``names`` are the paths that are deleted by it.

        Raises:
            UnreachableError: no usable answer, after all tries.
        """
        try:
            for attempt in self._retry.tries(NAME, _PassingError, hasty=self._hasty):
                with attempt:
                    return self._once(method, path, names, deletes=deletes, passing=PASSING | doubted, **options)
        except _PassingError as last:
            if last.answer is not None and last.answer.status_code in doubted:
                return last.answer
            tries = "" if self._hasty else f" in {self._retry.times}; the last"
            message = f"CLEARML_FILES_HOST={self.host}, the address of the fileserver, gave no usable answer{tries}: {last}"
            raise UnreachableError(message) from last
        raise AssertionError

    def _once(
        self, method: str, path: str, names: Sequence[str], *, deletes: bool, passing: frozenset[int], **options: Any
    ) -> requests.Response:
        name = f"{method} {path}" if method == "POST" else method  # a DELETE has a path of its own
        with self._in_flight.slot():
            options["headers"] = {"Authorization": f"Bearer {self._token()}"}
            if deletes:
                self._before_deletion()  # last: while it waited, the lease may have been lost
            self._sent[0] += 1
            address = self.host + path
            try:
                answer = self._in_flight.ask(
                    name,
                    lambda: self._http.request(method, address, timeout=self._timeout, allow_redirects=False, **options),
                )
            except requests.RequestException as error:
                self.unsure.update(() if isinstance(error, requests.ConnectTimeout) else names)
                self._end_if_lasting(self._place.lasting(error))
                raise _PassingError(words(error)) from error
        self._end_if_lasting(self._place.refused(answer.status_code, answer.content))
        self._has_answered[0] = True
        if answer.status_code in passing:
            self.unsure.update(names if answer.status_code in PASSING - UNDONE else ())
            raise _PassingError(refusal(answer), answer)
        return answer

    def _end_if_lasting(self, why: str) -> None:
        """What is wrong from the first request on is a setting; what breaks later may pass."""
        if why and not self._has_answered[0]:
            raise SettingsError(f"{why}. Nothing was deleted.")


def refusal(answer: requests.Response) -> str:
    """What it answered, in a line; of an address that it sends to, no more than the host."""
    if answer.is_redirect:
        return f"HTTP {answer.status_code}: it sends to {_host_of(answer.headers['Location'])}, and redirects are not followed"
    return f"HTTP {answer.status_code}: {' '.join(answer.text.split())[:200]}"


def _host_of(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return "another address"
    return f"{parts.scheme or 'http'}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "another path of its own"
