"""The report of a pass on a terminal."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from cleanup_job.exit_codes import DID_WELL, meaning
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import NAMED, NOTICES, REASON_TEXTS, ProjectSum, ReasonSum, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import stages
from cleanup_job.report.formatting import LONGEST, counted, duration, middle, plain, size
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
    waiting,
)

SHOWN = 3
"""Tasks and files named for each reason; the report file and the log name more."""
ROWS = 25
"""Projects with a row of their own: the largest. One more row has the sum of all others."""

HIDDEN = frozenset({".datasets", ".pipelines", ".reports"})
"""Projects that ClearML keeps, hidden, in those that people made."""

_COLOURS = {Verdict.FAILED: "red", Verdict.KEPT: "yellow", Verdict.NOT_OURS: "dim"}


def render(report: Report, console: Console, *, whole: bool = False, is_end: bool = True) -> None:
    """Print everything but the warnings, which were printed during the pass; the sum comes last.

    Only ``Text`` is printed, never markup: names come from the server.

    Args:
        report: The report.
        console: Where to print.
        whole: Whether addresses are shown whole; otherwise their middle is left out where they are too long for a line.
        is_end: Whether the pass has ended with it. Otherwise a question with its sum follows.
    """
    width = LONGEST if whole else console.width
    console.print()
    if report.projects:
        console.print(_projects(report))
    if report.stages:
        console.print(_stages(report))
        _coming(report, console)
    for entry in by_weight(report):
        _reason(entry, report, console, width)
    _files(report.protected, "kept because something else uses them", report.protected_examples, console, width)
    _files(report.external, "outside the task folders that the tasks only link to", report.external_examples, console, width)
    _threshold_rules(report, console)
    _emptied_projects(report, console)
    _unknown_stores(report, console)
    for some in report.left_out:
        console.print(Text(plain(waiting(some))))
    if report.unfinished:
        console.print(Text(left_over(report.left, report.stopped_by, at_least=report.left_is_least), "yellow"))
    if report.error:
        console.print(Text.assemble(("error: ", "bold red"), plain(report.error)))
    if is_end:
        console.print(Text(headline(report), "bold"))
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
    rows = sorted(_visible(report.projects.values()), key=lambda row: (-row.weight, row.name))
    for row in rows[:ROWS]:
        table.add_row(Text(plain(row.name) or "(no project)"), *_cells(row))
    if len(rows) > ROWS:
        rest = ProjectSum("")
        for row in rows[ROWS:]:
            rest.count_in(row)
        table.add_row(f"and {len(rows) - ROWS:,} more", *_cells(rest), style="dim")
    return table


def _stages(report: Report) -> Table:
    """What each policy did at each stage."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("stage", no_wrap=True)
    table.add_column("policy", overflow="fold", min_width=12)
    for name in ("tasks", "bytes known", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("notice to", no_wrap=True)
    rows = stages.by_policy(report)
    for row in rows[:ROWS]:
        known = Text(size(row.bytes)) if row.bytes else Text("-", "dim")
        failed = Text(f"{row.failed:,}", "red" if row.failed else "")
        named = Text(plain(row.policy) or "(none)")
        table.add_row(row.stage.value, named, f"{row.done:,}", known, failed, stages.notices(row) or Text("-", "dim"))
    if len(rows) > ROWS:
        table.add_row("", f"and {len(rows) - ROWS:,} more", style="dim")
    return table


def _coming(report: Report, console: Console) -> None:
    """In a dry run: the first tasks that policies would change or announce something for."""
    if not report.dry_run:
        return
    for row in stages.by_policy(report)[:ROWS]:
        done, noticed = ([one for one in row.examples if (one.verdict in NOTICES) is kind] for kind in (False, True))
        if row.stage is not Stage.DELETE:
            _some(row.done, f"to {row.stage.value} by policy {plain(row.policy)}", done, report, console)
        _some(row.noticed, f"to give notice to by policy {plain(row.policy)}", noticed, report, console)


def _some(count: int, what: str, examples: Sequence[TaskOutcome], report: Report, console: Console) -> None:
    if not count:
        return
    console.print(Text(f"{counted(count, 'task')} {what}:"))
    for outcome in examples[:SHOWN]:
        announced = f" ({found})" if (found := stages.announced(outcome)) else ""
        name = Text(plain(outcome.name or outcome.task), Style(link=link(report, outcome.task, outcome.project_id) or None))
        _indented(Text.assemble(name, announced, " ", (plain(outcome.task), "dim")), console)
    if count > SHOWN:
        _indented(Text(f"and {count - SHOWN:,} more", "dim"), console)


def _visible(rows: Iterable[ProjectSum]) -> Iterable[ProjectSum]:
    """The rows of projects that ClearML shows: those that it hides are part of the project that they are in."""
    found: dict[str, ProjectSum] = {}
    for row in rows:
        parts = row.name.split("/")
        hidden = next((at for at, part in enumerate(parts) if part in HIDDEN), len(parts))
        name = "/".join(parts[:hidden] or parts[:1])
        found.setdefault(name, ProjectSum(name)).count_in(row)
    return found.values()


def _cells(row: ProjectSum) -> list[Text]:
    known = Text(size(row.bytes)) if row.bytes else Text("-", "dim")
    return [
        *(Text(f"{number:,}") for number in (row.tasks, row.models, row.files)),
        known,
        Text(f"{row.kept:,}", "yellow" if row.kept else ""),
        Text(f"{row.failed:,}", "red" if row.failed else ""),
    ]


def _reason(entry: ReasonSum, report: Report, console: Console, width: int) -> None:
    verdict = verdict_of(entry)
    who = f"{counted(entry.count, 'task')} {VERDICT_NAMES[verdict]}: {'it' if entry.count == 1 else 'each'}"
    style = _COLOURS.get(verdict, "yellow") if verdict else "yellow"
    console.print(Text.assemble((who, style), f" {REASON_TEXTS[entry.reason]}"))
    for outcome in entry.examples[:SHOWN]:
        _task(outcome, report, console, width)
    if entry.count > SHOWN:
        _indented(Text(f"and {entry.count - SHOWN:,} more", "dim"), console)


def _task(outcome: TaskOutcome, report: Report, console: Console, width: int) -> None:
    address = link(report, outcome.task, outcome.project_id)
    name = Text(plain(outcome.name or outcome.task), Style(link=address or None))
    _indented(Text.assemble(name, " ", (plain(outcome.task), "dim")), console)
    if outcome.detail:
        words = plain(outcome.detail).split(" ")
        _indented(Text(" ".join(middle(word, width - 4) if "://" in word else word for word in words)), console, 4)
    if address and not (console.is_terminal and console.color_system):
        console.print(Text(f"    {address}", "dim"), soft_wrap=True)


def _files(count: int, what: str, examples: Sequence[tuple[TaskId, str]], console: Console, width: int) -> None:
    if not count:
        return
    console.print(Text(f"{counted(count, 'file')} {what}"))
    shown = examples[:SHOWN]
    for _, uri in shown:
        console.print(Text(f"  {middle(plain(uri), width - 2)}", "dim"), soft_wrap=True)
    if count > len(shown):
        _indented(Text(f"and {count - len(shown):,} more", "dim"), console)


def _indented(text: Text, console: Console, by: int = 2) -> None:
    console.print(Padding(text, (0, 0, 0, by), expand=False))


def _closing(report: Report) -> Text:
    style = "bold green" if report.exit_code == 0 else "bold yellow" if report.exit_code in DID_WELL else "bold red"
    took = duration(seconds(report))
    effort = f"{counted(report.requests, 'request')} in {took}" if report.requests else took
    return Text.assemble((f"Exit code {report.exit_code}: {meaning(report.exit_code)}", style), f" ({effort})")
