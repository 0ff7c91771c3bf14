"""Folders that are mounted into the pod, for URIs such as ``file:///mnt/share/…`` or plain paths.

Only what lies below a root that the settings name is ever touched. Above a task folder a symbolic link may lead to another
place below a root; from there on none is followed, nor is one that appears while files are deleted. Folders above a task folder
are kept, empty or not: a root with nothing in it is taken for one that is not mounted.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from errno import ELOOP, ENAMETOOLONG, ENODEV
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISLNK

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
from cleanup_job.storage import directories
from cleanup_job.storage.directories import Found, InTheWayError
from cleanup_job.storage.store import UNFINISHED

SCHEME = "file://"
LINK = "is a symbolic link, and what it leads to is not deleted; correct or remove it"


class MountedFolders:
    """Deletes below the roots. Safe to use from many threads."""

    lists = True
    by_file: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    """None: what a task links to on a shared disk may be anybody's."""
    sent = 0

    def __init__(self, roots: Iterable[str], *, before_deletion: Callable[[], None] = lambda: None) -> None:
        """``roots`` are absolute paths. What ``before_deletion`` raises keeps a folder from being deleted."""
        self._roots = tuple(str(PurePosixPath(root)) for root in roots)
        self._before_deletion = before_deletion
        self._found = self._missing = 0
        self._mounted: dict[str, tuple[int, int]] = {}
        """What each root was when the pass began."""

    def holds(self, name: str) -> bool:
        """Whether this is a root's name."""
        return name.startswith(SCHEME)

    def check(self) -> str:
        """Roots that are not there, or empty."""
        return " ".join(filter(None, map(_doubt, self._roots)))

    def prepare(self) -> None:
        """See that each root is there.

        Raises:
            SettingsError: one is missing or empty: its files would count as gone, and be orphaned.
        """
        if doubt := self.check():
            raise SettingsError(f"{doubt} Nothing was deleted: files that can't be seen would be left behind.")
        self._mounted = {root: _identity(root) for root in self._roots}

    def warnings(self) -> list[str]:
        """Not one folder was there."""
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
        """None, ever."""
        return Removed(dict.fromkeys(files, "files that a task only links to are not deleted in mounted folders"))

    def prove(self, places: Sequence[Location]) -> None:
        """Nothing: it can list, and a root that is missing or empty ends the pass."""

    def real(self, place: Location) -> Location:
        """Where a place really is: symbolic links followed, and below the deepest root that its way leads through.

        Of roots that are the same directory, the first one counts. What leads out of all roots, or can't be looked at, is given
        as it is; of what is missing, the part that exists is looked at.
        """
        try:
            roots = {_identity(root): root for root in reversed(self._roots) if Path(root).is_dir()}
            whole = PurePosixPath(os.path.realpath(f"{place.store.removeprefix(SCHEME)}/{place.path}"))
        except (OSError, ValueError):
            return place
        for above in (whole, *whole.parents):
            with suppress(OSError):  # it is missing, or nobody may look
                if root := roots.get(_identity(str(above))):
                    return Location(SCHEME + root, str(whole.relative_to(above)) if above != whole else "")
        return place

    def folders(self, place: Location) -> Iterator[FoundFolder]:
        """All task folders at or below a place, also those in which nothing is left.

        Raises:
            SettingsError: something below it can't be read.
        """
        root = place.store.removeprefix(SCHEME)
        pending = [place.path]
        try:
            while pending:
                below = pending.pop()
                folder = folder_of(place.store, f"{below}/x")
                try:
                    with directories.opened(root, below) as top:
                        if folder is not None:
                            yield _found(folder, below, top)
                        elif in_no_folder(f"{below}/x"):
                            with os.scandir(top) as entries:
                                inside = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
                            pending += [f"{below}/{name}" if below else name for name in reversed(inside)]
                except (FileNotFoundError, InTheWayError):
                    if not below:
                        raise  # else it was moved or deleted since it was listed
        except OSError as error:
            raise SettingsError(f"{error.filename or root} can't be read: {error.strerror or error}") from error

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
                with directories.opened(root, there.path) as above:
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
        """Where a volume is no longer mounted, nothing that lay there is gone."""
        try:
            if _identity(root) == self._mounted.get(root, _identity(root)):
                return
        except FileNotFoundError:
            pass
        raise InTheWayError(ENODEV, "is no longer the folder that it was when the pass began; is it still mounted?", root)

    def _measure(self, path: OwnedPath, above: int, name: str) -> Size:
        if isinstance(path, TaskFile):
            return self._file(path, above, name, deletes=False)
        with directories.entered(name, above) as top:
            return _sum(_files(path, top))

    def _remove(self, path: OwnedPath, above: int, name: str) -> Size:
        self._before_deletion()
        if isinstance(path, TaskFile):
            return self._file(path, above, name, deletes=True)
        gone = Size()
        with directories.entered(name, above) as top:
            while (some := _sum(_files(path, top), deletes=True)).files:  # a walk may skip files while others are deleted
                gone = Size(gone.files + some.files, gone.bytes + some.bytes)
            directories.remove_empty(top, lambda rest: not left_alone_whole(path, rest))
        directories.remove_if_empty(name, above)
        return gone

    @staticmethod
    def _file(path: TaskFile, above: int, name: str, *, deletes: bool) -> Size:
        """A single file; a symbolic link in its place is itself the file."""
        *between, last = path.rest.split("/")
        with ExitStack() as stack:
            for segment in (name, *between):
                above = stack.enter_context(directories.entered(segment, above))
            about = directories.look(last, above)
            if about is None or S_ISDIR(about.st_mode):
                return Size()
            if deletes:
                directories.remove_file(last, above)
            return Size(1, about.st_size)


