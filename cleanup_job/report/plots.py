"""A pass as ClearML shows a run: tables, scalars and plots, as `events.add_batch` takes them.

A table is a plot of Plotly's type `table`, as ClearML's SDK reports them. Single values have the iteration by which the Web
UI recognizes them.
"""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import REASON_TEXTS, ProjectSum, Report, StageSum
from cleanup_job.report import stages
from cleanup_job.report.formatting import plain, size
from cleanup_job.report.phrases import by_weight, seconds

Event = dict[str, Any]
SINGLE = -(2**31)
"""The iteration of a single value."""
LARGEST = 20
"""Projects with a plot of their own."""
ROWS = 500
"""The most rows of a table; the report has more."""
_STAGE_HEADS = ("stage", "policy", "tasks", "models", "files", "bytes known", "failed", "notice to")
_GONE = (("deleted", "tasks"), ("kept", "kept"), ("failed", "failed"))


def parameters(rows: Sequence[tuple[str, str, str]]) -> Event:
    """The settings in use, and where each came from."""
    return _table("Settings", "in use", ("setting", "value", "from"), rows)


def progress(total: ProjectSum, elapsed: float) -> list[Event]:
    """The progress of a running pass; ``elapsed`` is in seconds."""
    values = {"tasks": total.tasks, "models": total.models, "files": total.files, "failed": total.failed}
    return [_scalar("Progress", name, value, round(elapsed)) for name, value in values.items()]


def result(report: Report) -> list[Event]:
    """What a pass did: tables, single values, and plots by project."""
    total = report.total()
    doing = "to delete" if report.dry_run else "deleted"
    singles = {
        "tasks": total.tasks,
        "models": total.models,
        "files": total.files,
        "bytes": total.bytes,
        "failures": total.failed,
        "kept": total.kept,
        "left at least" if report.left_is_least else "left": report.left,
        "seconds": round(seconds(report), 3),
        **{f"seconds: {phase}": round(spent, 3) for phase, spent in report.phases.items()},
        **_sums_of_stages(report),
    }
    heads = ("project", f"tasks {doing}", "models", "files", "bytes known", "kept", "failed", "skipped")
    rows = sorted(report.projects.values(), key=lambda row: (-row.weight, row.name))
    why = [(REASON_TEXTS[one.reason], f"{one.count:,}", *_example(one.examples)) for one in by_weight(report)]
    found = [_table("Result", "projects", heads, [_row(one) for one in (total, *rows)])]
    found += _of_policies(report)
    if why:
        found.append(_table("Result", "tasks not deleted", ("reason", "tasks", "example", "detail"), why))
    if rows:
        found.append(_plot("All projects", "tasks", _bars(rows[:LARGEST], doing), "tasks"))
        found += [_plot("Project", plain(row.name) or "(no project)", _bars([row], doing), "tasks") for row in rows[:LARGEST]]
    return found + [_scalar("Summary", name, value, SINGLE) for name, value in singles.items()]


def _of_policies(report: Report) -> list[Event]:
    rows = [_stage(one) for one in stages.by_policy(report)]
    return [_table("Result", "policies", _STAGE_HEADS, rows)] if rows else []


def _sums_of_stages(report: Report) -> dict[str, int]:
    if not report.stages:
        return {}
    found = stages.sums(report)
    done = {"archived": found.done[Stage.ARCHIVE], "slimmed": found.done[Stage.SLIM], "announced": found.noticed.total()}
    return done | {"bytes slimmed": found.bytes[Stage.SLIM]}


def _stage(row: StageSum) -> tuple[str, ...]:
    numbers = (f"{row.done:,}", f"{row.models:,}", f"{row.files:,}", size(row.bytes), f"{row.failed:,}")
    return (row.stage.value, row.policy, *numbers, stages.notices(row))


def _example(examples: Sequence[Any]) -> tuple[str, str]:
    return (f"{examples[0].name} ({examples[0].task})", examples[0].detail) if examples else ("", "")


def _row(row: ProjectSum) -> tuple[str, ...]:
    counts = (row.tasks, row.models, row.files, row.bytes, row.kept, row.failed, row.not_ours)
    return (row.name or "(no project)", *(size(n) if i == 3 else f"{n:,}" for i, n in enumerate(counts)))  # noqa: PLR2004 -- bytes


def _bars(rows: Sequence[ProjectSum], gone: str) -> list[Event]:
    names = [_text(row.name or "(no project)") for row in rows]
    return [
        {"type": "bar", "name": gone if kind == "deleted" else kind, "x": names, "y": [getattr(row, key) for row in rows]}
        for kind, key in _GONE
    ]


def _plot(metric: str, variant: str, data: list[Event], axis: str) -> Event:
    layout = {"barmode": "stack", "title": {"text": _text(variant)}, "yaxis": {"title": {"text": axis}}}
    return _event("plot", metric, variant, iter=0, plot_str=json.dumps({"data": data, "layout": layout}))


def _table(metric: str, variant: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Event:
    shown = [[_text(cell) for cell in row] for row in rows][: ROWS + 1]
    columns = [list(column) for column in zip(*shown, strict=True)] or [[] for _ in heads]
    table = {
        "type": "table",
        "header": {"values": list(heads), "align": "left"},
        "cells": {"values": columns, "align": "left"},
    }
    return _event("plot", metric, variant, iter=0, plot_str=json.dumps({"data": [table], "layout": {}}))


def _scalar(metric: str, variant: str, value: float, iteration: int) -> Event:
    return _event("training_stats_scalar", metric, variant, iter=iteration, value=value)


def _event(kind: str, metric: str, variant: str, **fields: Any) -> Event:
    return {"type": kind, "metric": metric, "variant": variant, **fields}


def _text(value: object) -> str:
    """Text in which nothing is markup: Plotly reads some HTML in texts, including links."""
    return escape(plain(value), quote=False)
