"""Object stores: S3 and compatible servers, Google Cloud Storage, Azure Blob Storage.

A task folder is a prefix: it is listed, deleted in requests of up to 1,000 keys, and listed again, since a store may claim
to have deleted what it did not (measured with obstore 0.12: a key that ends in ``/`` remains). Several folders are worked on
at the same time. Keys are forgotten as soon as they are deleted.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

import obstore
from obstore.exceptions import GenericError, InvalidPathError, UnauthenticatedError

from cleanup_job.errors import AnswerError, DownError, SettingsError, UnreachableError
from cleanup_job.planning.orphans import Entry, FoundFolder, grouped
from cleanup_job.planning.paths import LinkedFile, Location, OwnedPath
from cleanup_job.planning.records import Removed, Size
from cleanup_job.retry import Retry, TransientError
from cleanup_job.storage import object_listing
from cleanup_job.storage.buckets import Buckets, NoAccessError
from cleanup_job.storage.interface import UNFINISHED
from cleanup_job.storage.object_listing import METADATA_HOST, STORE_ERRORS, Listing, OpenBucket, reason
from cleanup_job.transport.splitting import IN_A_ROW, Splitting

THREADS = 16
"""Folders that are worked on at the same time, over all batches."""

_REFUSED = re.compile(r"status code: 4(?!08|29)")
"""A status that a retry won't change."""
_NO_SERVER = re.compile("connect error|dns error|certificate|credential|" + re.escape(METADATA_HOST), re.IGNORECASE)
"""A failure that concerns more than one folder."""


