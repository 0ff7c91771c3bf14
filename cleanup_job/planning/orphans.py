"""What looks exactly like a task folder, and what does not. Pure: no I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cleanup_job.planning.paths import KINDS, TaskFolder, TaskId, is_clean, names_a_task, report_folder


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or object in a listing, by its whole path in the store. ``size`` is in bytes."""

    path: str
    size: int
    modified: datetime


@dataclass(slots=True)
class FoundFolder:
    """A folder in a listing that is named like a task's."""

    folder: TaskFolder
    files: int = 0
    bytes: int = 0
    youngest: datetime | None = None
    """When a file in it was last changed."""
    changed: datetime | None = None
    """When it, or a folder in it, was last changed; for folders without files, in stores that have such."""
    odd: str = ""
    """A path in it that the SDK would not have made, if there is one: then the folder is never deleted."""

    def add(self, entry: Entry) -> None:
        """Count in a file of this folder."""
        self.files += 1
        self.bytes += entry.size
        self.youngest = max(self.youngest or entry.modified, entry.modified)
        self._see(entry.path, below=True)

    def add_folder(self, path: str, modified: datetime) -> None:
        """Take note of a folder in this one."""
        self.changed = max(self.changed or modified, modified)
        self._see(path, below=False)

    def _see(self, path: str, *, below: bool) -> None:
        """Note a path that the SDK can't have made: a file ``below`` one of its folders, or a folder."""
        rest = path[len(self.folder.path) + 1 :].split("/")
        made = _is_an_image(rest, below=below) if self.folder.is_report else _is_made_by_the_sdk(rest, below=below)
        if not (made and is_clean(path)):
            self.odd = self.odd or path


def _is_an_image(rest: list[str], *, below: bool) -> bool:
    """Whether a path in a report's folder is a file that is not in a folder there."""
    return below and len(rest) == 1


def _is_made_by_the_sdk(rest: list[str], *, below: bool) -> bool:
    """Whether a path in a task's folder is one of the ``KINDS``, or below one and not in the folder of another task."""
    kind, *inside = rest
    folders = inside[:-1] if below else inside
    return kind in KINDS and bool(inside or not below) and not any(map(names_a_task, folders))


def folder_of(store: str, path: str) -> TaskFolder | None:
    """The task folder that a file is in, or a report's: the first segment that is named like one, if a project is above it."""
    if (report := report_folder(store, path)) is not None:
        return report if is_clean(report.path) else None
    segments = path.split("/")
    at = next((n for n, segment in enumerate(segments[:-1]) if names_a_task(segment)), 0)
    top = "/".join(segments[: at + 1])
    return TaskFolder(store, top, TaskId(top.rpartition(".")[2])) if at and is_clean(top) else None


def grouped(store: str, entries: Iterable[Entry]) -> Iterator[FoundFolder]:
    """The folders in a listing that is in the order of its paths, as object stores give it; one is in memory at a time."""
    now: FoundFolder | None = None
    for entry in entries:
        folder = folder_of(store, entry.path)
        if now is not None and folder != now.folder:
            yield now
            now = None
        if folder is not None:
            now = now or FoundFolder(folder)
            now.add(entry)
    if now is not None:
        yield now
