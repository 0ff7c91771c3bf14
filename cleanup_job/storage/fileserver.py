"""ClearML's fileserver, under all of its addresses.

``POST /delete_many`` takes hundreds of files and folders at once, and deletes everything if it is given a path such as ``.`` or
a text instead of the list. So only lists of quoted paths in task folders are ever sent. A file beside what the SDK creates in a
folder is deleted by a ``DELETE`` of its own, which never deletes a folder. One path can make a whole call fail after the paths
before it were deleted, so calls are divided by tasks. Behaviour measured on 2.3.0.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from urllib.parse import quote
from uuid import uuid4

import requests

from cleanup_job.concurrency_limit import ConcurrencyLimit
from cleanup_job.errors import AnswerError, SettingsError
from cleanup_job.planning.paths import LinkedFile, Location, OwnedPath, PartOfFolder, TaskFile, TaskFolder, is_clean
from cleanup_job.planning.records import Removed
from cleanup_job.retry import Retry
from cleanup_job.storage.fileserver_addresses import Addresses
from cleanup_job.storage.fileserver_batch import DELETED, NOT_FOUND, Batch, chunks, is_too_long, task_of
from cleanup_job.storage.fileserver_client import NAME, FileServerClient, refusal
from cleanup_job.storage.interface import UNFINISHED
from cleanup_job.transport.splitting import Splitting

PROVEN_BY = 5
"""How many files of surviving records have to be looked for before the absence of all of them ends a pass."""
SAMPLE = 50
"""How many of them are looked for at most."""
NO_BATCH = frozenset({403, 404, 405, 501})
"""Statuses of a fileserver that does not have or allow ``/delete_many``; a bad token is 401."""
_MISSING = re.compile(r"File .* not found", re.DOTALL)
"""The fileserver's own 404. That of a proxy, or of another server, does not prove that a file is gone."""

Path = TypeVar("Path", TaskFile, LinkedFile)


