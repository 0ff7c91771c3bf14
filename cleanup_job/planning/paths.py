"""Where an output's bytes are, and the only paths that can be deleted.

The ClearML SDK writes everything of a task below ``<destination>/<project>/<task name>.<task id>/``, in three folders
(``KINDS``), the Web UI the images of a report below ``<files>/reports/<report id>/``. A path that is not a task folder of the
task in question, or a file in one, can't be constructed, and what can't be constructed can't be deleted.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NewType
from urllib.parse import unquote

TaskId = NewType("TaskId", str)
ModelId = NewType("ModelId", str)

KINDS = frozenset({"artifacts", "models", "metrics"})
"""What the ClearML SDK makes in a task folder, and all that is deleted of one without being named."""
_ID = re.compile(r"[0-9a-f]{32}")
"""As ClearML Server makes ids: the hexadecimal digits of a UUID, in lower case."""
_FOLDER_OF_A_TASK = re.compile(r".*\.[0-9a-f]{32}", re.DOTALL)
_BELOW_A_TASK = re.compile(r"\.[0-9a-f]{32}/")
_UNCLEAN = frozenset({"", ".", ".."})
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character, which JSON can hold and no store's path can."""
_IN_A_FOLDER = re.compile(r"(?:\.|(?:^|/)reports/)[0-9a-f]{32}/")
AUDIT_LOG = "clearml-cleanup-audit-"
"""How the name of every audit log begins: of its file, or of the folder with its parts."""
_REPORTS = "reports"
"""What the Web UI calls the folder that has one for each report."""


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a store: the store's name, and the path in it as the store itself spells it (no leading slash)."""

    store: str
    path: str
    others: tuple[str, ...] = field(default=(), compare=False)
    """Paths that the same URI can mean, should its writer have quoted it once less or once more than usual."""
    doubtful: bool = field(default=False, compare=False)
    """Whether ClearML's SDK can have written one of these."""


_ESCAPES = re.compile("(?:%[0-9A-Fa-f]{2})+")
_AS_THEY_ARE = frozenset("'[]{}()$^,.; -_+=/")
"""What the SDK leaves as it is in the names of folders: where an address has it quoted, all of the address is quoted."""


_ASCII = {form: chr(code) for code in range(128) for form in (f"{code:02x}", f"{code:02X}")}
"""ASCII characters by their two hexadecimal digits."""
_LEFT_QUOTED = frozenset(form for form, character in _ASCII.items() if character in _AS_THEY_ARE)


def read_as(store: str, text: str, *, quoted: bool, doubted: bool = True) -> Location:
    """The place that a URI's text below a store means, and what else it can mean.

    The SDK quotes names before they become paths, and addresses once more; some of its releases and calls leave out the second
    quoting, or do it twice.

    Args:
        store: The store's name.
        text: The URI's text below the store's address.
        quoted: Whether paths are quoted in URIs, as the fileserver's are; elsewhere the text itself is the path.
        doubted: Whether the SDK has been seen to write addresses for such stores in another way.
    """
    if "%" not in text:
        return Location(store, text)
    once = unquoted(text)
    ways = [way.lstrip("/") for way in (once, text, unquoted(once))] if quoted else [text, once]
    path, *others = dict.fromkeys(ways)
    return Location(store, path, tuple(others), doubted and not _is_as_the_sdk_quotes(text))


def _is_as_the_sdk_quotes(text: str) -> bool:
    """Whether nothing is quoted in a text but what the SDK leaves as it is in names."""
    if _LEFT_QUOTED.issuperset([part[:2] for part in text.split("%")[1:]]):
        return True
    return all(_AS_THEY_ARE.issuperset(unquoted(found)) for found in _ESCAPES.findall(text))


def unquoted(text: str) -> str:
    """What ``urllib.parse.unquote`` returns, several times as fast for what most addresses have, such as ``%20``."""
    if "%" not in text:
        return text
    plain, *quoted = text.split("%")
    try:
        return plain + "".join([_ASCII[part[:2]] + part[2:] for part in quoted])
    except KeyError:
        return unquote(text)


Locate = Callable[[str], Location | None]
"""Gives the place that a URI names, or None if no configured store holds it."""


def is_task_id(text: str) -> bool:
    """Whether this is an id as ClearML Server makes them; a task with any other id has no folder that may be deleted."""
    return _ID.fullmatch(text) is not None


