"""The fileserver's folder on disk, in memory: a tree with the limits and the permissions of a Linux file system."""

import errno
import os
from typing import Any

LONGEST_NAME = 255
"""Bytes of a path's segment at most."""
LONGEST_PATH = 4_095
"""Bytes of a path at most, with the folder that all lies in."""
ROOT = "/mnt/fileserver/"
READ, WRITE, ENTER = 4, 2, 1
ALL = READ | WRITE | ENTER

Folder = dict[str, Any]
"""What lies in a folder by name: folders, and files as their size or their bytes."""


class Files:
    """Files by path, as a tree: a folder goes as fast as a file. A file is its size, or its bytes where it was uploaded."""

    def __init__(self) -> None:
        self._root: Folder = {}
        self._modes: dict[int, int] = {}
        """What may be done with a folder, by the folder's identity; folders that are not named here are open."""

    def restrict(self, path: str, mode: str) -> None:
        """Give a folder a mode, such as `500`: the first digit counts, the fileserver owns all."""
        folder = self._root
        for part in path.split("/"):
            folder = folder.setdefault(part, {})
        self._modes[id(folder)] = int(mode[0])

    def put(self, path: str, content: int | bytes) -> None:
        """Write a file.

        Raises:
            IsADirectoryError: a folder has this name.
            NotADirectoryError: a file has the name of one of its folders.
            PermissionError: a folder on the way may not be entered, or the last one not be written to.
            OSError: a name or the path is too long.
        """
        *folders, name = _parts(path)
        folder = self._root
        for part in folders:
            if part not in folder:
                self._need(folder, WRITE, path)
            folder = self._enter(folder, part, path).setdefault(part, {})
            if not isinstance(folder, dict):
                raise NotADirectoryError(path)
        there = self._enter(folder, name, path).get(name)
        if isinstance(there, dict):
            raise IsADirectoryError(path)
        if there is None:
            self._need(folder, WRITE, path)
        folder[name] = content

    def get(self, path: str) -> Any:
        """A file's content, a folder's dict, or None.

        Raises:
            PermissionError: a folder on the way may not be entered.
            OSError: a name or the path is too long.
        """
        found: Any = self._root
        for part in _parts(path):
            if not isinstance(found, dict):
                return None
            found = self._enter(found, part, path).get(part)
        return found

    def remove(self, path: str) -> bool:
        """Delete a file, or a folder with all below it; "" is the store itself. Gives whether it was there.

        Raises:
            PermissionError: the file may not be deleted, or the folder not as a whole: what could be deleted in it is gone.
            OSError: a name or the path is too long.
        """
        if not path:
            if not self._empty(self._root):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return True
        found = self.get(path)
        if found is None:
            return False
        parent, _, name = path.rpartition("/")
        folder = self.get(parent)
        emptied = not isinstance(found, dict) or self._empty(found)
        if not emptied or not self._may(folder, WRITE | ENTER):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        del folder[name]
        return True

    def paths(self) -> list[str]:
        """All files, sorted, readable or not."""
        found: list[str] = []
        stack: list[tuple[str, Folder]] = [("", self._root)]
        while stack:
            prefix, folder = stack.pop()
            for name, content in folder.items():
                if isinstance(content, dict):
                    stack.append((f"{prefix}{name}/", content))
                else:
                    found.append(prefix + name)
        return sorted(found)

    def _empty(self, folder: Folder) -> bool:
        """Delete what may be deleted in a folder; gives whether that is all."""
        if not self._modes:
            folder.clear()
            return True
        if not self._may(folder, READ | ENTER):
            return False
        for name, content in list(folder.items()):
            emptied = not isinstance(content, dict) or self._empty(content)
            if emptied and self._may(folder, WRITE):
                del folder[name]
        return not folder

    def _may(self, folder: Folder, how: int) -> bool:
        return self._modes.get(id(folder), ALL) & how == how

    def _need(self, folder: Folder, how: int, path: str) -> None:
        if not self._may(folder, how):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def _enter(self, folder: Folder, name: str, path: str) -> Folder:
        """A folder in which a name may be looked up."""
        self._need(folder, ENTER, path)
        if len(name.encode()) > LONGEST_NAME:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        return folder


def _parts(path: str) -> list[str]:
    """A path's segments; a whole path that is too long is refused before the first one is looked up."""
    if len((ROOT + path).encode()) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    return path.split("/") if path else []
