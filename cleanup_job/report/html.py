"""The report of a pass as one self-contained page.

Everything is in the page's text, so that it can be read without scripts (CI systems show reports that way); the script only
adds search, filters and sorting. The content security policy knows style and script by their hashes: if a name from the server
ever broke out of its text, it could neither run nor load anything.
"""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from cleanup_job.exit_codes import DID_WELL
from cleanup_job.report.formatting import counted, duration, grouped, moment, plain, size
from cleanup_job.report.interface import Document
from cleanup_job.report.jinja_environment import environment
from cleanup_job.report.json_lines import dumps
from cleanup_job.report.phrases import left_over

_PARTS = (("deleted", "tasks"), ("kept", "kept"), ("failed", "failed"))
"""The parts of a project's bar: its colour, and the number that it shows."""


def render(document: Document) -> str:
    """The text of the page."""
    summary = document["summary"]
    style, script = _asset("report.css"), _asset("report.js")
    deleted = "to delete" if summary["dry_run"] else "deleted"
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            summary=summary,
            policy=Markup(  # noqa: S704 -- ours
                f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
                "base-uri 'none'; form-action 'none'"
            ),
            style=style,
            script=script,
            data=_data(document),
            state=_state(summary["exit_code"]),
            facts=[(name, value) for name, value in _facts(document).items() if value],
            cards=_cards(summary),
            has_notes=_has_notes(document),
            left_over=left_over(summary["left"], summary["stopped_by"], at_least=summary["left_at_least"]),
            deleted=deleted,
            projects=_projects(document["projects"], deleted),
            listed=sum(len(entry["examples"]) for entry in document["reasons"]),
            not_deleted=sum(entry["count"] for entry in document["reasons"]),
        )
    )


@cache
def page_environment() -> Environment:
    """The environment of the page: what it prints is escaped as HTML."""
    return environment(lambda value: escape(plain(value)))


def _asset(name: str) -> Markup:
    """Style or script: ours, not to be escaped."""
    return Markup(resources.files("cleanup_job.report").joinpath("templates", name).read_text(encoding="utf-8"))  # noqa: S704


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
        "selected": f"{counted(summary['selected'], 'task')} from before {moment(document['cutoff'])}",
        "exit code": f"{summary['exit_code']}: {document['meaning']}",
    }


def _cards(summary: Document) -> list[tuple[str, str, str]]:
    """The numbers at the top: the class, name and text of each."""
    return [
        ("deleted", "tasks to delete" if summary["dry_run"] else "tasks deleted", grouped(summary["deleted"])),
        ("", "models", grouped(summary["models"])),
        ("", "files", grouped(summary["files"])),
        ("", "bytes known", size(summary["bytes"])),
        ("kept", "to keep" if summary["dry_run"] else "kept", grouped(summary["kept"])),
        ("failed", "failed", grouped(summary["failed"])),
        ("not_ours", "skipped", grouped(summary["not_ours"])),
    ]


def _has_notes(document: Document) -> bool:
    summary = document["summary"]
    return any(
        summary[name] for name in ("error", "left", "left_at_least", "unknown_stores", "rules", "emptied_projects", "warnings")
    )


def _projects(rows: list[Document], deleted: str) -> list[dict[str, Any]]:
    """The rows of the table, those with the most tasks first."""
    most = max((_tasks_of(row) for row in rows), default=0) or 1
    return [
        {"name": row["name"], "bar": list(_bar(row, most)), "cells": _cells(row, deleted)}
        for row in sorted(rows, key=lambda row: (-_tasks_of(row), row["name"]))
    ]


def _tasks_of(row: Document) -> int:
    return sum(int(row[key]) for _, key in _PARTS)


def _bar(row: Document, most: int) -> Iterator[tuple[str, str, str]]:
    """The class, start and width of each part, in per cent."""
    start = 0.0
    for kind, key in _PARTS:
        width = 100 * row[key] / most
        if width:
            yield kind, f"{start:.3f}", f"{width:.3f}"
        start += width


def _cells(row: Document, deleted: str) -> list[dict[str, Any]]:
    columns = (("tasks", deleted), ("models", "models"), ("files", "files"), ("bytes", "bytes known"), *_PARTS[1:])
    return [
        {
            "kind": f"n {key}" if row[key] and key in ("kept", "failed") else "n",
            "label": label,
            "value": row[key],
            "text": size(row[key]) if key == "bytes" else grouped(row[key]),
        }
        for key, label in columns
    ]
