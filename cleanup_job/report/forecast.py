"""A forecast on a terminal, and as JSON."""

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from rich.bar import Bar
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cleanup_job.planning.forecast import Coming, Forecast
from cleanup_job.report.formatting import at_least, counted, plain

ROWS = 31
"""Rows of the chart: where there are more days, a row has several of them."""
PROJECTS = 15
"""Projects with a row of their own: those with the most tasks. One more row has the sum of all others."""
_BAR = 24
_NOT_COUNTED = (
    "What other tasks need is kept on its day, and is counted here all the same; steps that go with their controller without "
    "being archived are not. No record has the size of models, debug samples and plots."
)


def document(found: Forecast, projects: Mapping[str, str]) -> dict[str, Any]:
    """The forecast as JSON: each day that has any tasks, with its projects."""

    def rows(day: int | None) -> list[dict[str, Any]]:
        return [
            {"project": projects.get(project, project), "project_id": project, **_numbers(one)}
            for project, one in found.by_project(day).items()
        ]

    return {
        "from": found.now.astimezone(UTC).isoformat(timespec="seconds"),
        "days": found.days,
        **_numbers(found.total()),
        "by_day": [
            {"date": found.date_of(day).isoformat(), **_numbers(one), "projects": rows(day)}
            for day, one in found.by_day().items()
        ],
        "by_project": rows(None),
        "later": found.later,
        "never": found.never,
        "unreadable": found.unreadable,
    }


def render(found: Forecast, projects: Mapping[str, str], console: Console) -> None:
    """Print the days as a chart, the projects as a table, and what is not in them.

    Only ``Text`` is printed, never markup: names come from the server.
    """
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
    if found.never:
        yield f"{counted(found.never, 'archived task')} never: a rule keeps or leaves them out. `explain` says which one."
    if found.unreadable:
        yield f"{counted(found.unreadable, 'archived task')} can't be read, and will be kept."
