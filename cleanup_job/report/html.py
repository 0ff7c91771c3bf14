"""The report of a pass as one self-contained page.

The sums, the projects and the reasons are in the page's text, so that they can be read without scripts (CI systems show reports
that way). The script adds the table of all tasks, from a compact text in the page (`packed_rows`), their ages, and sorting. The
content security policy knows style and script by their hashes: if a name from the server ever broke out of its text, it could
neither run nor load anything.
"""

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from importlib import resources
from itertools import chain, islice
from typing import Any, TextIO
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup, escape

from cleanup_job.exit_codes import DID_WELL
from cleanup_job.redaction import MASK
from cleanup_job.report.formatting import at_least, counted, duration, grouped, moment, plain, size
from cleanup_job.report.interface import Document
from cleanup_job.report.jinja_environment import environment
from cleanup_job.report.json_lines import dumps
from cleanup_job.report.packed_rows import packed
from cleanup_job.report.phrases import LINK_SAFE, left_over
from cleanup_job.report.project_tree import Node, tree
from cleanup_job.report.task_rows import MOST, Row, TaskRow, row

_PARTS = (("deleted", "tasks"), ("kept", "kept"), ("failed", "failed"))
"""The parts of a project's bar: its colour, and the number that it shows."""


def write(document: Document, rows: Iterable[Row] | None, stream: TextIO) -> None:
    """Write the page piece by piece: with all its tasks in one text it would take 10 MB of memory and more.

    ``rows`` are all tasks of the pass, such as a `TaskRows`; the page lists the first ``MOST``. Without them it lists the
    examples that the document has.
    """
    given = iter(rows or ())
    first = list(islice(given, 1))
    listed: Iterator[Row] = chain(first, given) if first else _examples(document)
    page = page_environment().get_template("report.html.j2")
    stream.writelines(page.generate(_context(document, islice(listed, MOST))))


def render(document: Document, rows: Iterable[Row] | None = None) -> str:
    """The text of the page."""
    stream = io.StringIO()
    write(document, rows, stream)
    return stream.getvalue()


def _context(document: Document, rows: Iterable[Row]) -> dict[str, Any]:
    """What the template shows."""
    summary = document["summary"]
    style, script = _asset("report.css"), _asset("report.js")
    return {
        "document": document,
        "summary": summary,
        "policy": Markup(  # noqa: S704 -- ours
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        ),
        "style": style,
        "script": script,
        "data": _data(document),
        "rows": (Markup(piece) for piece in packed(rows, document["users"], _about(document))),  # noqa: S704 -- base64
        "state": _state(summary["exit_code"]),
        "facts": [(name, value) for name, value in _facts(document).items() if value],
        "cards": [(kind if number else "", name, text) for kind, name, number, text in _cards(document)],
        "has_notes": _has_notes(document),
        "left_out": document["left_out"],
        "stages": document.get("stages", []),
        "left_over": left_over(summary["left"], summary["stopped_by"], at_least=summary["left_at_least"]),
        "deleted": "to delete" if summary["dry_run"] else "deleted",
        "freed": "to free" if summary["dry_run"] else "freed",
        "settings": _settings(document["settings"]),
        "projects": list(_projects(document)),
    }


