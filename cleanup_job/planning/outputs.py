"""What a task wrote, sorted by what may be done with it.

URIs are taken one by one and only their sum is kept, so that a task's memory does not grow with the number of its outputs;
single files are remembered only where they are not deleted with a folder. Pure: no I/O.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from cleanup_job.planning.paths import (
    KINDS,
    LinkedFile,
    Locate,
    Location,
    TaskFile,
    TaskFolder,
    TaskId,
    in_no_folder,
    is_clean,
    is_task_id,
    owned_file,
    report_file,
    unquoted,
)
from cleanup_job.planning.records import Unreadable

NAMED = 20
"""URIs of one task that a report names; the rest is counted."""
INTERRUPTED = "uploading_file"
"""What the SDK records as a model's URI before its upload has ended: not a file."""
_DEEPEST = 4
"""How often an address may be quoted."""
_END_OF_NETWORK = re.compile(r"[/?#\\]")
_NETWORK = re.compile(r"(\[[^\]]*\]|[^:]*)(:[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Owned:
    """A file in a folder of the task."""

    file: TaskFile
    others: tuple[TaskFile, ...] = ()
    """What else in folders of the task its URI can mean."""
    doubtful: bool = False
    """Whether ClearML's SDK can have written one of these."""


@dataclass(frozen=True, slots=True)
class External:
    """A file elsewhere; ``place`` is None if no configured store holds it."""

    place: Location | None


@dataclass(frozen=True, slots=True)
class UnknownStore:
    """A file in a folder of the task, on a store that the job doesn't know."""

    address: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A path that names the task but that could be read in more than one way: it is never sent to a store."""


def classify(uri: str, task: TaskId, locate: Locate, *, asset: bool = False) -> Owned | External | UnknownStore | Unusable:
    """What a URI in this task's record is to the task; nothing is owned by a task whose id no ClearML Server makes.

    ``asset``: the task is a report, and may have images in the folder that the Web UI makes for them.
    """
    if not is_task_id(task):
        return External(None)
    place = locate(uri)
    if place is None:
        return UnknownStore(address_of(uri)) if _names(uri, task, asset=asset) else External(None)
    file = owned_file(place, task) or (report_file(place, task) if asset else None)
    if file is not None:
        others = _other_files(place, task)
        return Owned(file, others, doubtful=place.doubtful and bool(others))
    return Unusable() if _is_unsafe(place.path) and _names(place.path, task, asset=asset) else External(place)


def _other_files(place: Location, task: TaskId) -> tuple[TaskFile, ...]:
    """What else in folders of the task the URI of a place can mean."""
    readings = (owned_file(Location(place.store, path), task) for path in place.others)
    return tuple(other for other in readings if other is not None)


def _is_unsafe(path: str) -> bool:
    """Whether a store, or its system, may read a path in more than one way."""
    return not is_clean(path) or any("\\" in form for form in _forms(path))


def address_of(uri: str) -> str:
    """The store that a URI names, without its path and without a user or password: ``s3://bucket``, ``http://host:8081``."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return "file://"
    network = _END_OF_NETWORK.split(rest, maxsplit=1)[0].rpartition("@")[2]
    # Where no number follows the colon it may be a password with a slash in it.
    return f"{scheme.lower()}://{network if _NETWORK.fullmatch(network) else '(not a valid address)'}"


def _names(text: str, task: TaskId, *, asset: bool) -> bool:
    """Whether a folder in this path ends in the task's id, however often it is quoted, with slashes of any system.

    For a report's images, also whether a folder is called like it.
    """
    segments = (segment for form in _forms(text) for segment in form.replace("\\", "/").split("/")[:-1])
    return any(segment.endswith("." + task) or (asset and segment == task) for segment in segments)


def _forms(text: str) -> Iterator[str]:
    """A text, then what it is unquoted once, twice and so on."""
    yield text
    for _ in range(_DEEPEST):
        if (once := unquoted(text)) == text:
            return
        yield (text := once)


@dataclass(slots=True)
class Sum:
    """Files, and their bytes as far as records know them."""

    files: int = 0
    bytes: int = 0
    unsized: int = 0
    """Files whose size no record has."""

    def add(self, size: int | None) -> None:
        """Count in one file."""
        self.files += 1
        self.bytes += size or 0
        self.unsized += size is None


@dataclass(slots=True)
class Outputs:
    """The sum of a task's outputs; ``add`` is the only thing that changes it."""

    task: TaskId
    locate: Locate = field(repr=False)
    apart: frozenset[str] = frozenset()
    """Those of the ``KINDS`` in which to remember single files; those beside the ``KINDS`` are remembered in any case."""
    links: frozenset[str] = frozenset()
    """Stores whose external files to remember, since they could be deleted one by one."""
    measured: Callable[[str], bool] = field(default=lambda _: False, repr=False)
    """Says by a store's name whether it counts deleted files, and their bytes, itself: these are not counted here."""
    forgotten: set[str] = field(default_factory=set)
    """Those of the ``KINDS`` in which files were counted and not remembered."""
    folders: set[TaskFolder] = field(default_factory=set)
    files: set[TaskFile] = field(default_factory=set)
    others: dict[TaskFolder | TaskFile, set[TaskFolder | TaskFile]] = field(default_factory=dict)
    """For some of these folders and files what else the records that name them can mean, all of it in folders of the task."""
    certain: bool = False
    """Whether any owned file is named in a way that can be read in one way only."""
    sums: dict[tuple[TaskFolder, str], Sum] = field(default_factory=dict)
    """Owned files on known stores that don't count themselves, by folder and kind."""
    named: Sum = field(default_factory=Sum)
    """Those beside the ``KINDS``."""
    external: list[str] = field(default_factory=list)
    external_count: int = 0
    linked: set[LinkedFile] = field(default_factory=set)
    unknown: dict[str, int] = field(default_factory=dict)
    """Files on stores that the job doesn't know, by the store's address."""
    unusable: str = ""
    """The first path of this kind: one is enough to keep the task."""
    unreadable: Unreadable | None = None
    """The first part of it that can't be read: again, one is enough."""
    _beside: str = field(default="", repr=False)
    """How the address of the last owned file began, up to its folder: hundreds of images lie beside each other."""
    _folder: TaskFolder | None = field(default=None, repr=False)
    """That folder, if files there are counted."""

    @property
    def count(self) -> int:
        """Owned files on known stores that don't count themselves."""
        return self.named.files + sum(one.files for one in self.sums.values())

    @property
    def bytes(self) -> int:
        """Their size, as far as records know it."""
        return self.named.bytes + sum(one.bytes for one in self.sums.values())

    @property
    def unsized(self) -> int:
        """Those of them whose size no record has."""
        return self.named.unsized + sum(one.unsized for one in self.sums.values())

    def add(self, uri: str | Unreadable, size: int | None = None, *, asset: bool = False) -> None:
        """Count one output in, or what can't be read; ``size`` is in bytes, None if the record has none.

        ``asset``: it is an image of a report.
        """
        if isinstance(uri, Unreadable):
            self.unreadable = self.unreadable or uri
            return
        if not uri:
            return
        if self._beside and uri.startswith(self._beside) and self._is_plain(uri[len(self._beside) :]):
            kind = uri[len(self._beside) :].partition("/")[0]
            self.forgotten.add(kind)
            self._count(kind, size)  # its folder is known, and nothing else of it is remembered
            return
        match classify(uri, self.task, self.locate, asset=asset):
            case Owned() as owned:
                self._add_owned(uri, owned, size)
            case UnknownStore(address):
                self.unknown[address] = self.unknown.get(address, 0) + 1
            case Unusable():
                self.unusable = self.unusable or uri
            case External(place):
                self._add_external(uri, place)

    def _add_owned(self, uri: str, owned: Owned, size: int | None) -> None:
        file = owned.file
        self.certain = self.certain or not owned.doubtful
        if file in self.files:
            return
        self._folder = None if self.measured(file.store) else file.folder
        self._count(file.kind, size)
        self.folders.add(file.folder)
        by_name = file.is_beside or file.kind in self.apart
        if by_name:
            self.files.add(file)
        else:
            self.forgotten.add(file.kind)
        for other in owned.others:
            self._add_other(file, other)
        self._beside = uri[: -len(file.rest)] if not by_name and uri.endswith("/" + file.rest) else ""

    def _add_other(self, file: TaskFile, other: TaskFile) -> None:
        """Note what else a file's URI can mean."""
        if other.folder != file.folder:
            self.others.setdefault(file.folder, set()).add(other.folder)
        if other.is_beside or other.kind in self.apart:
            self.others.setdefault(file, set()).add(other)
        else:
            self.forgotten.add(other.kind)

    def _count(self, kind: str, size: int | None) -> None:
        if self._folder is not None:
            by_name = not kind and not self._folder.is_report
            known = self.named if by_name else self.sums.setdefault((self._folder, kind), Sum())
            known.add(size)

    def _is_plain(self, rest: str) -> bool:
        """Whether the end of an address can be read in one way only, in one of the ``KINDS`` and in no folder of a task."""
        kind, _, below = rest.partition("/")
        return kind in KINDS and kind not in self.apart and "%" not in rest and is_clean(below) and in_no_folder(rest)

    def _add_external(self, uri: str, place: Location | None) -> None:
        if place is not None and place.path == INTERRUPTED:
            return
        self.external_count += 1
        if len(self.external) < NAMED:
            self.external.append(uri)
        if place is not None and place.store in self.links:
            with suppress(ValueError):
                self.linked.add(LinkedFile(place.store, place.path))