@dataclass(slots=True)
class _Work:
    """Some folders of one bucket, and what has become of them so far."""

    bucket: OpenBucket
    paths: Sequence[OwnedPath]
    deletes: bool
    failed: dict[OwnedPath, str] = field(default_factory=dict)
    sizes: dict[OwnedPath, Size] = field(default_factory=dict)
    keys: dict[OwnedPath, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The keys of each folder that wait for a request."""
    waiting: int = 0
    """The number of these keys."""
    refused: dict[OwnedPath, str] = field(default_factory=dict)
    """Folders whose keys could not be deleted, each with the reason."""

    def wait(self, path: OwnedPath, key: str) -> None:
        """Add a key."""
        self.keys[path].append(key)
        self.waiting += 1

    def forget(self, path: OwnedPath) -> None:
        """Drop the keys of a folder whose listing broke off."""
        self.waiting -= len(self.keys.pop(path, ()))


class ObjectStores:
    """Deletes in all buckets that the credentials open. Safe to use from many threads."""

    lists = True
    by_file: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    """Empty: what a task links to in a bucket may belong to anybody."""

    def __init__(
        self, buckets: Buckets, *, retry: Retry | None = None, before_deletion: Callable[[], None] = lambda: None
    ) -> None:
        """Nothing is sent yet. If ``before_deletion`` raises, a request that deletes is not sent."""
        self._buckets = buckets
        self._retry = retry or Retry()
        self._before_deletion = before_deletion
        self._open: dict[str, OpenBucket] = {}
        self._broken: dict[str, str] = {}
        """Buckets that can't be used in this pass, each with the reason, so that they are waited for only once."""
        self._in_a_row: dict[str, int] = defaultdict(int)
        """For each bucket, how many folders could not be listed since the last one that could."""
        self._split = Splitting(all_tries=False, few_tries=True, probe=lambda: None)
        """Divides requests that delete. Its flag says whether few tries are enough."""
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(THREADS, "bucket")
        self._listing = Listing(self._count)
        self.locate = buckets.locate
        self._sent: Counter[str] = Counter()

    def holds(self, name: str) -> bool:
        """Whether this is the name of a bucket."""
        return name.startswith(("s3://", "gs://", "azure://"))

    def check(self) -> str:
        """Nothing: only the tasks show which buckets are used."""
        return ""

    def prepare(self) -> None:
        """Do nothing, for the same reason."""

    def warnings(self) -> list[str]:
        """Buckets in which nothing was found, and buckets that keep what is deleted."""
        buckets = sorted(self._open.values(), key=lambda bucket: bucket.name)
        return [
            *(f"not looked at, since a key can't be read: {where}" for where in self._listing.unlisted),
            *(
                f"none of {bucket.missing} folders was in {bucket.name}: is this the right server and bucket?"
                for bucket in buckets
                if bucket.missing > UNFINISHED and not bucket.found
            ),
            *(
                f"{bucket.name} keeps versions: deleted objects are only hidden, and their space is not freed until a "
                "lifecycle rule of the bucket expires noncurrent versions"
                for bucket in buckets
                if bucket.versioned
            ),
        ]

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """What is in these folders, and which of them can't be listed."""
        return self._all(paths, deletes=False)

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete folders, parts of folders and files, and confirm that they are gone."""
        return self._all(paths, deletes=True)

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """Delete none of them."""
        return Removed(dict.fromkeys(files, "files that a task only links to are not deleted in object stores"))

    def prove(self, places: Sequence[Location]) -> None:
        """Do nothing: it can list, and a missing bucket is an error."""

    def real(self, place: Location) -> Location:
        """The place itself: an object has only one key."""
        return place

    def folders(self, place: Location) -> Iterator[FoundFolder]:
        """All task folders at or below a place, in the order of the listing.

        Raises:
            SettingsError: the bucket can't be opened or listed.
        """
        yield from grouped(place.store, self.entries(place))

    def entries(self, place: Location) -> Iterator[Entry]:
        """All objects at or below a place, in the order of the listing. A path that ends in ``/``: some keys can't be read.

        Raises:
            SettingsError: the bucket can't be opened or listed.
        """
        try:
            bucket = self._bucket(place.store)
            yield from self._listing.around_unreadable_keys(bucket, place.path)
        except NoAccessError as error:
            raise SettingsError(f"{place.store}: {error}") from error
        except STORE_ERRORS as error:
            raise SettingsError(f"{place.store} can't be listed: {reason(error)}") from error

    # -- work
    def _all(self, paths: Sequence[OwnedPath], *, deletes: bool) -> Removed:
        failed: dict[OwnedPath | LinkedFile, str] = {}
        running: list[Future[_Work]] = []
        for name in {path.store for path in paths}:
            here = [path for path in paths if path.store == name]
            try:
                running += self._start(self._bucket(name), here, deletes=deletes)
            except NoAccessError as error:
                failed |= dict.fromkeys(here, f"{name}: {error}")
        sizes: dict[OwnedPath, Size] = {}
        for work in _results(running):
            failed |= dict(work.failed.items())
            sizes |= work.sizes
        return Removed(failed, sizes, frozenset(path for path, size in sizes.items() if not size.files))

    def _start(self, bucket: OpenBucket, paths: Sequence[OwnedPath], *, deletes: bool) -> list[Future[_Work]]:
        """Distribute the folders over the threads."""
        parts = (paths[start::THREADS] for start in range(min(THREADS, len(paths))))
        return [self._pool.submit(self._do, _Work(bucket, part, deletes)) for part in parts]

    def _do(self, work: _Work) -> _Work:
        """Go through folders one after the other, with full requests for all of them together."""
        for path in work.paths:
            self._list(work, path)
        self._flush(work)
        found = [path for path, size in work.sizes.items() if size.files]
        if work.deletes:
            for path in found:
                self._confirm(work, path)
        work.sizes = {path: size for path, size in work.sizes.items() if path not in work.failed}
        with self._lock:
            work.bucket.found += len(found)
            work.bucket.missing += sum(not size.files for size in work.sizes.values())
        return work

    def _list(self, work: _Work, path: OwnedPath) -> None:
        """List a folder, unless its bucket is broken."""
        broken = self._broken.get(work.bucket.name)
        if broken is not None:
            work.failed[path] = broken
            return
        try:
            work.sizes[path] = self._take(work, path)
            self._in_a_row[work.bucket.name] = 0
        except STORE_ERRORS as error:
            work.failed[path] = self._not_listed(work.bucket, error)
            work.forget(path)

    def _confirm(self, work: _Work, path: OwnedPath) -> None:
        """Confirm that nothing is left in a folder that was deleted."""
        try:
            left = next(self._listing.inside(work.bucket, path), None)
            if left is not None and path not in work.refused:
                # If a key was gone already, the store may have stopped there.
                self._take(work, path)
                self._flush(work)
                left = next(self._listing.inside(work.bucket, path), None)
        except STORE_ERRORS as error:
            work.failed[path] = self._not_listed(work.bucket, error)
            work.forget(path)
        else:
            if left is not None:
                why = work.refused.get(path, "it is still there after its deletion; remove it by other means")
                work.failed[path] = f"{left.path}: {why}"

    def _take(self, work: _Work, path: OwnedPath) -> Size:
        """Count what is in a folder, and pass its keys on to deletion as they are listed."""
        files = size = 0
        for entry in self._listing.inside(work.bucket, path):
            files, size = files + 1, size + entry.size
            if work.bucket.versioned is None:
                self._find_out_about_versions(work.bucket, entry.path)
            if work.deletes:
                work.wait(path, entry.path)
                if work.waiting == object_listing.KEYS_PER_REQUEST:
                    self._flush(work)
        return Size(files, size)

    def _flush(self, work: _Work) -> None:
        """Delete the keys that wait. A request that fails is divided by folders."""
        keys = dict(work.keys)
        work.keys.clear()
        work.waiting = 0

        def delete(few_tries: bool, some: Sequence[OwnedPath]) -> None:
            self._delete(work.bucket, [key for path in some for key in keys[path]], few_tries=few_tries)

        try:
            _, culprits = self._split.each(work.bucket.name, list(keys), delete)
        except DownError as error:
            culprits = dict.fromkeys(keys, error)
            with self._lock:
                self._broken.setdefault(work.bucket.name, str(error))
        work.refused |= {path: str(error) for path, error in culprits.items()}

    def _delete(self, bucket: OpenBucket, keys: Sequence[str], *, few_tries: bool) -> None:
        """Delete keys in one request.

        Raises:
            AnswerError: the store refuses it.
            UnreachableError: it fails, after all tries.
        """
        try:
            self._retry.call(bucket.name, lambda: self._delete_once(bucket, keys), few_tries=few_tries)
        except FileNotFoundError:
            return  # Google and Azure answer this if one key is gone already, and delete all others
        except STORE_ERRORS as error:
            raise AnswerError(reason(error), status=400) from error
        except TransientError as error:
            raise UnreachableError(str(error)) from error

    def _delete_once(self, bucket: OpenBucket, keys: Sequence[str]) -> None:
        self._before_deletion()
        self._count(bucket)
        try:
            obstore.delete(bucket.deleter, keys)
        except GenericError as error:
            if _REFUSED.search(str(error)):
                raise
            raise TransientError(reason(error)) from error

    @property
    def sent(self) -> Counter[str]:
        """The number of requests so far, by the scheme of the bucket. Tries that the library repeats by itself count once."""
        with self._lock:
            return Counter(self._sent)

    def _count(self, bucket: OpenBucket) -> None:
        with self._lock:
            self._sent[bucket.name.partition("://")[0]] += 1

    # -- buckets
    def _bucket(self, name: str) -> OpenBucket:
        with self._lock:
            if name in self._broken:
                raise NoAccessError(self._broken[name])
            if name not in self._open:
                try:
                    reader, deleter = (self._buckets.open(name, retries=retries) for retries in (True, False))
                except NoAccessError as error:
                    self._broken[name] = str(error)
                    raise
                except STORE_ERRORS as error:
                    self._broken[name] = reason(error)
                    raise NoAccessError(self._broken[name]) from error
                self._open[name] = OpenBucket(name, reader, deleter)
            return self._open[name]

    def _not_listed(self, bucket: OpenBucket, error: Exception) -> str:
        """Why something can't be listed. If the whole bucket would fail in the same way, the bucket is not asked again."""
        text = f"{bucket.name}: {reason(error)}"
        if isinstance(error, InvalidPathError):
            return f"{text}. The job can't name this key: remove it by other means"
        if isinstance(error, GenericError | UnauthenticatedError):
            with self._lock:
                self._in_a_row[bucket.name] += 1
                alone = isinstance(error, GenericError) and not _NO_SERVER.search(str(error))
                if not alone or self._in_a_row[bucket.name] >= IN_A_ROW:
                    self._broken.setdefault(bucket.name, text)
        return text

    @staticmethod
    def _find_out_about_versions(bucket: OpenBucket, key: str) -> None:
        """Whether a bucket keeps versions: S3 and Azure then return the version of an object. Google always returns one."""
        if bucket.name.startswith("gs://"):
            bucket.versioned = False
            return
        try:
            bucket.versioned = obstore.head(bucket.reader, key).get("version") not in {None, "null"}
        except STORE_ERRORS:
            return


def _results(running: Sequence[Future[_Work]]) -> list[_Work]:
    """What the threads did, after all of them have ended.

    Raises:
        BaseException: what any of them raised.
    """
    done = [future.exception() or future.result() for future in running]
    results: list[_Work] = []
    for work in done:
        if isinstance(work, BaseException):
            raise work
        results.append(work)
    return results
