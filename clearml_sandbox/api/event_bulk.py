"""Debug samples and plots of many tasks in one call, with all that the real server leaves out of such an answer.

The rules are those of `metric_events_iterator.py` and `event_bll.py` of the ClearML Server: M metrics of a task and n
iterations leave room for int(8,000 / (M * n)) variants of each metric, and of each variant an iteration gives one event.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.api.event_reading import (
    BUCKETS,
    END,
    IMAGE,
    PLOT,
    WINDOW,
    Wanted,
    is_wanted,
    iteration_of,
    iterations,
    metric_of,
    owners,
    read,
    shown,
    too_many,
    variant_of,
    wanted_metrics,
)
from clearml_sandbox.store import Document, new_id

PAGE = 1_000
"""Plots in a page of `events.get_multi_task_plots`."""
TOP = 100
"""Documents that Elasticsearch gives of a group at most."""
NO_PLOTS = 100
"""Variants that there is room for in a task without any plot."""


# -- events.debug_images and events.plots
@dataclass
class _Reading:
    """How far a scroll has read a task."""

    key: str
    metrics: dict[str, dict[str, int | None]]
    """By metric and variant the last iteration that counts as overwritten; None where no URL came twice."""
    newest: int | None = None
    oldest: int | None = None


def _bulk(kind: str) -> Callable[[Call], Document]:
    """The last iterations of many tasks at once; a scroll continues with earlier ones, never to other variants."""

    def handler(call: Call) -> Document:
        wanted = _wanted(call)
        owners(call, list(wanted))
        count = iterations(call)
        if count < 1:
            raise ApiError(400, 12, f"Validation error (error for field 'iters': '{count}' is lower than minimum '1'.)")
        scroll = call.body.get("scroll_id")
        if scroll not in call.store.scrolls:
            scroll = new_id()
            call.store.scrolls[scroll] = [_begin(call, kind, key, of) for key, of in wanted.items()]
        found = [
            {"task": reading.key, "iterations": _iterations(call, kind, reading, count)}
            for reading in call.store.scrolls[scroll]
        ]
        return {"metrics": found, "scroll_id": scroll}

    return handler


endpoint("events.debug_images", (2, 7))(_bulk(IMAGE))
endpoint("events.plots")(_bulk(PLOT))


def _wanted(call: Call) -> dict[str, Wanted]:
    """The tasks asked for, each with its metrics; one rule without a metric asks for all of a task."""
    rules = call.body.get("metrics")
    if not isinstance(rules, list) or not rules:
        raise ApiError(400, 12, "Validation error (error for field 'metrics': value '[]' length is lower than allowed)")
    of: dict[str, list[Document]] = defaultdict(list)
    for rule in rules:
        if not isinstance(rule, dict) or not isinstance(rule.get("task"), str):
            raise ApiError(400, 12, "Validation error (error for field 'metrics'. field 'task' is required!)")
        of[rule["task"]].append(rule)
    return {
        key: {} if any(rule.get("metric") is None for rule in rules) else wanted_metrics(rules) for key, rules in of.items()
    }


def _usable(call: Call, kind: str, key: str) -> list[Document]:
    return [event for event in read(call, key, kind) if kind == PLOT or event.get("url")]


def _begin(call: Call, kind: str, key: str, wanted: Wanted) -> _Reading:
    """A task's metrics, with as many of their variants as there is room for."""
    metrics: dict[str, dict[str, list[Document]]] = defaultdict(lambda: defaultdict(list))
    for event in _usable(call, kind, key):
        if is_wanted(event, wanted):
            metrics[metric_of(event)][variant_of(event)].append(event)
    room = BUCKETS // len(metrics) // 2 if metrics else 1
    if room < 1:
        raise too_many()
    return _Reading(
        key,
        {
            metric: {v: _overwritten(variants[v]) if kind == IMAGE else None for v in sorted(variants)[:room]}
            for metric, variants in sorted(metrics.items())
        },
    )


def _overwritten(images: Iterable[Document]) -> int | None:
    """The last iteration but one that used a variant's newest URL: what was written until then is taken for overwritten."""
    used: dict[str, list[int]] = defaultdict(list)
    for image in images:
        used[image["url"]].append(iteration_of(image))
    _, newest = min(used.items(), key=lambda url: (-max(url[1]), url[0]))
    return sorted(newest)[-2] if len(newest) > 1 else None


def _iterations(call: Call, kind: str, reading: _Reading, count: int) -> list[Document]:
    """The next iterations of a task. Variants are cut by their names first, and left out by other rules after that."""
    if not reading.metrics:
        return []
    room = BUCKETS // (len(reading.metrics) * count)
    if room < 1:
        raise too_many()
    earlier = call.flag("navigate_earlier", default=True) or reading.newest is None
    groups = _following(call, kind, reading, earlier=earlier)
    found = []
    for number in sorted(sorted(groups, reverse=earlier)[:count], reverse=True):
        events = [
            shown(max(variants[variant], key=itemgetter("url" if kind == IMAGE else "timestamp")))
            for metric, variants in sorted(groups[number].items())
            for variant in sorted(variants)[:room]
            if _counts(reading.metrics[metric], variant, number)
        ]
        if events:
            found.append({"iter": number, "events": events})
    if found:
        reading.newest, reading.oldest = int(str(found[0]["iter"])), int(str(found[-1]["iter"]))
    return found


