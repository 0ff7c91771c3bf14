"""What takes the space on a server as one self-contained page, without any script.

The rectangles of the treemap lie where rules of the page's own style put them, because the content security policy forbids
styles of single elements. Names are in no rule, and the policy knows the style by its hash.
"""

import base64
import hashlib
from collections.abc import Iterator
from importlib import resources
from urllib.parse import quote

from markupsafe import Markup

from cleanup_job.planning.usage import Kind
from cleanup_job.report.formatting import counted, grouped, plain
from cleanup_job.report.html import page_environment
from cleanup_job.report.interface import Document
from cleanup_job.report.phrases import LINK_SAFE
from cleanup_job.report.usage_document import NO_RECORD
from cleanup_job.report.usage_map import rectangles, rules
from cleanup_job.report.usage_table import NOT_LISTED, headline, in_all, space

ROWS = 500
"""Rows of a table."""
_CSS = resources.files("cleanup_job.report").joinpath("templates", "usage.css")


def render(document: Document, web: str) -> str:
    """The text of the page. ``web``: the web server's address, for links to tasks; may be empty."""
    unit = "bytes" if document["total"]["bytes"] else "files"
    shown = rectangles(document["projects"], unit)
    style = Markup(_CSS.read_text(encoding="utf-8") + "".join(rules(shown)))  # noqa: S704 -- ours, with numbers
    return (
        page_environment()
        .get_template("usage.html.j2")
        .render(
            document=document,
            policy=Markup(f"default-src 'none'; style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"),  # noqa: S704 -- ours
            style=style,
            headline=headline(document),
            cards=_cards(document),
            not_listed="" if document["stores"] else NOT_LISTED,
            rectangles=shown,
            by="files" if unit == "files" else "known bytes",
            kinds=[(row["kind"], row["text"]) for row in document["kinds"]],
            tables=list(_tables(document)),
            tasks=[{**task, "link": _link(web, task)} for task in document["largest"]],
            space=space,
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _link(web: str, task: Document) -> str:
    if not web.startswith(("http://", "https://")):
        return ""
    address = f"{web}/projects/{task['project_id'] or '*'}/experiments/{task['task']}/output/execution"
    return quote(plain(address), safe=LINK_SAFE)


def _cards(document: Document) -> list[tuple[str, str]]:
    """The numbers at the top, each with its name."""
    total, archived = document["total"], {row["archived"]: row for row in document["archived"]}
    found = [
        ("in all", in_all(document)),
        ("files", grouped(total["files"])),
        ("tasks", grouped(total["tasks"])),
    ]
    now = [row for row in document["frees"] if not row["days"] and row.get("stage") != "slim"]
    found += [("of archived tasks", space(archived[True]) or "nothing")] if True in archived else []
    orphans = next((row for row in document["kinds"] if row["kind"] == Kind.ORPHANS), None)
    found += [("of orphans", space(orphans))] if orphans else []
    return [*found, *((f"may be deleted {row['text']}", space(row) or counted(row["tasks"], "task")) for row in now)]


def _tables(document: Document) -> Iterator[tuple[str, str, list[tuple[str, Document]], int]]:
    """The title of each table, what its rows are about, the rows with their names, and how many more there are."""
    kinds = [(row["text"], row) for row in document["kinds"]]
    projects = [(row["name"] or "(no project)", row) for row in document["projects"]]
    users = [(row["name"] or "(no user)", row) for row in document["users"]]
    statuses = [(row["status"] or NO_RECORD, row) for row in document["statuses"]]
    ages = [(row["text"], row) for row in document["ages"]]
    frees = [(row["text"], row) for row in document["frees"]]
    for title, about, rows in (
        ("May be deleted", "when", frees),
        ("By kind", "kind", kinds),
        ("By project", "project", projects),
        ("By last activity", "last active", ages),
        ("By status", "status", statuses),
        ("By user", "user", users),
    ):
        yield title, about, rows[:ROWS], max(0, len(rows) - ROWS)
