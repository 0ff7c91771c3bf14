"""The fields that a listing shows of each document."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from clearml_sandbox.api import older
from clearml_sandbox.api.answer import ApiError, Call, Version
from clearml_sandbox.api.kinds import TASK, Kind
from clearml_sandbox.store import Document


def check_fields(only: Any, kind: Kind, server: Version) -> None:
    """A text is read letter by letter, as the server does."""
    for path in only or ():
        field = path.lstrip("-").partition(".")[0]
        if field not in kind.fields or older.FIELDS.get(field, (0, 0)) > server:
            raise ApiError(400, 14, f"Lookup error (probably an invalid field name): fields=({path})")


def projection(only: Any, kind: Kind, call: Call, *, extended: bool) -> Callable[[Document], Document]:
    """The fields asked for, and in `get_all_ex` links to other documents as `{"id": …}` with the fields asked of them."""
    paths: Sequence[str] = list(only) if only else []
    wanted = [re.sub(r"\.model\..*", "", path) if extended else path for path in paths if not path.startswith("-")]
    if not extended:
        _check_links(wanted, kind)
    tree = _tree(path.partition(".")[0] if path.partition(".")[0] in kind.links else path for path in wanted)
    dropped = {path[1:] for path in paths} | {"unique_metrics"}

    def project(document: Document) -> Document:
        shown = _linked(document, paths, kind, call) if extended else document
        if not wanted:
            return {field: value for field, value in shown.items() if field not in dropped}
        cut: Document = _pick(shown, tree)
        if "company_origin" in wanted and not document.get("company"):  # public documents remember whose they were
            cut["company_origin"] = call.store.company["id"]
        return {"id": document["id"], **cut} if extended else cut

    return project


def _check_links(paths: Iterable[str], kind: Kind) -> None:
    """Fields of linked documents are shown by `get_all_ex` alone."""
    if any(("." in path and path.partition(".")[0] in kind.links) or ".model." in path for path in paths):
        raise ApiError(400, 14, "Lookup error (probably an invalid field name or unsupported nested field): err=Cannot resolve")


Tree = dict[str, Any]
"""What is wanted of a document, by field: all of it (None), or some fields below."""


def _tree(paths: Iterable[str]) -> Tree:
    found: Tree = {}
    for path in paths:
        field, _, below = path.partition(".")
        if not below:
            found[field] = None
        elif (there := found.setdefault(field, [])) is not None:
            there.append(below)
    return {field: _tree(below) if below else None for field, below in found.items()}


def _pick(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [_pick(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    cut: Document = {}
    for field, below in tree.items():
        if field in value:
            # What is below an artifact's fields can't be asked for: the server keeps artifacts by key, not as a list.
            cut[field] = value[field] if below is None else [] if field == "artifacts" else _pick(value[field], below)
    return cut


def _linked(document: Document, paths: Sequence[str], kind: Kind, call: Call) -> Document:
    links = {field: _link(field, document[field], paths, call) for field in kind.links if field in document}
    return document | links | (_links_of_task(document, paths, call) if kind is TASK else {})


def _link(field: str, key: Any, paths: Sequence[str], call: Call) -> Document:
    """A link as `{"id": …}`, with the fields that are asked of the document it leads to."""
    others = {"project": call.store.projects, "parent": call.store.tasks, "task": call.store.tasks, "user": call.store.users}
    below = [path.partition(".")[2] for path in paths if path.startswith(field + ".")]
    other = others.get(field, {}).get(key)
    if below and other:
        return {"id": key, **_pick(other, _tree(below))}
    return {"id": key} if key else {}


def _links_of_task(task: Document, paths: Sequence[str], call: Call) -> Document:
    """The links inside a task's fields: its queue and its models."""
    shown: Document = {}
    if (task.get("execution") or {}).get("queue"):
        shown["execution"] = {**task["execution"], "queue": {"id": task["execution"]["queue"]}}
    if "models" in task:
        shown["models"] = {
            direction: [_entry(entry, paths, direction, call) for entry in entries]
            for direction, entries in task["models"].items()
        }
    return shown


def _entry(entry: Document, paths: Sequence[str], direction: str, call: Call) -> Document:
    key = entry.get("model")
    prefix = f"models.{direction}.model."
    below = [path.removeprefix(prefix) for path in paths if path.startswith(prefix)]
    model = call.store.models.get(str(key)) or {}
    linked = {"id": key, **_pick(model, _tree(below))} if key else {}
    return {"model": linked} if below else {**entry, "model": linked}
