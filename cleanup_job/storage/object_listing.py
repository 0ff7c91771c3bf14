"""Listings of a bucket: below a prefix, with every key checked, and around keys that can't be read.

A listing that contains keys outside of the prefix is not trusted, and ends with an error.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import obstore
from obstore.exceptions import BaseError, InvalidPathError

from cleanup_job.planning.orphans import Entry
from cleanup_job.planning.paths import OwnedPath, TaskFile, left_alone, names_a_task
from cleanup_job.storage.buckets import Client

KEYS_PER_REQUEST = 1000
"""What S3 accepts. obstore splits requests for Azure, and sends keys one by one where a store has no bulk deletion."""


class StrayKeyError(Exception):
    """A store returned a key that was not asked for: it ignores the prefix, so none of its answers can be relied on."""


STORE_ERRORS = (BaseError, OSError, StrayKeyError)
"""What obstore raises: its own errors, and Python's for files that are missing or not permitted. And ours."""
METADATA_HOST = "169.254.169.254"
"""Where a cloud platform gives credentials to its machines: the last place to be asked."""


@dataclass(slots=True)
class OpenBucket:
    """An open bucket, and what is known about it."""

    name: str
    reader: Client
    deleter: Client
    """Never retries by itself: before each try of a deletion, the job checks whether it may still delete."""
    found: int = 0
    missing: int = 0
    versioned: bool | None = None


class Listing:
    """Lists keys of buckets. Safe to use from many threads."""

    def __init__(self, count: Callable[[OpenBucket], None]) -> None:
        """``count`` is called for each request."""
        self._count = count
        self.unlisted: list[str] = []
        """Where a sweep could not look."""

    def inside(self, bucket: OpenBucket, path: OwnedPath) -> Iterator[Entry]:
        """What is deleted with a path.

        Raises:
            StrayKeyError: the store returned something else.
        """
        if isinstance(path, TaskFile):
            self._count(bucket)
            try:
                meta = obstore.head(bucket.reader, path.path)
            except FileNotFoundError:
                return
            if meta["path"] != path.path:
                raise StrayKeyError(_stray(path.path, meta["path"]))
            yield Entry(meta["path"], meta["size"], meta["last_modified"])
            return
        start = len(path.path) + 1
        for entry in self._below(bucket, path.path + "/"):
            if not left_alone(path, entry.path[start:]):
                yield entry

    def _below(self, bucket: OpenBucket, prefix: str | None, after: str | None = None) -> Iterator[Entry]:
        """All keys below a prefix, each compared with it.

        Raises:
            StrayKeyError: one is not below it.
        """
        self._count(bucket)
        top = f"{prefix.rstrip('/')}/" if prefix else ""
        for page in obstore.list(bucket.reader, prefix=prefix, offset=after, chunk_size=KEYS_PER_REQUEST):
            for meta in page:
                if not meta["path"].startswith(top):
                    raise StrayKeyError(_stray(top, meta["path"]))
                yield Entry(meta["path"], meta["size"], meta["last_modified"])
            if len(page) == KEYS_PER_REQUEST:
                self._count(bucket)

    def around_unreadable_keys(self, bucket: OpenBucket, prefix: str, after: str = "") -> Iterator[Entry]:
        """A listing in order that leaves out the keys which obstore can't read: one of them makes the whole listing fail.

        It then continues folder by folder. A task folder with such a key gets an entry whose path marks it as unusual.
        """
        last = after
        try:
            for entry in self._below(bucket, prefix or None, after or None):
                last = entry.path
                yield entry
        except InvalidPathError:
            pass
        else:
            return
        if prefix and names_a_task(prefix.rpartition("/")[2]):
            yield Entry(f"{prefix}//", 0, datetime.now(UTC))
        else:
            yield from self._folder_by_folder(bucket, prefix, last)

    def _folder_by_folder(self, bucket: OpenBucket, prefix: str, last: str) -> Iterator[Entry]:
        """The rest of a listing, after the last key that came before the failure."""
        self._count(bucket)
        try:
            here = obstore.list_with_delimiter(bucket.reader, prefix=prefix or None)
        except InvalidPathError as error:
            self.unlisted.append(f"{bucket.name}/{prefix}: {reason(error)}")
            return
        inside = sorted(here["common_prefixes"])
        for path in (*inside, *(meta["path"] for meta in here["objects"])):
            if prefix and not path.startswith(f"{prefix.rstrip('/')}/"):
                raise StrayKeyError(_stray(prefix, path))
        for meta in here["objects"]:
            if last < meta["path"]:
                yield Entry(meta["path"], meta["size"], meta["last_modified"])
        for folder in inside:
            if last < f"{folder}0":  # 0 is the character after the slash: not all of the folder came before the failure
                yield from self.around_unreadable_keys(bucket, folder, last if last.startswith(f"{folder}/") else "")


def _stray(asked: str, given: str) -> str:
    return (
        f"asked for {asked!r}, the store answered with {given[:200]!r}: it ignores the prefix of a listing. No key outside of "
        "the prefix was deleted. Check the server, or remove these files by other means"
    )


def reason(error: Exception) -> str:
    """An error in one line, without obstore's internals."""
    text = str(error).partition("\n\nDebug source")[0]
    if METADATA_HOST in text:
        return (
            "no credentials: neither clearml.conf nor the environment has any for it, and the platform gave none "
            f"({' '.join(text.split())[:200]}). See docs/stores.md"
        )
    codes = re.search(r"<Code>(\w+)</Code>.*?<Message>([^<]*)</Message>", text, re.DOTALL)
    return f"{codes[1]}: {codes[2]}" if codes else " ".join(text.split())[:300]