def names_a_task(segment: str) -> bool:
    """Whether a segment of a path is named like a task folder that the ClearML SDK made: it ends in 32 hexadecimal digits."""
    return _FOLDER_OF_A_TASK.fullmatch(segment) is not None


def in_no_folder(path: str) -> bool:
    """Whether a path lies in no folder that is named like a task's."""
    return _IN_A_FOLDER.search(path) is None


def is_clean(path: str) -> bool:
    """Whether a path means just what it says: no empty, ``.`` or ``..`` segment, nothing a store could read in another way."""
    if "\x00" in path or not (path.isascii() or ("\ufffd" not in path and _SURROGATE.search(path) is None)):
        return False
    return _UNCLEAN.isdisjoint(path.split("/"))


def names_an_audit_log(path: str) -> bool:
    """Whether a path is, or lies in, what is named like an audit log."""
    return any(part.casefold().startswith(AUDIT_LOG) for part in path.replace("\\", "/").split("/"))


@dataclass(frozen=True, slots=True, order=True)
class TaskFolder:
    """The folder that a task wrote to: its last segment ends in ``.<task id>``, and it has a parent.

    Only what lies in its ``KINDS`` is deleted with it. What else lies there is deleted where it is named, as a ``TaskFile``.
    A report's folder is called like its id, lies in one called ``reports``, and has no ``KINDS``: all of it is the report's.

    Raises:
        ValueError: the path is not a folder of this task, or the task's id is not 32 hexadecimal digits.
    """

    store: str
    path: str
    task: TaskId

    def __post_init__(self) -> None:
        parent, _, last = self.path.rpartition("/")
        named = self.is_report or (parent and last.endswith("." + self.task))
        if not (is_task_id(self.task) and is_clean(self.path) and named):
            message = f"{self.path!r} is not a folder of task {self.task!r}"
            raise ValueError(message)

    @property
    def is_report(self) -> bool:
        """Whether it has the images of a report."""
        return f"/{self.path}".endswith(f"/{_REPORTS}/{self.task}")


@dataclass(frozen=True, slots=True, order=True)
class TaskFile:
    """A file in a task folder; ``rest`` is its path below the folder.

    Raises:
        ValueError: the path leaves the folder, or leads into the folder of another task in it.
    """

    folder: TaskFolder
    rest: str

    def __post_init__(self) -> None:
        if not is_clean(self.rest) or _in_folder_of_another(self.rest, self.folder.task):
            message = f"{self.rest!r} is not a file of task {self.folder.task!r} in {self.folder.path!r}"
            raise ValueError(message)

    @property
    def store(self) -> str:
        """The store's name."""
        return self.folder.store

    @property
    def path(self) -> str:
        """The whole path in the store."""
        return f"{self.folder.path}/{self.rest}"

    @property
    def is_beside(self) -> bool:
        """Whether it lies beside the ``KINDS``, where nothing is deleted with the folder."""
        return not self.kind

    @property
    def kind(self) -> str:
        """Which of the ``KINDS`` it lies in; empty if it lies beside them."""
        kind, _, below = self.rest.partition("/")
        return kind if below and kind in KINDS and not self.folder.is_report else ""


@dataclass(frozen=True, slots=True, order=True)
class LinkedFile:
    """A file that a task only links to; deleted, alone and never as a folder, only where ``external_files`` is ``delete``.

    Raises:
        ValueError: the path is not clean, lies in the folder of some task, or is an audit log: not a link's to give away.
    """

    store: str
    path: str

    def __post_init__(self) -> None:
        named = is_clean(self.path) and "/" in self.path and in_no_folder(self.path.replace("\\", "/"))
        if not named or names_an_audit_log(self.path):
            message = f"{self.path!r} may not be deleted as a linked file"
            raise ValueError(message)


class KeptPaths:
    """Paths in a folder that are kept, each with everything below: asked for each file in it, however many they are."""

    __slots__ = ("_above", "_all", "_paths")

    def __init__(self, paths: Iterable[str]) -> None:
        """Take clean paths, or an empty one for the whole folder."""
        self._paths = frozenset(paths)
        self._all = "" in self._paths
        self._above = frozenset(above for path in self._paths for above in _above(path))

    def holds(self, rest: str) -> bool:
        """Whether a path is one of them, or lies in one."""
        return self._all or rest in self._paths or any(above in self._paths for above in _above(rest))

    def touches(self, rest: str) -> bool:
        """Whether a path is one of them, lies in one, or has one below it."""
        return self.holds(rest) or rest in self._above


