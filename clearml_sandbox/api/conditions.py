"""What a request asks of each document: the filters of `get_all` and `get_all_ex`.

Strict where the server is strict, and open where it fails open: a filter that it can't read is dropped without a word. The
rules are those of `apiserver/database/model/base.py` of the ClearML Server.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from clearml_sandbox.api.answer import ApiError, Call
from clearml_sandbox.api.kinds import MODEL, Kind
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.records import metric_key

Condition = Callable[[Document], bool]


def values_of(value: Any) -> list[Any]:
    """What a request gives as one value or as a list."""
    if value is None or value == []:
        return []
    return list(value) if isinstance(value, list) else [value]


def conditions_of(call: Call, kind: Kind) -> list[Condition]:
    """What a body asks of each document. Rules are read once, not once a document: a listing of 20,000 has to stay fast."""
    body = {field: rule for field, rule in call.body.items() if rule is not None}
    found: list[Condition] = []
    if not body.get("search_hidden") and not values_of(body.get("id")) and kind is not MODEL:
        found.append(lambda document: "hidden" not in (document.get("system_tags") or ()))
    found += [*_lists(call, body, kind), *_values(body, kind), *_texts(body, kind)]
    if body.get("ready") is not None:
        found.append(lambda document: document.get("ready") is body["ready"])
    return found


def _lists(call: Call, body: Document, kind: Kind) -> Iterator[Condition]:
    """Lists of values, and the entries of `filters`."""
    for field in kind.lists & body.keys() - {"id"}:
        yield from _in_list(field, _widened(call, field, body[field]))
    for field, rule in (body.get("filters") or {}).items():
        if field in kind.lists:
            yield partial(_in_filter, field, _filter(rule))


def _values(body: Document, kind: Kind) -> Iterator[Condition]:
    """Ranges, dates and single values."""
    for field, rule in body.items():
        if field in kind.ranges or f"{field.partition('.')[0]}.*" in kind.ranges:
            yield _in_range(field, rule)
        elif field in kind.dates:
            yield from _in_dates(field, rule)
        elif kind.equal and field.startswith(kind.equal):
            yield partial(_is_equal, field, rule)


def _texts(body: Document, kind: Kind) -> Iterator[Condition]:
    """Regular expressions: case counts in the field of a name, not in `_any_` and `_all_`."""
    for field in kind.texts & body.keys():
        if isinstance(body[field], str):
            yield partial(_like, [field], any, _pattern(body[field]))
    for name, join in (("_any_", any), ("_all_", all)):
        if body.get(name):
            yield partial(_like, body[name].get("fields") or (), join, _pattern(body[name]["pattern"], re.IGNORECASE))


def _widened(call: Call, field: str, value: Any) -> Any:
    """A project stands for its sub-projects, too, where that is asked for."""
    if field != "project" or not call.body.get("include_subprojects") or not isinstance(value, list):
        return value
    projects = call.store.projects
    roots = [projects[key]["name"] + "/" for key in value if key in projects]
    return value + [key for key, project in projects.items() if project["name"].startswith(tuple(roots))] if roots else value


def read_values(document: Document, path: str) -> Sequence[Any]:
    """The values at a dotted path, through lists; a missing one has no value."""
    if "." not in path:
        value = document.get(path)
        return value if isinstance(value, list) else () if value is None else (value,)
    values: list[Any] = [document]
    before = ""
    for part in path.split("."):
        documents = [value for value in values if isinstance(value, dict)]
        # The server keeps artifacts by key and mode, and shows a list.
        values = [one for one in documents if _artifact_id(one) == part] if before == "artifacts" else _below(documents, part)
        before = part
    return [value for value in values if value is not None]


def _below(documents: Iterable[Document], field: str) -> list[Any]:
    """The values of a field, those of lists one by one."""
    step = (document.get(field) for document in documents)
    return [item for value in step for item in (value if isinstance(value, list) else [value])]


def _artifact_id(artifact: Document) -> str:
    return f"{metric_key(str(artifact.get('key')))}_{artifact.get('mode') or 'output'}"


def _is_equal(field: str, wanted: Any, document: Document) -> bool:
    """One value finds the documents that have it, alone or in a list; a list finds none."""
    return not isinstance(wanted, list) and wanted in read_values(document, field)


def _in_list(field: str, rule: Any) -> list[Condition]:
    """A list filter: OR by default; `-x` and `__$not` exclude, `__$all` and `__$and` want all, and make `-x` a plain value."""
    include, exclude, every = _parts(rule)
    found: list[Condition] = []
    if exclude:
        found.append(lambda document: not any(value in exclude for value in read_values(document, field)))
    if include and every:
        found.append(lambda document: all(value in read_values(document, field) for value in include))
    elif include:
        wanted = {value for value in include if isinstance(value, str)}  # documents hold texts alone in these fields
        found.append(lambda document: not wanted.isdisjoint(read_values(document, field)))
    return found


def _parts(rule: Any) -> tuple[list[Any], list[Any], bool]:
    """What a list filter wants, what it excludes, and whether it wants all."""
    include: list[Any] = []
    exclude: list[Any] = []
    every, plain, negate = False, False, False
    for position, value in enumerate(values_of(rule)):
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
    return include, exclude, every


def _filter(rule: Any) -> Document:
    if not isinstance(rule, dict) or set(rule) - {"op", "any", "all"}:
        raise ApiError(400, 12, f"Validation error: {rule!r} is not a filter")
    return rule


def _in_filter(field: str, rule: Document, document: Document) -> bool:
    """An entry of `filters`: `any` and `all`, each with `include` and `exclude`, joined by `op`."""
    have = read_values(document, field)
    parts = []
    for name, join in (("any", any), ("all", all)):
        part = rule.get(name)
        if part:
            include, exclude = part.get("include") or (), part.get("exclude") or ()
            parts.append(
                (not include or join(v in have for v in include)) and (not exclude or not any(v in have for v in exclude))
            )
    return not parts or (any(parts) if rule.get("op") == "or" else all(parts))


_MODIFIER = re.compile(r"\s*(<=|>=|<|>|)(.*)", re.DOTALL)
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "": operator.eq}
_UNREADABLE = object()
"""A bound that is not a time: the database compares it only with what is missing."""


def _time(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _in_dates(field: str, rule: Any) -> Iterator[Condition]:
    """Bounds on a date, each with its operator; bounds that can't be read don't count. Two plain dates are a range."""
    bounds = rule if isinstance(rule, list) else [rule]
    if not all(bound is None or isinstance(bound, str) for bound in bounds):
        raise ApiError(400, 16, f"Invalid value for fields (failed parsing query field): field={field}")
    if len(bounds) == 2 and not any(bound.startswith(("<", ">")) for bound in bounds if bound is not None):
        yield _in_range(field, bounds)
        return
    if None in bounds:
        raise ApiError(400, 16, f"Invalid value for fields (failed parsing query field): field={field}")
    for how, limit in _limits(bounds).items():
        yield partial(_in_date, field, how, limit)


def _limits(bounds: Iterable[str]) -> dict[str, datetime]:
    """The bounds that can be read, by their operators; of two with one operator the last counts."""
    limits: dict[str, datetime] = {}
    for bound in bounds:
        match = _MODIFIER.fullmatch(bound)
        limit = _time(match[2]) if match else None
        if match and limit and not re.fullmatch(r"\d+", match[2].strip()):
            limits[match[1]] = limit
    return limits


def _in_date(field: str, how: str, limit: datetime, document: Document) -> bool:
    """A document without the field is within no bound."""
    value = _time(document[field]) if document.get(field) else None
    return value is not None and bool(_COMPARE[how](value, limit))


def _in_range(field: str, rule: Any) -> Condition:
    """From a least to a greatest value, both included; null is an open end. A greatest value alone finds what lacks it, too."""
    if not isinstance(rule, list) or len(rule) != 2:
        raise ApiError(400, 12, f"Validation error (Min and max values should be specified for range field {field})")
    if rule == [None, None]:
        message = f"Validation error (At least one of min or max values should be provided for field {field})"
        raise ApiError(400, 12, message)
    read = _number if "." in field or field in {"last_iteration", "active_duration"} else _moment
    least, greatest = (None if bound is None else read(bound) for bound in rule)
    return partial(_within, field, read, least, greatest)


def _moment(value: Any) -> Any:
    return _time(value) or _UNREADABLE


def _number(value: Any) -> Any:
    """A number may come as text; other text can't be compared with any number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return _UNREADABLE


def _within(field: str, read: Callable[[Any], Any], least: Any, greatest: Any, document: Document) -> bool:
    values = read_values(document, field)
    if not values:
        return least is None or (read is _moment and {least, greatest} <= {_UNREADABLE, None})
    value = read(values[0])
    if _UNREADABLE in (value, least, greatest):
        return False
    return (least is None or least <= value) and (greatest is None or value <= greatest)


def _pattern(text: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    try:
        return re.compile(text, flags)
    except re.error as error:
        raise ApiError(400, 21, f"Malformed regular expression: err={error}, extra_info=None") from None


def _like(fields: Iterable[str], join: Callable[[Iterable[Any]], bool], pattern: re.Pattern[str], document: Document) -> bool:
    return join(any(pattern.search(str(value)) for value in read_values(document, field)) for field in fields)
