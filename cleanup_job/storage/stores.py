"""All stores of a pass together. Each path goes to the store that holds it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from cleanup_job.planning.paths import LinkedFile, Location, OwnedPath
from cleanup_job.planning.records import Removed, Size
from cleanup_job.storage.interface import Store

Path = OwnedPath | LinkedFile
P = TypeVar("P", OwnedPath, LinkedFile, Location)


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that a pass knows. Their methods are described in ``interface.py``."""

    stores: tuple[Store, ...] = ()

    @property
    def by_file(self) -> frozenset[str]:
        """The places that can't delete a task folder as a whole."""
        return frozenset(name for store in self.stores for name in store.by_file)

    @property
    def links(self) -> frozenset[str]:
        """The places where files that a task only links to may be deleted."""
        return frozenset(name for store in self.stores for name in store.links)

    @property
    def sent(self) -> Counter[str]:
        """The number of requests to all of them so far, by server."""
        return sum((store.sent for store in self.stores), Counter())

    def lists(self, name: str) -> bool:
        """Whether the store with this name can list."""
        return any(store.lists for store in self.stores if store.holds(name))

    def check(self) -> list[str]:
        """Check each store by reading; return what is doubtful."""
        return [problem for store in self.stores if (problem := store.check())]

    def prepare(self) -> None:
        """Find out what each store allows."""
        for store in self.stores:
            store.prepare()

    def prove(self, places: Iterable[Location]) -> None:
        """Check that the stores which can't list contain what surviving records name.

        Raises:
            SettingsError: enough files were looked for in one of them, and none is there.
            UnreachableError: it gives no usable answer.
        """
        for store, some in self._by_store(places):
            if not store.lists:
                store.prove(some)

    def real(self, place: Location) -> Location:
        """The canonical name of a place."""
        return next((store.real(place) for store in self.stores if store.holds(place.store)), place)

    def warnings(self) -> list[str]:
        """What people have to know at the end, of all stores."""
        return [warning for store in self.stores for warning in store.warnings()]

    def locate(self, uri: str) -> Location | None:
        """The place of a URI in the first store that has it; None if none does."""
        for store in self.stores:
            place = store.locate(uri)
            if place is not None:
                return place
        return None

    def measure(self, paths: Iterable[OwnedPath]) -> Removed:
        """What is there, in the stores that can list."""
        return _sum(store.measure(some) for store, some in self._by_store(paths) if store.lists)

    def delete(self, paths: Iterable[OwnedPath], linked: Iterable[LinkedFile] = ()) -> Removed:
        """Delete in all stores."""
        owned = [store.delete(some) for store, some in self._by_store(paths)]
        return _sum([*owned, *(store.delete_linked(some) for store, some in self._by_store(linked))])

    def _by_store(self, paths: Iterable[P]) -> list[tuple[Store, list[P]]]:
        """Each path once, with the store that holds it."""
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
