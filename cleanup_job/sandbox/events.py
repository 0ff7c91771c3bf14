"""The events service: debug samples and plots. Reading repeats for ever where the real server does (iteration 0)."""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from time import time
from typing import Any

from cleanup_job.sandbox.answer import ApiError, Call, endpoint
from cleanup_job.sandbox.builder_records import metric_key
from cleanup_job.sandbox.deletion import invalid_task
from cleanup_job.sandbox.store import Document, Store, now

TYPES = ("training_stats_scalar", "training_stats_vector", "training_debug_image", "plot", "log")
WINDOW = 10_000
"""What Elasticsearch gives in one answer at most."""
PLOT = "plot"
IMAGE = "training_debug_image"


# -- writing
@endpoint("events.add")
def _add(call: Call) -> Document:
    return add(call.store, [call.body], call.user)


@endpoint("events.add_batch")
def _add_batch(call: Call) -> Document:
    lines = [line for line in call.raw.splitlines() if line.strip()]
    if not lines:
        raise ApiError(400, 17, "Batch request contains no items")
    return add(call.store, [json.loads(line) for line in lines], call.user)


def add(store: Store, events: list[Document], user: str) -> Document:
    """Add events and note them in their tasks' records."""
    errors: Counter[str] = Counter()
    added = 0
    stats: dict[str, Document] = defaultdict(dict)
    for event in events:
        problem = _problem(store, event)
        if problem:
            errors[problem] += 1
            continue
        added += 1
        event = {"timestamp": int(time() * 1000), **event}  # noqa: PLW2901 -- with its default
        same = ("type", "metric", "variant", "iter")
        kept = store.events[event["task"]]
        if event["type"] in {IMAGE, PLOT}:
            kept[:] = [e for e in kept if any(e.get(name) != event.get(name) for name in same)]
        kept.append(event)
        if not event.get("model_event"):
            _note(store, event, user, stats[event["task"]])
    if not added:
        raise ApiError(400, 131, "Events not added: " + ", ".join(f"{text}={n}" for text, n in errors.items()))
    return {"added": added, "errors": sum(errors.values()), "errors_info": dict(errors)}


def _problem(store: Store, event: Document) -> str:
    for field in ("type", "task"):
        if not event.get(field):
            return f"Event must have a '{field}' field"
    if event["type"] not in TYPES:
        return f"Invalid event type {event['type']}"
    owner = store.models.get(event["task"]) if event.get("model_event") else store.tasks.get(event["task"])
    if owner is None or owner.get("status") == "published":
        return f"Invalid task id {event['task']}"
    return ""


def _note(store: Store, event: Document, user: str, stats: Document) -> None:
    """Note an event in its task. `metric_stats` tells of the last batch alone: the server forgets those before."""
    task = store.tasks[event["task"]]
    metric, variant, moment = str(event.get("metric") or ""), str(event.get("variant") or ""), now()
    entry = stats.setdefault(metric_key(metric), {"metric": metric, "event_stats_by_type": {}})
    last = entry["event_stats_by_type"].setdefault(event["type"], {"last_update": 0})
    last["last_update"] = max(last["last_update"], event["timestamp"])
    metrics = json.loads(json.dumps(task.get("last_metrics") or {}))
    if event["type"] == "training_stats_scalar":
        _scalar(metrics.setdefault(metric_key(metric), {}), metric, variant, event)
    store.tasks.change(
        task["id"],
        metric_stats=dict(stats),
        last_metrics=metrics,
        last_iteration=max(task.get("last_iteration") or 0, event.get("iter") or 0),
        last_update=moment,
        last_change=moment,
        last_changed_by=user,
        **_active(task, moment),
    )


def _active(task: Document, moment: str) -> Document:
    """The seconds that a running task has been at work: events move them on, statuses alone don't."""
    if task["status"] != "in_progress" or not task.get("started"):
        return {}
    seconds = datetime.fromisoformat(moment) - datetime.fromisoformat(task["started"])
    return {"active_duration": int(seconds.total_seconds())}


def _scalar(variants: Document, metric: str, variant: str, event: Document) -> None:
    value, iteration = event.get("value"), event.get("iter") or 0
    old = variants.get(metric_key(variant)) or {}
    first = {f"{name}_value": value for name in ("min", "max", "first")}
    first |= {f"{name}_value_iteration": iteration for name in ("min", "max", "first")}
    count = old.get("count", 0) + 1
    mean = (old.get("mean_value", 0) * (count - 1) + (value or 0)) / count
    variants[metric_key(variant)] = first | old | {
        "metric": metric, "variant": variant, "value": value, "count": count, "mean_value": mean
    }  # fmt: skip


