"""Documents of a listing, one by one: what has another shape than the API promises concerns that document alone."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from msgspec import UNSET, Raw, UnsetType

from cleanup_job.clearml_api.documents import Entry
from cleanup_job.clearml_api.envelope import MISSHAPEN, decoded
from cleanup_job.errors import AnswerError
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Claimant, Model, Unreadable


@dataclass(frozen=True, slots=True)
class Misread:
    """A document in another shape than the API promises."""

    field: str
    """Where."""
    texts: Mapping[str, str]
    """What can be read all the same, of the fields that are texts."""
    mentions: frozenset[TaskId] = frozenset()
    """Whatever in it could be the id of a task."""
    last_update: UnsetType = UNSET

    @property
    def id(self) -> str:
        """Its id; empty where that can't be read."""
        return self.texts.get("id", "")

    def task(self) -> Unreadable:
        """As a task."""
        name, project, parent = (self.texts.get(name, "") for name in ("name", "project", "parent"))
        return Unreadable(TaskId(self.id), self.field, name, project, parent)

    def model(self) -> Model:
        """As a model; it counts as published."""
        uri, task = (self.texts.get(name, "") for name in ("uri", "task"))
        return Model(ModelId(self.id), uri, task, ready=True, unreadable=self.field, mentions=self.mentions)

    def claimant(self) -> Claimant:
        """Give it as what a task names."""
        return Claimant(TaskId(self.id), unreadable=self.field, mentions=self.mentions)


Shape = TypeVar("Shape", bound=Entry)


def page(data: Mapping[str, Raw], key: str, shape: type[Shape]) -> list[Shape | Misread]:
    """The documents in an answer. Two that have the same id and differ are both misread.

    Raises:
        AnswerError: the answer has no list of them.
    """
    try:
        raws = decoded(data[key], list[Raw])
    except (*MISSHAPEN, KeyError) as error:
        message = f"an answer without a list of {key}"
        raise AnswerError(message) from error
    found = [read(raw, shape) for raw in raws]
    if len({entry.id for entry in found}) == len(found):
        return found
    forms: dict[str, set[bytes]] = defaultdict(set)
    for entry, raw in zip(found, raws, strict=True):
        forms[entry.id].add(bytes(raw))
    return [
        _misread("id", raw) if entry.id and len(forms[entry.id]) > 1 else entry for entry, raw in zip(found, raws, strict=True)
    ]


def read(raw: Raw | bytes, shape: type[Shape]) -> Shape | Misread:
    """One document."""
    try:
        return decoded(raw, shape)
    except MISSHAPEN as error:
        return _misread(_place(error), raw)


_ID = re.compile(rb"[0-9a-f]{32}")


def _misread(field: str, raw: Raw | bytes) -> Misread:
    return Misread(field, _texts(raw), frozenset(TaskId(i.decode()) for i in _ID.findall(bytes(raw))))


_AT = re.compile(r"`\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]*)`")


def _place(error: Exception) -> str:
    """The field that could not be read, from a decoder's message."""
    text = str(error)
    at, missing = _AT.search(text), _MISSING.search(text)
    parts = [found[1] for found in (at, missing) if found]
    if not parts and text.isidentifier():  # of ``__post_init__``
        return text
    return ".".join(part for part in parts if part)[:100] or "the whole record"


def _texts(raw: Raw | bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        fields = decoded(raw, dict[str, Raw])
    except MISSHAPEN:
        return found
    for name in ("id", "name", "project", "parent", "uri", "task"):
        try:
            found[name] = decoded(fields[name], str)
        except (*MISSHAPEN, KeyError):
            continue
    return found
