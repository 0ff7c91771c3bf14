"""The events service as far as it writes: events are added, noted in their tasks' records, and deleted."""

import json
import operator
from collections import Counter, defaultdict
from datetime import datetime
from time import time

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.api.deletion import own_task
from clearml_sandbox.api.event_reading import IMAGE, PLOT, TYPES, metric_of
from clearml_sandbox.store import Document, Store, now
from clearml_sandbox.worlds.records import metric_key

SCALAR = "training_stats_scalar"


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
    values = Counter((e.get("task"), e.get("metric"), e.get("variant")) for e in events if e.get("type") == SCALAR)
    logs = {e.get("task") for e in events if e.get("type") == "log"}
    for sent in events:
        problem = _problem(store, sent)
        if problem:
            errors[problem] += 1
            continue
        added += 1
        event = _put(store, sent)
        if not event.get("model_event"):
            several = values[event["task"], event.get("metric"), event.get("variant")] > 1
            _note(store, event, user, stats[event["task"]], bare=several and event["task"] in logs)
    if not added:
        raise ApiError(400, 131, "Events not added: " + ", ".join(f"{text}={n}" for text, n in errors.items()))
    return {"added": added, "errors": sum(errors.values()), "errors_info": dict(errors)}


def _put(store: Store, sent: Document) -> Document:
    """Add an event with its default time; an image or a plot replaces the one of the same name and iteration."""
    event = {"timestamp": int(time() * 1000), **sent}
    there = store.events[event["task"]]
    if event["type"] in {IMAGE, PLOT}:
        same = ("type", "metric", "variant", "iter", "key")
        there[:] = [e for e in there if any(e.get(name) != event.get(name) for name in same)]
    there.append(event)
    return event


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


def _note(store: Store, event: Document, user: str, stats: Document, *, bare: bool) -> None:
    """Note an event in its task. `metric_stats` tells of the last batch alone: the server forgets those before."""
    task = store.tasks[event["task"]]
    metric, variant, moment = str(event.get("metric") or ""), str(event.get("variant") or ""), now()
    entry = stats.setdefault(metric_key(metric), {"metric": metric, "event_stats_by_type": {}})
    last = entry["event_stats_by_type"].setdefault(event["type"], {"last_update": 0})
    last["last_update"] = max(last["last_update"], event["timestamp"])
    metrics = json.loads(json.dumps(task.get("last_metrics") or {}))
    if event["type"] == SCALAR:
        _scalar(metrics.setdefault(metric_key(metric), {}), metric, variant, event, bare=bare)
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


def _scalar(variants: Document, metric: str, variant: str, event: Document, *, bare: bool) -> None:
    """The latest value, and statistics of all. One batch of several values and lines of a log was recorded to leave none."""
    value, iteration = event.get("value"), event.get("iter") or 0
    old = variants.get(metric_key(variant)) or {}
    if bare:
        variants[metric_key(variant)] = old | {"metric": metric, "variant": variant, "value": value}
        return
    count = old.get("count", 0) + 1
    mean = (old.get("mean_value", 0) * (count - 1) + (value or 0)) / count
    summary = old | {"metric": metric, "variant": variant, "value": value, "count": count, "mean_value": mean}
    for name, is_new in (("min", operator.lt), ("max", operator.gt), ("first", None)):
        before = old.get(f"{name}_value")
        if before is None or (is_new and value is not None and is_new(value, before)):
            summary |= {f"{name}_value": value, f"{name}_value_iteration": iteration}
    variants[metric_key(variant)] = summary


# -- deletion
@endpoint("events.delete_for_task")
def _delete_for_task(call: Call) -> Document:
    """The record still promises what is gone: `last_metrics` and `metric_stats` keep their values."""
    key = _unlocked(call)
    return {"deleted": len(call.store.events.pop(key, []))}


@endpoint("events.clear_task_log")
def _clear_task_log(call: Call) -> Document:
    """Lines of a log, all or those older than `threshold_sec` seconds."""
    key, body = _unlocked(call), call.body
    newest = (time() - (body.get("threshold_sec") or 0)) * 1000
    include, exclude = body.get("include_metrics"), body.get("exclude_metrics") or ()
    events = call.store.events.get(key, [])
    left = [
        event
        for event in events
        if event["type"] != "log"
        or (body.get("threshold_sec") and event["timestamp"] >= newest)
        or (include and metric_of(event) not in include)
        or metric_of(event) in exclude
    ]
    call.store.events[key] = left
    return {"deleted": len(events) - len(left)}


def _unlocked(call: Call) -> str:
    """The id of a task whose events may be changed: one that is not published, unless `allow_locked` is set."""
    task = own_task(call.store, call.text("task"))
    if task["status"] in {"published", "publishing"} and not call.flag("allow_locked"):
        company = call.store.company["id"]
        raise ApiError(400, 101, f"Cannot update events for a published task: company={company}, id={task['id']}")
    return str(task["id"])
