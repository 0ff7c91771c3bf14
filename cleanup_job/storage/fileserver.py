"""ClearML's fileserver, under all of its addresses.

Its ``POST /delete_many`` takes hundreds of files and folders at once, and deletes everything for a path such as ``.`` or a text
in place of the list: only a list of quoted paths in task folders is ever sent. A file that lies beside what the SDK makes in a
folder is deleted by a ``DELETE`` of its own, which never takes a folder. One path can make a whole call fail, and what stood
before it is gone then: calls are divided by tasks. Behaviour measured on 2.3.0.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

import requests

from cleanup_job.concurrency_limit import InFlight
from cleanup_job.errors import AnswerError, SettingsError
from cleanup_job.planning.paths import (
    KINDS,
    LinkedFile,
    Location,
    OwnedPath,
    PartOfFolder,
    TaskFile,
    TaskFolder,
    TaskId,
    is_clean,
    read_as,
)
from cleanup_job.planning.records import Removed
from cleanup_job.retry import Retry
from cleanup_job.storage.fileserver_calls import NAME, Calls, refusal
from cleanup_job.storage.store import UNFINISHED
from cleanup_job.transport.splitting import Splitting

MANY = 500
"""Paths in one call."""
PROVEN_BY = 5
"""Files of surviving records to look for at least, before none of them being there ends a pass."""
SAMPLE = 50
"""Of them, how many are looked for at most."""
NO_BATCH = frozenset({403, 404, 405, 501})
"""How a fileserver answers that does not have, or not allow, ``/delete_many``; a bad token is 401."""
PORTS = {"http": 80, "https": 443}
LONGEST_NAME, LONGEST_PATH = 255, 4096
"""Bytes in a segment of a path, and in all of it."""
_NO_NETWORK = frozenset("#?\\")
_MISSING = re.compile(r"File .* not found", re.DOTALL)
"""The fileserver's own 404; that of a proxy, or of another server, is no proof that a file is gone."""

Path = TypeVar("Path", TaskFile, LinkedFile)


