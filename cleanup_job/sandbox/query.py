"""The one query function: `get_all` and `get_all_ex` of tasks, models and projects.

Strict where the server is strict, and open where it fails open: a filter that it can't read is dropped without a word.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cleanup_job.sandbox.answer import ApiError, Call
from cleanup_job.sandbox.builder_records import COMPANY
from cleanup_job.sandbox.store import Document, Documents, new_id

CAP = 500
"""Documents in one page at most."""


@dataclass(frozen=True)
class Kind:
    """What can be asked of a kind of document."""

    name: str
    lists: frozenset[str]
    """Fields with a list of values, in which `-x` excludes and `__$…` are operators."""
    dates: frozenset[str] = frozenset()
    ranges: frozenset[str] = frozenset()
    """Dates that need a lower and an upper bound."""
    texts: frozenset[str] = frozenset({"name"})
    """Fields searched by a regular expression."""
    fields: frozenset[str] = frozenset()
    """Top-level fields that a document may have."""
    links: frozenset[str] = frozenset()
    """Fields with the id of another document, which `get_all_ex` gives as `{"id": …}`."""


TASK = Kind(
    "Task",
    frozenset({"id", "status", "type", "user", "project", "parent", "tags", "system_tags", "models.input.model", "queue",
               "runtime.datasets"}),
    frozenset({"status_changed", "last_update", "last_change"}),
    frozenset({"created", "started"}),
    fields=frozenset(
        "id name user company company_origin type status status_reason status_message status_changed comment report "
        "report_assets "
        "created started completed published active_duration parent project output execution container models tags "
        "system_tags script last_worker last_worker_report last_update last_change last_iteration last_metrics unique_metrics "
        "metric_stats hyperparams configuration runtime last_changed_by".split()
    ),
    links=frozenset({"company", "user", "project", "parent"}),
)  # fmt: skip
MODEL = Kind(
    "Model",
    frozenset({"id", "task", "uri", "project", "user", "framework", "tags", "system_tags", "parent"}),
    frozenset({"last_update", "last_change"}),
    fields=frozenset(
        "id name user company company_origin created task parent comment tags system_tags uri framework design labels ready "
        "ui_cache project metadata last_update last_change last_changed_by last_iteration last_metrics unique_metrics".split()
    ),
    links=frozenset({"company", "user", "project", "task", "parent"}),
)
PROJECT = Kind(
    "Project",
    frozenset({"id", "user", "parent", "tags", "system_tags"}),
    frozenset({"last_update", "created"}),
    fields=frozenset(
        "id name basename user company company_origin created description default_output_destination tags system_tags "
        "last_update featured parent path logo_url logo_blob".split()
    ),
    links=frozenset({"company", "user"}),
)


def query(call: Call, documents: Documents, kind: Kind, *, extended: bool = False) -> Document:
    """The documents that a body asks for, and the scroll id where one was given."""
    found = [document for document in _candidates(call, documents) if _matches(call, document, kind)]
    if extended and call.body.get("allow_public") is False:
        found = [document for document in found if document.get("company")]
    _sort(found, call.body.get("order_by"), kind)
    page, scroll = _page(call, found)
    shown = [_project(document, call.body.get("only_fields"), kind, call, extended=extended) for document in page]
    return {kind.name.lower() + "s": shown, **scroll}


def _candidates(call: Call, documents: Documents) -> Iterable[Document]:
    ids = _values(call.body.get("id"))
    if ids:
        return [documents[key] for key in dict.fromkeys(ids) if isinstance(key, str) and key in documents]
    for field, index in (("task", "task"), ("uri", "uri"), ("parent", "parent"), ("models.input.model", "inputs")):
        values = _values(call.body.get(field))
        if values and documents.indexed(index) and all(isinstance(v, str) and not v.startswith(("-", "__$")) for v in values):
            return list(documents.having(index, values))
    return list(documents.values())


def _values(value: Any) -> list[Any]:
    if value is None or value == []:
        return []
    return list(value) if isinstance(value, list) else [value]


def _matches(call: Call, document: Document, kind: Kind) -> bool:
    body = call.body
    hidden = "hidden" in (document.get("system_tags") or ())
    if hidden and not body.get("search_hidden") and not _values(body.get("id")) and kind is not MODEL:
        return False
    return (
        all(_in_list(_read(document, f), _widened(call, f, body[f])) for f in kind.lists if f in body and f != "id")
        and all(
            _in_filter(_read(document, field), rule)
            for field, rule in (body.get("filters") or {}).items()
            if field in kind.lists
        )
        and all(_in_dates(document.get(field), field, body[field]) for field in kind.dates if field in body)
        and all(_in_range(document.get(field), field, body[field]) for field in kind.ranges if field in body)
        and all(_like(document.get(field), body[field]) for field in kind.texts if isinstance(body.get(field), str))
        and _in_patterns(document, body)
        and ("ready" not in body or body["ready"] is None or document.get("ready") is body["ready"])
    )


def _widened(call: Call, field: str, value: Any) -> Any:
    """A project stands for its sub-projects, too, where that is asked for."""
    if field != "project" or not call.body.get("include_subprojects") or not isinstance(value, list):
        return value
    projects = call.store.projects
    roots = [projects[key]["name"] + "/" for key in value if key in projects]
    return value + [key for key, project in projects.items() if project["name"].startswith(tuple(roots))] if roots else value


def _read(document: Document, path: str) -> list[Any]:
    """The values at a dotted path, through lists; a missing one is no value."""
    values: list[Any] = [document]
    for part in path.split("."):
        step = [value.get(part) for value in values if isinstance(value, dict)]
        values = [item for value in step for item in (value if isinstance(value, list) else [value])]
    return [value for value in values if value is not None]


def _in_list(have: list[Any], rule: Any) -> bool:
    """A list filter: OR by default; `-x` and `__$not` exclude, `__$all` and `__$and` want all, and make `-x` a plain value."""
    wanted = _values(rule)
    if not wanted:
        return True
    include: list[Any] = []
    exclude: list[Any] = []
    every, plain, negate = False, False, False
    for position, value in enumerate(wanted):
        if isinstance(value, str) and value.startswith("__$"):
            negate = value == "__$not"
            every |= value in {"__$all", "__$and"}
            plain |= position == 0 and not negate
        elif negate:
            exclude.append(value)
            negate = False
        elif isinstance(value, str) and value.startswith("-") and not plain:
            exclude.append(value[1:])
        else:
            include.append(value)
    if any(value in have for value in exclude):
        return False
    return not include or (all if every else any)(value in have for value in include)


def _in_filter(have: list[Any], rule: Any) -> bool:
    """An entry of `filters`: `any` and `all`, each with `include` and `exclude`, joined by `op`."""
    if not isinstance(rule, dict) or set(rule) - {"op", "any", "all"}:
        raise ApiError(400, 12, f"Validation error: {rule!r} is no filter")
    parts = []
    for name, join in (("any", any), ("all", all)):
        part = rule.get(name)
        if part:
            include, exclude = part.get("include") or (), part.get("exclude") or ()
            parts.append(
                (not include or join(v in have for v in include)) and (not exclude or not any(v in have for v in exclude))
            )
    return not parts or (any(parts) if rule.get("op") == "or" else all(parts))


_DATE = re.compile(r"\s*(<=|>=|<|>|)(.*)", re.DOTALL)


def _time(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _in_dates(have: Any, field: str, rule: Any) -> bool:
    """Bounds on a date; those that can't be read don't count. A document without the field matches no bound."""
    for bound in [rule] if not isinstance(rule, list) else rule:
        if bound is None:
            continue
        if not isinstance(bound, str):
            raise ApiError(400, 16, f"Invalid value for fields (failed parsing query field): field={field}")
        match = _DATE.fullmatch(bound)
        limit = _time(match[2]) if match else None
        if match is None or limit is None or re.fullmatch(r"\d+", match[2].strip()):
            continue
        value = _time(have) if have else None
        if value is None:
            return False
        within = {"<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit, "": value == limit}
        if not within[match[1]]:
            return False
    return True


def _in_range(have: Any, field: str, rule: Any) -> bool:
    if rule is None or rule == []:
        return True
    if not isinstance(rule, list) or len(rule) != 2:
        raise ApiError(400, 12, f"Validation error (Min and max values should be specified for range field {field})")
    value, low, high = _time(have) if have else None, _time(rule[0]), _time(rule[1])
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def _like(have: Any, pattern: str) -> bool:
    try:
        return re.search(pattern, str(have or ""), re.IGNORECASE) is not None
    except re.error as error:
        raise ApiError(400, 21, f"Malformed regular expression: err={error}, extra_info=None") from None


def _in_patterns(document: Document, body: Document) -> bool:
    for name, join in (("_any_", any), ("_all_", all)):
        rule = body.get(name)
        if rule and not join(_like(document.get(field), rule["pattern"]) for field in rule.get("fields") or ()):
            return False
    return True


def _sort(found: list[Document], order: Any, kind: Kind) -> None:
    """Last field first, as sorting is stable. Documents that lack a field come last in either direction."""
    if isinstance(order, str):  # read letter by letter, which leaves the order of the ids
        order = ["id"]
    for entry in reversed(order or []):
        field = str(entry).lstrip("-")
        if field.partition(".")[0] not in kind.fields:
            raise ApiError(400, 14, f'Lookup error (probably an invalid field name): err=Cannot resolve field "{field}"')
        found.sort(key=lambda document, field=field: _key(document, field), reverse=str(entry).startswith("-"))  # type: ignore[misc]
        found.sort(key=lambda document, field=field: not _read(document, field))  # type: ignore[misc]


def _key(document: Document, field: str) -> Any:
    value = next(iter(_read(document, field)), "")
    return (1, value, "") if isinstance(value, int | float) else (0, 0, str(value))


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


def _project(document: Document, only: Any, kind: Kind, call: Call, *, extended: bool) -> Document:
    """The fields asked for, and in `get_all_ex` links to other documents as `{"id": …}` with the fields asked of them."""
    paths: Sequence[str] = list(only) if only else []
    for path in paths:
        if path.lstrip("-").partition(".")[0] not in kind.fields:
            raise ApiError(400, 14, f"Lookup error (probably an invalid field name): fields=({path})")
    shown = _linked(document, paths, kind, call) if extended else document
    wanted = [re.sub(r"\.model\..*", "", path) if extended else path for path in paths if not path.startswith("-")]
    if not extended and any(("." in path and path.partition(".")[0] in kind.links) or ".model." in path for path in wanted):
        raise ApiError(400, 14, "Lookup error (probably an invalid field name or unsupported nested field): err=Cannot resolve")
    if wanted:
        cut = _pick(shown, [path.partition(".")[0] if path.partition(".")[0] in kind.links else path for path in wanted])
        return {"id": document["id"], **cut} if extended else cut
    dropped = {path[1:] for path in paths} | {"unique_metrics"}
    return {field: value for field, value in shown.items() if field not in dropped}


def _pick(value: Any, paths: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_pick(item, paths) for item in value]
    if not isinstance(value, dict):
        return value
    cut: Document = {}
    for field in dict.fromkeys(path.partition(".")[0] for path in paths):
        if field == "company_origin" and value.get("company") in ("", {}):
            cut[field] = COMPANY
        if field in value:
            below = [path.partition(".")[2] for path in paths if path.partition(".")[0] == field]
            # What is below an artifact's fields can't be asked for: the server keeps artifacts by key, not as a list.
            cut[field] = value[field] if "" in below else [] if field == "artifacts" else _pick(value[field], below)
    return cut


def _linked(document: Document, paths: Sequence[str], kind: Kind, call: Call) -> Document:
    shown = dict(document)
    others = {"project": call.store.projects, "parent": call.store.tasks, "task": call.store.tasks, "user": call.store.users}
    for field in kind.links:
        if field not in document:
            continue
        key = document[field]
        shown[field] = {"id": key} if key else {}
        below = [path.partition(".")[2] for path in paths if path.startswith(field + ".")]
        other = others.get(field, {}).get(key)
        if below and other:
            shown[field] = {"id": key, **_pick(other, below)}
    if kind is TASK and "models" in document:
        shown["models"] = {
            direction: [_entry(entry, paths, direction, call) for entry in entries]
            for direction, entries in document["models"].items()
        }
    return shown


def _entry(entry: Document, paths: Sequence[str], direction: str, call: Call) -> Document:
    key = entry.get("model")
    prefix = f"models.{direction}.model."
    below = [path.removeprefix(prefix) for path in paths if path.startswith(prefix)]
    model = call.store.models.get(str(key)) or {}
    linked = {"id": key, **_pick(model, below)} if key else {}
    return {"model": linked} if below else {**entry, "model": linked}


def documents_by_id(documents: Documents, ids: Iterable[str]) -> Iterator[Document]:
    """Those that are there, in the order asked for."""
    return (documents[key] for key in ids if key in documents)
