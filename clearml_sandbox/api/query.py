"""The one query function: `get_all` and `get_all_ex` of tasks, models and projects."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from math import isnan
from operator import itemgetter
from typing import Any

from clearml_sandbox.api.answer import ApiError, Call
from clearml_sandbox.api.conditions import Condition, conditions_of, read_values, values_of
from clearml_sandbox.api.kinds import Kind
from clearml_sandbox.api.projection import check_fields, projection
from clearml_sandbox.store import Document, Documents, api_time, new_id

CAP = 500
"""Documents in one page at most."""


def query(call: Call, documents: Documents, kind: Kind, *, extended: bool = False, also: Sequence[Condition] = ()) -> Document:
    """The documents that a body asks for, and the scroll id where one was given; `also` is what a call asks by itself."""
    check_fields(call.body.get("only_fields"), kind, call.server)
    conditions = [*conditions_of(call, kind), *also]
    candidates, last = _candidates(call, documents, extended=extended)
    found = list(islice((document for document in candidates if _matches(document, conditions)), last))
    if extended and call.body.get("allow_public") is False:
        found = [document for document in found if document.get("company")]
    if last is None:
        _sort(found, call.body.get("order_by"), kind)
    page, scroll = _page(call, found)
    show = projection(call.body.get("only_fields"), kind, call, extended=extended)
    return {kind.name.lower() + "s": [show(document) for document in page], **scroll}


def _candidates(call: Call, documents: Documents, *, extended: bool) -> tuple[Iterable[Document], int | None]:
    """The documents to look through, and after how many that match to stop: then they are in order already."""
    few = _by_index(call, documents)
    if few is not None:
        return few, None
    order, page, size = call.body.get("order_by"), call.body.get("page"), call.body.get("page_size")
    if not (isinstance(page, int) and isinstance(size, int)) or min(page + 1, size) < 1 or extended or "scroll_id" in call.body:
        return documents.values(), None
    # The real server has an index for it: no page of a listing by time costs more than another.
    since, until = _limits(call.body.get("last_update"))
    last = (page + 1) * min(size, CAP)
    if order == ["last_update"] and page == 0:
        return documents.by_time(since), last
    if order in (["-last_update"], ["-last_update", "id"]):
        return documents.by_time_down(since, until), last
    return documents.values(), None


def _by_index(call: Call, documents: Documents) -> list[Document] | None:
    """A few documents found by an index; None where no index helps."""
    ids = values_of(call.body.get("id"))
    if ids:
        return [documents[key] for key in dict.fromkeys(ids) if isinstance(key, str) and key in documents]
    for field, index in (("task", "task"), ("uri", "uri"), ("parent", "parent"), ("models.input.model", "inputs")):
        values = values_of(call.body.get(field))
        if values and documents.indexed(index) and all(isinstance(v, str) and not v.startswith(("-", "__$")) for v in values):
            return list(documents.having(index, values))
    return None


def _limits(rule: Any) -> tuple[str, str]:
    """Where to begin and to end in the index: at bounds written as the server writes times; else empty, which is none."""
    bounds = [bound or "" for bound in rule if bound is None or isinstance(bound, str)] if isinstance(rule, list) else []
    if len(bounds) == 2 and not any(bound.startswith(("<", ">")) for bound in bounds):
        return _plain(bounds[0]), _plain(bounds[1]) if bounds[0] else ""  # a greatest value alone finds what has no time, too
    return _last_of(bounds, ">="), _last_of(bounds, "<=") or _last_of(bounds, "<")


def _last_of(bounds: Sequence[str], operator: str) -> str:
    """The last bound with an operator."""
    found = [bound.removeprefix(operator) for bound in bounds if bound.startswith(operator)]
    return _plain(found[-1]) if found else ""


def _plain(time: str | None) -> str:
    try:
        return time if time and api_time(datetime.fromisoformat(time)) == time and time.endswith("+00:00") else ""
    except ValueError:
        return ""


def _matches(document: Document, conditions: Sequence[Condition]) -> bool:
    return all(holds(document) for holds in conditions)


def _sort(found: list[Document], order: Any, kind: Kind) -> None:
    """Last field first, as sorting is stable. Documents that lack a field come last in either direction."""
    if isinstance(order, str):  # read letter by letter, which leaves the order of the ids
        order = ["id"]
    for entry in reversed(order or []):
        field = str(entry).lstrip("-")
        if field.partition(".")[0] not in kind.fields:
            raise ApiError(400, 14, f'Lookup error (probably an invalid field name): err=Cannot resolve field "{field}"')
        there: list[tuple[Any, Document]] = []
        lacking: list[Document] = []
        for document in found:
            values = read_values(document, field)
            if values:
                there.append((values[0], document))
            else:
                lacking.append(document)
        plain = all(isinstance(value, str) for value, _ in there)
        there.sort(key=itemgetter(0) if plain else _rank, reverse=str(entry).startswith("-"))
        found[:] = [*(document for _, document in there), *lacking]


def _rank(pair: tuple[Any, Document]) -> tuple[int, float, str]:
    """Numbers before texts, and what is not a number before all numbers, as MongoDB compares: a field may hold any of them."""
    value = pair[0]
    if isinstance(value, int | float):
        return (0, 0, "") if isnan(value) else (1, value, "")
    return (2, 0, str(value))


def _page(call: Call, found: list[Document]) -> tuple[list[Document], Document]:
    body = call.body
    if "scroll_id" in body:
        return _scroll(call, found)
    page, size = body.get("page"), body.get("page_size")
    for name, value, least in (("page", page, 0), ("page_size", size, 1)):
        if value is not None and not isinstance(value, int):
            raise ApiError(500, 0, f"'<' not supported between instances of '{type(value).__name__}' and 'int'")
        if value is not None and value < least:
            raise ApiError(400, 12, f"Validation error ({name} must be >{'=' * (not least)}0): field={name}")
    step = min(size or CAP, CAP)
    start = (page or 0) * step
    return found[start : start + step], {}


def _scroll(call: Call, found: list[Document]) -> tuple[list[Document], Document]:
    """A scroll is an offset into a live query; an unknown id starts again."""
    size = call.body.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        message = "Validation error (Integer size parameter greater than 1 should be provided when working with scroll)"
        raise ApiError(400, 12, message)
    scrolls = call.store.scrolls
    given = call.body.get("scroll_id")
    key = given if given in scrolls else new_id()
    start = scrolls.get(key, 0)
    size = min(size, CAP)
    if call.body.get("refresh_scroll"):
        return found[:start], {"scroll_id": key}
    page = found[start : start + size]
    scrolls[key] = start + len(page)
    return page, {"scroll_id": key}
