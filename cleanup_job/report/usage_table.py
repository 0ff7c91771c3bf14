"""What takes the space on a server, for people on a terminal of 80 columns or more: details first, the sum last."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cleanup_job.report.formatting import at_least, counted, plain
from cleanup_job.report.interface import Document
from cleanup_job.report.usage_document import NO_RECORD

ROWS = 10
"""Rows of a table; one more has the sum of all others."""
TASKS = 20
"""Of the largest tasks; a file names all of them."""
BAR = 10
"""Characters of a bar."""
NOT_LISTED = (
    "Debug samples and plots, and files without a record, are in no record: they count only where a store is listed. "
    "Name the fileserver's volume or a bucket with --store."
)
SUMS = ("tasks", "files", "bytes", "unsized")
Row = dict[str, Any]


def render(document: Document, console: Console) -> None:
    """Print it. Only ``Text`` is printed, never markup: names come from the server."""
    _largest(document, console)
    for title, rows in (
        ("project", folded(document["projects"])),
        ("user", document["users"]),
        ("status", [{"name": row["status"] or NO_RECORD, **row} for row in document["statuses"]]),
        ("last active", [{"name": row["text"], **row} for row in document["ages"]]),
        ("kind", [{"name": row["text"], **row} for row in document["kinds"]]),
    ):
        _table(title, rows, console)
    _frees(document, console)
    _closing(document, console)


def headline(document: Document) -> str:
    """The sum in one sentence."""
    total = document["total"]
    files = counted(total["files"], "file")
    return f"{counted(total['tasks'], 'task')} and {files} on {document['server']}, {in_all(document)}."


def in_all(document: Document) -> str:
    """The size of all files. Where no store is listed, tasks may have files that no record names."""
    total = document["total"]
    more = int(total["tasks"] > 0 and not document["stores"])
    return at_least(total["bytes"], total["unsized"] + more)


def project_of(name: str) -> str:
    """The project that people know: the SDK keeps pipelines and datasets in hidden projects below it."""
    for hidden in ("/.datasets/", "/.pipelines/"):
        name = name.partition(hidden)[0]
    return name


def folded(projects: Iterable[Row]) -> list[Row]:
    """The projects, each with what is in hidden ones below it; the largest first."""
    found: dict[str, Row] = {}
    for row in projects:
        name = project_of(row["name"]) or "(no project)"
        found[name] = together([found[name], row]) if name in found else {**row, "name": name}
    return sorted(found.values(), key=lambda row: (-row["bytes"], -row["files"], -row["tasks"], row["name"]))


def together(rows: Sequence[Row]) -> Row:
    """Several rows as one, with the names of the first one. Projects have sums by kind, too."""
    made = {**rows[0], **{key: sum(row[key] for row in rows) for key in SUMS if key in rows[0]}}
    if "kinds" in made:
        kinds = {kind: [row["kinds"][kind] for row in rows if kind in row["kinds"]] for row in rows for kind in row["kinds"]}
        made["kinds"] = {kind: together(sums) for kind, sums in kinds.items()}
    return made


def _new_table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, expand=True, show_edge=False)


def _table(title: str, rows: Sequence[Row], console: Console) -> None:
    if not rows:
        return
    table = _new_table()
    table.add_column(f"by {title}", overflow="ellipsis", no_wrap=True, ratio=1)
    for name in ("tasks", "files"):
        if name in rows[0]:
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("", width=BAR, no_wrap=True)
    most = max(row["bytes"] for row in rows) or 1
    for row in rows[:ROWS]:
        bar = Text("█" * round(BAR * row["bytes"] / most), "cyan")
        table.add_row(Text(plain(row["name"])), *_numbers(row), _size(row), bar)
    if len(rows) > ROWS:
        rest = together(rows[ROWS:])
        table.add_row(f"and {len(rows) - ROWS:,} more", *_numbers(rest), _size(rest), "", style="dim")
    console.print(table)
    console.print()


def _numbers(row: Row) -> list[str]:
    return [f"{row[name]:,}" for name in ("tasks", "files") if name in row]


def space(row: Row) -> str:
    """The size of the files of a row; empty if there are none."""
    return at_least(row["bytes"], row["unsized"]) if row["files"] else ""


def _size(row: Row) -> Text:
    return Text(space(row)) if row["files"] else Text("-", "dim")


def _largest(document: Document, console: Console) -> None:
    tasks = document["largest"]
    if not tasks:
        return
    table = _new_table()
    table.add_column("largest tasks", overflow="ellipsis", no_wrap=True, ratio=3)
    table.add_column("project", overflow="ellipsis", no_wrap=True, ratio=2)
    table.add_column("state", no_wrap=True)
    table.add_column("files", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for row in tasks[:TASKS]:
        state = "archived" if row["archived"] else row["status"]
        cells = (row["name"] or row["task"], project_of(row["project"]) or "(no project)", state)
        table.add_row(*(Text(plain(cell)) for cell in cells), Text(f"{row['files']:,}"), _size(row))
    console.print(table)
    if len(tasks) > TASKS:
        console.print(Text(f"--report usage.html names the largest {len(tasks)}.", "dim"))
    console.print()


def _frees(document: Document, console: Console) -> None:
    table = _new_table()
    table.add_column("may be deleted", overflow="ellipsis", no_wrap=True, ratio=1)
    for name in ("tasks", "files", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in document["frees"]:
        table.add_row(Text(row["text"]), *_numbers(row), _size(row))
    console.print(table)
    console.print()


def _closing(document: Document, console: Console) -> None:
    for store in document["stores"]:
        size = at_least(store["bytes"], store["unsized"])
        console.print(Text(f"listed {plain(store['store'])}: {counted(store['files'], 'file')}, {size}"), soft_wrap=True)
    if document["linked_elsewhere"]:
        linked = counted(document["linked_elsewhere"], "file")
        console.print(Text(f"Not counted: {linked} outside of the task folders that records link to.", "dim"))
    if not document["stores"]:
        console.print(Text(NOT_LISTED, "dim"))
    console.print(Text(plain(headline(document)), "bold"))
