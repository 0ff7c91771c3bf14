"""Folders that are mounted into the pod, for URIs such as ``file:///mnt/share/…`` or plain paths.

Only what is below a root that the settings name is ever touched. Above a task folder, a symbolic link may lead to another place
below a root; from the task folder on, no link is followed, not even one that appears while files are deleted. Folders above a
task folder are kept, even if they are empty: an empty root is taken for one that is not mounted.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from errno import ELOOP, ENAMETOOLONG, ENODEV
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISLNK
from typing import TypeVar

from cleanup_job.errors import SettingsError
from cleanup_job.planning.orphans import Entry, FoundFolder, folder_of
from cleanup_job.planning.paths import (
    KINDS,
    LinkedFile,
    Location,
    OwnedPath,
    TaskFile,
    TaskFolder,
    in_no_folder,
    left_alone,
    left_alone_whole,
    read_as,
)
from cleanup_job.planning.records import Removed, Size
from cleanup_job.storage import open_directories
from cleanup_job.storage.interface import UNFINISHED
from cleanup_job.storage.open_directories import FoundEntry, InTheWayError

SCHEME = "file://"
LINK = "is a symbolic link, and its target is not deleted; correct or remove it"


T = TypeVar("T")


class MountedFolders:
    """Deletes below the roots. Safe to use from many threads."""

    lists = True
    by_file: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    """Empty: what a task links to on a shared disk may belong to anybody."""

    def __init__(
        self,
        roots: Iterable[str],
        *,
        setting: str = "CLEANUP_MOUNTED_FOLDERS",
        before_deletion: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is read yet.

        Args:
            roots: Absolute paths.
            setting: What names the roots, for messages.
            before_deletion: Called before a folder is deleted; if it raises, the folder is not deleted.
        """
        self._setting = setting
        self._roots = tuple(str(PurePosixPath(root)) for root in roots)
        self._before_deletion = before_deletion
        self._found = self._missing = 0
        self._mounted: dict[str, tuple[int, int]] = {}
        """The identity of each root when the pass began."""

    @property
    def sent(self) -> Counter[str]:
        """No requests: nothing is asked over the network."""
        return Counter()

    def holds(self, name: str) -> bool:
        """Whether this is the name of a root."""
        return name.startswith(SCHEME)

    def check(self) -> str:
        """Which roots are missing or empty."""
        return " ".join(filter(None, map(self._problem_of, self._roots)))

    def _problem_of(self, root: str) -> str:
        if not Path(root).is_dir():
            return f"{self._setting}: {root} is not a folder here. Mount it, or remove it from the setting."
        with os.scandir(root) as entries:
            if not any(entries):
                return f"{self._setting}: {root} is empty, so nothing seems to be mounted there. Mount it, or remove it."
        return ""

    def prepare(self) -> None:
        """Check that each root is there.

        Raises:
            SettingsError: one is missing or empty, so that its files would count as gone and become orphans.
        """
        if problem := self.check():
            raise SettingsError(f"{problem} Nothing was deleted: files that can't be seen would be left behind.")
        self._mounted = {root: _identity(root) for root in self._roots}

    def warnings(self) -> list[str]:
        """That none of the folders was there."""
        if self._missing > UNFINISHED and not self._found:
            return [f"none of {self._missing} folders was below {', '.join(self._roots)}: is the right volume mounted?"]
        return []

    def locate(self, uri: str) -> Location | None:
        """The path below a root of a ``file://`` URI or an absolute path."""
        path = uri.removeprefix("file://localhost").removeprefix(SCHEME)
        for root in self._roots:
            if path.startswith(root + "/"):
                return read_as(SCHEME + root, path[len(root) + 1 :], quoted=False)
        return None

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """What is in these folders."""
        return self._all(paths, self._measure)

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete folders, parts of folders and files."""
        return self._all(paths, self._remove)

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """Delete none of them."""
        return Removed(dict.fromkeys(files, "files that a task only links to are not deleted in mounted folders"))

    def prove(self, places: Sequence[Location]) -> None:
        """Do nothing: it can list, and a missing or empty root ends the pass."""

    def real(self, place: Location) -> Location:
        """Where a place really is: with symbolic links resolved, and below the deepest root on the way to it.

        If several roots are the same directory, the first one counts. A place that leads out of all roots, or can't be
        examined, is returned unchanged; if it is missing, the part of it that exists is examined.
        """
        try:
            roots = {_identity(root): root for root in reversed(self._roots) if Path(root).is_dir()}
            whole = PurePosixPath(os.path.realpath(f"{place.store.removeprefix(SCHEME)}/{place.path}"))
        except (OSError, ValueError):
            return place
        for above in (whole, *whole.parents):
            with suppress(OSError):  # it is missing, or access is denied
                if root := roots.get(_identity(str(above))):
                    return Location(SCHEME + root, str(whole.relative_to(above)) if above != whole else "")
        return place

    def folders(self, place: Location) -> Iterator[FoundFolder]:
        """All task folders at or below a place, including empty ones.

        Raises:
            SettingsError: something below it can't be read.
        """

        def look(below: str, top: int, pending: list[str]) -> Iterator[FoundFolder]:
            folder = folder_of(place.store, f"{below}/x")
            if folder is not None:
                yield _found(folder, below, top)
            elif in_no_folder(f"{below}/x"):
                pending.extend(reversed(_folders_in(top, below)))

        return _each_below(place, look)

    def entries(self, place: Location) -> Iterator[Entry]:
        """All files at or below a place, those of one folder one after the other. A symbolic link counts, and is not followed.

        Raises:
            SettingsError: something below it can't be read.
        """

        def look(below: str, top: int, pending: list[str]) -> Iterator[Entry]:
            with os.scandir(top) as found:
                for entry in found:
                    path = f"{below}/{entry.name}" if below else entry.name
                    about = open_directories.look(entry.name, top)
                    if about is not None and S_ISDIR(about.st_mode):
                        pending.append(path)
                    elif about is not None:
                        yield Entry(path, about.st_size, _time(about.st_mtime))

        return _each_below(place, look)

    def _all(self, paths: Sequence[OwnedPath], action: Callable[[OwnedPath, int, str], Size]) -> Removed:
        failed: dict[OwnedPath | LinkedFile, str] = {}
        sizes: dict[OwnedPath, Size] = {}
        for path in paths:
            folder = path if isinstance(path, TaskFolder) else path.folder
            parent, _, name = folder.path.rpartition("/")
            try:
                there = self.real(Location(folder.store, parent))
                root = there.store.removeprefix(SCHEME)
                self._see_that_it_is_mounted(root)
                with open_directories.opened(root, there.path) as above:
                    sizes[path] = action(path, above, name)
            except OSError as error:
                if not isinstance(error, FileNotFoundError | NotADirectoryError) and error.errno != ENAMETOOLONG:
                    failed[path] = f"{error.filename or path.path}: {error.strerror or error}"
                    continue
                sizes[path] = Size()
            self._found += bool(sizes[path].files)
            self._missing += not sizes[path].files
        return Removed(failed, sizes, frozenset(path for path, size in sizes.items() if not size.files))

    def _see_that_it_is_mounted(self, root: str) -> None:
        """If a volume is no longer mounted, what was on it is not gone."""
        try:
            if _identity(root) == self._mounted.get(root, _identity(root)):
                return
        except FileNotFoundError:
            pass
        raise InTheWayError(ENODEV, "is no longer the folder that it was when the pass began; is it still mounted?", root)

    def _measure(self, path: OwnedPath, above: int, name: str) -> Size:
        if isinstance(path, TaskFile):
            return self._file(path, above, name, deletes=False)
        with open_directories.entered(name, above) as top:
            return _sum(_files(path, top))

    def _remove(self, path: OwnedPath, above: int, name: str) -> Size:
        self._before_deletion()
        if isinstance(path, TaskFile):
            return self._file(path, above, name, deletes=True)
        gone = Size()
        with open_directories.entered(name, above) as top:
            while (some := _sum(_files(path, top), deletes=True)).files:  # a walk may skip files while others are deleted
                gone = Size(gone.files + some.files, gone.bytes + some.bytes)
            open_directories.remove_empty(top, lambda rest: not left_alone_whole(path, rest))
        open_directories.remove_if_empty(name, above)
        return gone

    @staticmethod
    def _file(path: TaskFile, above: int, name: str, *, deletes: bool) -> Size:
        """A single file; a symbolic link in its place is treated as the file itself."""
        *between, last = path.rest.split("/")
        with ExitStack() as stack:
            for segment in (name, *between):
                above = stack.enter_context(open_directories.entered(segment, above))
            about = open_directories.look(last, above)
            if about is None or S_ISDIR(about.st_mode):
                return Size()
            if deletes:
                open_directories.remove_file(last, above)
            return Size(1, about.st_size)


def _each_below(place: Location, look: Callable[[str, int, list[str]], Iterator[T]]) -> Iterator[T]:
    """What is found at a place and in the folders below it.

    Args:
        place: Where to begin.
        look: Finds something in a folder: gets its path, itself open, and the list of folders to look at, which it adds to.

    Raises:
        SettingsError: something below it can't be read.
    """
    root = place.store.removeprefix(SCHEME)
    pending = [place.path]
    try:
        while pending:
            below = pending.pop()
            try:
                with open_directories.opened(root, below) as top:
                    yield from look(below, top, pending)
            except (FileNotFoundError, InTheWayError):
                if not below:
                    raise  # otherwise it was moved or deleted since it was listed
    except OSError as error:
        raise SettingsError(f"{error.filename or root} can't be read: {error.strerror or error}") from error


def _folders_in(directory: int, path: str) -> list[str]:
    """The paths of the folders in an open directory, whose own path is ``path``."""
    with os.scandir(directory) as entries:
        inside = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    return [f"{path}/{name}" if path else name for name in inside]


def _found(folder: TaskFolder, path: str, top: int) -> FoundFolder:
    """A task folder with its contents. If something in it can't be entered, the folder is marked as odd."""
    found = FoundFolder(folder, changed=_time(os.fstat(top).st_mtime))
    try:
        for entry in open_directories.walk(top):
            if entry.is_folder:
                found.add_folder(f"{path}/{entry.rest}", _time(entry.modified))
            else:
                found.add(Entry(f"{path}/{entry.rest}", entry.size, _time(entry.modified)))
    except InTheWayError as error:
        found.odd = found.odd or f"{path}/{error.filename}"
    return found


def _files(path: OwnedPath, top: int) -> Iterator[FoundEntry]:
    """The files that are deleted with a task folder, which is open.

    Raises:
        OSError: something can't be read, or what the SDK creates as a folder is a symbolic link.
    """
    for kind in sorted(KINDS):
        about = open_directories.look(kind, top)
        if about is not None and S_ISLNK(about.st_mode):
            raise InTheWayError(ELOOP, LINK, f"{path.path}/{kind}")
    for found in open_directories.walk(top, lambda rest: not left_alone_whole(path, rest)):
        if not found.is_folder and not left_alone(path, found.rest):
            yield found


def _sum(found: Iterable[FoundEntry], *, deletes: bool = False) -> Size:
    """The number and size of these files. With ``deletes``, each file is deleted when it is counted."""
    count = size = 0
    for file in found:
        if deletes:
            open_directories.remove_file(file.name, file.directory)
        count, size = count + 1, size + file.size
    return Size(count, size)


def _identity(directory: str) -> tuple[int, int]:
    """What identifies a directory, independent of its names."""
    about = Path(directory).stat()
    return about.st_dev, about.st_ino


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
