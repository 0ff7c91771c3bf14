"""JSON of ClearML's answers, read strictly. Every answer has an envelope: ``{"meta": {…}, "data": {…}}``."""

import re
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

T = TypeVar("T")
DEEPEST = 100
"""Levels of nesting that are read: as many as the server's database allows in a document."""
DECODING_ERRORS = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding raises if JSON is malformed, has another shape, or is nested too deeply."""
_NOT_FINITE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|NaN|-?Infinity', re.DOTALL)
"""A number that is not finite; or a text, in which such words are not numbers."""
_MARK = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


class Meta(Struct, frozen=True):
    """The result of a call."""

    result_code: int
    result_subcode: int = 0
    result_msg: str | None = None


class Envelope(Struct, frozen=True):
    """An answer whose ``data`` is not decoded yet."""

    meta: Meta
    data: Raw


def opened(body: bytes, *, nan_as_null: bool = False) -> Envelope:
    """The envelope of an answer.

    Args:
        body: The answer.
        nan_as_null: Whether NaN and infinite numbers, which JSON does not have and ClearML's JSON library writes all the same,
            are read as null. Otherwise an answer with any can't be read.

    Raises:
        DECODING_ERRORS: the answer has none.
    """
    try:
        return decoded(body, Envelope)
    except RecursionError:
        return decoded(shallow(body), Envelope)
    except msgspec.DecodeError:
        if not nan_as_null:
            raise
        return decoded(_NOT_FINITE.sub(lambda found: found[0] if found[0][:1] == b'"' else b"null", body), Envelope)


def decoded(text: bytes | Raw | str, shape: type[T]) -> T:
    """Decode JSON of a certain shape.

    Raises:
        DECODING_ERRORS: it has another shape.
    """
    found: T = _decoder(shape).decode(text)  # type: ignore[arg-type]  # types are hashable
    return found


@cache
def _decoder(shape: Any) -> Any:
    return msgspec.json.Decoder(shape)


def shallow(text: bytes) -> bytes:
    """The JSON with null in place of everything deeper than ``DEEPEST`` levels, so that only the document around it suffers."""
    kept: list[bytes] = []
    depth = start = 0
    for mark in _MARK.finditer(text):
        sign = mark[0][:1]
        if sign in b"[{":
            depth += 1
            if depth == DEEPEST + 1:
                kept += (text[start : mark.start()], b"null")
        elif sign in b"]}":
            depth -= 1
            if depth == DEEPEST:
                start = mark.end()
    if depth <= DEEPEST:
        kept.append(text[start:])
    return b"".join(kept)
