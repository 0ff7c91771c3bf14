"""The one query function: `get_all` and `get_all_ex` of tasks, models and projects.

Strict where the server is strict, and open where it fails open: a filter that it can't read is dropped without a word.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any

from cleanup_job.sandbox.answer import ApiError, Call
from cleanup_job.sandbox.store import Document, Documents, new_id

Condition = Callable[[Document], bool]
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
QUEUE = Kind(
    "Queue",
    frozenset({"id", "tags", "system_tags"}),
    fields=frozenset("id name display_name user company created tags system_tags entries last_update metadata".split()),
    links=frozenset({"company", "user"}),
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
    _check_fields(call.body.get("only_fields"), kind)
    conditions = _conditions(call, kind)
    candidates, last = _candidates(call, documents), None
    if call.body.get("order_by") == ["last_update"] and call.body.get("page") == 0 and candidates is documents and not extended:
        # The real server has an index for it: no page of a listing by time costs more than another.
        candidates, last = documents.by_time(_since(call.body.get("last_update"))), CAP
    elif candidates is documents:
        candidates = documents.values()
    found = list(islice((document for document in candidates if _matches(document, conditions)), last))
    if extended and call.body.get("allow_public") is False:
        found = [document for document in found if document.get("company")]
    _sort(found, call.body.get("order_by"), kind)
    page, scroll = _page(call, found)
    show = _projection(call.body.get("only_fields"), kind, call, extended=extended)
    return {kind.name.lower() + "s": [show(document) for document in page], **scroll}


def _candidates(call: Call, documents: Documents) -> Iterable[Any]:
    """A few documents found by an index, or all of them."""
    ids = _values(call.body.get("id"))
    if ids:
        return [documents[key] for key in dict.fromkeys(ids) if isinstance(key, str) and key in documents]
    for field, index in (("task", "task"), ("uri", "uri"), ("parent", "parent"), ("models.input.model", "inputs")):
        values = _values(call.body.get(field))
        if values and documents.indexed(index) and all(isinstance(v, str) and not v.startswith(("-", "__$")) for v in values):
            return list(documents.having(index, values))
    return documents


def _since(rule: Any) -> str:
    """Where to begin in the index: at a lower bound written as the server writes times."""
    bound = rule[0] if isinstance(rule, list) and rule and isinstance(rule[0], str) else ""
    return bound[2:] if bound.startswith(">=") and bound.endswith("+00:00") else ""


def _values(value: Any) -> list[Any]:
    if value is None or value == []:
        return []
    return list(value) if isinstance(value, list) else [value]


def _matches(document: Document, conditions: Sequence[Condition]) -> bool:
    return all(holds(document) for holds in conditions)


def _conditions(call: Call, kind: Kind) -> list[Condition]:
    """What a body asks of each document. Rules are read once, not once a document: a listing of 20,000 has to stay fast."""
    body = call.body
    found: list[Condition] = []
    if not body.get("search_hidden") and not _values(body.get("id")) and kind is not MODEL:
        found.append(lambda document: "hidden" not in (document.get("system_tags") or ()))
    for field in kind.lists & body.keys() - {"id"}:
        found += _in_list(field, _widened(call, field, body[field]))
        if (
            field == "runtime.datasets" and isinstance(body[field], list) and body[field]
        ):  # one id finds its users, a list nobody
            found.append(lambda _: False)
    for field, rule in (body.get("filters") or {}).items():
        if field in kind.lists:
            found.append(partial(_in_filter, field, _filter(rule)))
    for field in kind.dates & body.keys():
        found += [partial(_in_date, field, *bound) for bound in _bounds(field, body[field])]
    for field in kind.ranges & body.keys():
        found += _in_range(field, body[field])
    found += _texts(body, kind)
    if body.get("ready") is not None:
        found.append(lambda document: document.get("ready") is body["ready"])
    return found


def _texts(body: Document, kind: Kind) -> Iterator[Condition]:
    for field in kind.texts & body.keys():
        if isinstance(body[field], str):
            yield partial(_like, [field], any, _pattern(body[field]))
    for name, join in (("_any_", any), ("_all_", all)):
        if body.get(name):
            yield partial(_like, body[name].get("fields") or (), join, _pattern(body[name]["pattern"]))


def _widened(call: Call, field: str, value: Any) -> Any:
    """A project stands for its sub-projects, too, where that is asked for."""
    if field != "project" or not call.body.get("include_subprojects") or not isinstance(value, list):
        return value
    projects = call.store.projects
    roots = [projects[key]["name"] + "/" for key in value if key in projects]
    return value + [key for key, project in projects.items() if project["name"].startswith(tuple(roots))] if roots else value


def _read(document: Document, path: str) -> Sequence[Any]:
    """The values at a dotted path, through lists; a missing one is no value."""
    if "." not in path:
        value = document.get(path)
        return value if isinstance(value, list) else () if value is None else (value,)
    values: list[Any] = [document]
    for part in path.split("."):
        step = [value.get(part) for value in values if isinstance(value, dict)]
        values = [item for value in step for item in (value if isinstance(value, list) else [value])]
    return [value for value in values if value is not None]


def _in_list(field: str, rule: Any) -> list[Condition]:
    """A list filter: OR by default; `-x` and `__$not` exclude, `__$all` and `__$and` want all, and make `-x` a plain value."""
    include: list[Any] = []
    exclude: list[Any] = []
    every, plain, negate = False, False, False
    for position, value in enumerate(_values(rule)):
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
    found: list[Condition] = []
    if exclude:
        found.append(lambda document: not any(value in exclude for value in _read(document, field)))
    if include and every:
        found.append(lambda document: all(value in _read(document, field) for value in include))
    elif include:
        wanted = {value for value in include if isinstance(value, str)}  # documents hold texts alone in these fields
        found.append(lambda document: not wanted.isdisjoint(_read(document, field)))
    return found


def _filter(rule: Any) -> Document:
    if not isinstance(rule, dict) or set(rule) - {"op", "any", "all"}:
        raise ApiError(400, 12, f"Validation error: {rule!r} is no filter")
    return rule


def _in_filter(field: str, rule: Document, document: Document) -> bool:
    """An entry of `filters`: `any` and `all`, each with `include` and `exclude`, joined by `op`."""
    have = _read(document, field)
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
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "": operator.eq}


def _time(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _bounds(field: str, rule: Any) -> Iterator[tuple[str, datetime]]:
    """Bounds on a date; those that can't be read don't count."""
    for bound in rule if isinstance(rule, list) else [rule]:
        if bound is None:
            continue
        if not isinstance(bound, str):
            raise ApiError(400, 16, f"Invalid value for fields (failed parsing query field): field={field}")
        match = _DATE.fullmatch(bound)
        limit = _time(match[2]) if match else None
        if match and limit and not re.fullmatch(r"\d+", match[2].strip()):
            yield match[1], limit


def _in_date(field: str, how: str, limit: datetime, document: Document) -> bool:
    """A document without the field is within no bound."""
    value = _time(document[field]) if document.get(field) else None
    return value is not None and bool(_COMPARE[how](value, limit))


def _in_range(field: str, rule: Any) -> list[Condition]:
    if rule is None or rule == []:
        return []
    if not isinstance(rule, list) or len(rule) != 2:
        raise ApiError(400, 12, f"Validation error (Min and max values should be specified for range field {field})")
    bounds = [(how, limit) for how, limit in ((">=", _time(rule[0])), ("<=", _time(rule[1]))) if limit]
    return [lambda document: bool(document.get(field)), *(partial(_in_date, field, *bound) for bound in bounds)]


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise ApiError(400, 21, f"Malformed regular expression: err={error}, extra_info=None") from None


def _like(fields: Iterable[str], join: Callable[[Iterable[Any]], bool], pattern: re.Pattern[str], document: Document) -> bool:
    return join(pattern.search(str(document.get(field) or "")) for field in fields)


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
            values = _read(document, field)
            if values:
                there.append((values[0], document))
            else:
                lacking.append(document)
        plain = all(isinstance(value, str) for value, _ in there)
        there.sort(key=itemgetter(0) if plain else _rank, reverse=str(entry).startswith("-"))
        found[:] = [*(document for _, document in there), *lacking]


def _rank(pair: tuple[Any, Document]) -> tuple[int, float, str]:
    """Numbers after texts: a field may hold either."""
    value = pair[0]
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


def _check_fields(only: Any, kind: Kind) -> None:
    """A text is read letter by letter, as the server does."""
    for path in only or ():
        if path.lstrip("-").partition(".")[0] not in kind.fields:
            raise ApiError(400, 14, f"Lookup error (probably an invalid field name): fields=({path})")


def _projection(only: Any, kind: Kind, call: Call, *, extended: bool) -> Callable[[Document], Document]:
    """The fields asked for, and in `get_all_ex` links to other documents as `{"id": …}` with the fields asked of them."""
    paths: Sequence[str] = list(only) if only else []
    wanted = [re.sub(r"\.model\..*", "", path) if extended else path for path in paths if not path.startswith("-")]
    if not extended and any(("." in path and path.partition(".")[0] in kind.links) or ".model." in path for path in wanted):
        raise ApiError(400, 14, "Lookup error (probably an invalid field name or unsupported nested field): err=Cannot resolve")
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
            shown[field] = {"id": key, **_pick(other, _tree(below))}
    if kind is TASK and (document.get("execution") or {}).get("queue"):
        shown["execution"] = {**document["execution"], "queue": {"id": document["execution"]["queue"]}}
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
    linked = {"id": key, **_pick(model, _tree(below))} if key else {}
    return {"model": linked} if below else {**entry, "model": linked}
