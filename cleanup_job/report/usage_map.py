"""The treemap of what takes the space: a rectangle for each project, divided by kind, and the rules of style that place it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cleanup_job.planning.usage import Kind
from cleanup_job.report.formatting import grouped
from cleanup_job.report.interface import Document
from cleanup_job.report.treemap import Rectangle, laid_out
from cleanup_job.report.usage_document import KIND_TEXTS
from cleanup_job.report.usage_table import folded, space, together

PROJECTS = 60
"""Projects with a rectangle of their own; one more has all others."""
SHAPE = Rectangle(0.0, 0.0, 200.0, 100.0)
"""What rectangles are made square for: a map that is twice as wide as high."""
LINES = 0.015, 0.05
"""The least part of the map that shows a name, and its size below."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A project in the map."""

    name: str
    size: str
    about: str
    """The kinds of its files, with their sizes."""
    lines: int
    """How many lines it has space for."""
    place: Rectangle
    kinds: list[tuple[str, Rectangle]]
    """Each with its place in the project's rectangle."""


def rectangles(projects: Iterable[Document], unit: str) -> list[Shown]:
    """The projects with their hidden ones, the largest first. ``unit``: what they are measured by, ``bytes`` or ``files``."""
    rows = sorted((row for row in folded(projects) if row[unit]), key=lambda row: (-row[unit], row["name"]))
    named = rows[:PROJECTS]
    if rest := rows[PROJECTS:]:
        named.append({**together(rest), "name": f"{grouped(len(rest))} other projects"})
    places = laid_out([row[unit] for row in named], SHAPE)
    return [_shown(row, place, unit) for row, place in zip(named, places, strict=True)]


def _shown(row: Document, place: Rectangle, unit: str) -> Shown:
    kinds = row["kinds"]
    largest = sorted((kind for kind in kinds if kinds[kind][unit]), key=lambda kind: -kinds[kind][unit])
    parts = laid_out([kinds[kind][unit] for kind in largest], Rectangle(0.0, 0.0, place.width, place.height))
    area = place.width * place.height / (SHAPE.width * SHAPE.height)
    about = ", ".join(f"{KIND_TEXTS[Kind(kind)]} {space(kinds[kind])}" for kind in largest)
    return Shown(
        row["name"], space(row), about, sum(area >= least for least in LINES), place, list(zip(largest, parts, strict=True))
    )


def rules(shown: Iterable[Shown]) -> Iterator[str]:
    """Where the rectangles lie, as rules of style: with numbers and the names of kinds, and nothing from a server."""
    for number, one in enumerate(shown):
        yield f"#r{number}{{{_declared(one.place, SHAPE)}}}\n"
        for kind, part in one.kinds:
            yield f"#r{number} .{kind}{{{_declared(part, one.place)}}}\n"


def _declared(place: Rectangle, whole: Rectangle) -> str:
    """A place in per cent of what it lies in."""
    left, width = (100 * value / (whole.width or 1) for value in (place.left, place.width))
    top, height = (100 * value / (whole.height or 1) for value in (place.top, place.height))
    return f"left:{left:.3f}%;top:{top:.3f}%;width:{width:.3f}%;height:{height:.3f}%"
