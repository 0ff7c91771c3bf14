"""Object stores: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.

A task folder is a prefix: it is listed, deleted in requests of up to 1,000 keys, and listed again, since a store may say it
deleted what it did not (measured with obstore 0.12: a key that ends in ``/`` stays). Nor is a listing believed that holds keys
beside the prefix. Folders are worked on side by side; keys are forgotten as soon as they are gone.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

import obstore
from obstore.exceptions import BaseError, GenericError, InvalidPathError, UnauthenticatedError

from cleanup_job.errors import AnswerError, DownError, SettingsError, UnreachableError
from cleanup_job.planning.orphans import Entry, FoundFolder, grouped
from cleanup_job.planning.paths import LinkedFile, Location, OwnedPath, TaskFile, left_alone, names_a_task
from cleanup_job.planning.records import Removed, Size
from cleanup_job.retry import Retry
from cleanup_job.storage.buckets import Buckets, Client, NoAccessError
from cleanup_job.storage.store import UNFINISHED
from cleanup_job.transport.splitting import IN_A_ROW, Splitting

MANY = 1000
"""Keys in a request: what S3 takes. obstore sends them to Azure in parts, and one by one where a store knows no other way."""
THREADS = 16
"""Folders in work at the same time, over all batches."""


class _StrayError(Exception):
    """A store gave a key that was not asked for: it ignores the prefix, and none of what it says can be relied upon."""


_ERRORS = (BaseError, OSError, _StrayError)
"""What obstore raises: its own errors, and Python's for files that are missing or not permitted; and ours."""
_REFUSED = re.compile(r"status code: 4(?!08|29)")
"""A status that another try won't change."""
_NO_SERVER = re.compile("connect error|dns error|certificate|credential|" + re.escape("169.254.169.254"), re.IGNORECASE)
"""A failure that is not one folder's."""
_PLATFORM = "169.254.169.254"
"""Where clouds tell their machines' credentials: the last to be asked."""


@dataclass(slots=True)
class _Bucket:
    """An open bucket, and what is known of it."""

    name: str
    reader: Client
    deleter: Client
    """Never tries again by itself: each deletion asks first whether it may."""
    found: int = 0
    missing: int = 0
    versioned: bool | None = None


