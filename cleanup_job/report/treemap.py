"""Where the rectangles of a treemap lie: squarified, as Bruls, Huizing and van Wijk describe it. Pure: no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle, in any unit."""

    left: float
    top: float
    width: float
    height: float


def laid_out(weights: Sequence[float], inside: Rectangle) -> list[Rectangle]:
    """A rectangle for each weight, as near to a square as possible; their areas are in the proportion of the weights.

    Args:
        weights: Positive, the largest first.
        inside: What they fill together.
    """
    found: list[Rectangle] = []
    rest, left = list(weights), inside
    while rest:
        if not (left.width and left.height):  # what is left is too little for a number
            return found + [Rectangle(left.left, left.top, 0.0, 0.0)] * len(rest)
        scale = left.width * left.height / sum(rest)
        short = min(left.width, left.height)
        count = 1
        while count < len(rest) and _worst(rest[: count + 1], scale, short) <= _worst(rest[:count], scale, short):
            count += 1
        row, rest = rest[:count], rest[count:]
        placed, left = _placed(row, scale, left)
        found += placed
    return found


def _worst(row: Sequence[float], scale: float, short: float) -> float:
    """How far the least square rectangle of a row is from a square, if the row lies along the short side."""
    thickness = sum(row) * scale / short
    return max(max(side / thickness, thickness / side) for side in (weight * scale / thickness for weight in row))


def _placed(row: Sequence[float], scale: float, inside: Rectangle) -> tuple[list[Rectangle], Rectangle]:
    """The rectangles of a row along the short side, and what is left beside it."""
    found = []
    if inside.width >= inside.height:
        thickness, at = sum(row) * scale / inside.height, inside.top
        for weight in row:
            side = weight * scale / thickness
            found.append(Rectangle(inside.left, at, thickness, side))
            at += side
        return found, Rectangle(inside.left + thickness, inside.top, max(0.0, inside.width - thickness), inside.height)
    thickness, at = sum(row) * scale / inside.width, inside.left
    for weight in row:
        side = weight * scale / thickness
        found.append(Rectangle(at, inside.top, side, thickness))
        at += side
    return found, Rectangle(inside.left, inside.top + thickness, inside.width, max(0.0, inside.height - thickness))
