"""What a store has to do: the interface of a backend.

To add a scheme, write a class with these methods, construct it in ``wiring.stores``, and run the tests in ``tests/stores/``
over it. ``fileserver.py``, ``object_stores.py`` and ``mounted_folders.py`` are examples. A store that a sweep can look through
also has ``folders`` (``passes/ports.py``).

A store takes only paths that can be made from a task folder, or from files in one. Deleting what is already gone is a success.
A failure is part of the outcome, not an exception, unless the store can't be reached at all.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from cleanup_job.planning.paths import LinkedFile, Location, OwnedPath
from cleanup_job.planning.records import Removed

UNFINISHED = 500
"""Missing folders up to this number don't suggest a wrong address: an interrupted pass may have deleted their files."""


class Store(Protocol):
    """A place, or several places of one kind, where outputs are kept: a fileserver, the object stores, the mounted folders.

    Each place has a name, which is the ``store`` of its locations. Safe to use from many threads.
    """

    @property
    def by_file(self) -> frozenset[str]:
        """The names of its places that can't delete a task folder as a whole, so that every file in it has to be named."""

    @property
    def links(self) -> frozenset[str]:
        """The names of its places where files that a task only links to may be deleted, if the settings allow it."""

    @property
    def lists(self) -> bool:
        """Whether it can list: if so, part of a folder can be deleted, and sizes are exact."""

    @property
    def sent(self) -> Counter[str]:
        """The number of requests so far, by server: ``files``, or the scheme of a bucket (`outcome.SERVERS`)."""

    def holds(self, name: str) -> bool:
        """Whether this is the name of one of its places."""

    def check(self) -> str:
        """Why this may not be the intended store, or an empty text; called once in a dry run. Only reads.

        Raises:
            UnreachableError: it gives no usable answer.
        """

    def prepare(self) -> None:
        """Find out what the store allows; called once before the first deletion, never in a dry run.

        Raises:
            SettingsError: it refuses the credentials, or is not such a store.
        """

    def prove(self, places: Sequence[Location]) -> None:
        """Check that this is the store that records refer to, by files that surviving records name. Only reads.

        Called once before the first deletion, after ``prepare``, and only for a store that can't list, where "not found" is all
        that is known about a file.

        Raises:
            SettingsError: enough files were looked for, and none is there.
            UnreachableError: it gives no usable answer.
        """

    def warnings(self) -> list[str]:
        """What people have to know at the end of a pass: that no file was found at all, or that space is not freed."""

    def locate(self, uri: str) -> Location | None:
        """The place of this URI in the store; None if it is elsewhere. No I/O."""

    def real(self, place: Location) -> Location:
        """The canonical name of a place, for a store in which a place has several; does I/O, and never raises.

        In mounted folders, symbolic links and roots of the same volume are resolved. A place that leads out of the store, or
        can't be examined, is returned unchanged.
        """

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """What ``delete`` would find there; only reads, and only in stores that can list."""

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete files, and of folders what the SDK creates in them (``KINDS``), except what has to be kept.

        Raises:
            UnreachableError: the store gives no usable answer, after all tries.
        """

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """Delete single files that a task only links to, never a folder. Otherwise like ``delete``."""
