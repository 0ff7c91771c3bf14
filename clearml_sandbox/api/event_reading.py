"""The events of one task or model, and which metrics many of them have. Reading never ends where it doesn't on a real server.

The rules are those of `apiserver/services/events.py` and `apiserver/bll/event` of the ClearML Server.
"""

import base64
import json
import re
from collections import defaultdict
from typing import Any

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.api.older import BY_TIME
from clearml_sandbox.store import Document, new_id, now

TYPES = ("training_stats_scalar", "training_stats_vector", "training_debug_image", "plot", "log")
WINDOW = 10_000
"""What Elasticsearch gives in one answer at most."""
BUCKETS = 8_000
"""Groups that the server lets Elasticsearch make at most."""
NO_ITERATION = -(2**31)
"""The iteration of an event that has none."""
END = "FFFF"
"""The scroll id of Elasticsearch's scrolls after the last page."""
PLOT = "plot"
IMAGE = "training_debug_image"
_SOURCE = re.compile(r"['\"]source['\"]:\s?['\"]([a-z][a-z0-9+\-.]*://.*?)['\"]", re.IGNORECASE)


def too_many() -> ApiError:
    """The error of Elasticsearch for a request that is too large for it, or for groups of size 0."""
    return ApiError(
        500, 100, "General data error (BadRequestError(400, 'x_content_parse_exception', 'failed to parse field [size]'))"
    )


def owners(call: Call, keys: list[str]) -> None:
    """All of the tasks, or models, must be there: one that isn't fails the whole call."""
    models = call.flag("model_events")
    there = call.store.models if models else call.store.tasks
    if not all(key in there for key in keys):
        name, subcode = ("model", 201) if models else ("task", 101)
        raise ApiError(400, subcode, f"Invalid {name} id: ids=({', '.join(keys)})")


def read(call: Call, key: str, kind: str) -> list[Document]:
    """The events of a task in order of iteration, as the server gives them."""
    models = call.flag("model_events")
    found = [e for e in call.store.events.get(key, ()) if e["type"] == kind and bool(e.get("model_event")) == models]
    found.sort(key=lambda e: (iteration_of(e), metric_of(e), variant_of(e)))
    return found


def metric_of(event: Document) -> str:
    """An event's metric; one that was sent without has an empty one."""
    return str(event.get("metric") or "")


def variant_of(event: Document) -> str:
    """An event's variant; one that was sent without has an empty one."""
    return str(event.get("variant") or "")


def iteration_of(event: Document) -> int:
    """The iteration of an event; one that was sent without has 0."""
    return int(event.get("iter") or 0)


def shown(event: Document) -> Document:
    """An event with what the server adds to it."""
    found = {
        **event,
        "metric": metric_of(event),
        "variant": variant_of(event),
        "model_event": bool(event.get("model_event")),
        "@timestamp": now(),
        "worker": event.get("worker") or "<unknown>",
    }
    if event["type"] == PLOT:
        text = event.get("plot_str") or ""
        found["plot_len"] = len(text)
        sources = list(dict.fromkeys(_SOURCE.findall(text)))
        if sources:
            found["source_urls"] = sources
    return found


Wanted = dict[str, list[str]]
"""Metrics that a request names, each with the variants of it that it names; no variants stand for all."""


def wanted_metrics(rules: Any) -> Wanted:
    """What a request's `metrics` ask for; of two rules for a metric the last one counts."""
    for rule in rules or ():
        if not isinstance(rule, dict):
            raise ApiError(400, 12, "Validation error (error for field 'metrics')")
    return {str(rule.get("metric") or ""): list(rule.get("variants") or ()) for rule in rules or ()}


def is_wanted(event: Document, wanted: Wanted) -> bool:
    """Whether an event is among those asked for; nothing asked for stands for all."""
    variants = wanted.get(metric_of(event))
    return not wanted or (variants is not None and (not variants or variant_of(event) in variants))


def iterations(call: Call) -> int:
    """How many iterations a request asks for."""
    found = call.body.get("iters", 1)
    if isinstance(found, bool) or not isinstance(found, int):
        raise ApiError(400, 12, "Validation error (error for field 'iters': value is wrong, expected type \"int\")")
    return found


@endpoint("events.get_task_events")
def _get_task_events(call: Call) -> Document:
    key, body = call.text("task"), call.body
    kind, order = _kind_and_order(body)
    owners(call, [key])
    size = body.get("batch_size", 500)
    if call.server <= BY_TIME:
        return _by_time(call, key, str(kind), min(size, WINDOW), backwards=order == "desc")
    if kind is None or kind == "log":
        raise ApiError(500, 0, f"'{kind}' is not a type of event that this call reads")
    request = {
        "event_type": kind,
        "order": order,
        "metrics": body.get("metrics"),
        "count": body.get("count_total") is not False,
    }
    return _by_iteration(call, key, request, size)


