"""What takes the space on a server as one self-contained page, without any script.

The rectangles of the treemap lie where rules of the page's own style put them, because the content security policy forbids
styles of single elements. Names are in no rule, and the policy knows the style by its hash.
"""

import base64
import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from cleanup_job.planning.usage import Kind
from cleanup_job.report.formatting import at_least, counted, grouped, plain
from cleanup_job.report.html import page_environment
from cleanup_job.report.interface import Document
from cleanup_job.report.phrases import LINK_SAFE
from cleanup_job.report.treemap import Rectangle, laid_out
from cleanup_job.report.usage_document import KIND_TEXTS, NO_RECORD
from cleanup_job.report.usage_table import NOT_LISTED, headline

ROWS = 500
"""Rows of a table."""
RECTANGLES = 60
"""Projects in the treemap; one more rectangle has all others."""
SHAPE = Rectangle(0.0, 0.0, 200.0, 100.0)
"""What rectangles are made square for: a map that is twice as wide as high."""
ROOM = 1.5, 5.0
"""The least part of the map, in per cent, that has room for a name, and for its size below."""


def render(document: Document, web: str) -> str:
    """The text of the page. ``web``: the web server's address, for links to tasks; may be empty."""
    by_files = not document["total"]["bytes"]
    rectangles = list(_rectangles(document, "files" if by_files else "bytes"))
    style = _stylesheet(rectangles)
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
            rectangles=rectangles,
            by="files" if by_files else "known bytes",
            kinds=[(row["kind"], row["text"]) for row in document["kinds"]],
            tables=list(_tables(document)),
            tasks=[{**task, "link": _link(web, task)} for task in document["largest"]],
            space=_space,
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _space(row: Document) -> str:
    return at_least(row["bytes"], row["unsized"]) if row["files"] else ""


def _link(web: str, task: Document) -> str:
    if not web.startswith(("http://", "https://")):
        return ""
    address = f"{web}/projects/{task['project_id'] or '*'}/experiments/{task['task']}/output/execution"
    return quote(plain(address), safe=LINK_SAFE)


def _cards(document: Document) -> list[tuple[str, str]]:
    """The numbers at the top, each with its name."""
    total, archived = document["total"], {row["archived"]: row for row in document["archived"]}
    found = [
        ("on the server", _space(total) or "nothing"),
        ("files", grouped(total["files"])),
        ("tasks", grouped(total["tasks"])),
    ]
    now = [row for row in document["frees"] if not row["days"]]
    found += [("of archived tasks", _space(archived[True]) or "nothing")] if True in archived else []
    orphans = next((row for row in document["kinds"] if row["kind"] == Kind.ORPHANS), None)
    found += [("of orphans", _space(orphans))] if orphans else []
    return [*found, *((f"past the threshold {row['text']}", _space(row) or counted(row["tasks"], "task")) for row in now)]


def _tables(document: Document) -> Iterator[tuple[str, list[tuple[str, Document]], int]]:
    """The title of each table, its rows with their names, and how many more there are."""
    kinds = [(row["text"], row) for row in document["kinds"]]
    projects = [(row["name"] or "(no project)", row) for row in document["projects"]]
    users = [(row["name"] or "(no user)", row) for row in document["users"]]
    statuses = [(row["status"] or NO_RECORD, row) for row in document["statuses"]]
    ages = [(row["text"], row) for row in document["ages"]]
    frees = [(row["text"], row) for row in document["frees"]]
    for title, rows in (
        ("Past the threshold", frees),
        ("By kind", kinds),
        ("By project", projects),
        ("By last activity", ages),
        ("By status", statuses),
        ("By user", users),
    ):
        yield title, rows[:ROWS], max(0, len(rows) - ROWS)


# -- the treemap
def _rectangles(document: Document, unit: str) -> Iterator[dict[str, Any]]:
    """The projects of the map, the largest first, each with its kinds."""
    rows = sorted((row for row in document["projects"] if row[unit]), key=lambda row: (-row[unit], row["name"]))
    shown: list[Document] = [
        {"name": row["name"] or "(no project)", "row": row, "kinds": row["kinds"]} for row in rows[:RECTANGLES]
    ]
    if rest := rows[RECTANGLES:]:
        shown.append(_others(rest))
    places = laid_out([one["row"][unit] for one in shown], SHAPE)
    for number, (one, place) in enumerate(zip(shown, places, strict=True)):
        kinds = sorted(((kind, space[unit]) for kind, space in one["kinds"].items() if space[unit]), key=lambda item: -item[1])
        inner = laid_out([weight for _, weight in kinds], Rectangle(0, 0, place.width, place.height))
        area = place.width * place.height / (SHAPE.width * SHAPE.height) * 100
        yield {
            "number": number,
            "name": one["name"],
            "size": _space(one["row"]),
            "about": ", ".join(f"{KIND_TEXTS[Kind(kind)]} {_space(one['kinds'][kind])}" for kind, _ in kinds),
            "room": sum(area >= least for least in ROOM),
            "place": _shares(place, SHAPE),
            "kinds": [(kind, _shares(part, place)) for (kind, _), part in zip(kinds, inner, strict=True)],
        }


def _others(rows: list[Document]) -> Document:
    """All other projects as one, of the kinds that these have."""
    kinds: dict[str, dict[str, int]] = {}
    for row in rows:
        for kind, space in row["kinds"].items():
            known = kinds.setdefault(kind, {"files": 0, "bytes": 0, "unsized": 0})
            for key, value in space.items():
                known[key] += value
    total = {key: sum(space[key] for space in kinds.values()) for key in ("files", "bytes", "unsized")}
    return {"name": f"{grouped(len(rows))} other projects", "row": total, "kinds": kinds}


def _shares(place: Rectangle, whole: Rectangle) -> str:
    """A place as declarations, in per cent of what it lies in."""
    left, width = (100 * value / (whole.width or 1) for value in (place.left, place.width))
    top, height = (100 * value / (whole.height or 1) for value in (place.top, place.height))
    return f"left:{left:.3f}%;top:{top:.3f}%;width:{width:.3f}%;height:{height:.3f}%"


def _stylesheet(rectangles: list[dict[str, Any]]) -> Markup:
    """The page's style: ours, with numbers and the names of kinds."""
    fixed = (resources.files("cleanup_job.report").joinpath("templates", name) for name in ("usage.css",))
    rules = [file.read_text(encoding="utf-8") for file in fixed]
    for one in rectangles:
        rules.append(f"#r{one['number']}{{{one['place']}}}\n")
        rules += [f"#r{one['number']} .{kind}{{{place}}}\n" for kind, place in one["kinds"]]
    return Markup("".join(rules))  # noqa: S704 -- as above