def _found(folder: TaskFolder, path: str, top: int) -> FoundFolder:
    """A task folder with what is in it; something that can't be passed makes it an odd one."""
    found = FoundFolder(folder, changed=_time(os.fstat(top).st_mtime))
    try:
        for entry in directories.walk(top):
            if entry.is_folder:
                found.add_folder(f"{path}/{entry.rest}", _time(entry.modified))
            else:
                found.add(Entry(f"{path}/{entry.rest}", entry.size, _time(entry.modified)))
    except InTheWayError as error:
        found.odd = found.odd or f"{path}/{error.filename}"
    return found


def _files(path: OwnedPath, top: int) -> Iterator[Found]:
    """The files that are deleted with a task folder, which is open.

    Raises:
        OSError: something can't be read, or what the SDK makes as a folder is a symbolic link.
    """
    for kind in sorted(KINDS):
        about = directories.look(kind, top)
        if about is not None and S_ISLNK(about.st_mode):
            raise InTheWayError(ELOOP, LINK, f"{path.path}/{kind}")
    for found in directories.walk(top, lambda rest: not left_alone_whole(path, rest)):
        if not found.is_folder and not left_alone(path, found.rest):
            yield found


def _sum(found: Iterable[Found], *, deletes: bool = False) -> Size:
    """How many files these are, and their bytes; deletes each, if that is wanted, as it is counted."""
    count = size = 0
    for file in found:
        if deletes:
            directories.remove_file(file.name, file.directory)
        count, size = count + 1, size + file.size
    return Size(count, size)


def _identity(directory: str) -> tuple[int, int]:
    """What tells a directory from all others, whatever its names."""
    about = Path(directory).stat()
    return about.st_dev, about.st_ino


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _doubt(root: str) -> str:
    if not Path(root).is_dir():
        return f"{root} is not a folder here; mount it, or take it out."
    with os.scandir(root) as entries:
        if not any(entries):
            return f"{root} is empty; nothing seems to be mounted there. Mount it, or take it out."
    return ""
