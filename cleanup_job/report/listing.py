"""Which tasks a dry run would delete, on a terminal: the largest as a table, or each one on a line."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from cleanup_job.planning.outcome import Report, TaskOutcome
from cleanup_job.report import stages
from cleanup_job.report.formatting import at_least, counted, middle, plain, size
from cleanup_job.report.largest import Largest
from cleanup_job.report.phrases import link

_OTHERS = 43
"""Columns of the table beside those of the task."""


def line(outcome: TaskOutcome) -> Text:
    """A task on one line, which nothing shortens: its id, known bytes, files, last activity, project and name.

    With policies, what its policy does with it follows.
    """
    known = at_least(outcome.bytes, outcome.unsized) if outcome.files else "no files"
    words = [outcome.task, f"{known:>18}", f"{counted(outcome.files, 'file'):>12}", _day(outcome), _name(outcome)]
    if outcome.policy:
        announced = stages.announced(outcome)
        words += [f"({stages.word(outcome)}{f': {announced}' if announced else ''})"]
    return Text("  ".join(words))


def render(report: Report, largest: Largest, console: Console) -> None:
    """Print the largest tasks, each with its id on a line of its own."""
    ranked = largest.ranked()
    if not ranked:
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("bytes known", "files"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last active", no_wrap=True)
    table.add_column("task", overflow="fold")
    width = max(32, console.width - _OTHERS)
    console.print(_title(largest.count, len(ranked)))
    for outcome in ranked:
        address = link(report, outcome.task, outcome.project_id)
        task = Text.assemble((middle(_name(outcome), width), Style(link=address or None)), ("\n" + plain(outcome.task), "dim"))
        known = size(outcome.bytes) if outcome.bytes else "-"
        table.add_row(known, f"{outcome.files:,}", _day(outcome), task)
    console.print(table)


def _title(count: int, shown: int) -> Text:
    if count == shown:
        return Text(f"{counted(count, 'task')} to delete:")
    return Text(f"The {shown} largest of {count:,} tasks to delete (--list shows all):")


def _name(outcome: TaskOutcome) -> str:
    return plain(f"{outcome.project}/{outcome.name}" if outcome.project else outcome.name)


def _day(outcome: TaskOutcome) -> str:
    return f"{outcome.active:%Y-%m-%d}" if outcome.active else "unknown   "
