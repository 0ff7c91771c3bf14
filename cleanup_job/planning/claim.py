"""What a record names in the folder of another task, however it spells the address.

Records can have many addresses for one file: another host name, ``//`` or ``/./`` in the path, a query, a final slash,
quoted once more or once less than the stored name. Which of these a store would accept is not known here, so every reading
counts: a claim too many keeps a file, a claim too few loses it. Pure: no I/O.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from cleanup_job.planning.paths import KINDS, Locate, TaskFolder, TaskId, is_clean, unquoted
from cleanup_job.planning.records import Model

ClaimScope = Literal["all", "pipelines", "off"]
"""Which tasks' artifacts, destinations and lists of models are read as claims: those of all tasks, those of pipeline
controllers and drafts (tasks are imported as drafts), or of none."""
_ID = re.compile(r"(?:\.|reports[/\\]+(?:\.[/\\]+)*)([0-9a-f]{32})(?![0-9a-f])")
_NETWORK = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/\\]*")
_MARKS = re.compile(r"[?#;&=]")
_DEEPEST = 4
"""How often an address may be quoted. The SDK has been seen to quote twice."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An address in a record, and whose record it is."""

    by: str
    """The id of the model or task whose record has it."""
    maker: TaskId
    """The task whose deletion ends the claim: the task itself, or the model's maker; empty if it has no maker."""
    uri: str
    real: str = ""
    """Where a mounted folder really holds it, if that path is another one."""
    is_model: bool = False
    writes: bool = False
    """Whether it is a place that the task writes to: its files below cannot be listed."""

    def as_now(self, model: Model | None) -> "Claim | None":
        """The claim by its model's record as that is now; None if it has ended. A task's claim stays as it is."""
        if not self.is_model:
            return self
        if model is None:
            return None
        if model.unreadable:
            return replace(self, maker=TaskId(""))
        return replace(self, maker=TaskId(model.task)) if model.uri == self.uri else None

    @property
    def name(self) -> str:
        """The last part of its path, as the most usual reading has it."""
        return unquoted(_MARKS.split(self.uri, maxsplit=1)[0]).rstrip("/").rpartition("/")[2]

    def inside(self, folder: TaskFolder, locate: Locate) -> Iterator[str]:
        """Yield the paths below a task folder that this claim can mean; empty for the folder itself.

        A clean address in the same store names one folder exactly, under each way to quote it, and one that can be read in more
        ways those of the same name. Any other one counts for each folder of the task: its id is all that has to be the same.
        """
        place = None if self.real else locate(self.uri)
        if place is None or place.store != folder.store or place.store.startswith("file://"):
            yield from self._paths_in(folder)
        elif _is_ambiguous(self.uri) or not is_clean(place.path):
            name = folder.path.rpartition("/")[2]
            yield from self.paths_below(folder.task, {name, *_decoded(name)})
        else:
            paths = (place.path, *place.others)
            if any(path == folder.path or path.startswith(folder.path + "/") for path in paths):
                # The folder may be quoted in another way than what is below it.
                below = folder.path.count("/") + 1
                yield from {"/".join(path.split("/")[below:]) for path in paths}

    def _paths_in(self, folder: TaskFolder) -> Iterator[str]:
        """Yield every path that this claim can mean below a folder of a task: of a report's images, or of what it wrote."""
        for path in self._readings():
            for at in range(len(path)):
                if _is_folder_of(folder.task, path, at) and (path[at] == folder.task) == folder.is_report:
                    yield "/".join(path[at + 1 :])

    def paths_below(self, task: TaskId, names: Container[str] | None = None) -> Iterator[str]:
        """Yield every path that this claim can mean below a folder of a task with one of these names, or with any name."""
        for path in self._readings():
            for at, segment in enumerate(path):
                if _is_folder_of(task, path, at) if names is None else segment in names:
                    yield "/".join(path[at + 1 :])

    def _readings(self) -> set[tuple[str, ...]]:
        return readings(self.uri) | (readings(self.real) if self.real else set())

    def kinds(self, task: TaskId) -> frozenset[str]:
        """Those of the ``KINDS`` that this claim can mean a file in, in any folder of a task."""
        tops = {path.partition("/")[0] for path in self.paths_below(task)}
        return KINDS if "" in tops else KINDS & tops

    def can_mean(self, path: str) -> bool:
        """Whether the claim can mean a file outside of all task folders, by the end of its path."""
        wanted = path.split("/")
        for found in readings(self.uri):
            shorter = min(len(found), len(wanted))
            if shorter and list(found[-shorter:]) == wanted[-shorter:]:
                return True
        return False


def _is_folder_of(task: TaskId, path: tuple[str, ...], at: int) -> bool:
    return path[at].endswith("." + task) or (path[at] == task and path[max(at - 1, 0)] == "reports")


def task_ids_in(text: str) -> set[TaskId]:
    """The tasks whose folder an address can name: each id after a dot, or of a report, under any quoting."""
    found: set[TaskId] = set(_ID.findall(text))
    for _ in range(_DEEPEST):  # whether a plus means a space makes no difference here
        before, text = text, unquoted(text)
        if text == before:
            break
        found.update(_ID.findall(text))
    return found


def readings(uri: str) -> set[tuple[str, ...]]:
    """Every path that an address can be read as, in its segments, without the host."""
    found: set[tuple[str, ...]] = set()
    for form in {uri, *_decoded(uri)}:
        path = _NETWORK.sub("", form)
        cuts = {mark.start() for mark in _MARKS.finditer(path)}
        variants = {path, _MARKS.sub("/", path), *(path[:cut] for cut in sorted(cuts)[:_DEEPEST])}
        for variant in variants:
            parts = [part for part in variant.replace("\\", "/").split("/") if part not in {"", "."}]
            found.add(tuple(part for part in parts if part != ".."))
            found.add(_climbed(parts))
    return found - {()}


def _decoded(text: str) -> set[str]:
    """A text unquoted once, twice …; and once with each plus as a space."""
    found = {unquoted(text.replace("+", " "))}
    for _ in range(_DEEPEST):
        before, text = text, unquoted(text)
        found.add(text)
        if text == before:
            break
    return found


def _climbed(parts: list[str]) -> tuple[str, ...]:
    path: list[str] = []
    for part in parts:
        if part != "..":
            path.append(part)
        elif path:
            path.pop()
    return tuple(path)


def _is_ambiguous(uri: str) -> bool:
    """Whether an address can name more than one path in its store."""
    rest = _NETWORK.sub("", uri)
    return "\\" in rest or "+" in rest or _MARKS.search(rest) is not None or "%" in unquoted(rest)