class FileServer:
    """Deletes on a fileserver. Safe to use from many threads."""

    lists = False
    links = frozenset({NAME})

    def __init__(  # noqa: PLR0913 -- all of them say how to reach it
        self,
        host: str,
        prefixes: Iterable[str],
        token: Callable[[], str],
        *,
        verify: bool | str = True,
        timeout: float = 120.0,
        retry: Retry | None = None,
        in_flight: ConcurrencyLimit | None = None,
        before_deletion: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            host: The address at which the job reaches it.
            prefixes: Further addresses of the same fileserver, as records name them.
            token: Returns the bearer token of ClearML's API.
            verify: As in requests.
            timeout: Seconds for each request.
            retry: How often each request is tried.
            in_flight: The limit on concurrent requests, shared by everything that uses this fileserver.
            before_deletion: Called before each request that deletes; if it raises, the deletion ends.
        """
        self._client = FileServerClient(
            host, token, verify=verify, timeout=timeout, retry=retry, in_flight=in_flight, before_deletion=before_deletion
        )
        self._split = Splitting(self._client, self._client.with_few_tries(), self._client.probe)
        self._host = host
        self.locate = Addresses((host, *prefixes)).locate
        self._found = self._missing = 0
        self._proven = self._looked_in_vain = False
        self._batch = True

    @property
    def sent(self) -> Counter[str]:
        """The number of requests so far."""
        return Counter(files=self._client.sent)

    def check(self) -> str:
        """Why this may not be ClearML's fileserver, or an empty text. Only reads.

        Raises:
            UnreachableError: it gives no usable answer.
        """
        root = self._client.send("GET", "/", deletes=False)
        if root.text.strip() == "OK":
            return ""
        return f"CLEARML_FILES_HOST={self._host} does not answer like ClearML's fileserver ({refusal(root)})."

    def prepare(self) -> None:
        """Find out whether ``/delete_many`` is allowed, with an empty list, which deletes nothing.

        Raises:
            SettingsError: it refuses the credentials, or is not a fileserver.
        """
        for _ in range(2):  # twice, with all tries each: files that no record names can only be deleted by this call
            answer = self._client.send("POST", "/delete_many", deletes=False, doubted=NO_BATCH, json={"files": []})
            if answer.status_code not in NO_BATCH:
                break
        self._check_that_it_accepts_the_token(answer)
        self._batch = answer.status_code not in NO_BATCH
        if "files are missing" not in answer.text and (problem := self.check()):
            raise SettingsError(f"{problem} Nothing was deleted: a wrong address would leave every file behind.")

    @property
    def by_file(self) -> frozenset[str]:
        """Its own name if it does not allow ``/delete_many``, which is not known before ``prepare``."""
        return frozenset() if self._batch else frozenset({NAME})

    def holds(self, name: str) -> bool:
        """Whether this is the fileserver's name."""
        return name == NAME

    def prove(self, places: Sequence[Location]) -> None:
        """Check that one of these files, which surviving records name, is there; look for up to ``SAMPLE`` until one is found.

        Raises:
            SettingsError: ``PROVEN_BY`` or more were looked for and none is there; or it claims that every file is there.
            UnreachableError: it gives no usable answer.
        """
        asked = 0
        for place in dict.fromkeys(places):
            if asked == SAMPLE:
                break
            paths = [path for path in (place.path, *place.others) if is_clean(path) and not is_too_long(path)]
            asked += bool(paths)
            there = next(filter(self._is_there, paths), None)
            if there is not None:
                self._check_that_files_can_be_missing(there)
                self._proven = True
                return
        self._looked_in_vain = self._looked_in_vain or asked > 0
        if asked >= PROVEN_BY:
            raise SettingsError(
                f"CLEARML_FILES_HOST={self._host} has none of {asked} files that surviving tasks and models name: the "
                "fileserver's volume may not be mounted, or this is another server. Nothing was deleted, since every file "
                "would count as gone. Mount the volume or correct the address, and check that a file opens in the Web UI."
            )

    def _is_there(self, path: str) -> bool:
        answer = self._client.send("HEAD", "/" + quote(path, safe="/"), deletes=False)
        self._check_that_it_accepts_the_token(answer)
        return bool(answer.status_code == requests.codes.ok)

    def _check_that_it_accepts_the_token(self, answer: requests.Response) -> None:
        if answer.status_code == requests.codes.unauthorized:
            raise SettingsError(
                f"the fileserver at {self._host} refused the API server's token ({refusal(answer)}). "
                "Check that CLEARML_FILES_HOST and CLEARML_API_HOST belong to the same ClearML Server."
            )

    def _check_that_files_can_be_missing(self, path: str) -> None:
        """A server that answers 200 to everything proves nothing."""
        if self._is_there("/".join([*path.split("/")[:-1], uuid4().hex])):
            raise SettingsError(
                f"CLEARML_FILES_HOST={self._host} does not answer like ClearML's fileserver: it says that a file is there "
                "which can't exist. Nothing was deleted. Correct the address."
            )

    def warnings(self) -> list[str]:
        """That files are left because it can't delete folders; that nothing was found, so that it may be another server."""
        found = []
        if not self._batch:
            found.append(
                f"the fileserver at {self._host} does not accept POST /delete_many: only files that records name were deleted, "
                "and other files in their folders are left. Set CLEARML__fileserver__delete__allow_batch=true for it, "
                "or correct a proxy in between that refuses this path."
            )
        if self._missing > (0 if self._looked_in_vain else UNFINISHED) and not self._found and not self._proven:
            found.append(f"none of {self._missing} folders and files was on the fileserver: is its address the right one?")
        return found

    def real(self, place: Location) -> Location:
        """The place itself: the fileserver has no links."""
        return place

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """Nothing, because it can't list."""
        del paths
        return Removed()

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete files, and what the SDK creates in folders.

        The folder itself is not deleted, since it may contain other files; an empty one remains.
        """
        files = [path for path in paths if isinstance(path, TaskFile)]
        folders = [path for path in paths if isinstance(path, TaskFolder | PartOfFolder)]
        if self._batch:
            together = self._delete_together([*folders, *(path for path in files if not path.is_beside)])
            alone = self._one_by_one([path for path in files if path.is_beside])
        else:
            together = Removed(dict.fromkeys(folders, "this fileserver does not delete folders"))
            alone = self._one_by_one(files)
        return Removed({**together.failed, **alone.failed}, missing=together.missing | alone.missing, parts=together.parts)

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """Delete files one by one: a single DELETE never deletes a folder."""
        return self._one_by_one(files)

    def uri(self, path: str) -> str:
        """The URI of a file that is uploaded to a path."""
        return f"{self._host}/{quote(path, safe='/')}"

    def upload(self, path: str, content: bytes, kind: str) -> None:
        """Write a file. ``kind`` is its media type.

        Raises:
            UnreachableError: no usable answer.
            OSError: the fileserver refused it.
        """
        answer = self._client.send("POST", "/", deletes=False, files={path: (path.rpartition("/")[2], content, kind)})
        if answer.status_code != requests.codes.ok:
            raise OSError(refusal(answer))

    def _delete_together(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete by ``/delete_many``."""
        batch = Batch(paths)
        said: dict[str, str] = {}
        for tasks in batch.calls():
            answers, culprits = self._split.each(
                "POST /delete_many", tasks, lambda client, some: self._delete_names(client, batch.names(*some))
            )
            for answer in answers:
                said |= answer
            said |= {name: str(error) for task, error in culprits.items() for name in batch.names(task)}
        removed = batch.removed(said)
        self._found += len(batch.found(said))
        self._missing += len(removed.missing)
        return removed

    @staticmethod
    def _delete_names(client: FileServerClient, names: Sequence[str]) -> dict[str, str]:
        """What the fileserver says of each name: ``DELETED``, ``NOT_FOUND``, or why it was not deleted.

        Raises:
            AnswerError: it refused a call as a whole, or its answer can't be read.
            UnreachableError: no usable answer.
        """
        said: dict[str, str] = {}
        for some in chunks(names):
            answer = client.send("POST", "/delete_many", some, doubted=NO_BATCH, json={"files": list(some)})
            if answer.status_code != requests.codes.ok:
                raise AnswerError(refusal(answer), status=answer.status_code)
            try:
                data = answer.json()
                done = set(data["deleted"])
                errors = {str(name): str(why) for why, which in data["errors"].items() for name in which}
            except (ValueError, KeyError, TypeError, AttributeError) as error:  # not as recorded in files_delete_many
                client.unsure.update(some)
                raise AnswerError("the fileserver's answer can't be read") from error
            done |= {name for name in client.unsure.intersection(some) if errors.get(name) == NOT_FOUND}
            client.unsure.difference_update(some)
            not_mentioned = "the fileserver's answer does not mention it"
            said |= {name: DELETED if name in done else errors.get(name, not_mentioned) for name in some}
        return said

    def _one_by_one(self, paths: Sequence[Path]) -> Removed:
        failed: dict[OwnedPath | LinkedFile, str] = {}
        missing: set[OwnedPath | LinkedFile] = {path for path in paths if is_too_long(path.path)}
        groups: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            if path not in missing:
                groups[task_of(path) if isinstance(path, TaskFile) else path.path].append(path)
        for group, left in groups.items():
            _, culprits = self._split.each(
                "DELETE", [group], lambda client, some: self._delete_all(client, groups[some[0]], missing)
            )
            for error in culprits.values():
                failed |= dict.fromkeys(left, str(error))
        return Removed(failed, missing=frozenset(missing))

    def _delete_all(self, client: FileServerClient, left: list[Path], missing: set[OwnedPath | LinkedFile]) -> None:
        """Delete files one after the other; remove each that is gone from the list, and note which were not there.

        Raises:
            AnswerError: one is refused.
            UnreachableError: no usable answer.
        """
        while left:
            name = quote(left[0].path, safe="/")
            answer = client.send("DELETE", "/" + name, [name])
            gone = answer.status_code == requests.codes.ok
            if not gone and not (answer.status_code == requests.codes.not_found and _MISSING.fullmatch(answer.text)):
                raise AnswerError(refusal(answer), status=answer.status_code)
            if gone or name in client.unsure:
                self._found += 1
            else:
                missing.add(left[0])
                self._missing += 1
            client.unsure.discard(name)
            left.pop(0)
