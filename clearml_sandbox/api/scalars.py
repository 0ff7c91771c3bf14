"""Scalars as clients read them back. Not among the recorded conversations: the forms are those that the SDK takes."""

from collections import defaultdict

from clearml_sandbox.api.answer import Call, endpoint
from clearml_sandbox.api.event_reading import NO_ITERATION, owners, read, shown
from clearml_sandbox.store import Document

SCALAR = "training_stats_scalar"
LAST = 100
"""How many values the mean of the latest takes in."""


def _lines(call: Call, key: str) -> dict[str, dict[str, list[Document]]]:
    """The events of each metric and variant that have iterations."""
    found: dict[str, dict[str, list[Document]]] = defaultdict(lambda: defaultdict(list))
    for event in read(call, key, SCALAR):
        if event.get("iter") != NO_ITERATION:
            found[str(event.get("metric"))][str(event.get("variant"))].append(event)
    return found


@endpoint("events.scalar_metrics_iter_histogram")
def _histogram(call: Call) -> Document:
    key = call.text("task")
    owners(call, [key])
    return {
        metric: {
            name: {"name": name, "x": [e.get("iter") or 0 for e in line], "y": [e.get("value") for e in line]}
            for name, line in variants.items()
        }
        for metric, variants in _lines(call, key).items()
    }


@endpoint("events.get_task_latest_scalar_values")
def _latest(call: Call) -> Document:
    key = call.text("task")
    owners(call, [key])
    metrics = [
        {"name": metric, "variants": [_last(name, [e.get("value") or 0 for e in line]) for name, line in variants.items()]}
        for metric, variants in _lines(call, key).items()
    ]
    return {"metrics": metrics, "last_iter": call.store.tasks[key].get("last_iteration"), "name": call.store.tasks[key]["name"]}


def _last(name: str, values: list[float]) -> Document:
    latest = values[-LAST:]
    return {"name": name, "last_value": values[-1], "last_100_value": sum(latest) / len(latest)}


@endpoint("events.get_scalar_metric_data", (2, 1))
def _metric_data(call: Call) -> Document:
    """All in one answer: with a scroll id, nothing is left."""
    key, metric = call.text("task"), call.body.get("metric")
    owners(call, [key])
    found = [e for e in read(call, key, SCALAR) if metric in {None, e.get("metric")}]
    page = [] if call.body.get("scroll_id") else [shown(e) for e in found]
    return {"events": page, "returned": len(page), "total": len(found), "scroll_id": None if call.flag("no_scroll") else "end"}


@endpoint("events.get_task_single_value_metrics", (2, 20))
def _single_values(call: Call) -> Document:
    keys = call.ids("tasks")
    owners(call, keys)
    names = ("metric", "variant", "value", "timestamp")
    found = {
        key: [{n: e.get(n) for n in names} for e in read(call, key, SCALAR) if e.get("iter") == NO_ITERATION] for key in keys
    }
    return {"tasks": [{"task": key, "values": values} for key, values in found.items()]}