def _following(call: Call, kind: str, reading: _Reading, *, earlier: bool) -> dict[int, dict[str, dict[str, list[Document]]]]:
    """The events that were not read yet, by iteration, metric and variant."""
    groups: dict[int, dict[str, dict[str, list[Document]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for event in _usable(call, kind, reading.key):
        if metric_of(event) in reading.metrics and event.get("iter") is not None and _goes_on(reading, event["iter"], earlier):
            groups[event["iter"]][metric_of(event)][variant_of(event)].append(event)
    return groups


def _goes_on(reading: _Reading, number: int, earlier: bool) -> bool:
    """Whether an iteration comes after those that were read."""
    if earlier:
        return reading.oldest is None or number < reading.oldest
    return reading.newest is None or number > reading.newest


def _counts(variants: dict[str, int | None], variant: str, number: int) -> bool:
    overwritten = variants.get(variant)
    return variant in variants and (overwritten is None or number > overwritten)


# -- events.get_task_plots
@endpoint("events.get_task_plots", (1, 8))
def _get_task_plots(call: Call) -> Document:
    """The last plots of each variant of a task."""
    key, count, wanted = call.text("task"), iterations(call), wanted_metrics(call.body.get("metrics"))
    owners(call, [key])
    metrics: dict[str, dict[str, list[Document]]] = defaultdict(lambda: defaultdict(list))
    for event in reversed(read(call, key, PLOT)):
        if is_wanted(event, wanted):
            metrics[metric_of(event)][variant_of(event)].append(event)
    room = (BUCKETS // len(metrics) if metrics else NO_PLOTS) // max(count, 1)
    if room < 1 or not 1 <= count <= TOP:
        raise too_many()
    plots = [
        shown(event)
        for _, variants in sorted(metrics.items())
        for variant in sorted(variants)[:room]
        for event in variants[variant][:count]
    ]
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": None}


# -- events.get_multi_task_plots
@endpoint("events.get_multi_task_plots", (1, 8))
def _get_multi_task_plots(call: Call) -> Document:
    """The last iterations of many tasks' plots, by scroll: of each of their metrics, or of each task."""
    keys, count, scroll = list(dict.fromkeys(call.ids("tasks"))), iterations(call), call.body.get("scroll_id")
    owners(call, keys)
    if scroll == END:
        return _plots(call, [], 0, None, count)
    if scroll:
        if scroll not in call.store.scrolls:
            raise ApiError(
                500, 100, "General data error (BadRequestError(400, 'illegal_argument_exception', 'Cannot parse scroll id'))"
            )
        rest, total = call.store.scrolls[scroll]
    else:
        rest = _last_plots(call, keys, count)
        total = min(len(rest), WINDOW)
        scroll = None if not rest or call.flag("no_scroll") else new_id()
    page = rest[:PAGE]
    if scroll:
        call.store.scrolls[scroll] = (rest[PAGE:], total)
    return _plots(call, page, total, scroll if page or not scroll else END, count)


def _last_plots(call: Call, keys: list[str], count: int) -> list[Document]:
    """The plots of the last iterations, the latest first."""
    found: list[Document] = []
    apiece = call.flag("last_iters_per_task_metric", default=True)
    room = WINDOW // (len(keys) * count) if count > 0 else 0
    if count < 1 or (apiece and room < 1):
        raise too_many()
    for key in keys:
        groups = _plots_of(call, key, apiece=apiece)
        # The metrics with the most plots come first, for Elasticsearch as here.
        for metric in sorted(groups, key=lambda name: (-len(groups[name]), name))[: room if apiece else None]:
            last = set(sorted({iteration_of(event) for event in groups[metric]}, reverse=True)[:count])
            found += [event for event in groups[metric] if iteration_of(event) in last]
    return sorted(found, key=lambda event: -iteration_of(event))


def _plots_of(call: Call, key: str, *, apiece: bool) -> dict[str, list[Document]]:
    """The plots of a task that a request asks for: by metric where each counts apart, else all together."""
    wanted = wanted_metrics(call.body.get("metrics"))
    groups: dict[str, list[Document]] = defaultdict(list)
    for event in read(call, key, PLOT):
        if is_wanted(event, wanted):
            groups[metric_of(event) if apiece else ""].append(event)
    return groups


def _plots(call: Call, page: list[Document], total: int, scroll: str | None, count: int) -> Document:
    """A page as a tree: metric, variant, task, iteration. Of each variant of a task come `count` plots of a page at most."""
    names = call.store.models if call.flag("model_events") else call.store.tasks
    tree: Document = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for event in page:
        place = (metric_of(event), variant_of(event), event["task"])
        seen[place] += 1
        if seen[place] <= count:
            metric, variant, key = place
            entries = tree.setdefault(metric, {}).setdefault(variant, {}).setdefault(key, {})
            name = (names.get(key) or {}).get("name")
            entry = entries.setdefault(str(iteration_of(event)), {"name": name, "plots": []})
            entry["plots"].append(shown(event))
    return {"plots": tree, "returned": len(tree), "total": total, "scroll_id": scroll}