class _PassingError(Exception):
    """A failure that may be gone on the next try."""


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
        self._calls = Calls(
            host, token, verify=verify, timeout=timeout, retry=retry, in_flight=in_flight, before_deletion=before_deletion
        )
        self._split = Splitting(self._calls, self._calls.hasty(), self._calls.answers)
        self._host = host
        self._roots = tuple(dict.fromkeys(_root(address) for address in (host, *prefixes)))
        self._roots_at = lru_cache(1024)(self._roots_of)  # asked for each output
        self._found = self._missing = 0
        self._proven = self._looked_in_vain = False
        self._batch = True

    @property
    def sent(self) -> int:
        """Requests so far."""
        return self._calls.sent

    def check(self) -> str:
        """What makes it doubtful that this is ClearML's fileserver, else nothing. Only reads.

        Raises:
            UnreachableError: it gives no usable answer.
        """
        root = self._calls.send("GET", "/", deletes=False)
        if root.text.strip() == "OK":
            return ""
        return f"CLEARML_FILES_HOST={self._host} does not answer like ClearML's fileserver ({refusal(root)})."

    def prepare(self) -> None:
        """Find out whether ``/delete_many`` is allowed, by an empty list, which deletes nothing.

        Raises:
            SettingsError: it refuses the credentials, or is no fileserver.
        """
        for _ in range(2):  # with all tries each: what depends on it are the files that no record names
            answer = self._calls.send("POST", "/delete_many", deletes=False, doubted=NO_BATCH, json={"files": []})
            if answer.status_code not in NO_BATCH:
                break
        self._see_that_it_takes_the_token(answer)
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

    def prove(self, places: Sequence[Location]) -> None:
        """See that one of these files, which surviving records name, is there; asks for up to ``SAMPLE`` until one is found.

        Raises:
            SettingsError: there were ``PROVEN_BY`` or more to look for, and none is there; or every file is said to be there.
            UnreachableError: it gives no usable answer.
        """
        asked = 0
        for place in dict.fromkeys(places):
            if asked == SAMPLE:
                break
            paths = [path for path in (place.path, *place.others) if is_clean(path) and not _is_too_long(path)]
            asked += bool(paths)
            there = next(filter(self._is_there, paths), None)
            if there is not None:
                self._see_what_is_missing(there)
                self._proven = True
                return
        self._looked_in_vain = self._looked_in_vain or asked > 0
        if asked >= PROVEN_BY:
            raise SettingsError(
                f"CLEARML_FILES_HOST={self._host} has none of {asked} files that tasks and models which are not deleted name: "
                "the fileserver's volume may not be mounted, or this is another server. Nothing was deleted: each file would "
                "count as gone. Give it its volume back or correct the address, and see that a file opens in the Web UI."
            )

    def _is_there(self, path: str) -> bool:
        answer = self._calls.send("HEAD", "/" + quote(path, safe="/"), deletes=False)
        self._see_that_it_takes_the_token(answer)
        return bool(answer.status_code == requests.codes.ok)

    def _see_that_it_takes_the_token(self, answer: requests.Response) -> None:
        if answer.status_code == requests.codes.unauthorized:
            raise SettingsError(
                f"the fileserver at {self._host} refused the API server's token ({refusal(answer)}). "
                "Check that CLEARML_FILES_HOST and CLEARML_API_HOST belong to the same ClearML Server."
            )

    def _see_what_is_missing(self, path: str) -> None:
        """A server that answers 200 to everything has shown nothing."""
        if self._is_there("/".join([*path.split("/")[:-1], uuid4().hex])):
            raise SettingsError(
                f"CLEARML_FILES_HOST={self._host} does not answer like ClearML's fileserver: it says that a file is there "
                "which can't exist. Nothing was deleted. Correct the address."
            )

    def warnings(self) -> list[str]:
        """What is left behind since it can't delete folders; that not one path was there: it may be another server."""
        found = []
        if not self._batch:
            found.append(
                f"the fileserver at {self._host} takes no POST /delete_many: only files that records name were deleted, "
                "and others in their folders are left. Set CLEARML__fileserver__delete__allow_batch=true for it, or correct a "
                "proxy in between that refuses this path."
            )
        if self._missing > (0 if self._looked_in_vain else UNFINISHED) and not self._found and not self._proven:
            found.append(f"none of {self._missing} folders and files was on the fileserver: is its address the right one?")
        return found

    def real(self, place: Location) -> Location:
        """The place itself: the fileserver has no links."""
        return place

    def locate(self, uri: str) -> Location | None:
        """The unquoted path of a URI below one of the addresses."""
        scheme, mark, rest = uri.partition("://")
        if not mark or scheme.lower() not in PORTS:
            return None
        network, _, path = rest.partition("/")
        if _NO_NETWORK & set(network):  # whoever opens such an address may end up at another host
            return None
        for root in self._roots_at(scheme.lower(), network):
            below = "/" + path.lstrip("/")
            if below.startswith(root + "/"):
                return read_as(NAME, below[len(root) + 1 :].lstrip("/"), quoted=True)
        return None

    def _roots_of(self, scheme: str, network: str) -> tuple[str, ...]:
        """The paths of its addresses on a host."""
        return tuple(path for at_scheme, at, path in self._roots if scheme == at_scheme and _network(scheme, network) == at)

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """Nothing: it can't list."""
        del paths
        return Removed()

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete what the SDK makes in folders, and files.

        A folder itself is not deleted, since other files may lie in it; an empty one remains.
        """
        files = [path for path in paths if isinstance(path, TaskFile)]
        folders = [path for path in paths if isinstance(path, TaskFolder | PartOfFolder)]
        alone = [path for path in files if path.is_beside or not self._batch]
        if self._batch:
            together = self._batches_of([*folders, *(path for path in files if not path.is_beside)])
        else:
            together = Removed(dict.fromkeys(folders, "this fileserver does not delete folders"))
        rest = self._one_by_one(alone)
        return Removed({**together.failed, **rest.failed}, missing=together.missing | rest.missing, parts=together.parts)

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """Delete files one by one: a single DELETE never takes a folder."""
        return self._one_by_one(files)

    def uri(self, path: str) -> str:
        """The URI of a file that is written to a path."""
        return f"{self._host}/{quote(path, safe='/')}"

    def upload(self, path: str, content: bytes, kind: str) -> None:
        """Write a file. ``kind`` is its media type.

        Raises:
            UnreachableError: no usable answer.
            OSError: the fileserver refused it.
        """
        answer = self._calls.send("POST", "/", deletes=False, files={path: (path.rpartition("/")[2], content, kind)})
        if answer.status_code != requests.codes.ok:
            raise OSError(refusal(answer))

    def _batches_of(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete by ``/delete_many``; a folder by the names of what the SDK makes in it."""
        owner = {quote(name, safe="/"): path for path in paths for name in _names(path) if not _is_too_long(name)}
        names: dict[TaskId, list[str]] = defaultdict(list)
        for name, path in owner.items():
            names[_task_of(path)].append(name)
        said: dict[str, str] = {}
        for tasks in _together(names):
            answers, culprits = self._split.each(
                "POST /delete_many",
                tasks,
                lambda calls, some: self._batch_of(calls, [name for task in some for name in names[task]]),
            )
            for answer in answers:
                said |= answer
            said |= {name: str(error) for task, error in culprits.items() for name in names[task]}
        failed: dict[OwnedPath | LinkedFile, str] = {}
        there: set[OwnedPath] = set()
        for name, path in owner.items():
            if said[name] in {"", "Not found"}:
                there |= {path} if not said[name] else set()
            else:
                failed.setdefault(path, said[name])
        missing = frozenset(path for path in paths if path not in there and path not in failed)
        self._found += len(there)
        self._missing += len(missing)
        absent: dict[OwnedPath, set[str]] = defaultdict(set)
        for name, path in owner.items():
            if said[name] and path in there and not isinstance(path, TaskFile):
                absent[path].add(name.rpartition("/")[2])
        return Removed(failed, missing=missing, parts={path: frozenset(kinds) for path, kinds in absent.items()})

    @staticmethod
    def _batch_of(calls: Calls, names: Sequence[str]) -> dict[str, str]:
        """What the fileserver says of each name: nothing where it was deleted, else why not.

        Raises:
            AnswerError: it refused a call as a whole, or its answer can't be read.
            UnreachableError: no usable answer.
        """
        said: dict[str, str] = {}
        for some in _chunks(names):
            answer = calls.send("POST", "/delete_many", some, doubted=NO_BATCH, json={"files": list(some)})
            if answer.status_code != requests.codes.ok:
                raise AnswerError(refusal(answer), status=answer.status_code)
            try:
                data = answer.json()
                done = set(data["deleted"])
                errors = {str(name): str(why) for why, which in data["errors"].items() for name in which}
            except (ValueError, KeyError, TypeError, AttributeError) as error:  # not as recorded in files_delete_many
                calls.unsure.update(some)
                raise AnswerError("the fileserver's answer can't be read") from error
            done |= {name for name in calls.unsure.intersection(some) if errors.get(name) == "Not found"}
            calls.unsure.difference_update(some)
            unsaid = "the fileserver's answer does not mention it"
            said |= {name: "" if name in done else errors.get(name, unsaid) for name in some}
        return said

    def _one_by_one(self, paths: Sequence[Path]) -> Removed:
        failed: dict[OwnedPath | LinkedFile, str] = {}
        missing: set[OwnedPath | LinkedFile] = {path for path in paths if _is_too_long(path.path)}
        groups: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            if path not in missing:
                groups[_task_of(path) if isinstance(path, TaskFile) else path.path].append(path)
        for group, left in groups.items():
            _, culprits = self._split.each(
                "DELETE", [group], lambda calls, some: self._delete_all(calls, groups[some[0]], missing)
            )
            for error in culprits.values():
                failed |= dict.fromkeys(left, str(error))
        return Removed(failed, missing=frozenset(missing))

    def _delete_all(self, calls: Calls, left: list[Path], missing: set[OwnedPath | LinkedFile]) -> None:
        """Delete files one after the other; takes each that is gone from the list, and notes which were not there.

        Raises:
            AnswerError: one is refused.
            UnreachableError: no usable answer.
        """
        while left:
            name = quote(left[0].path, safe="/")
            answer = calls.send("DELETE", "/" + name, [name])
            gone = answer.status_code == requests.codes.ok
            if not gone and not (answer.status_code == requests.codes.not_found and _MISSING.fullmatch(answer.text)):
                raise AnswerError(refusal(answer), status=answer.status_code)
            if gone or name in calls.unsure:
                self._found += 1
            else:
                missing.add(left[0])
                self._missing += 1
            calls.unsure.discard(name)
            left.pop(0)


