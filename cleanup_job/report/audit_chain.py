"""The chain of an audit log: each line has the hash of the one before it and its own, so that one changed byte is found.

A line is one JSON object in ASCII. It begins with ``previous``, the hash of the line before, and ends with ``sha256``, the hash
of all that stands before that. The first line's ``previous`` is the hash of the settings that it lists. Pure: no I/O.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

Line = Mapping[str, Any]
_LINE = re.compile(rb'(\{"previous":"([0-9a-f]{64})","line":([1-9][0-9]*),.*),"sha256":"([0-9a-f]{64})"\}\n', re.DOTALL)


def hash_of_settings(settings: Any) -> str:
    """What the chain begins with: the hash of the settings in the first line."""
    return sha256(_dumps(settings).encode()).hexdigest()


class Chain:
    """Makes the lines of one log, in their order. Not safe to use from many threads."""

    def __init__(self, first: str) -> None:
        """``first`` is the hash that the chain begins with."""
        self.last = first
        """The hash of the last line so far."""
        self.lines = 0

    def line(self, fields: Line) -> bytes:
        """The next line. Secrets have to be masked before."""
        self.lines += 1
        text = _dumps({"previous": self.last, "line": self.lines, **fields})[:-1].encode()
        self.last = sha256(text).hexdigest()
        return text + f',"sha256":"{self.last}"}}\n'.encode()


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


@dataclass(frozen=True, slots=True)
class Link:
    """A line that was read, and whether it is where and what it was when it was written."""

    number: int
    """From 1, as it is counted when the log is read."""
    fields: Line
    """Empty if it can't be read."""
    hash: str
    problem: str = ""
    """Why it is not as it was written; empty if it is."""
    torn: bool = False
    """Whether only the beginning of a line is there: the run was ended while it wrote that line."""


def links(lines: Iterable[bytes]) -> Iterator[Link]:
    """Read a log, each line with its end, up to the first one that is not as it was written: what follows proves nothing."""
    before = ""
    number = 0
    last: Link | None = None
    for number, text in enumerate(lines, 1):
        if last is not None:  # only the last line of all can have been cut off while it was written
            yield Link(last.number, {}, "", "its end is missing, and other lines follow")
            return
        link = _link(number, text, before)
        if link.torn:
            last = link
            continue
        yield link
        if link.problem:
            return
        before = link.hash
    if last is not None:
        yield last
    elif not number:
        yield Link(1, {}, "", torn=True)


def _link(number: int, text: bytes, before: str) -> Link:
    found = _LINE.fullmatch(text)
    if found is None:
        if _is_beginning(number, text, before):
            return Link(number, {}, "", torn=True)
        return Link(number, {}, "", "it is not a line of an audit log, or was changed")
    said, previous, at, own = found[1], found[2].decode(), int(found[3]), found[4].decode()
    if sha256(said).hexdigest() != own:
        return Link(number, {}, "", "it was changed after it was written: its hash is another one")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return Link(number, {}, "", "it is not JSON")
    if number == 1 and at == 1:
        before = hash_of_settings(fields.get("settings"))
    if previous != before or at != number:
        return Link(number, fields, own, f"it was line {at} when it was written, and does not follow the line before it")
    return Link(number, fields, own)


def _is_beginning(number: int, text: bytes, before: str) -> bool:
    """Whether this is the beginning of the line that has to follow, cut off before its end; only the last line can be."""
    if b"\n" in text:
        return False
    whole = _LINE.fullmatch(text[:-1] + b"\n")
    if whole is not None and sha256(whole[1]).hexdigest() == whole[4].decode():
        return False  # all of it is there, and only its end is another one
    begin = f'{{"previous":"{before}","line":{number},'.encode() if number > 1 else b'{"previous":"'
    return begin.startswith(text[: len(begin)])
