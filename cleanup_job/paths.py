"""Where an output's bytes are, and the only paths that can be deleted.

The ClearML SDK writes everything of a task below ``<destination>/<project>/<task name>.<task id>/``. A path that is not a task
folder of the task in question, or a file in one, can't be constructed, and what can't be constructed can't be deleted.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType

TaskId = NewType("TaskId", str)
ModelId = NewType("ModelId", str)

_ID = re.compile(r"[0-9A-Za-z_-]{8,64}")
_FOLDER_OF_A_TASK = re.compile(r".*\.[0-9a-f]{32}", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a store: the store's name, and the path in it as the store itself spells it (no leading slash)."""

    store: str
    path: str


Locate = Callable[[str], Location | None]
"""Gives the place that a URI names, or None where no configured store holds it."""


def names_a_task(segment: str) -> bool:
    """Whether a segment of a path is named like a task folder that the ClearML SDK made: it ends in 32 hexadecimal digits."""
    return _FOLDER_OF_A_TASK.fullmatch(segment) is not None


def in_no_folder(path: str) -> bool:
    """Whether a path lies in no folder that is named like a task's."""
    return not any(names_a_task(segment) for segment in path.split("/")[:-1])


def is_clean(path: str) -> bool:
    """Whether a path means just what it says: no empty, ``.`` or ``..`` segment, nothing a store could read in another way."""
    return "\x00" not in path and "\ufffd" not in path and not ({"", ".", ".."} & set(path.split("/")))


@dataclass(frozen=True, slots=True, order=True)
class TaskFolder:
    """The folder that a task wrote to: its last segment ends in ``.<task id>``, and it has a parent.

    Raises:
        ValueError: the path is none of this task's folders.
    """

    store: str
    path: str
    task: TaskId

    def __post_init__(self) -> None:
        parent, _, last = self.path.rpartition("/")
        if not (_ID.fullmatch(self.task) and is_clean(self.path) and parent and last.endswith("." + self.task)):
            message = f"{self.path!r} is no folder of task {self.task!r}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, order=True)
class TaskFile:
    """A file in a task folder; ``rest`` is its path below the folder.

    Raises:
        ValueError: the path leaves the folder.
    """

    folder: TaskFolder
    rest: str

    def __post_init__(self) -> None:
        if not is_clean(self.rest):
            message = f"{self.rest!r} is no file in {self.folder.path!r}"
            raise ValueError(message)

    @property
    def store(self) -> str:
        """The store's name."""
        return self.folder.store

    @property
    def path(self) -> str:
        """The whole path in the store."""
        return f"{self.folder.path}/{self.rest}"


@dataclass(frozen=True, slots=True, order=True)
class LinkedFile:
    """A file that a task only links to; deleted, alone and never as a folder, only where ``external_files`` is ``delete``.

    Raises:
        ValueError: the path is not clean, or lies in the folder of some task: that one is not a link's to give away.
    """

    store: str
    path: str

    def __post_init__(self) -> None:
        if not (is_clean(self.path) and "/" in self.path and in_no_folder(self.path)):
            message = f"{self.path!r} may not be deleted as a linked file"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, order=True)
class PartOfFolder:
    """A task folder but for some paths in it, each of which stays with everything below; for stores that can list.

    Raises:
        ValueError: nothing is to stay, or a path leaves the folder.
    """

    folder: TaskFolder
    keep: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.keep or not all(is_clean(path) for path in self.keep):
            message = f"{self.keep!r} are no paths in {self.folder.path!r}"
            raise ValueError(message)

    @property
    def store(self) -> str:
        """The store's name."""
        return self.folder.store

    @property
    def path(self) -> str:
        """The folder's path in the store."""
        return self.folder.path


OwnedPath = TaskFolder | TaskFile | PartOfFolder
"""What the storage room accepts."""


def left_alone(path: OwnedPath, rest: str) -> bool:
    """Whether what lies at ``rest`` below a folder is left where it is when the folder goes.

    That is what was asked to stay, and what lies in the folder of another task: its record answers for it.
    """
    folder, keep = (path.folder, path.keep) if isinstance(path, PartOfFolder) else (path, ())
    others = (segment for segment in rest.split("/")[:-1] if names_a_task(segment))
    assert isinstance(folder, TaskFolder)  # noqa: S101 -- a single file has nothing below it
    return any(overlaps(kept, rest) for kept in keep) or any(not other.endswith("." + folder.task) for other in others)


def owned_file(place: Location, task: TaskId) -> TaskFile | None:
    """The file of this task that a place is, or None where it lies in no folder of the task.

    Where several segments end in the task's id the deepest one counts: it can't hold another task's folder.
    """
    if not is_clean(place.path):
        return None
    segments = place.path.split("/")
    for at in range(len(segments) - 2, 0, -1):
        if segments[at].endswith("." + task):
            folder = TaskFolder(place.store, "/".join(segments[: at + 1]), task)
            return TaskFile(folder, "/".join(segments[at + 1 :]))
    return None


def tasks_named_in(path: str) -> set[TaskId]:
    """The tasks whose folder this path is or could lie in, by the ids that its segments end in."""
    return {TaskId(segment.rpartition(".")[2]) for segment in path.split("/") if "." in segment}


def overlaps(one: str, other: str) -> bool:
    """Whether one of two paths is the other, or lies in it."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")
