"""The treemap of what takes the space: a rectangle for each project, divided by kind, and the rules of style that place it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cleanup_job.planning.usage import Kind
from cleanup_job.report.formatting import grouped
from cleanup_job.report.interface import Document
from cleanup_job.report.treemap import Rectangle, laid_out
from cleanup_job.report.usage_document import KIND_TEXTS
from cleanup_job.report.usage_table import space

PROJECTS = 60
"""Projects with a rectangle of their own; one more has all others."""
SHAPE = Rectangle(0.0, 0.0, 200.0, 100.0)
"""What rectangles are made square for: a map that is twice as wide as high."""
LINES = 0.015, 0.05
"""The least part of the map that shows a name, and its size below."""
Kinds = Mapping[str, Mapping[str, int]]


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
    """The projects, the largest first. ``unit``: what they are measured by, ``bytes`` or ``files``."""
    rows = sorted((row for row in projects if row[unit]), key=lambda row: (-row[unit], row["name"]))
    named = [(row["name"] or "(no project)", row, row["kinds"]) for row in rows[:PROJECTS]]
    if rest := rows[PROJECTS:]:
        kinds = _together(row["kinds"] for row in rest)
        named.append((f"{grouped(len(rest))} other projects", _together({"": one} for one in kinds.values())[""], kinds))
    places = laid_out([row[unit] for _, row, _ in named], SHAPE)
    return [_shown(*one, place, unit) for one, place in zip(named, places, strict=True)]


def _together(many: Iterable[Kinds]) -> dict[str, dict[str, int]]:
    """The sums of several projects by kind."""
    found: dict[str, dict[str, int]] = {}
    for kinds in many:
        for kind, row in kinds.items():
            known = found.setdefault(kind, dict.fromkeys(row, 0))
            for key, value in row.items():
                known[key] += value
    return found


def _shown(name: str, row: Document, kinds: Kinds, place: Rectangle, unit: str) -> Shown:
    largest = sorted((kind for kind in kinds if kinds[kind][unit]), key=lambda kind: -kinds[kind][unit])
    parts = laid_out([kinds[kind][unit] for kind in largest], Rectangle(0.0, 0.0, place.width, place.height))
    area = place.width * place.height / (SHAPE.width * SHAPE.height)
    about = ", ".join(f"{KIND_TEXTS[Kind(kind)]} {space(dict(kinds[kind]))}" for kind in largest)
    return Shown(name, space(row), about, sum(area >= least for least in LINES), place, list(zip(largest, parts, strict=True)))


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