@dataclass(slots=True)
class _Work:
    """Some folders of one bucket on their way."""

    bucket: _Bucket
    paths: Sequence[OwnedPath]
    deletes: bool
    failed: dict[OwnedPath, str] = field(default_factory=dict)
    sizes: dict[OwnedPath, Size] = field(default_factory=dict)
    keys: dict[OwnedPath, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Of each folder those that wait for a request."""
    waiting: int = 0
    """How many that are."""
    refused: dict[OwnedPath, str] = field(default_factory=dict)
    """Folders whose keys were refused, each with the reason."""

    def wait(self, path: OwnedPath, key: str) -> None:
        """Take a key in."""
        self.keys[path].append(key)
        self.waiting += 1

    def forget(self, path: OwnedPath) -> None:
        """Take out the keys of a folder whose listing broke off."""
        self.waiting -= len(self.keys.pop(path, ()))


class _PassingError(Exception):
    """A deletion that is worth another try."""


class ObjectStores:
    """Deletes in all buckets that the credentials open. Safe to use from many threads."""

    lists = True
    by_file: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    """None: what a task links to in a bucket may be anybody's."""

    def __init__(
        self, buckets: Buckets, *, retry: Retry | None = None, before_deletion: Callable[[], None] = lambda: None
    ) -> None:
        """Nothing is sent yet. What ``before_deletion`` raises keeps a request that deletes from being sent."""
        self._buckets = buckets
        self._retry = retry or Retry()
        self._before_deletion = before_deletion
        self._open: dict[str, _Bucket] = {}
        self._broken: dict[str, str] = {}
        """Buckets that can't be used in this pass, each with the reason: nobody waits for them twice."""
        self._in_a_row: dict[str, int] = defaultdict(int)
        """For each bucket, how many folders could not be listed since the last one that could."""
        self._split = Splitting(patient=False, hasty=True, answers=lambda: None)
        """Divides requests that delete; told whether few tries are enough."""
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(THREADS, "bucket")
        self.locate = buckets.locate
        self.sent = 0
        self._unlisted: list[str] = []
        """Where a sweep could not look."""

    def holds(self, name: str) -> bool:
        """Whether this is a bucket's name."""
        return name.startswith(("s3://", "gs://", "azure://"))

    def check(self) -> str:
        """Nothing: which buckets there are shows in the tasks."""
        return ""

    def prepare(self) -> None:
        """Nothing, likewise."""

    def warnings(self) -> list[str]:
        """Buckets where nothing was found, and such as keep what is deleted."""
        buckets = sorted(self._open.values(), key=lambda bucket: bucket.name)
        return [
            *(f"not looked at, since a key can't be read: {where}" for where in self._unlisted),
            *(
                f"none of {bucket.missing} folders was in {bucket.name}: is this the right server and bucket?"
                for bucket in buckets
                if bucket.missing > UNFINISHED and not bucket.found
            ),
            *(
                f"{bucket.name} keeps versions: what is deleted is hidden, and its bytes are freed only when a lifecycle rule "
                "of the bucket lets noncurrent versions expire"
                for bucket in buckets
                if bucket.versioned
            ),
        ]

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """What is in these folders, and which can't be listed."""
        return self._all(paths, deletes=False)

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete folders, parts of folders and files, and see that they are gone."""
        return self._all(paths, deletes=True)

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """None, ever."""
        return Removed(dict.fromkeys(files, "files that a task only links to are not deleted in object stores"))

    def prove(self, places: Sequence[Location]) -> None:
        """Nothing: it can list, and a bucket that is not there is an error."""

    def real(self, place: Location) -> Location:
        """The place itself: a key is the one name of an object."""
        return place

    def folders(self, place: Location) -> Iterator[FoundFolder]:
        """All task folders at or below a place, as the listing brings them.

        Raises:
            SettingsError: the bucket can't be opened or listed.
        """
        try:
            bucket = self._bucket(place.store)
            yield from grouped(place.store, self._listed_around(bucket, place.path))
        except NoAccessError as error:
            raise SettingsError(f"{place.store}: {error}") from error
        except _ERRORS as error:
            raise SettingsError(f"{place.store} can't be listed: {_reason(error)}") from error

    # -- work
    def _all(self, paths: Sequence[OwnedPath], *, deletes: bool) -> Removed:
        failed: dict[OwnedPath | LinkedFile, str] = {}
        running: list[Future[_Work]] = []
        for name in {path.store for path in paths}:
            here = [path for path in paths if path.store == name]
            try:
                bucket = self._bucket(name)
            except NoAccessError as error:
                failed |= dict.fromkeys(here, f"{name}: {error}")
                continue
            parts = (here[start::THREADS] for start in range(min(THREADS, len(here))))
            running += [self._pool.submit(self._some, _Work(bucket, part, deletes)) for part in parts]
        sizes: dict[OwnedPath, Size] = {}
        done = [future.exception() or future.result() for future in running]  # all have ended before an error is raised
        for work in done:
            if isinstance(work, BaseException):
                raise work
            failed |= dict(work.failed.items())
            sizes |= work.sizes
        return Removed(failed, sizes, frozenset(path for path, size in sizes.items() if not size.files))

    def _some(self, work: _Work) -> _Work:
        """Go through folders one after the other, with full requests for all of them together."""
        for path in work.paths:
            broken = self._broken.get(work.bucket.name)
            if broken is not None:
                work.failed[path] = broken
                continue
            try:
                work.sizes[path] = self._take(work, path)
                self._in_a_row[work.bucket.name] = 0
            except _ERRORS as error:
                work.failed[path] = self._note(work.bucket, error)
                work.forget(path)
        self._flush(work)
        found = [path for path, size in work.sizes.items() if size.files]
        for path in found if work.deletes else ():
            try:
                left = next(self._inside(work.bucket, path), None)
                if left is not None and path not in work.refused:
                    # Where a key was gone already, a store may have stopped at it.
                    self._take(work, path)
                    self._flush(work)
                    left = next(self._inside(work.bucket, path), None)
            except _ERRORS as error:
                work.failed[path] = self._note(work.bucket, error)
                work.forget(path)
            else:
                if left is not None:
                    why = work.refused.get(path, "it is still there after its deletion; remove it by other means")
                    work.failed[path] = f"{left.path}: {why}"
        work.sizes = {path: size for path, size in work.sizes.items() if path not in work.failed}
        with self._lock:
            work.bucket.found += len(found)
            work.bucket.missing += sum(not size.files for size in work.sizes.values())
        return work

    def _take(self, work: _Work, path: OwnedPath) -> Size:
        """Count a folder, and give its keys to deletion as they are listed."""
        files = size = 0
        for entry in self._inside(work.bucket, path):
            files, size = files + 1, size + entry.size
            if work.bucket.versioned is None:
                self._see_versions(work.bucket, entry.path)
            if work.deletes:
                work.wait(path, entry.path)
                if work.waiting == MANY:
                    self._flush(work)
        return Size(files, size)

    def _flush(self, work: _Work) -> None:
        """Delete the keys that wait. A request that fails is divided by folders."""
        keys = dict(work.keys)
        work.keys.clear()
        work.waiting = 0

        def delete(hasty: bool, some: Sequence[OwnedPath]) -> None:
            self._delete(work.bucket, [key for path in some for key in keys[path]], hasty=hasty)

        try:
            _, culprits = self._split.each(work.bucket.name, list(keys), delete)
        except DownError as error:
            culprits = dict.fromkeys(keys, error)
            with self._lock:
                self._broken.setdefault(work.bucket.name, str(error))
        work.refused |= {path: str(error) for path, error in culprits.items()}

    def _delete(self, bucket: _Bucket, keys: Sequence[str], *, hasty: bool) -> None:
        """Delete keys in one request.

        Raises:
            AnswerError: the store refuses it.
            UnreachableError: it fails, after all tries.
        """
        try:
            for attempt in self._retry.tries(bucket.name, _PassingError, hasty=hasty):
                with attempt:
                    self._before_deletion()
                    self._count()
                    try:
                        obstore.delete(bucket.deleter, keys)
                    except GenericError as error:
                        if _REFUSED.search(str(error)):
                            raise
                        raise _PassingError(_reason(error)) from error
        except FileNotFoundError:
            return  # Google and Azure say so when one key is gone already, and delete all others
        except _ERRORS as error:
            raise AnswerError(_reason(error), status=400) from error
        except _PassingError as error:
            raise UnreachableError(str(error)) from error

    def _inside(self, bucket: _Bucket, path: OwnedPath) -> Iterator[Entry]:
        """What goes with a path."""
        if isinstance(path, TaskFile):
            self._count()
            try:
                meta = obstore.head(bucket.reader, path.path)
            except FileNotFoundError:
                return
            if meta["path"] != path.path:
                raise _StrayError(_stray(path.path, meta["path"]))
            yield Entry(meta["path"], meta["size"], meta["last_modified"])
            return
        start = len(path.path) + 1
        for entry in self._listed(bucket, path.path + "/"):
            if not left_alone(path, entry.path[start:]):
                yield entry

    def _listed(self, bucket: _Bucket, prefix: str | None, after: str | None = None) -> Iterator[Entry]:
        """All keys below a prefix, each compared with it.

        Raises:
            _StrayError: one is not below it.
        """
        self._count()
        top = f"{prefix.rstrip('/')}/" if prefix else ""
        for page in obstore.list(bucket.reader, prefix=prefix, offset=after, chunk_size=MANY):
            for meta in page:
                if not meta["path"].startswith(top):
                    raise _StrayError(_stray(top, meta["path"]))
                yield Entry(meta["path"], meta["size"], meta["last_modified"])
            if len(page) == MANY:
                self._count()

    def _listed_around(self, bucket: _Bucket, prefix: str, after: str = "") -> Iterator[Entry]:
        """A listing in order, around keys that obstore can't read: one of them fails all of its listing.

        It goes on folder by folder then. A task folder with such a key comes with a path that marks it as odd.
        """
        last = after
        try:
            for entry in self._listed(bucket, prefix or None, after or None):
                last = entry.path
                yield entry
        except InvalidPathError:
            if prefix and names_a_task(prefix.rpartition("/")[2]):
                yield Entry(f"{prefix}//", 0, datetime.now(UTC))
                return
            self._count()
            try:
                inside = sorted(obstore.list_with_delimiter(bucket.reader, prefix=prefix or None)["common_prefixes"])
            except InvalidPathError as error:
                self._unlisted.append(f"{bucket.name}/{prefix}: {_reason(error)}")
                return
            for folder in inside:
                if prefix and not folder.startswith(f"{prefix.rstrip('/')}/"):
                    raise _StrayError(_stray(prefix, folder)) from None
                if last < f"{folder}0":  # 0 follows the slash: not all of it came before the failure
                    yield from self._listed_around(bucket, folder, last if last.startswith(f"{folder}/") else "")

    def _count(self) -> None:
        with self._lock:
            self.sent += 1

    # -- buckets
    def _bucket(self, name: str) -> _Bucket:
        with self._lock:
            if name in self._broken:
                raise NoAccessError(self._broken[name])
            if name not in self._open:
                try:
                    reader, deleter = (self._buckets.open(name, retries=retries) for retries in (True, False))
                except NoAccessError as error:
                    self._broken[name] = str(error)
                    raise
                except _ERRORS as error:
                    self._broken[name] = _reason(error)
                    raise NoAccessError(self._broken[name]) from error
                self._open[name] = _Bucket(name, reader, deleter)
            return self._open[name]

    def _note(self, bucket: _Bucket, error: Exception) -> str:
        """The reason why something can't be listed; where it would be the same for the whole bucket, it is not asked again."""
        reason = f"{bucket.name}: {_reason(error)}"
        if isinstance(error, InvalidPathError):
            return f"{reason}. The job can't name this key: remove it by other means"
        if isinstance(error, GenericError | UnauthenticatedError):
            with self._lock:
                self._in_a_row[bucket.name] += 1
                alone = isinstance(error, GenericError) and not _NO_SERVER.search(str(error))
                if not alone or self._in_a_row[bucket.name] >= IN_A_ROW:
                    self._broken.setdefault(bucket.name, reason)
        return reason

    @staticmethod
    def _see_versions(bucket: _Bucket, key: str) -> None:
        """Whether a bucket keeps versions: S3 and Azure then name an object's; Google always does."""
        if bucket.name.startswith("gs://"):
            bucket.versioned = False
            return
        try:
            bucket.versioned = obstore.head(bucket.reader, key).get("version") not in {None, "null"}
        except _ERRORS:
            return


def _stray(asked: str, given: str) -> str:
    return (
        f"asked for {asked!r}, the store answered with {given[:200]!r}: it ignores the prefix of a listing. No key outside of "
        "it was deleted. Check the server, or remove these files by other means"
    )


def _reason(error: Exception) -> str:
    """An error in a line, without obstore's view of its own inside."""
    text = str(error).partition("\n\nDebug source")[0]
    if _PLATFORM in text:
        return (
            "no credentials: neither clearml.conf nor the environment has any for it, and the platform gave none "
            f"({' '.join(text.split())[:200]}). See docs/stores.md"
        )
    codes = re.search(r"<Code>(\w+)</Code>.*?<Message>([^<]*)</Message>", text, re.DOTALL)
    return f"{codes[1]}: {codes[2]}" if codes else " ".join(text.split())[:300]
