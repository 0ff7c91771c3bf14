"""The documents of a listing, read one by one: a malformed document does not affect the others."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from msgspec import UNSET, Raw

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, decoded
from cleanup_job.clearml_api.documents import FIRST_YEAR, LAST_YEAR, Entry, MaybeTime, when
from cleanup_job.errors import AnswerError
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Claimant, Model, Unreadable


@dataclass(frozen=True, slots=True)
class Malformed:
    """A document that does not have the shape that the API promises."""

    field: str
    """The first field that is wrong."""
    texts: Mapping[str, str]
    """The text fields that can be read nevertheless."""
    mentions: frozenset[TaskId] = frozenset()
    """Everything in it that may be the id of a task."""
    last_update: MaybeTime = UNSET
    """Its time, if that can be read."""

    @property
    def id(self) -> str:
        """Its id; empty if that can't be read."""
        return self.texts.get("id", "")

    def task(self) -> Unreadable:
        """The document as a task."""
        name, project, parent = (self.texts.get(name, "") for name in ("name", "project", "parent"))
        return Unreadable(TaskId(self.id), self.field, name, project, parent)

    def model(self) -> Model:
        """The document as a model, which counts as published."""
        uri, task = (self.texts.get(name, "") for name in ("uri", "task"))
        return Model(ModelId(self.id), uri, task, ready=True, unreadable=self.field, mentions=self.mentions)

    def claimant(self, _: Mapping[ModelId, TaskId]) -> Claimant:
        """The document as what a task names: which models it lists can't be known."""
        return Claimant(TaskId(self.id), unreadable=self.field, mentions=self.mentions)


Shape = TypeVar("Shape", bound=Entry)


def page(data: Mapping[str, Raw], key: str, shape: type[Shape]) -> list[Shape | Malformed]:
    """The documents in an answer. Two documents that have the same id and differ are both malformed.

    Raises:
        AnswerError: the answer has no list of them.
    """
    try:
        raw = data[key]
        found: list[Shape | Malformed] = [*_all_at_once(raw, shape)]
        if _are_different(found):
            return found
        raws = decoded(raw, list[Raw])
    except (*DECODING_ERRORS, KeyError) as error:
        message = f"an answer without a list of {key}"
        raise AnswerError(message) from error
    found = [read(raw, shape) for raw in raws]
    return found if _are_different(found) else _without_doubles(found, raws)


def raw_documents(data: Mapping[str, Raw], key: str) -> list[tuple[Raw, Entry]]:
    """The documents in an answer as JSON, each with its id; without those whose id can't be read.

    Raises:
        AnswerError: the answer has no list of them.
    """
    try:
        raws = decoded(data[key], list[Raw])
    except (*DECODING_ERRORS, KeyError) as error:
        message = f"an answer without a list of {key}"
        raise AnswerError(message) from error
    read_ones = ((raw, read(raw, Entry)) for raw in raws)
    return [(raw, entry) for raw, entry in read_ones if isinstance(entry, Entry)]


def _all_at_once(raw: Raw, shape: type[Shape]) -> list[Shape]:
    """All documents of a page, in a third of the time that one by one takes; none if any of them is malformed."""
    try:
        return decoded(raw, list[shape])  # type: ignore[valid-type]  # a type at run time
    except DECODING_ERRORS:
        return []


def _are_different(found: Sequence[Entry | Malformed]) -> bool:
    """Whether there are any, each with an id of its own."""
    return bool(found) and len({entry.id for entry in found}) == len(found)


def _without_doubles(found: list[Shape | Malformed], raws: Sequence[Raw]) -> list[Shape | Malformed]:
    forms: dict[str, set[bytes]] = defaultdict(set)
    for entry, raw in zip(found, raws, strict=True):
        forms[entry.id].add(bytes(raw))
    return [
        _malformed("id", raw) if entry.id and len(forms[entry.id]) > 1 else entry
        for entry, raw in zip(found, raws, strict=True)
    ]


def read(raw: Raw | bytes, shape: type[Shape]) -> Shape | Malformed:
    """One document."""
    try:
        return decoded(raw, shape)
    except DECODING_ERRORS as error:
        return _malformed(_place(error), raw)


_ID = re.compile(rb"[0-9a-f]{32}")


def _malformed(field: str, raw: Raw | bytes) -> Malformed:
    texts = _texts(raw)
    return Malformed(field, texts, frozenset(TaskId(i.decode()) for i in _ID.findall(bytes(raw))), _time(texts))


def _time(texts: Mapping[str, str]) -> MaybeTime:
    time = when(texts.get("last_update"))
    return time if time is not None and FIRST_YEAR <= time.year <= LAST_YEAR else UNSET


_AT = re.compile(r"`\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]*)`")


def _place(error: Exception) -> str:
    """The field that could not be read, from the message of the decoder."""
    text = str(error)
    at, missing = _AT.search(text), _MISSING.search(text)
    parts = [found[1] for found in (at, missing) if found]
    if not parts and text.isidentifier():  # from ``__post_init__``
        return text
    return ".".join(part for part in parts if part)[:100] or "the whole record"


def _texts(raw: Raw | bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        fields = decoded(raw, dict[str, Raw])
    except DECODING_ERRORS:
        return found
    for name in ("id", "name", "project", "parent", "uri", "task", "last_update"):
        try:
            found[name] = decoded(fields[name], str)
        except (*DECODING_ERRORS, KeyError):
            continue
    return found
