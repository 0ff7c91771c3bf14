"""The report of a pass on a terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from cleanup_job.exit_codes import DID_WELL, meaning
from cleanup_job.planning.outcome import NAMED, REASON_TEXTS, ProjectSum, ReasonSum, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report.formatting import counted, duration, plain, size
from cleanup_job.report.phrases import (
    VERDICT_NAMES,
    by_weight,
    headline,
    left_over,
    link,
    seconds,
    store_hint,
    store_setting,
    verdict_of,
)

SHOWN = 3
"""Tasks and files named for each reason; the report file and the log name more."""
ROWS = 25
"""Projects with a row of their own: the largest. One more row has the sum of all others."""

_COLOURS = {Verdict.FAILED: "red", Verdict.KEPT: "yellow", Verdict.NOT_OURS: "dim"}


def render(report: Report, console: Console) -> None:
    """Print everything but the warnings, which were printed during the pass.

    Only ``Text`` is printed, never markup: names come from the server.
    """
    console.print()
    console.print(Text(headline(report), "bold"))
    if report.projects:
        console.print(_projects(report))
    for entry in by_weight(report):
        _reason(entry, report, console)
    _files(report.protected, "kept because something else uses them", report.protected_examples, console)
    _files(report.external, "outside the task folders that the tasks only link to", report.external_examples, console)
    _threshold_rules(report, console)
    _emptied_projects(report, console)
    _unknown_stores(report, console)
    if report.unfinished:
        console.print(Text(left_over(report.left, report.stopped_by, at_least=report.left_is_least), "yellow"))
    if report.error:
        console.print(Text.assemble(("error: ", "bold red"), plain(report.error)))
    console.print(_closing(report))


def _threshold_rules(report: Report, console: Console) -> None:
    if not report.rules:
        return
    taken = ", ".join(f"{plain(rule)} {counted(count, 'task')}" for rule, count in report.rules.most_common(NAMED))
    taken += f" and {len(report.rules) - NAMED:,} more" if len(report.rules) > NAMED else ""
    console.print(Text(f"by threshold rule: {taken}"))


def _emptied_projects(report: Report, console: Console) -> None:
    if not report.emptied:
        return
    shown = ", ".join(plain(name) for name in report.emptied[:SHOWN]) + (", …" if len(report.emptied) > SHOWN else "")
    doing = "would be emptied and deleted" if report.dry_run else "emptied and deleted"
    console.print(Text(f"{counted(len(report.emptied), 'project')} {doing}: {shown}"))


def _unknown_stores(report: Report, console: Console) -> None:
    for address, count in report.unknown_stores.most_common(NAMED):
        console.print(Text.assemble((f"unknown store {plain(address)}", "yellow"), f": {counted(count, 'file')}"))
        _indented(Text(f"{store_hint(address)}:"), console)
        # On a line of its own that is never broken: people copy it.
        console.print(Text(f"  {plain(store_setting(address))}", "bold"), soft_wrap=True)
    if len(report.unknown_stores) > NAMED:
        console.print(Text(f"and {len(report.unknown_stores) - NAMED:,} more unknown stores", "yellow"))


def _projects(report: Report) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_footer=True)
    total = report.total()
    table.add_column("project", "total", overflow="fold", footer_style="bold", min_width=12)
    names = ("tasks", "models", "files", "bytes known", "keep" if report.dry_run else "kept", "failed")
    for name, sum_ in zip(names, _cells(total), strict=True):
        table.add_column(name, sum_, justify="right", footer_style="bold", no_wrap=True)
    rows = sorted(report.projects.values(), key=lambda row: (-row.weight, row.name))
    for row in rows[:ROWS]:
        table.add_row(Text(plain(row.name) or "(no project)"), *_cells(row))
    if len(rows) > ROWS:
        rest = ProjectSum("")
        for row in rows[ROWS:]:
            rest.count_in(row)
        table.add_row(f"and {len(rows) - ROWS:,} more", *_cells(rest), style="dim")
    return table


def _cells(row: ProjectSum) -> list[Text]:
    known = Text(size(row.bytes)) if row.bytes else Text("-", "dim")
    return [
        *(Text(f"{number:,}") for number in (row.tasks, row.models, row.files)),
        known,
        Text(f"{row.kept:,}", "yellow" if row.kept else ""),
        Text(f"{row.failed:,}", "red" if row.failed else ""),
    ]


def _reason(entry: ReasonSum, report: Report, console: Console) -> None:
    verdict = verdict_of(entry)
    who = f"{counted(entry.count, 'task')} {VERDICT_NAMES[verdict]}: {'it' if entry.count == 1 else 'each'}"
    style = _COLOURS.get(verdict, "yellow") if verdict else "yellow"
    console.print(Text.assemble((who, style), f" {REASON_TEXTS[entry.reason]}"))
    for outcome in entry.examples[:SHOWN]:
        _task(outcome, report, console)
    if entry.count > SHOWN:
        _indented(Text(f"and {entry.count - SHOWN:,} more", "dim"), console)


def _task(outcome: TaskOutcome, report: Report, console: Console) -> None:
    address = link(report, outcome.task, outcome.project_id)
    name = Text(plain(outcome.name or outcome.task), Style(link=address or None))
    _indented(Text.assemble(name, " ", (plain(outcome.task), "dim")), console)
    if outcome.detail:
        _indented(Text(plain(outcome.detail)), console, 4)
    if address and not (console.is_terminal and console.color_system):
        console.print(Text(f"    {address}", "dim"), soft_wrap=True)


def _files(count: int, what: str, examples: Sequence[tuple[TaskId, str]], console: Console) -> None:
    if not count:
        return
    console.print(Text(f"{counted(count, 'file')} {what}"))
    shown = examples[:SHOWN]
    for _, uri in shown:
        console.print(Text(f"  {plain(uri)}", "dim"), overflow="fold")
    if count > len(shown):
        _indented(Text(f"and {count - len(shown):,} more", "dim"), console)


def _indented(text: Text, console: Console, by: int = 2) -> None:
    console.print(Padding(text, (0, 0, 0, by), expand=False))


def _closing(report: Report) -> Text:
    style = "bold green" if report.exit_code == 0 else "bold yellow" if report.exit_code in DID_WELL else "bold red"
    effort = f"{counted(report.requests, 'request')} in {duration(seconds(report))}"
    return Text.assemble((f"Exit code {report.exit_code}: {meaning(report.exit_code)}", style), f" ({effort})")
