"""Folders that are mounted into the pod, for URIs such as ``file:///mnt/share/…`` or plain paths.

Only what lies below a root that the settings name is ever touched, and no symbolic link is followed: where one leads out of a
root, that is not the root's. Folders above a task folder stay, empty or not: a root with nothing in it is taken for one that
is not mounted.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path, PurePosixPath
from stat import S_ISDIR

from cleanup_job.errors import SettingsError
from cleanup_job.orphans import Entry, FoundFolder, folder_of
from cleanup_job.paths import LinkedFile, Location, OwnedPath, PartOfFolder, TaskFile, TaskFolder, in_no_folder, left_alone
from cleanup_job.records import Removed, Size

SCHEME = "file://"


@dataclass(frozen=True, slots=True)
class Found:
    """A file in a folder. ``size`` is in bytes, ``modified`` in seconds since 1970."""

    rest: str
    """Its path below the folder."""
    size: int
    modified: float


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

    def doubts(self) -> list[str]:
        """Not one folder was there."""
        if self._missing and not self._found:
            return [f"none of {self._missing} folders was below {', '.join(self._roots)}: is the right volume mounted?"]
        return []

    def locate(self, uri: str) -> Location | None:
        """The path below a root of a ``file://`` URI or an absolute path."""
        path = uri.removeprefix("file://localhost").removeprefix(SCHEME)
        for root in self._roots:
            if path.startswith(root + "/"):
                return Location(SCHEME + root, path[len(root) + 1 :])
        return None

    def measure(self, paths: Sequence[OwnedPath]) -> Removed:
        """What is in these folders."""
        return self._all(paths, lambda path, top: _sum(files(top, path)))

    def delete(self, paths: Sequence[OwnedPath]) -> Removed:
        """Delete folders, parts of folders and files."""
        return self._all(paths, self._remove)

    def delete_linked(self, files: Sequence[LinkedFile]) -> Removed:
        """None, ever."""
        return Removed(dict.fromkeys(files, "files that a task only links to are not deleted in mounted folders"))

    def folders(self, place: Location) -> Iterator[FoundFolder]:
        """All task folders at or below a place.

        Raises:
            SettingsError: something below it can't be read.
        """
        root = Path(place.store.removeprefix(SCHEME))
        pending = [place.path]
        try:
            while pending:
                below = pending.pop()
                folder = folder_of(place.store, f"{below}/x")
                if folder is not None:
                    found = FoundFolder(folder)
                    for file in walk(root / below):
                        found.add(Entry(f"{below}/{file.rest}", file.size, datetime.fromtimestamp(file.modified, UTC)))
                    yield found
                elif in_no_folder(f"{below}/x"):
                    with os.scandir(root / below) as entries:
                        inside = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
                    pending += [f"{below}/{name}" if below else name for name in reversed(inside)]
        except OSError as error:
            raise SettingsError(f"{error.filename or root} can't be read: {error.strerror or error}") from error

    def _all(self, paths: Sequence[OwnedPath], action: Callable[[OwnedPath, Path], Size]) -> Removed:
        failed: dict[OwnedPath | LinkedFile, str] = {}
        sizes: dict[OwnedPath, Size] = {}
        for path in paths:
            try:
                root = Path(path.store.removeprefix(SCHEME))
                top = root / path.path
                if not top.parent.resolve().is_relative_to(root.resolve()) or top.is_symlink():
                    failed[path] = "a symbolic link on the way leads elsewhere; correct or remove it"
                    continue
                sizes[path] = action(path, top)
                self._found += bool(sizes[path].files)
                self._missing += not sizes[path].files
            except OSError as error:
                failed[path] = f"{error.strerror or error}: {error.filename or top}"
        return Removed(failed, sizes)

    def _remove(self, path: OwnedPath, top: Path) -> Size:
        self._before_deletion()
        count = size = 0
        while found := next(some := files(top, path), None):  # reading a folder may skip entries while others are deleted
            for file in chain((found,), some):
                (top / file.rest if file.rest else top).unlink()
                count, size = count + 1, size + file.size
        if not isinstance(path, TaskFile) and top.exists():
            for folder, _, _ in os.walk(top, topdown=False):
                if not os.listdir(folder):  # noqa: PTH208 -- as os.walk gives it
                    Path(folder).rmdir()
        return Size(count, size)


def files(top: Path, path: OwnedPath) -> Iterator[Found]:
    """The files that go with a path which is at ``top``; symbolic links count as files.

    Raises:
        OSError: something can't be read.
    """
    try:
        about = top.lstat()
    except FileNotFoundError:
        return
    if not S_ISDIR(about.st_mode):
        if isinstance(path, TaskFile):
            yield Found("", about.st_size, about.st_mtime)
        return
    if not isinstance(path, TaskFolder | PartOfFolder):
        return
    for found in walk(top):
        if not left_alone(path, found.rest):
            yield found


def walk(top: Path) -> Iterator[Found]:
    """All files below a folder, however deep; symbolic links count as files.

    Raises:
        OSError: something can't be read.
    """
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(top / below) as entries:
            for entry in entries:
                rest = f"{below}/{entry.name}" if below else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(rest)
                else:
                    about = entry.stat(follow_symlinks=False)
                    yield Found(rest, about.st_size, about.st_mtime)


def _sum(found: Iterable[Found]) -> Size:
    count = size = 0
    for file in found:
        count, size = count + 1, size + file.size
    return Size(count, size)


def _doubt(root: str) -> str:
    if not Path(root).is_dir():
        return f"{root} is no folder here; mount it, or take it out."
    with os.scandir(root) as entries:
        if not any(entries):
            return f"{root} is empty; nothing seems to be mounted there. Mount it, or take it out."
    return ""
