"""What the server says about records that it was asked to delete or archive. An entry that can't be read means: not done."""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar

from msgspec import Raw, Struct

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, decoded
from cleanup_job.planning.records import NotDeleted

MISSING_TASK = (400, 101)


class Succeeded(Struct, frozen=True):
    """A record that was deleted."""

    id: str
    deleted: Literal[True] = True
    deleted_models: Raw = Raw(b"null")


class Archived(Struct, frozen=True):
    """A record that was archived."""

    id: str
    archived: Literal[True]


class _Error(Struct, frozen=True):
    codes: list[int]
    msg: str = ""


class Failed(Struct, frozen=True):
    """A record that was not deleted."""

    id: str
    error: _Error


Entry = TypeVar("Entry")


def entries(answer: Mapping[str, Raw], key: str, shape: type[Entry]) -> Iterator[Entry]:
    """The entries of a list that can be read."""
    for raw in _read(answer.get(key, Raw(b"[]")), list[Raw]) or ():
        entry = _read(raw, shape)
        if entry is not None:
            yield entry


def count(raw: Raw) -> int | None:
    """A number, or None if it is something else."""
    return _read(raw, int)


def _read(raw: Raw, shape: type[Entry]) -> Entry | None:
    try:
        return decoded(raw, shape)
    except DECODING_ERRORS:
        return None


def not_deleted(error: _Error) -> NotDeleted:
    """The outcome for a record, from the error in its entry."""
    status, subcode, *_ = [*error.codes, 0, 0]
    return NotDeleted(status, subcode, error.msg)