@endpoint("events.delete_for_task")
def _delete_for_task(call: Call) -> Document:
    key = call.text("task")
    task = call.store.tasks.get(key)
    if task is None:
        raise invalid_task(call.store, key)
    if task["status"] == "published" and not call.flag("allow_locked"):
        company = call.store.company["id"]
        raise ApiError(400, 101, f"Cannot update events for a published task: company={company}, id={key}")
    deleted = len(call.store.events.pop(key, []))
    return {"deleted": deleted}


# -- reading
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
    found.sort(key=lambda e: (e.get("iter") or 0, str(e.get("metric")), str(e.get("variant"))))
    return found


def shown(event: Document) -> Document:
    """An event with what the server adds to it."""
    found = {
        **event,
        "model_event": bool(event.get("model_event")),
        "@timestamp": now(),
        "worker": event.get("worker") or "<unknown>",
    }
    if event["type"] == PLOT:
        text = event.get("plot_str") or ""
        found["plot_len"] = len(text)
        sources = _sources(text)
        if sources:
            found["source_urls"] = sources
    return found


def _sources(plot: str) -> list[str]:
    try:
        images = (json.loads(plot).get("layout") or {}).get("images") or []
    except (ValueError, AttributeError):
        return []
    return list(dict.fromkeys(image["source"] for image in images if image.get("source")))


@endpoint("events.get_task_events")
def _get_task_events(call: Call) -> Document:
    key, body = call.text("task"), call.body
    kind, order = body.get("event_type"), body.get("order") or "asc"
    if kind is not None and kind not in TYPES:
        raise ApiError(400, 12, f"Validation error (error for field 'event_type': {kind!r})")
    if order not in {"asc", "desc"}:
        raise ApiError(400, 12, f"Validation error (error for field 'order': {order!r})")
    owners(call, [key])
    size = body.get("batch_size", 500)
    if kind is None or kind == "log":
        raise ApiError(500, 0, f"'{kind}' is no kind of event that this call reads")
    if size > WINDOW:
        raise ApiError(500, 100, "General data error (Result window is too large)")
    given = body.get("scroll_id")
    last = _scrolled(given) if given else None
    events = [e for e in read(call, key, kind) if _wanted(e, body.get("metrics"))]
    total = len(events)
    if order == "desc":
        events.sort(key=lambda e: -(e.get("iter") or 0))
    if last:  # 0 is no bound for the real server either: after iteration 0 the first page comes again, for ever
        events = [e for e in events if (e.get("iter") or 0) < last] if order == "desc" else [
            e for e in events if (e.get("iter") or 0) > last
        ]  # fmt: skip
    page = events[:size]
    if page:  # an iteration is never split
        last = page[-1].get("iter") or 0
        page += [e for e in events[size:] if (e.get("iter") or 0) == last]
    return {
        "returned": len(page),
        "total": None if body.get("count_total") is False else total,
        "scroll_id": _scroll(last),
        "events": [shown(e) for e in page],
    }


def _wanted(event: Document, metrics: Any) -> bool:
    for rule in metrics or ():
        if not isinstance(rule, dict):
            raise ApiError(400, 12, "Validation error (error for field 'metrics')")
    return not metrics or any(
        event.get("metric") == rule.get("metric") and (not rule.get("variants") or event.get("variant") in rule["variants"])
        for rule in metrics
    )


def _scroll(state: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps({"state": state}).encode()).decode()


def _scrolled(scroll_id: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(scroll_id.encode()))["state"]
    except (ValueError, KeyError, TypeError):
        raise ApiError(400, 1104, f"Invalid scroll id: scroll_id={scroll_id}") from None


