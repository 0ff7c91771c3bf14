"""What every store can do, and all stores of a pass together.

A store takes nothing but paths that only a task folder, or files in one, can be made into. Deleting what is already gone is
success. A failure is an outcome, not an exception, unless the store can't be reached at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cleanup_job.planning.paths import LinkedFile, Location, OwnedPath
from cleanup_job.planning.records import Removed, Size

UNFINISHED = 500
"""Folders that an interrupted pass may have emptied without deleting their records: they are no sign of a wrong address."""
Path = OwnedPath | LinkedFile
P = TypeVar("P", OwnedPath, LinkedFile, Location)


class Store(Protocol):
    """A place, or places of one kind, where outputs are kept: a fileserver, the object stores, a mounted folder."""

    @property
    def by_file(self) -> frozenset[str]:
        """Names of its places where a task folder does not go as a whole: every file in it has to be named."""

    @property
    def links(self) -> frozenset[str]:
        """Names of its places where files that a task only links to may be deleted, if the settings say so."""

    @property
    def lists(self) -> bool:
        """Whether it can list: then a part of a folder can go, and sizes are exact."""

    @property
    def sent(self) -> int:
        """Requests so far."""

    def holds(self, name: str) -> bool:
        """Whether locations with this store's name are in it."""

    def check(self) -> str:
        """What makes it doubtful that this is the store it should be, else nothing; called once in a dry run. Only reads.

        Raises:
            UnreachableError: it gives no usable answer.
        """

    def prepare(self) -> None:
        """Find out what the store allows; called once before the first deletion, never in a dry run.

        Raises:
            SettingsError: it refuses the credentials, or is no such store.
        """

    def prove(self, places: Sequence[Location]) -> None:
        """See that this is the store that records speak of, by files that surviving records name. Only reads.

        Called once before the first deletion, after ``prepare``, and only of a store that can't list: there "not found" is all
        that is known of a file.

        Raises:
            SettingsError: enough files were looked for, and none is there.
            UnreachableError: it gives no usable answer.
        """

    def warnings(self) -> list[str]:
        """What people have to know at the end of a pass: files that were all elsewhere, bytes that are not freed."""

    def locate(self, uri: str) -> Location | None:
        """The place of this URI in the store, None where it lies elsewhere. No I/O."""

    def real(self, place: Location) -> Location:
        """The one name of what a place really is, where the store has several; does I/O, and never raises.

        In mounted folders symbolic links and roots of the same volume are resolved. A place that leads out of the store, or
        can't be looked at, is given as it is.
        """

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """What ``delete`` would find there; only reads, and only in stores that can list."""

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete files, and of folders what the SDK makes in them (``KINDS``), but for what has to be kept.

        Raises:
            UnreachableError: the store gives no usable answer, retries included.
        """

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """Delete single files that a task only linked to; never a folder. As ``delete`` otherwise."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that a pass knows."""

    stores: tuple[Store, ...] = ()

    @property
    def by_file(self) -> frozenset[str]:
        """Places where a task folder does not go as a whole."""
        return frozenset(name for store in self.stores for name in store.by_file)

    @property
    def links(self) -> frozenset[str]:
        """Places where files that a task only links to may be deleted."""
        return frozenset(name for store in self.stores for name in store.links)

    @property
    def sent(self) -> int:
        """Requests to all of them so far."""
        return sum(store.sent for store in self.stores)

    def lists(self, name: str) -> bool:
        """Whether the store of this name can list."""
        return any(store.lists for store in self.stores if store.holds(name))

    def check(self) -> list[str]:
        """See that each store is there, by reading; gives what is doubtful."""
        return [doubt for store in self.stores if (doubt := store.check())]

    def prepare(self) -> None:
        """Find out what each store allows."""
        for store in self.stores:
            store.prepare()

    def prove(self, places: Iterable[Location]) -> None:
        """See that stores which can't list hold what surviving records name.

        Raises:
            SettingsError: enough files were looked for in one of them, and none is there.
            UnreachableError: it gives no usable answer.
        """
        for store, some in self._by_store(places):
            if not store.lists:
                store.prove(some)

    def real(self, place: Location) -> Location:
        """The one name of what a place really is."""
        return next((store.real(place) for store in self.stores if store.holds(place.store)), place)

    def warnings(self) -> list[str]:
        """What people have to know at the end, of all stores."""
        return [warning for store in self.stores for warning in store.warnings()]

    def locate(self, uri: str) -> Location | None:
        """The place of a URI in the first store that holds it; None where none does."""
        return next((place for store in self.stores if (place := store.locate(uri)) is not None), None)

    def measure(self, paths: Iterable[OwnedPath]) -> Removed:
        """What is there, in the stores that can list."""
        return _sum(store.measure(some) for store, some in self._by_store(paths) if store.lists)

    def delete(self, paths: Iterable[OwnedPath], linked: Iterable[LinkedFile] = ()) -> Removed:
        """Delete in all stores."""
        owned = [store.delete(some) for store, some in self._by_store(paths)]
        return _sum([*owned, *(store.delete_linked(some) for store, some in self._by_store(linked))])

    def _by_store(self, paths: Iterable[P]) -> list[tuple[Store, list[P]]]:
        """Each path once, under the store that holds it."""
        there: dict[str, list[P]] = defaultdict(list)
        for path in dict.fromkeys(paths):
            there[path.store].append(path)
        found = ((store, [path for name in there if store.holds(name) for path in there[name]]) for store in self.stores)
        return [(store, some) for store, some in found if some]


def _sum(done: Iterable[Removed]) -> Removed:
    failed: dict[Path, str] = {}
    sizes: dict[OwnedPath, Size] = {}
    missing: set[Path] = set()
    parts: dict[OwnedPath, frozenset[str]] = {}
    for part in done:
        failed |= part.failed
        sizes |= part.sizes
        missing |= part.missing
        parts |= part.parts
    return Removed(failed, sizes, frozenset(missing), parts)
