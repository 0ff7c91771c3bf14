"""What ``POST /delete_many`` is sent for some paths, and what its answers mean for each path. No I/O."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from cleanup_job.planning.paths import KINDS, LinkedFile, OwnedPath, PartOfFolder, TaskFile, TaskFolder, TaskId
from cleanup_job.planning.records import Removed

PATHS_PER_CALL = 500
LONGEST_NAME, LONGEST_PATH = 255, 4096
"""Bytes in a segment of a path, and in a whole path."""
DELETED, NOT_FOUND = "", "Not found"
"""What is said of a name in ``Batch.removed``. Any other text is the reason why it was not deleted."""


class Batch:
    """Paths that are deleted together. A folder is deleted by the names of what the SDK creates in it."""

    def __init__(self, paths: Sequence[OwnedPath]) -> None:
        self._paths = paths
        self._path_of = {name: path for path in paths for name in _quoted_names(path)}
        self._names: dict[TaskId, list[str]] = defaultdict(list)
        for name, path in self._path_of.items():
            self._names[task_of(path)].append(name)

    def names(self, *tasks: TaskId) -> list[str]:
        """The quoted names to send for these tasks."""
        return [name for task in tasks for name in self._names[task]]

    def calls(self) -> Iterator[list[TaskId]]:
        """Tasks that fit into one call. A task with more names than that comes alone."""
        some: list[TaskId] = []
        count = 0
        for task, its in self._names.items():
            if some and count + len(its) > PATHS_PER_CALL:
                yield some
                some, count = [], 0
            some.append(task)
            count += len(its)
        if some:
            yield some

    def found(self, said: Mapping[str, str]) -> set[OwnedPath]:
        """The paths of which something was there and was deleted."""
        return {path for name, path in self._path_of.items() if said[name] == DELETED}

    def removed(self, said: Mapping[str, str]) -> Removed:
        """What became of each path, by what the fileserver said of each name."""
        found, failed = self.found(said), self._failed(said)
        missing = frozenset(path for path in self._paths if path not in found and path not in failed)
        parts: dict[OwnedPath, set[str]] = defaultdict(set)
        for name, path in self._path_of.items():
            if said[name] != DELETED and path in found and not isinstance(path, TaskFile):
                parts[path].add(name.rpartition("/")[2])
        return Removed(failed, missing=missing, parts={path: frozenset(kinds) for path, kinds in parts.items()})

    def _failed(self, said: Mapping[str, str]) -> dict[OwnedPath | LinkedFile, str]:
        """The paths of which something was not deleted, each with the first reason."""
        failed: dict[OwnedPath | LinkedFile, str] = {}
        for name, path in self._path_of.items():
            if said[name] not in {DELETED, NOT_FOUND}:
                failed.setdefault(path, said[name])
        return failed


def chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The names of one call each."""
    for start in range(0, len(names), PATHS_PER_CALL):
        yield names[start : start + PATHS_PER_CALL]


def task_of(path: OwnedPath) -> TaskId:
    """The task that a path belongs to."""
    return path.task if isinstance(path, TaskFolder) else path.folder.task


def is_too_long(path: str) -> bool:
    """Whether no file system can hold this path. A single one makes the fileserver refuse a whole call (files_long_names)."""
    if len(path) <= LONGEST_NAME and path.isascii():  # most are
        return False
    whole = path.encode()
    return len(whole) > LONGEST_PATH or any(len(segment) > LONGEST_NAME for segment in whole.split(b"/"))


def _quoted_names(path: OwnedPath) -> list[str]:
    """What is sent for a path, unless too long: for a part of a folder, those of the ``KINDS`` in which nothing is kept."""
    if isinstance(path, TaskFile) or (isinstance(path, TaskFolder) and path.is_report):
        return [] if is_too_long(path.path) else [quote(path.path)]
    kept = {rest.partition("/")[0] for rest in path.keep} if isinstance(path, PartOfFolder) else frozenset()
    folder = quote(path.path)
    return [f"{folder}/{kind}" for kind in sorted(KINDS - kept) if not is_too_long(f"{path.path}/{kind}")]
