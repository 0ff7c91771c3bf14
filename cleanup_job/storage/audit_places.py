"""Where an audit log is written and read: a file in a folder, or numbered objects below a prefix of a bucket.

What is there is never written again: a file is created and then only appended to, an object is created where the store can
refuse to replace one, and after a look that there is none where it can't.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError, NotSupportedError, PreconditionError, UnauthenticatedError

from cleanup_job.planning.paths import AUDIT_LOG, Location
from cleanup_job.retry import Retry, TransientError
from cleanup_job.storage.buckets import Client
from cleanup_job.storage.object_listing import STORE_ERRORS, reason

PART = 4 * 2**20
"""Bytes of lines from which on a part is written although nothing waits for it."""
_NAME_OF_A_PART = re.compile(r"[0-9]{6,}\.jsonl")
_REFUSED = re.compile(r"status code: 4(?!08|29)")
"""A status that a retry won't change."""
_NO_CONDITIONS = re.compile(r"NotImplemented|status code: 501")
"""How servers answer that don't know conditional writes."""


class FolderFile:
    """A new file in a folder, which is only appended to."""

    def __init__(self, folder: Path, name: str) -> None:
        """Create it.

        Raises:
            OSError: that is not possible, or it is there.
        """
        path = folder / f"{name}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o640)
        self.name = str(path)
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # some file systems can't; the file's own lines are synchronised all the same
                os.fsync(directory)
        finally:
            os.close(directory)

    def append(self, data: bytes, *, lasting: bool) -> None:
        """Append whole lines; with ``lasting``, wait until the disk has them.

        Raises:
            OSError: it could not be written; a part of it may be.
        """
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
        if lasting:
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


class BucketParts:
    """New objects below a prefix: 000001.jsonl, 000002.jsonl and so on, each written once."""

    def __init__(self, client: Client, place: Location, name: str, retry: Retry) -> None:
        """Nothing is sent yet.

        Args:
            client: Opens the bucket, and does not retry by itself.
            place: The bucket's name and the folder in it, which may be empty.
            name: The name of the log.
            retry: How often a request is tried.
        """
        self._client = client
        self._folder = "/".join(filter(None, (place.path.strip("/"), name)))
        self._retry = retry
        self._waiting = bytearray()
        self._parts = 0
        self.name = f"{place.store}/{self._folder}"

    def append(self, data: bytes, *, lasting: bool) -> None:
        """Add whole lines; with ``lasting``, return only when the bucket has all lines so far.

        Raises:
            OSError: a part could not be written.
        """
        self._waiting += data
        if lasting or len(self._waiting) >= PART:
            self.close()

    def close(self) -> None:
        """Write what waits as the next part.

        Raises:
            PermissionError: the store refuses it, or there is no such bucket.
            OSError: it could not be written.
        """
        if not self._waiting:
            return
        self._parts += 1
        data = bytes(self._waiting)
        self._waiting.clear()
        try:
            self._retry.call(self.name, lambda: self._put(f"{self._folder}/{self._parts:06}.jsonl", data))
        except (PermissionError, FileNotFoundError, UnauthenticatedError) as error:
            raise PermissionError(reason(error)) from error
        except (TransientError, *STORE_ERRORS) as error:
            raise OSError(reason(error)) from error

    def _put(self, key: str, data: bytes) -> None:
        """Create an object. One with the same content is the work of an earlier try whose answer was lost."""
        try:
            self._create(key, data)
        except (AlreadyExistsError, PreconditionError, FileExistsError) as error:
            if bytes(obstore.get(self._client, key).bytes()) != data:
                raise FileExistsError(f"{key} is there already, and is not this log's") from error
        except GenericError as error:
            if _REFUSED.search(str(error)):
                raise
            raise TransientError(reason(error)) from error

    def _create(self, key: str, data: bytes) -> None:
        try:
            obstore.put(self._client, key, data, mode="create", use_multipart=False)
        except NotSupportedError:
            self._create_unconditionally(key, data)
        except GenericError as error:
            if not _NO_CONDITIONS.search(str(error)):
                raise
            self._create_unconditionally(key, data)

    def _create_unconditionally(self, key: str, data: bytes) -> None:
        with suppress(FileNotFoundError):
            obstore.head(self._client, key)
            raise FileExistsError(key)
        obstore.put(self._client, key, data, use_multipart=False)


# -- reading
Lines = Callable[[], Iterator[bytes]]
"""Reads a log: each line with its end. Errors are those of the file system or the store, as ``OSError``."""


def in_folder(path: Path) -> Iterator[tuple[str, Lines]]:
    """The logs at a path: a file, the parts of one log, or a folder with any number of either.

    Raises:
        OSError: it is not there, or can't be read.
    """
    if not path.is_dir():
        path.open("rb").close()
        yield str(path), _of_files([path])
        return
    inside = sorted(path.iterdir())
    parts = [one for one in inside if _NAME_OF_A_PART.fullmatch(one.name)]
    if parts:
        yield str(path), _of_files(sorted(parts, key=lambda part: int(part.stem)))
        return
    for one in inside:
        if one.name.startswith(AUDIT_LOG):
            yield from in_folder(one)


def in_bucket(client: Any, place: Location) -> Iterator[tuple[str, Lines]]:
    """The logs below a prefix of a bucket: the parts of one log, or the folders of several.

    Raises:
        OSError: the bucket can't be listed.
    """
    try:
        keys = [meta["path"] for page in obstore.list(client, prefix=place.path.strip("/") or None) for meta in page]
    except STORE_ERRORS as error:
        raise OSError(f"{place.store}/{place.path} can't be listed: {reason(error)}") from error
    logs: dict[str, list[str]] = {}
    for key in keys:
        folder, _, name = key.rpartition("/")
        if folder.rpartition("/")[2].startswith(AUDIT_LOG) and _NAME_OF_A_PART.fullmatch(name):
            logs.setdefault(folder, []).append(key)
    for folder in sorted(logs):
        parts = sorted(logs[folder], key=lambda key: int(key.rpartition("/")[2].partition(".")[0]))
        yield f"{place.store}/{folder}", _of_objects(client, parts)


def _of_files(paths: Iterable[Path]) -> Lines:
    def lines() -> Iterator[bytes]:
        for path in paths:
            with path.open("rb") as file:
                yield from file

    return lines


def _of_objects(client: Any, keys: Iterable[str]) -> Lines:
    def lines() -> Iterator[bytes]:
        for key in keys:
            try:
                data = bytes(obstore.get(client, key).bytes())
            except STORE_ERRORS as error:
                raise OSError(f"{key} can't be read: {reason(error)}") from error
            yield from BytesIO(data)

    return lines