def _above(path: str) -> Iterator[str]:
    """Every folder that a path lies in."""
    at = path.rfind("/")
    while at >= 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


@dataclass(frozen=True, slots=True, order=True)
class PartOfFolder:
    """A task folder without some paths in it, each of which is kept with everything below; for stores that can list.

    Raises:
        ValueError: there is nothing to keep, or a path leaves the folder.
    """

    folder: TaskFolder
    keep: tuple[str, ...]
    kept: KeptPaths = field(init=False, repr=False, compare=False)
    """The same, to be asked."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", KeptPaths(self.keep))
        if not self.keep or not all(is_clean(path) for path in self.keep):
            message = f"{self.keep!r} are not paths in {self.folder.path!r}"
            raise ValueError(message)

    @property
    def store(self) -> str:
        """The store's name."""
        return self.folder.store

    @property
    def path(self) -> str:
        """The folder's path in the store."""
        return self.folder.path


_NOTHING_KEPT = KeptPaths(())
OwnedPath = TaskFolder | TaskFile | PartOfFolder
"""What a store may be asked to delete."""


def left_alone(path: OwnedPath, rest: str) -> bool:
    """Whether a file at ``rest`` below a folder is kept when the folder is deleted.

    That is what lies beside the ``KINDS``, what was asked to be kept, and what lies in the folder of another task: its record
    answers for it.
    """
    kind, _, below = rest.partition("/")
    folder, kept = _folder_and_kept(path)
    beside = not folder.is_report and (kind not in KINDS or not below)
    return beside or kept.touches(rest) or _in_folder_of_another(rest, folder.task)


def left_alone_whole(path: OwnedPath, rest: str) -> bool:
    """Whether a folder at ``rest`` below a task folder is kept with everything in it, so that it need not be listed."""
    folder, kept = _folder_and_kept(path)
    beside = not folder.is_report and rest.partition("/")[0] not in KINDS
    return beside or kept.holds(rest) or _in_folder_of_another(f"{rest}/", folder.task)


def _folder_and_kept(path: OwnedPath) -> tuple[TaskFolder, KeptPaths]:
    if isinstance(path, PartOfFolder):
        return path.folder, path.kept
    assert isinstance(path, TaskFolder)  # noqa: S101 -- a single file has nothing below it
    return path, _NOTHING_KEPT


def _in_folder_of_another(rest: str, task: TaskId) -> bool:
    """Whether a path below a folder of this task leads through the folder of another one."""
    if _BELOW_A_TASK.search(rest) is None:
        return False
    return any(names_a_task(segment) and not segment.endswith("." + task) for segment in rest.split("/")[:-1])


_folder = lru_cache(256)(TaskFolder)
"""The outputs of a task are read one after the other, and lie in one folder or two."""


def owned_file(place: Location, task: TaskId) -> TaskFile | None:
    """The file of this task that a place is, or None if it lies in no folder of the task, or in another task's below it.

    Where several segments end in the task's id the deepest one counts.
    """
    if not (is_task_id(task) and is_clean(place.path)):
        return None
    segments = place.path.split("/")
    for at in range(len(segments) - 2, 0, -1):
        if segments[at].endswith("." + task):
            rest = "/".join(segments[at + 1 :])
            folder = _folder(place.store, "/".join(segments[: at + 1]), task)
            return None if _in_folder_of_another(rest, task) else TaskFile(folder, rest)
    return None


def report_file(place: Location, report: TaskId) -> TaskFile | None:
    """The image of this report that a place is, or None if it does not lie in the report's own folder."""
    if not (is_task_id(report) and is_clean(place.path)):
        return None
    above, found, rest = f"/{place.path}".rpartition(f"/{_REPORTS}/{report}/")
    if not (found and rest):
        return None
    folder = TaskFolder(place.store, f"{above}/{_REPORTS}/{report}".lstrip("/"), report)
    return None if _in_folder_of_another(rest, report) else TaskFile(folder, rest)


def report_folder(store: str, path: str) -> TaskFolder | None:
    """The report's folder that a file is in, where the Web UI makes it: at the top of a store."""
    top, report, *below = [*path.split("/"), ""]
    named = top == _REPORTS and is_task_id(report) and len(below) > 1
    return TaskFolder(store, f"{top}/{report}", TaskId(report)) if named else None