def _settings(rows: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    """The settings that say what is deleted, then those of the connection without its secrets; origins that say more."""
    told = ((row["setting"], row["value"], row["from"]) for row in rows)
    shown = [(name, value, "" if origin == name else origin) for name, value, origin in told if value != MASK]
    return sorted(shown, key=lambda row: not row[0].startswith("CLEANUP_"))


def _total(document: Document) -> int:
    """Tasks whose outcome is known."""
    names = ("deleted", "kept", "failed", "not_ours", "gone_already", "archived", "slimmed", "noticed")
    return sum(document["summary"].get(name, 0) for name in names)


def _about(document: Document) -> dict[str, Any]:
    """What the script has to know beside the rows: times are in seconds since 1970."""
    web = plain(document["web"])
    return {
        "total": _total(document),
        "started": round(datetime.fromisoformat(document["started"]).timestamp()),
        "web": quote(web, safe=LINK_SAFE) if web.startswith(("http://", "https://")) else "",
    }


def _examples(document: Document) -> Iterator[TaskRow]:
    """The tasks that a document names."""
    for reason in document["reasons"]:
        for task in reason["examples"]:
            yield _example(task)
    for stage in document.get("stages", []):
        for task in (*stage["examples"], *stage["notices"]):
            yield _example(task)


def _example(task: dict[str, Any]) -> TaskRow:
    times = {name: datetime.fromisoformat(task[name]) if task.get(name) else None for name in ("active", "due")}
    return row({"policy": "", "stage": None} | task | times)


@cache
def page_environment() -> Environment:
    """The environment of the page: what it prints is escaped as HTML."""
    return environment(lambda value: escape(plain(value)))


def _asset(name: str) -> Markup:
    """Style or script: ours, not to be escaped."""
    return Markup(resources.files("cleanup_job.report").joinpath("templates", name).read_text(encoding="utf-8"))  # noqa: S704 -- our own file


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data(document: Document) -> Markup:
    """The JSON report, for programs that are given the page; nothing in it can end its element."""
    text = dumps(document).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(text)  # noqa: S704 -- JSON escaped by its own rules


def _state(exit_code: int) -> dict[str, str]:
    if exit_code == 0:
        return {"kind": "good", "text": "done"}
    return {"kind": "part", "text": "done in part"} if exit_code in DID_WELL else {"kind": "bad", "text": "failed"}


def _facts(document: Document) -> dict[str, str]:
    summary = document["summary"]
    return {
        "server": document["server"],
        "started": moment(document["started"]),
        "took": f"{duration(summary['seconds'])}, {counted(summary['requests'], 'request')}",
        "selected": f"{counted(summary['selected'], 'task')} {_by(document)}",
        "exit code": f"{summary['exit_code']}: {document['meaning']}",
    }


def _by(document: Document) -> str:
    """By what tasks were selected."""
    return "by policies" if "policies" in document["summary"] else f"from before {moment(document['cutoff'])}"


def _cards(document: Document) -> list[tuple[str, str, int, str]]:
    """The numbers at the top: of each its class, unless the number is 0, its name, itself and its text."""
    summary, total = document["summary"], document["total"]
    dry_run = summary["dry_run"]
    freed = at_least(total["bytes"], total["unsized"])
    numbers = (
        ("deleted", "tasks to delete" if dry_run else "tasks deleted", "deleted"),
        ("", "models", "models"),
        ("", "files", "files"),
        ("kept", "to keep" if dry_run else "kept", "kept"),
        ("failed", "failed", "failed"),
        ("not_ours", "skipped", "not_ours"),
    )
    return [
        ("deleted wide", "to free" if dry_run else "freed", summary["deleted"] or total["bytes"], freed),
        *((kind, name, summary[key], grouped(summary[key])) for kind, name, key in numbers),
        *_cards_of_policies(summary),
    ]


def _cards_of_policies(summary: Document) -> Iterator[tuple[str, str, int, str]]:
    if "policies" not in summary:
        return
    dry_run = summary["dry_run"]
    yield "staged", "to archive" if dry_run else "archived", summary["archived"], grouped(summary["archived"])
    freed = f" ({size(summary['slimmed_bytes'])})" if summary["slimmed_bytes"] else ""
    yield "staged wide", f"{'to slim' if dry_run else 'slimmed'}{freed}", summary["slimmed"], grouped(summary["slimmed"])
    yield "staged", "to announce" if dry_run else "announced", summary["noticed"], grouped(summary["noticed"])


def _has_notes(document: Document) -> bool:
    summary = document["summary"]
    names = ("error", "left", "left_at_least", "unknown_stores", "rules", "emptied_projects", "warnings")
    return bool(document["left_out"]) or any(summary[name] for name in names)


def _projects(document: Document) -> Iterator[dict[str, Any]]:
    """The rows of the table: each project, then its sub-projects; those with the most tasks first."""
    root = tree(document["projects"])
    nodes = list(root.walk())
    most = max((node.weight for _, node in nodes), default=0) or 1
    largest = max((node.sums["bytes"] for _, node in nodes), default=0) or 1
    for level, node in nodes:
        yield {
            "level": level,
            "label": node.label,
            "parent": node.name.removesuffix(node.label).removesuffix("/") if level > 1 else "",
            "bars": [
                ("tasks", list(_bar([(kind, node.sums[key]) for kind, key in _PARTS], most))),
                ("bytes", list(_bar([("deleted", node.sums["bytes"])], largest))),
            ],
            "cells": _cells(node, dry_run=document["summary"]["dry_run"]),
        }


def _bar(parts: list[tuple[str, int]], most: int) -> Iterator[tuple[str, str, str]]:
    """The class, start and width of each part, in per cent."""
    start = 0.0
    for kind, number in parts:
        width = 100 * number / most
        if width:
            yield kind, f"{start:.3f}", f"{width:.3f}"
        start += width


def _cells(node: Node, *, dry_run: bool) -> list[dict[str, Any]]:
    deleted, freed = ("to delete", "to free") if dry_run else ("deleted", "freed")
    columns = (("tasks", deleted), ("models", "models"), ("files", "files"), ("bytes", freed), *_PARTS[1:])
    return [
        {
            "kind": f"n {key}" if node.sums[key] and key in ("kept", "failed") else "n",
            "label": label,
            "value": node.sums[key],
            "text": at_least(node.sums["bytes"], node.sums["unsized"]) if key == "bytes" else grouped(node.sums[key]),
        }
        for key, label in columns
    ]