def _kind_and_order(body: Document) -> tuple[Any, str]:
    """Which events a request asks for, and in which order.

    Raises:
        ApiError: the server knows no such type or order.
    """
    kind, order = body.get("event_type"), body.get("order") or "asc"
    if kind is not None and kind not in TYPES:
        raise ApiError(400, 12, f"Validation error (error for field 'event_type': {kind!r})")
    if order not in {"asc", "desc"}:
        raise ApiError(400, 12, f"Validation error (error for field 'order': {order!r})")
    return kind, order


def _by_iteration(call: Call, key: str, request: Document, size: int) -> Document:
    """Read on from an iteration, as servers since 2.1 do."""
    body, last, total = call.body, None, None
    if body.get("scroll_id"):  # continues the first request, no matter what this one asks for
        last, total, request = _scrolled(body["scroll_id"])
        if last is None:
            return {"returned": 0, "total": total, "scroll_id": body["scroll_id"], "events": []}
    if size > WINDOW:
        raise ApiError(500, 100, "General data error (Result window is too large)")
    wanted = wanted_metrics(request["metrics"])
    events = [e for e in read(call, key, request["event_type"]) if is_wanted(e, wanted)]
    if request["count"] and total is None:
        total = len(events)
    page = _page(events, size, last, backwards=request["order"] == "desc")
    last = iteration_of(page[-1]) if page else None
    return {"returned": len(page), "total": total, "scroll_id": _scroll([last, total, request]), "events": [*map(shown, page)]}


def _by_time(call: Call, key: str, kind: str, size: int, *, backwards: bool) -> Document:
    """As older servers: a scroll of Elasticsearch's, whose end is an empty page, and a total that is cut."""
    scroll = call.body.get("scroll_id")
    if scroll in call.store.scrolls:
        rest, size, total = call.store.scrolls[scroll]
    else:
        rest = sorted(read(call, key, kind), key=lambda event: event.get("timestamp") or 0, reverse=backwards)
        scroll, total = new_id(), min(len(rest), WINDOW)
    page = rest[:size]
    call.store.scrolls[scroll] = (rest[size:], size, total)
    return {"returned": len(page), "total": total, "scroll_id": scroll if page else END, "events": [*map(shown, page)]}


def _page(events: list[Document], size: int, last: int | None, *, backwards: bool) -> list[Document]:
    """The next events. As on the real server 0 isn't a bound: after iteration 0 the first page comes again and again."""
    if backwards:
        events = sorted(events, key=lambda e: -iteration_of(e))
    if last:
        events = [e for e in events if (iteration_of(e) < last if backwards else iteration_of(e) > last)]
    page = events[:size]
    if page:  # an iteration is never split, except for what is over the window
        same = [e for e in events if iteration_of(e) == iteration_of(page[-1])][:WINDOW]
        there = {id(e) for e in page}
        page += [e for e in same if id(e) not in there]
    return page


def _scroll(state: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps({"state": state}).encode()).decode()


def _scrolled(scroll_id: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(scroll_id.encode()))["state"]
    except (ValueError, KeyError, TypeError):
        raise ApiError(400, 1104, f"Invalid scroll id: scroll_id={scroll_id}") from None


# -- metrics
@endpoint("events.get_task_metrics")
def _get_task_metrics(call: Call) -> Document:
    """Lines of a log are not a metric: they have no iteration."""
    keys, kind = call.ids("tasks"), call.body.get("event_type")
    owners(call, keys)
    found = []
    for key in keys:
        events = (e for e in call.store.events.get(key, ()) if e["type"] == kind and e.get("iter") is not None)
        metrics = {metric_of(e) for e in events if e["iter"] > NO_ITERATION}
        found.append({"task": key, "metrics": sorted(metrics)[:BUCKETS]})
    return {"metrics": found}


@endpoint("events.get_multi_task_metrics")
def _get_multi_task_metrics(call: Call) -> Document:
    keys, kind = call.ids("tasks"), call.body.get("event_type")
    owners(call, keys)
    found: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        for event in call.store.events.get(key, ()):
            if kind is None or event["type"] == kind:
                found[metric_of(event)].add(variant_of(event))
    return {"metrics": [{"metric": name, "variants": sorted(found[name])} for name in sorted(found)]}


# -- logs
@endpoint("events.get_task_log", (2, 9))
def _task_log(call: Call) -> Document:
    """Lines before a time, the latest of them, or after it, the earliest; `order` is but the order that they come in."""
    key, body = call.text("task"), call.body
    owners(call, [key])
    backwards, start = call.flag("navigate_earlier", default=True), body.get("from_timestamp")
    lines = sorted(read(call, key, "log"), key=lambda event: event["timestamp"], reverse=backwards)
    rest = [e for e in lines if start is None or (e["timestamp"] < start if backwards else e["timestamp"] > start)]
    page = rest[: body.get("batch_size") or 500]
    if (body.get("order") or ("desc" if backwards else "asc")) != ("desc" if backwards else "asc"):
        page.reverse()
    return {"events": [shown(line) for line in page], "returned": len(page), "total": len(lines)}