def _bulk(kind: str) -> Callable[[Call], Document]:
    """`events.debug_images` and `events.plots`: the last iterations of many tasks at once."""

    def handler(call: Call) -> Document:
        rules = call.body.get("metrics")
        if not isinstance(rules, list) or not rules:
            raise ApiError(400, 12, "Validation error (error for field 'metrics': value '[]' length is lower than allowed)")
        owners(call, list(dict.fromkeys(rule["task"] for rule in rules)))
        iterations = call.body.get("iters", 1)
        if iterations >= WINDOW:
            raise ApiError(500, 100, "General data error (too many iterations)")
        given = call.body.get("scroll_id")
        before = dict(_scrolled(given)) if given else {}
        wanted: dict[str, list[Document]] = defaultdict(list)
        for rule in rules:
            wanted[rule["task"]] += [rule] if rule.get("metric") else []
        metrics, after = [], {}
        for key, of in wanted.items():
            groups: dict[int, list[Document]] = defaultdict(list)
            for event in read(call, key, kind):
                if _wanted(event, of) and (key not in before or (event.get("iter") or 0) < before[key]):
                    groups[event.get("iter") or 0].append(shown(event))
            chosen = sorted(groups, reverse=True)[:iterations]
            after[key] = chosen[-1] if chosen else before.get(key, 0)
            metrics.append({"task": key, "iterations": [{"iter": i, "events": groups[i]} for i in chosen]})
        return {"metrics": metrics, "scroll_id": _scroll(after)}

    return handler


endpoint("events.debug_images", (2, 7))(_bulk(IMAGE))
endpoint("events.plots")(_bulk(PLOT))


def _last_plots(call: Call, key: str) -> Iterator[Document]:
    """The last iterations of each plot of a task."""
    groups: dict[tuple[Any, Any], list[Document]] = defaultdict(list)
    for event in read(call, key, PLOT):
        groups[event.get("metric"), event.get("variant")].append(event)
    for events in groups.values():
        yield from (shown(e) for e in events[-(call.body.get("iters") or 1) :])


@endpoint("events.get_task_plots", (1, 8))
def _get_task_plots(call: Call) -> Document:
    key = call.text("task")
    owners(call, [key])
    plots = list(_last_plots(call, key))
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": None}


@endpoint("events.get_multi_task_plots", (1, 8))
def _get_multi_task_plots(call: Call) -> Document:
    keys = call.ids("tasks")
    owners(call, keys)
    tree: Document = {}
    count = 0
    for key in keys:
        for event in _last_plots(call, key):
            variants = tree.setdefault(str(event.get("metric")), {}).setdefault(str(event.get("variant")), {})
            entry = variants.setdefault(key, {}).setdefault(
                str(event.get("iter") or 0), {"name": call.store.tasks[key]["name"], "plots": []}
            )
            entry["plots"].append(event)
            count += 1
    return {"plots": tree, "returned": len(tree), "total": count, "scroll_id": None}


@endpoint("events.get_task_metrics")
def _get_task_metrics(call: Call) -> Document:
    keys, kind = call.ids("tasks"), call.body.get("event_type")
    owners(call, keys)
    found = {key: {str(e.get("metric") or "") for e in call.store.events.get(key, ()) if e["type"] == kind} for key in keys}
    return {"metrics": [{"task": key, "metrics": sorted(found[key] - {""})} for key in keys]}


@endpoint("events.get_multi_task_metrics")
def _get_multi_task_metrics(call: Call) -> Document:
    keys, kind = call.ids("tasks"), call.body.get("event_type")
    owners(call, keys)
    found: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        for event in call.store.events.get(key, ()):
            if kind is None or event["type"] == kind:
                found[str(event.get("metric") or "")].add(str(event.get("variant") or ""))
    return {"metrics": [{"metric": name, "variants": sorted(found[name])} for name in sorted(found)]}


@endpoint("events.get_task_log", (1, 5))
def _task_log(call: Call) -> Document:
    """Lines before a time, the latest of them, or after it, the earliest; `order` is but the order that they come in.

    Not among the recorded conversations: this is the form that the SDK takes.
    """
    key, body = call.text("task"), call.body
    owners(call, [key])
    backwards, start = call.flag("navigate_earlier", default=True), body.get("from_timestamp")
    lines = sorted(read(call, key, "log"), key=lambda event: event["timestamp"], reverse=backwards)
    rest = [e for e in lines if start is None or (e["timestamp"] < start if backwards else e["timestamp"] > start)]
    page = rest[: body.get("batch_size") or 500]
    if (body.get("order") or ("desc" if backwards else "asc")) != ("desc" if backwards else "asc"):
        page.reverse()
    return {"events": [shown(line) for line in page], "returned": len(page), "total": len(lines), "scroll_id": None}
