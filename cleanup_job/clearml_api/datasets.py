"""The versions that a dataset version is made of, from the ``Dataset Struct`` in its record, JSON that the SDK writes."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from cleanup_job.clearml_api.documents import Entry, Maybe, dataset_ids
from cleanup_job.clearml_api.listed_documents import Malformed
from cleanup_job.planning.paths import TaskId

_ID = re.compile(r"[0-9a-f]{32}")


class _Struct(Struct, frozen=True):
    value: str = ""


class _Configuration(Struct, frozen=True, rename={"struct": "Dataset Struct"}):
    struct: _Struct | UnsetType = UNSET


class _Version(Entry, frozen=True, kw_only=True):
    system_tags: tuple[str, ...]
    configuration: _Configuration
    project: Maybe = UNSET


class Ancestors:
    """Reads the ancestors of all dataset versions.

    If it can't be read which they are, they may be all versions whose ids are in the text, and all versions in the same
    project, which is where the SDK keeps the versions of one dataset. A version without a struct has none.
    """

    def __init__(self, pages: Callable[..., Iterator[Any]]) -> None:
        """``pages`` reads listings."""
        self._pages = pages

    def read(self) -> Iterator[tuple[TaskId, frozenset[TaskId]]]:
        """Each version, with those that it needs, or may need, to be readable."""
        guesses: list[tuple[TaskId, str, frozenset[TaskId]]] = []
        for entry in self._versions(["id", "system_tags", "project", "configuration.Dataset Struct"], _Version):
            version = TaskId(entry.id)
            if isinstance(entry, Malformed):
                guesses.append((version, entry.texts.get("project", ""), frozenset()))
            elif "dataset" in entry.system_tags:
                text = "" if isinstance(entry.configuration.struct, UnsetType) else entry.configuration.struct.value
                named = dataset_ids(text or "{}")
                if named is None:
                    guesses.append((version, entry.project or "", frozenset(map(TaskId, _ID.findall(text)))))
                else:
                    yield version, named - {version}
        if guesses:
            yield from self._guessed(guesses)

    def _guessed(self, guesses: list[tuple[TaskId, str, frozenset[TaskId]]]) -> Iterator[tuple[TaskId, frozenset[TaskId]]]:
        inside: dict[str, set[TaskId]] = defaultdict(set)
        projects = {project for _, project, _ in guesses}
        for entry in self._versions(["id", "project"], _Place):
            project = entry.texts.get("project", "") if isinstance(entry, Malformed) else entry.project or ""
            for one in {project, ""} & projects:  # without a project, it may be in any
                inside[one].add(TaskId(entry.id))
        for version, project, named in guesses:
            yield version, (named | inside[project]) - {version}

    def _versions(self, fields: list[str], shape: type[Entry]) -> Iterator[Any]:
        return self._pages("tasks", {"system_tags": ["dataset"], "search_hidden": True, "only_fields": fields}, shape)


class _Place(Entry, frozen=True, kw_only=True):
    project: Maybe = UNSET
