"""The tasks of a page as one compact text inside it, from which the page's script makes its table.

It is JSON, compressed by gzip, in base64: 200,000 tasks are about 8 MB of the page instead of 40, and nothing in a name can
end the element or mean anything to the browser. Texts that repeat are in lists, and a row has their numbers there.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cleanup_job.planning.outcome import NOTICES, REASON_TEXTS, Reason, Verdict
from cleanup_job.report.formatting import plain
from cleanup_job.report.phrases import VERDICT_NAMES
from cleanup_job.report.task_rows import Row, TaskRow, row_of

_GZIP = 31
"""zlib's window size for gzip's format, which browsers can unpack."""
_PIECE = 3 << 14
"""Bytes that are encoded at a time: base64 makes 4 characters of 3 bytes."""


class _Numbered:
    """Texts, each once, by the number at which a row refers to it."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}

    def number(self, *texts: str) -> int:
        return self._numbers.setdefault(texts, len(self._numbers))

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._numbers)


def packed(rows: Iterable[Row], users: Mapping[str, str], about: Mapping[str, Any]) -> Iterator[str]:
    """The text, piece by piece; ``users`` are names by id, ``about`` is what the script needs to know besides."""
    packer, rest = zlib.compressobj(6, wbits=_GZIP), b""
    for text in _json(rows, users, about):
        rest += packer.compress(text.encode())
        if len(rest) >= _PIECE:
            whole = len(rest) - len(rest) % 3
            yield base64.b64encode(rest[:whole]).decode()
            rest = rest[whole:]
    yield base64.b64encode(rest + packer.flush()).decode()


def _stage(row: TaskRow) -> str:
    """What its policy does with a task, in a word; empty without one."""
    return "notice" if Verdict(row.verdict) in NOTICES else row.stage or ""


def _json(rows: Iterable[Row], users: Mapping[str, str], about: Mapping[str, Any]) -> Iterator[str]:
    """One object: the rows, then the lists that they refer to."""
    projects, owners, verdicts, reasons, statuses, rules, stages, policies = (_Numbered() for _ in range(8))
    start = '{"rows":['
    for row in map(row_of, rows):
        values = (
            row.task,
            row.name,
            projects.number(row.project, row.project_id),
            owners.number(plain(users.get(row.user) or row.user)),
            verdicts.number(row.verdict, VERDICT_NAMES[Verdict(row.verdict)]),
            reasons.number(row.reason, REASON_TEXTS[Reason(row.reason)]) if row.reason else -1,
            row.detail,
            statuses.number(row.status),
            rules.number(row.rule),
            row.models,
            row.files,
            row.bytes,
            row.unsized,
            row.active and round(row.active.timestamp()),
            stages.number(_stage(row)),
            policies.number(row.policy),
            row.due and round(row.due.timestamp()),
        )
        yield start + json.dumps(values, separators=(",", ":"))
        start = ",\n"
    lists = {
        "projects": [*projects],
        "owners": [*owners],
        "verdicts": [*verdicts],
        "reasons": [*reasons],
        "statuses": [*statuses],
        "rules": [*rules],
        "stages": [*stages],
        "policies": [*policies],
        "about": about,
    }
    yield ("" if start == ",\n" else start) + "]," + json.dumps(lists)[1:]
