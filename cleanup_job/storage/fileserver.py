"""ClearML's fileserver, under all of its addresses.

Its ``POST /delete_many`` takes hundreds of files and folders at once, and deletes everything for a path such as ``.`` or a text
in place of the list: only a list of quoted task folders, or files in them, is ever sent. Behaviour measured on 2.3.0.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import requests

from cleanup_job.bounded_http import BoundedAdapter
from cleanup_job.errors import SettingsError, UnreachableError
from cleanup_job.in_flight import InFlight
from cleanup_job.paths import LinkedFile, Location, OwnedPath, PartOfFolder, TaskFile, TaskFolder
from cleanup_job.records import Removed
from cleanup_job.retry import PASSING, Retry, time_limits

MANY = 500
"""Paths in one call."""
NAME = "fileserver"
NO_BATCH = frozenset({403, 404, 405, 501})
"""How a fileserver answers that does not have, or not allow, ``/delete_many``; a bad token is 401."""
PORTS = {"http": 80, "https": 443}
_MISSING = re.compile(r"File .* not found", re.DOTALL)
"""The fileserver's own 404; that of a proxy, or of another server, is no proof that a file is gone."""

Path = TypeVar("Path", TaskFile, LinkedFile)


class FileServer:
    """Deletes on a fileserver. Safe to use from many threads."""

    lists = False
    links = frozenset({NAME})

    def __init__(  # noqa: PLR0913 -- all of them are how to reach it
        self,
        host: str,
        prefixes: Iterable[str],
        token: Callable[[], str],
        *,
        verify: bool | str = True,
        timeout: float = 120.0,
        retry: Retry | None = None,
        in_flight: InFlight | None = None,
        before_deletion: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            host: The address at which the job reaches it.
            prefixes: Further addresses of the same fileserver, as they stand in records.
            token: Gives the bearer token of ClearML's API.
            verify: As in requests.
            timeout: Seconds for each request.
            retry: How often each request is tried.
            in_flight: The limit on requests at the same time, shared by all who ask this fileserver.
            before_deletion: Called before each request that deletes; what it raises ends the deletion.
        """
        self._before_deletion = before_deletion
        self._host = host
        self._roots = tuple(dict.fromkeys(_root(address) for address in (host, *prefixes)))
        self._roots_at = lru_cache(1024)(self._roots_of)  # asked for each output
        self._token = token
        self._timeout = time_limits(timeout)
        self._retry = retry or Retry()
        self._in_flight = in_flight or InFlight()
        self._http = requests.Session()
        self._http.verify = verify
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, BoundedAdapter())
        self.sent = 0
        self._found = self._missing = 0
        self._batch = True

    def check(self) -> str:
        """What makes it doubtful that this is ClearML's fileserver, else nothing. Only reads.

        Raises:
            UnreachableError: it gives no usable answer.
        """
        root = self._send("GET", "/", deletes=False)
        if root.text.strip() == "OK":
            return ""
        return f"CLEARML_FILES_HOST={self._host} does not answer like ClearML's fileserver ({_refusal(root)})."

    def prepare(self) -> None:
        """Find out whether ``/delete_many`` is allowed, by an empty list, which deletes nothing.

        Raises:
            SettingsError: it refuses the credentials, or is no fileserver.
        """
        answer = self._send("POST", "/delete_many", deletes=False, json={"files": []})
        if answer.status_code == requests.codes.unauthorized:
            message = (
                f"the fileserver at {self._host} refused the API server's token ({_refusal(answer)}). "
                "Check that CLEARML_FILES_HOST and CLEARML_API_HOST belong to the same ClearML Server."
            )
            raise SettingsError(message)
        self._batch = answer.status_code not in NO_BATCH
        if "files are missing" not in answer.text and (doubt := self.check()):
            raise SettingsError(f"{doubt} Nothing was deleted: a wrong address would leave every file behind.")

    @property
    def by_file(self) -> frozenset[str]:
        """Itself where it does not allow ``/delete_many`` (taken for granted until ``prepare``)."""
        return frozenset() if self._batch else frozenset({NAME})

    def holds(self, name: str) -> bool:
        """Whether this is the fileserver's name."""
        return name == NAME

    def doubts(self) -> list[str]:
        """Not one path was there: perhaps this is another server, and the files were left behind elsewhere."""
        if self._missing and not self._found:
            return [f"none of {self._missing} folders and files was on the fileserver: is its address the right one?"]
        return []

    def locate(self, uri: str) -> Location | None:
        """The unquoted path of a URI below one of the addresses."""
        scheme, mark, rest = uri.partition("://")
        if not mark or scheme.lower() not in PORTS:
            return None
        network, _, path = rest.partition("/")
        for root in self._roots_at(scheme.lower(), network):
            below = "/" + path.lstrip("/")
            if below.startswith(root + "/"):
                return Location(NAME, unquote(below[len(root) + 1 :]).lstrip("/"))
        return None

    def _roots_of(self, scheme: str, network: str) -> tuple[str, ...]:
        """The paths of its addresses on a host."""
        return tuple(path for at_scheme, at, path in self._roots if scheme == at_scheme and _network(scheme, network) == at)

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """Nothing: it can't list."""
        del paths
        return Removed()

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete folders and files."""
        failed: dict[OwnedPath | LinkedFile, str] = {}
        files = [path for path in paths if isinstance(path, TaskFile)]
        folders = [path for path in paths if isinstance(path, TaskFolder)]
        if not self._batch:
            return Removed(failed | dict.fromkeys(folders, "this fileserver does not delete folders") | self._one_by_one(files))
        for chunk in _chunks([*folders, *files]):
            failed |= dict(self._batch_of(chunk).items())
        failed |= {path: "this fileserver can't list" for path in paths if isinstance(path, PartOfFolder)}
        return Removed(failed)

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """Delete files one by one: a single DELETE never takes a folder."""
        return Removed(dict(self._one_by_one(files).items()))

    def upload(self, path: str, content: bytes, kind: str) -> str:
        """Write a file; gives its URI. ``kind`` is its media type.

        Raises:
            UnreachableError: no usable answer.
            OSError: the fileserver refused it.
        """
        answer = self._send("POST", "/", deletes=False, files={path: (path.rpartition("/")[2], content, kind)})
        if answer.status_code != requests.codes.ok:
            raise OSError(_refusal(answer))
        return f"{self._host}/{quote(path, safe='/')}"

    def _batch_of(self, paths: Sequence[OwnedPath]) -> dict[OwnedPath, str]:
        by_name = {quote(path.path, safe="/"): path for path in paths}
        answer = self._send("POST", "/delete_many", json={"files": list(by_name)})
        if answer.status_code != requests.codes.ok:
            return dict.fromkeys(paths, _refusal(answer))
        try:
            data = answer.json()
            done = set(data["deleted"])
            errors = {str(name): str(why) for why, names in data["errors"].items() for name in names}
        except (ValueError, KeyError, TypeError, AttributeError):
            return dict.fromkeys(paths, "the fileserver's answer can't be read")
        failed = {}
        for name, path in by_name.items():
            why = errors.get(name, "the fileserver's answer does not mention it")
            if name in done:
                self._found += 1
            elif why == "Not found":
                self._missing += 1
            else:
                failed[path] = why
        return failed

    def _one_by_one(self, paths: Sequence[Path]) -> dict[Path, str]:
        failed: dict[Path, str] = {}
        for path in paths:
            answer = self._send("DELETE", "/" + quote(path.path, safe="/"))
            if answer.status_code == requests.codes.ok:
                self._found += 1
            elif answer.status_code == requests.codes.not_found and _MISSING.fullmatch(answer.text):
                self._missing += 1
            else:
                failed[path] = _refusal(answer)
        return failed

    def _send(self, method: str, path: str, *, deletes: bool = True, **options: Any) -> requests.Response:
        """Send, again for passing failures."""
        error: Exception | None = None
        try:
            for attempt in self._retry.tries(NAME, requests.RequestException):
                with attempt:
                    answer = self._once(method, path, deletes=deletes, **options)
                    if answer.status_code in PASSING:
                        raise requests.HTTPError(_refusal(answer), response=answer)
                    return answer
        except requests.RequestException as last:
            error = last
        message = (
            f"the fileserver at {self._host} gave no usable answer in {self._retry.attempts} tries; the last: {error}. "
            "Check CLEARML_FILES_HOST: it is the address at which the job reaches it."
        )
        raise UnreachableError(message) from error

    def _once(self, method: str, path: str, *, deletes: bool, **options: Any) -> requests.Response:
        name = f"{method} {path}" if method == "POST" else method  # a DELETE has a path of its own
        with self._in_flight.slot():
            headers = {"Authorization": f"Bearer {self._token()}"}
            if deletes:
                self._before_deletion()  # last: while it waited, the lease may have been lost
            self.sent += 1
            return self._in_flight.ask(
                name,
                lambda: self._http.request(
                    method, self._host + path, headers=headers, timeout=self._timeout, allow_redirects=False, **options
                ),
            )


def _root(address: str) -> tuple[str, str, str]:
    """An address in its parts: scheme, host with port, path without a final slash."""
    parts = urlsplit(address)
    return parts.scheme, _network(parts.scheme, parts.netloc), parts.path.rstrip("/")


def _network(scheme: str, network: str) -> str:
    """Host and port as they compare: in lower case, the usual port written out, no user."""
    host = network.rpartition("@")[2].lower()
    return host if host.rpartition(":")[2].isdigit() and ":" in host else f"{host}:{PORTS[scheme]}"


def _refusal(answer: requests.Response) -> str:
    return f"HTTP {answer.status_code}: {' '.join(answer.text.split())[:200]}"


def _chunks(paths: Sequence[OwnedPath]) -> Iterator[Sequence[OwnedPath]]:
    for start in range(0, len(paths), MANY):
        yield paths[start : start + MANY]
