"""What a task wrote, sorted by what may become of it.

URIs are taken one by one and only their sum is kept, so that a task's memory does not grow with the number of its outputs;
single files are remembered only where its folder can't be deleted as a whole. Pure: no I/O.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

from cleanup_job.paths import LinkedFile, Locate, Location, TaskFile, TaskFolder, TaskId, is_clean, owned_file
from cleanup_job.records import Unreadable

NAMED = 20
"""URIs of one task that a report names; the rest is counted."""
INTERRUPTED = "uploading_file"
"""What the SDK records as a model's URI before its upload has ended: nobody's file."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A file in a folder of the task."""

    file: TaskFile


@dataclass(frozen=True, slots=True)
class External:
    """A file elsewhere; ``place`` is None where no configured store holds it."""

    place: Location | None


@dataclass(frozen=True, slots=True)
class UnknownStore:
    """A file in a folder of the task, on a store that the job doesn't know."""

    address: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A path that names the task but that could be read in more than one way: it is never sent to a store."""


def classify(uri: str, task: TaskId, locate: Locate) -> Owned | External | UnknownStore | Unusable:
    """What a URI in this task's record is to the task."""
    place = locate(uri)
    if place is None:
        return UnknownStore(address_of(uri)) if _names(uri, task) else External(None)
    file = owned_file(place, task)
    if file is not None:
        return Owned(file)
    return Unusable() if _names(place.path, task) and not is_clean(place.path) else External(place)


def address_of(uri: str) -> str:
    """The store that a URI names, without its path: ``s3://bucket``, ``http://host:8081``, ``file://``."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return "file://"
    return f"{scheme.lower()}://{rest.partition('/')[0].rpartition('@')[2]}"


def _names(text: str, task: TaskId) -> bool:
    """Whether a folder in this path ends in the task's id, quoted or not."""
    return any(segment.endswith("." + task) for form in (text, unquote(text)) for segment in form.split("/")[:-1])


@dataclass(slots=True)
class Outputs:
    """The sum of a task's outputs; ``add`` is the only thing that changes it."""

    task: TaskId
    locate: Locate = field(repr=False)
    by_file: bool = False
    """Whether to remember single files."""
    links: frozenset[str] = frozenset()
    """Stores whose external files to remember, since they could be deleted one by one."""
    measured: Callable[[str], bool] = field(default=lambda _: False, repr=False)
    """Tells by its name whether a store tells itself how many files go, and their bytes: these are not counted here."""
    folders: set[TaskFolder] = field(default_factory=set)
    files: set[TaskFile] = field(default_factory=set)
    count: int = 0
    """Owned files on known stores that don't count themselves."""
    bytes: int = 0
    external: list[str] = field(default_factory=list)
    external_count: int = 0
    linked: set[LinkedFile] = field(default_factory=set)
    unknown: dict[str, int] = field(default_factory=dict)
    """Files on stores that the job doesn't know, by the store's address."""
    unusable: str = ""
    """The first path of this kind: one is enough to keep the task."""
    unreadable: str = ""
    """What of it can't be read, likewise."""
    _beside: str = field(default="", repr=False)
    """How the address of the last owned file began, up to its folder: hundreds of images lie beside each other."""
    _counts: bool = field(default=False, repr=False)
    """Whether files there are counted here."""

    def add(self, uri: str | Unreadable, size: int | None = None) -> None:
        """Count one output in, or what can't be read; ``size`` is in bytes, None where the record has none."""
        if isinstance(uri, Unreadable):
            self.unreadable = self.unreadable or uri.field
            return
        if not uri:
            return
        if self._beside and uri.startswith(self._beside) and self._is_plain(uri[len(self._beside) :]):
            self._count(size)  # its folder is known, and nothing else of it is remembered
            return
        match classify(uri, self.task, self.locate):
            case Owned(file):
                if self.by_file and file in self.files:
                    return
                self._counts = not self.measured(file.store)
                self._count(size)
                self.folders.add(file.folder)
                if self.by_file:
                    self.files.add(file)
                else:
                    self._beside = uri[: -len(file.rest)] if uri.endswith("/" + file.rest) else ""
            case UnknownStore(address):
                self.unknown[address] = self.unknown.get(address, 0) + 1
            case Unusable():
                self.unusable = self.unusable or uri
            case External(place):
                self._add_external(uri, place)

    def _count(self, size: int | None) -> None:
        if self._counts:
            self.count += 1
            self.bytes += size or 0

    def _is_plain(self, rest: str) -> bool:
        """Whether the end of an address can be read in one way only, and not as another folder of the task's."""
        return "%" not in rest and is_clean(rest) and f".{self.task}/" not in rest

    def _add_external(self, uri: str, place: Location | None) -> None:
        if place is not None and place.path == INTERRUPTED:
            return
        self.external_count += 1
        if len(self.external) < NAMED:
            self.external.append(uri)
        if place is not None and place.store in self.links:
            with suppress(ValueError):
                self.linked.add(LinkedFile(place.store, place.path))
