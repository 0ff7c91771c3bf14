"""Where a run writes files of its own, such as reports: a file in a folder, or an object in a bucket.

A bucket that is named for this purpose is only written to. It is opened apart from the stores (`Buckets` of its own), so that
naming it does not make it a place where a pass deletes.
"""

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import obstore
from obstore.exceptions import UnauthenticatedError

from cleanup_job.errors import SettingsError
from cleanup_job.storage.buckets import Buckets, Client, NoAccessError
from cleanup_job.storage.object_listing import METADATA_HOST, STORE_ERRORS, reason

SCHEMES = ("s3://", "gs://", "azure://")
PART = 5 << 20
"""Bytes of a part of an upload, the least that S3 takes: with 10,000 parts at most, an object can have 48 GiB."""


def is_bucket(address: str) -> bool:
    """Whether this is an address in a bucket, rather than a path."""
    return address.lower().startswith(SCHEMES)


def open_bucket(buckets: Buckets, address: str, setting: str) -> tuple[Client, str]:
    """A client for the bucket at an address, and the key there.

    The only request asks for the metadata of that key. An answer that a missing right explains is good enough: the
    identity may be one that may only write. Neither does a server that can't be reached now end the run.

    Args:
        buckets: Made for this alone, with ``address`` in its ``named``.
        address: The URL.
        setting: The setting that names it, for errors.

    Raises:
        SettingsError: the address is not valid, or there are no credentials for it.
    """
    place = buckets.locate(address)
    if place is None or not place.path:
        message = (
            f"{setting}={address}: this bucket can't be opened. Write s3://bucket/name, s3://host:port/bucket/name, "
            "gs://bucket/name or azure://account.blob.core.windows.net/container/name. See docs/stores.md"
        )
        raise SettingsError(message)
    try:
        _require_credentials(buckets.open(place.store, retries=False), place.path)
        return buckets.open(place.store, retries=True), place.path
    except NoAccessError as error:
        raise SettingsError(f"{setting}={address}: {error}") from error


def _require_credentials(client: Client, key: str) -> None:
    try:
        obstore.head(client, key or "-")
    except UnauthenticatedError as error:
        raise NoAccessError(f"the credentials are not accepted: {reason(error)}") from error
    except STORE_ERRORS as error:
        if METADATA_HOST in str(error):
            raise NoAccessError(reason(error)) from error


class FileDestination:
    """A file in a folder. It is written under the name ``.<name>.part`` there, and renamed when it is whole."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self.path = path
        self.ending = path.suffix

    def open(self, content_type: str) -> "FileWriter":
        """Begin a new file, in place of what a killed run may have left of one.

        Raises:
            OSError: it can't be created.
        """
        del content_type
        return FileWriter(self.path)


class FileWriter:
    """A file that is being written. Its methods raise OSError."""

    def __init__(self, path: Path) -> None:
        """Create it under its temporary name: never what a link of that name leads to."""
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._part.unlink(missing_ok=True)
        self._file = self._part.open("xb")
        with suppress(OSError):  # not every file system has permissions
            os.fchmod(self._file.fileno(), 0o644)  # others may read it, whichever umask is set

    def write(self, data: bytes) -> None:
        """Add to it."""
        self._file.write(data)

    def flush(self) -> None:
        """Let readers of the temporary file see what is there so far."""
        self._file.flush()

    def commit(self) -> None:
        """Give the whole file its name, in place of the one before."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)

    def abandon(self, *, keep: bool) -> None:
        """Leave it unfinished: the file before stays, and this one under its temporary name if ``keep`` says so."""
        with suppress(OSError):  # the disk that was full still is
            self._file.close()
        if not keep:
            self._part.unlink(missing_ok=True)


class BucketDestination:
    """An object in a bucket. It is there when it is whole; until then, the one before is."""

    def __init__(self, client: Client, key: str) -> None:
        """Nothing is sent yet."""
        self._client = client
        self._key = key
        self.ending = PurePosixPath(key).suffix

    def open(self, content_type: str) -> "BucketWriter":
        """Begin a new object.

        Raises:
            OSError: its name is not one that the store can have.
        """
        return BucketWriter(self._client, self._key, content_type)


class BucketWriter:
    """An object that is being uploaded: parts of ``PART`` bytes, one at a time. Its methods raise OSError."""

    def __init__(self, client: Client, key: str, content_type: str) -> None:
        """Nothing is sent before there is a whole part, or the end."""
        attributes: Any = {"Content-Type": content_type}
        try:
            self._writer = obstore.open_writer(client, key, attributes=attributes, buffer_size=PART, max_concurrency=1)
        except (*STORE_ERRORS, ValueError) as error:
            raise OSError(reason(error)) from error

    def write(self, data: bytes) -> None:
        """Add to it."""
        try:
            self._writer.write(data)
        except STORE_ERRORS as error:
            raise OSError(reason(error)) from error

    def flush(self) -> None:
        """Do nothing: a part that is not whole can't be sent."""

    def commit(self) -> None:
        """Send the rest, and complete the object."""
        try:
            self._writer.close()
        except STORE_ERRORS as error:
            raise OSError(reason(error)) from error

    def abandon(self, *, keep: bool) -> None:
        """Cancel the upload, so that its parts take no space in the bucket."""
        del keep
        with suppress(*STORE_ERRORS):
            self._writer.__exit__(InterruptedError, InterruptedError(), None)
