"""A forecast on a terminal, and as JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from rich.bar import Bar
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cleanup_job.planning.forecast import Coming, Forecast
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.report.formatting import at_least, counted, plain

ROWS = 31
"""Rows of the chart: where there are more days, a row has several of them."""
PROJECTS = 15
"""Projects with a row of their own: those with the most tasks. One more row has the sum of all others."""
_BAR = 24
_STACK = 14
"""Columns of the bar of three stages."""
_SIGNS = {Stage.ARCHIVE: ("░", "cyan"), Stage.SLIM: ("▒", "yellow"), Stage.DELETE: ("█", "red")}
"""What the bar of three stages is made of."""
_EACH_NIGHT = "Passes do their work each night: what is archived on one day can be deleted from the next day on."
_NOT_COUNTED = (
    "What other tasks need is kept on its day, and is counted here all the same; steps that go with their controller without "
    "being archived are not. No record has the size of models, debug samples and plots."
)


def document(found: Forecast, projects: Mapping[str, str]) -> dict[str, Any]:
    """The forecast as JSON: each day that has any tasks, with its projects. With policies, the other stages have the same."""
    others = (Stage.ARCHIVE, Stage.SLIM) if found.has_policies else ()
    return {
        "from": found.now.astimezone(UTC).isoformat(timespec="seconds"),
        "days": found.days,
        **_series(found, Stage.DELETE, projects),
        **{stage.value: _series(found, stage, projects) for stage in others},
        "later": found.later,
        "never": found.never,
        "unreadable": found.unreadable,
    }


def _series(found: Forecast, stage: Stage, projects: Mapping[str, str]) -> dict[str, Any]:
    """One stage as JSON."""

    def rows(day: int | None) -> list[dict[str, Any]]:
        return [
            {"project": projects.get(project, project), "project_id": project, **_numbers(one)}
            for project, one in found.by_project(day, stage).items()
        ]

    return {
        **_numbers(found.total(stage)),
        "by_day": [
            {"date": found.date_of(day).isoformat(), **_numbers(one), "projects": rows(day)}
            for day, one in found.by_day(stage).items()
        ],
        "by_project": rows(None),
    }


def render(found: Forecast, projects: Mapping[str, str], console: Console) -> None:
    """Print the days as a chart, the projects as a table, and what is not in them.

    Only ``Text`` is printed, never markup: names come from the server.
    """
    if found.has_policies:
        _render_stages(found, projects, console)
        return
    total = found.total()
    known = f" ({_bytes(total)})" if total.tasks else ""
    verb = "is" if total.tasks == 1 else "are"
    by = f"by the end of {found.date_of(found.days)} (UTC)"
    console.print(Text(f"{counted(total.tasks, 'task')}{known} {verb} due {by}, if nothing changes.", "bold"))
    if total.tasks:
        console.print(_chart(found))
        console.print(_projects(found, projects))
    for text in _rest(found):
        console.print(Text(text))
    console.print(Text(_NOT_COUNTED, "dim"))


def _render_stages(found: Forecast, projects: Mapping[str, str], console: Console) -> None:
    """The same for all stages, by policies."""
    console.print(Text(f"What is due by the end of {found.date_of(found.days)} (UTC), if nothing changes:", "bold"))
    for stage, words in ((Stage.ARCHIVE, "to archive"), (Stage.SLIM, "to slim"), (Stage.DELETE, "to delete")):
        total = found.total(stage)
        known = f" ({_bytes(total)})" if total.tasks and stage is not Stage.ARCHIVE else ""
        console.print(
            Text.assemble((f"{_SIGNS[stage][0]} ", _SIGNS[stage][1]), f"{counted(total.tasks, 'task')} {words}{known}")
        )
    if found.coming:
        console.print(_stages_chart(found))
        console.print(_stages_of_projects(found, projects))
    for text in _rest(found):
        console.print(Text(text))
    console.print(Text(f"{_EACH_NIGHT} {_NOT_COUNTED}", "dim"))


def _stages_table(first: str, *, bar: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column(first, overflow="fold", min_width=12)
    for stage in Stage:
        table.add_column(stage.value, justify="right", no_wrap=True)
    if bar:
        table.add_column("", no_wrap=True, width=_STACK)
    table.add_column("bytes known", justify="right", no_wrap=True)
    return table


def _stages_chart(found: Forecast) -> Table:
    step = -(-(found.days + 1) // ROWS)
    rows = {start: {stage: Coming() for stage in Stage} for start in range(0, found.days + 1, step)}
    for stage in Stage:
        for day, one in found.by_day(stage).items():
            rows[day - day % step][stage].add(one)
    largest = max(sum(one.tasks for one in row.values()) for row in rows.values())
    table = _stages_table("day (UTC)" if step == 1 else f"{step} days from (UTC)", bar=True)
    for start, row in rows.items():
        if start == 0 or any(one.tasks for one in row.values()):
            table.add_row(f"{found.date_of(start)}", *_counts(row), _stack(row, largest), _freed(row))
    return table


def _stack(row: Mapping[Stage, Coming], largest: int) -> Text:
    """A bar with a part for each stage: one that has any task shows."""
    text = Text()
    for stage, one in row.items():
        sign, colour = _SIGNS[stage]
        text.append(sign * max(min(one.tasks, 1), one.tasks * (_STACK - 2) // max(1, largest)), colour)
    return text


def _counts(row: Mapping[Stage, Coming]) -> list[str]:
    return [f"{one.tasks:,}" if one.tasks else "" for one in row.values()]


def _freed(row: Mapping[Stage, Coming]) -> str:
    freed = Coming()
    for stage in (Stage.SLIM, Stage.DELETE):
        freed.add(row[stage])
    return _bytes(freed) if freed.tasks else "-"


def _stages_of_projects(found: Forecast, projects: Mapping[str, str]) -> Table:
    table = _stages_table("project", bar=False)
    by_stage = {stage: found.by_project(stage=stage) for stage in Stage}
    order = _largest_first(by_stage)
    for name in order[:PROJECTS]:
        row = {stage: some.get(name, Coming()) for stage, some in by_stage.items()}
        table.add_row(Text(plain(projects.get(name, name)) or "(no project)"), *_counts(row), _freed(row))
    if len(order) > PROJECTS:
        rest = {stage: Coming() for stage in Stage}
        for name in order[PROJECTS:]:
            for stage, some in by_stage.items():
                rest[stage].add(some.get(name, Coming()))
        table.add_row(f"and {len(order) - PROJECTS:,} more", *_counts(rest), _freed(rest), style="dim")
    return table


def _largest_first(by_stage: Mapping[Stage, Mapping[str, Coming]]) -> list[str]:
    """The projects of all stages; those with the most tasks come first."""
    tasks: Counter[str] = Counter()
    for some in by_stage.values():
        tasks.update({name: one.tasks for name, one in some.items()})
    return sorted(tasks, key=lambda name: (-tasks[name], name))


def _numbers(one: Coming) -> dict[str, int]:
    return {"tasks": one.tasks, "bytes": one.bytes}


def _bytes(one: Coming) -> str:
    return at_least(one.bytes, one.tasks)  # a task may always have files of which no record has the size


def _chart(found: Forecast) -> Table:
    """A bar for each day, or for several days together where there are more than ``ROWS``."""
    step = -(-(found.days + 1) // ROWS)
    rows = {start: Coming() for start in range(0, found.days + 1, step)}
    for day, one in found.by_day().items():
        rows[day - day % step].add(one)
    largest = max(one.tasks for one in rows.values())
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("day (UTC)" if step == 1 else f"{step} days from (UTC)", no_wrap=True)
    table.add_column("tasks", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=8, max_width=_BAR)
    table.add_column("bytes known", justify="right", no_wrap=True)
    for start, one in rows.items():
        if one.tasks or start == 0:
            bar = Bar(largest, 0, one.tasks, color="cyan")
            name = f"{found.date_of(start)}{' today' if start == 0 and step == 1 else ''}"
            table.add_row(name, f"{one.tasks:,}", bar, _bytes(one) if one.tasks else "-")
    return table


def _projects(found: Forecast, projects: Mapping[str, str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("project", overflow="fold", min_width=12)
    table.add_column("tasks", justify="right", no_wrap=True)
    table.add_column("bytes known", justify="right", no_wrap=True)
    rows = list(found.by_project().items())
    for project, one in rows[:PROJECTS]:
        table.add_row(Text(plain(projects.get(project, project)) or "(no project)"), f"{one.tasks:,}", _bytes(one))
    if len(rows) > PROJECTS:
        rest = Coming()
        for _, one in rows[PROJECTS:]:
            rest.add(one)
        table.add_row(f"and {len(rows) - PROJECTS:,} more", f"{rest.tasks:,}", _bytes(rest), style="dim")
    return table


def _rest(found: Forecast) -> Iterator[str]:
    if found.later:
        yield f"{counted(found.later, 'task')} later."
    task = "task" if found.has_policies else "archived task"
    if found.never:
        yield f"{counted(found.never, task)} never: a rule keeps or leaves them out. `explain` says which one."
    if found.unreadable:
        yield f"{counted(found.unreadable, task)} can't be read, and will be kept."