def _root(address: str) -> tuple[str, str, str]:
    """An address in its parts: scheme, host with port, path without a final slash."""
    parts = urlsplit(address)
    return parts.scheme, _network(parts.scheme, parts.netloc), parts.path.rstrip("/")


def _network(scheme: str, network: str) -> str:
    """Host and port as they compare: in lower case, the usual port written out, no user."""
    host = network.rpartition("@")[2].lower()
    return host if host.rpartition(":")[2].isdigit() and ":" in host else f"{host}:{PORTS[scheme]}"


def _names(path: OwnedPath) -> list[str]:
    """What is sent for a path: of a part of a folder, those of the ``KINDS`` in which nothing is kept."""
    if isinstance(path, TaskFile) or (isinstance(path, TaskFolder) and path.is_report):
        return [path.path]
    kept = {rest.partition("/")[0] for rest in path.keep} if isinstance(path, PartOfFolder) else set()
    return [f"{path.path}/{kind}" for kind in sorted(KINDS - kept)]


def _is_too_long(path: str) -> bool:
    """Whether no file system can hold this path; for one of them the fileserver refuses a whole call (files_long_names)."""
    whole = path.encode()
    return len(whole) > LONGEST_PATH or any(len(segment) > LONGEST_NAME for segment in whole.split(b"/"))


def _task_of(path: OwnedPath) -> TaskId:
    return path.task if isinstance(path, TaskFolder) else path.folder.task


def _together(names: Mapping[TaskId, Sequence[str]]) -> Iterator[list[TaskId]]:
    """Tasks that fit into one call; one with more names comes alone."""
    some: list[TaskId] = []
    count = 0
    for task, its in names.items():
        if some and count + len(its) > MANY:
            yield some
            some, count = [], 0
        some.append(task)
        count += len(its)
    if some:
        yield some


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), MANY):
        yield names[start : start + MANY]
