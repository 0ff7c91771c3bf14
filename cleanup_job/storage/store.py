"""What every store can do, and all stores of a pass together.

A store takes nothing but paths that only a task folder, or a file in one, can be made into. Deleting what is already gone is
success. A failure is an outcome, not an exception, unless the store can't be reached at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cleanup_job.paths import LinkedFile, Location, OwnedPath

Path = OwnedPath | LinkedFile


class Store(Protocol):
    """A place where outputs are kept: a fileserver, a bucket, a mounted root."""

    @property
    def name(self) -> str:
        """What its locations are marked with: unique among the stores of a pass."""

    @property
    def deletes_folders(self) -> bool:
        """Whether a task folder goes as a whole; where not, every file in it has to be named."""

    @property
    def found(self) -> int:
        """Paths that were there to be deleted, so far."""

    @property
    def missing(self) -> int:
        """Paths that were gone already."""

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

    def locate(self, uri: str) -> Location | None:
        """The place of this URI in the store, None where it lies elsewhere. No I/O."""

    def delete(self, paths: Sequence[OwnedPath]) -> Mapping[OwnedPath, str]:
        """Delete folders and files; gives what failed, each with the reason.

        Raises:
            UnreachableError: the store gives no usable answer, retries included.
        """

    def delete_linked(self, files: Sequence[LinkedFile]) -> Mapping[LinkedFile, str]:
        """Delete single files that a task only linked to; never a folder. As ``delete`` otherwise."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that a pass knows."""

    stores: tuple[Store, ...] = ()

    @property
    def by_file(self) -> frozenset[str]:
        """Those that can't delete a folder as a whole."""
        return frozenset(store.name for store in self.stores if not store.deletes_folders)

    def check(self) -> list[str]:
        """See that each store is there, by reading; gives what is doubtful."""
        return [doubt for store in self.stores if (doubt := store.check())]

    def prepare(self) -> None:
        """Find out what each store allows."""
        for store in self.stores:
            store.prepare()

    def doubts(self) -> list[str]:
        """Stores where not one path was there: perhaps the wrong address, and files were left behind elsewhere."""
        return [
            f"none of {store.missing} folders and files was on the {store.name}: is its address the right one?"
            for store in self.stores
            if store.missing and not store.found
        ]

    def locate(self, uri: str) -> Location | None:
        """The place of a URI in the first store that holds it; None where none does."""
        return next((place for store in self.stores if (place := store.locate(uri)) is not None), None)

    def delete(self, paths: Iterable[OwnedPath], linked: Iterable[LinkedFile] = ()) -> dict[Path, str]:
        """Delete in all stores; gives what failed, each with the reason."""
        owned_in: dict[str, list[OwnedPath]] = defaultdict(list)
        linked_in: dict[str, list[LinkedFile]] = defaultdict(list)
        for owned in dict.fromkeys(paths):
            owned_in[owned.store].append(owned)
        for link in dict.fromkeys(linked):
            linked_in[link.store].append(link)
        failed: dict[Path, str] = {}
        for store in self.stores:
            if store.name in owned_in:
                failed |= dict(store.delete(owned_in[store.name]).items())
            if store.name in linked_in:
                failed |= dict(store.delete_linked(linked_in[store.name]).items())
        return failed
