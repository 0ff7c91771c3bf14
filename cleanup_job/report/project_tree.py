"""Projects as a tree: ClearML names a sub-project by its whole path, such as ``vision/detection/night``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cleanup_job.report.formatting import plain
from cleanup_job.report.interface import Document

SUMS = ("tasks", "models", "files", "bytes", "unsized", "kept", "failed")
"""The numbers of a project that its parents include."""
DEEPEST = 8
"""Levels of the tree; what is below is named in one piece."""


@dataclass(slots=True)
class Node:
    """A project, or a folder of projects, with the sums of all that is in it."""

    name: str
    """The whole path."""
    label: str
    """What its parent's name lacks."""
    own: bool = False
    """Whether tasks are directly in it."""
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    children: dict[str, "Node"] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Tasks that were looked at in it."""
        return self.sums["tasks"] + self.sums["kept"] + self.sums["failed"]

    def ordered(self) -> list["Node"]:
        """Its children, those with the most tasks first."""
        return sorted(self.children.values(), key=lambda node: (-node.weight, node.name))

    def walk(self, level: int = 1) -> Iterator[tuple[int, "Node"]]:
        """All nodes below it with their levels, each parent before its children."""
        for child in self.ordered():
            yield level, child
            yield from child.walk(level + 1)


def tree(rows: Iterable[Document]) -> Node:
    """The projects below one root. A folder with nothing but one project in it has no node of its own."""
    root = Node("", "")
    for row in rows:
        at, path = root, ""
        # Without secrets before it is split: half of an address would not be known as one.
        for part in plain(row["name"]).split("/", DEEPEST - 1):
            path = f"{path}/{part}" if at is not root else part
            at = at.children.setdefault(part, Node(path, part))
            _count(at, row)
        at.own = True
    return _joined(root)


def _count(node: Node, row: Document) -> None:
    for name in SUMS:
        node.sums[name] += row.get(name, 0)


def _joined(node: Node) -> Node:
    """The node with folders that hold one project alone joined with it."""
    children = {}
    for child in node.children.values():
        at = child
        while not at.own and len(at.children) == 1:
            (only,) = at.children.values()
            only.label = f"{at.label}/{only.label}"
            at = only
        children[at.label] = _joined(at)
    node.children = children
    return node
