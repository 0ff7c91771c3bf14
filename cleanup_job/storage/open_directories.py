"""Directories as open descriptors: the only way in which files in mounted folders are examined and deleted.

A path is opened segment by segment, and no symbolic link is followed, so that a link which replaces a directory in the meantime
leads nowhere. An open directory remains the same directory even if its name changes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EBUSY, EEXIST, ELOOP, ENOTDIR, ENOTEMPTY
from pathlib import Path
from stat import S_ISDIR, S_ISLNK

DEEPEST = 100
"""The most levels of directories below a task folder. One descriptor is open for each."""
MOUNTED = "something is mounted there and was not touched; unmount it, or delete the rest by hand"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class InTheWayError(OSError):
    """The way is blocked by something that is never entered: a symbolic link, or another file system."""


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry below a directory. ``size`` is in bytes, ``modified`` in seconds since 1970."""

    rest: str
    """Its path below the directory where the walk began."""
    size: int
    modified: float
    directory: int
    """The descriptor of the directory that it is in, which is closed when the walk continues."""
    is_folder: bool = False

    @property
    def name(self) -> str:
        """Its name in that directory."""
        return self.rest.rpartition("/")[2]


@contextmanager
def opened(root: str, path: str = "") -> Iterator[int]:
    """Open a directory below a root. The root itself may be a symbolic link.

    Raises:
        InTheWayError: a symbolic link is on the way.
        OSError: it does not exist, or can't be opened.
    """
    now = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for segment in filter(None, path.split("/")):
            below = _open(segment, now)
            os.close(now)
            now = below
        yield now
    finally:
        os.close(now)


@contextmanager
def entered(name: str, directory: int) -> Iterator[int]:
    """Open a directory in another one, on the same file system.

    Raises:
        InTheWayError: it has become a symbolic link, is a mount point, or is on another file system.
        OSError: it does not exist, or can't be opened.
    """
    below = _open(name, directory)
    try:
        if _file_system(below) != _file_system(directory):
            raise InTheWayError(EBUSY, MOUNTED, name)
        yield below
    finally:
        os.close(below)


def look(name: str, directory: int) -> os.stat_result | None:
    """An entry of a directory, without following a link; None if it does not exist."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def walk(
    directory: int, enters: Callable[[str], bool] = lambda _: True, below: str = "", depth: int = 0
) -> Iterator[FoundEntry]:
    """All files below a directory, and the folders before what is in them; symbolic links count as files.

    If files are deleted meanwhile, a walk may skip some, which another one finds.

    Args:
        directory: Its descriptor.
        enters: Whether to look into a folder, by its path below the directory.
        below: The path of this directory, in a walk that began above it.
        depth: How many levels above.

    Raises:
        InTheWayError: a folder is on another file system, a mount point, or deeper than ``DEEPEST``.
        OSError: something can't be read.
    """
    device = os.fstat(directory).st_dev
    with os.scandir(directory) as entries:
        for entry in entries:
            rest = f"{below}/{entry.name}" if below else entry.name
            about = look(entry.name, directory)
            if about is None:
                continue
            is_folder = S_ISDIR(about.st_mode)
            if is_folder and not enters(rest):
                continue
            if not is_folder and about.st_dev != device and _is_mounted(entry.name, directory):
                raise InTheWayError(EBUSY, MOUNTED, rest)
            yield FoundEntry(rest, about.st_size, about.st_mtime, directory, is_folder)
            if is_folder:
                yield from _walk_in(directory, entry.name, enters, rest, depth)


def _walk_in(directory: int, name: str, enters: Callable[[str], bool], rest: str, depth: int) -> Iterator[FoundEntry]:
    if depth == DEEPEST:
        raise InTheWayError(ELOOP, f"more than {DEEPEST} levels of folders; delete them by hand", rest)
    try:
        with entered(name, directory) as inside:
            yield from walk(inside, enters, rest, depth + 1)
    except FileNotFoundError:
        return  # deleted by others meanwhile
    except InTheWayError as error:
        raise InTheWayError(error.errno, error.strerror, rest if error.filename == name else error.filename) from None


def remove_empty(directory: int, enters: Callable[[str], bool], below: str = "") -> None:
    """Remove the empty folders below a directory."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in names:
        rest = f"{below}/{name}" if below else name
        if enters(rest):
            with suppress(FileNotFoundError), entered(name, directory) as inside:
                remove_empty(inside, enters, rest)
            remove_if_empty(name, directory)


def remove_if_empty(name: str, directory: int) -> None:
    """Remove a folder if it is empty.

    Raises:
        OSError: it is empty and can't be removed.
    """
    try:
        os.rmdir(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in {ENOTEMPTY, EEXIST}:
            raise


def _open(name: str, directory: int) -> int:
    try:
        return os.open(name, _FLAGS, dir_fd=directory)
    except OSError as error:
        if error.errno in {ENOTDIR, ELOOP}:
            about = look(name, directory)
            if about is not None and S_ISLNK(about.st_mode):
                raise InTheWayError(ELOOP, "a symbolic link on the way leads elsewhere; correct or remove it", name) from None
        raise


def remove_file(name: str, directory: int) -> None:
    """Delete a file or a symbolic link, but never its target. One that is gone already is not an error.

    Raises:
        InTheWayError: something is mounted there.
        OSError: it can't be deleted.
    """
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == EBUSY:
            raise InTheWayError(EBUSY, MOUNTED, name) from None
        raise


def _is_mounted(name: str, directory: int) -> bool:
    """Whether a file is a mount point. A different device does not prove it: overlay file systems show other devices."""
    file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        return not _mount(file) or _mount(file) != _mount(directory)
    finally:
        os.close(file)


def _file_system(directory: int) -> tuple[int, str]:
    """The device of an open directory, and its mount: one device can be mounted in several places."""
    return os.fstat(directory).st_dev, _mount(directory)


def _mount(descriptor: int) -> str:
    """The mount that an open file belongs to, as the kernel names it; empty if the system does not say."""
    try:
        about = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    except OSError:
        return ""
    return next((line for line in about.splitlines() if line.startswith("mnt_id:")), "")
