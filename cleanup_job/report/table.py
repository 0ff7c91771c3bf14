"""The report of a pass on a terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cleanup_job.report.json_lines import store_hint
from cleanup_job.report.outcome import REASON_TEXTS, ProjectSum, ReasonSum, Report

SHOWN = 3
"""Tasks named for each reason; the report file and the log name more."""
ROWS = 25
"""Projects with a row of their own: the largest; the rest is summed up."""

EXIT_CODES = {
    0: "done",
    1: "unexpected error",
    2: "wrong settings or credentials, or refused",
    3: "done in part: what is left or failed waits for the next pass",
    4: "server unreachable",
    5: "another pass holds the lease",
    130: "stopped by SIGINT after the batches in progress",
    143: "stopped by SIGTERM after the batches in progress",
}


def render(report: Report, console: Console) -> None:
    """Print it all."""
    if report.projects:
        console.print(_projects(report))
    for entry in report.reasons.values():
        _reason(entry, report, console)
    _files(report, console)
    for address, count in report.unknown_stores.items():
        text = f"unknown store {address}: {files(count)}; {store_hint(address)}"
        console.print(text, style="yellow", markup=False, highlight=False)
    if report.left:
        console.print(f"{report.left} tasks are left for the next pass ({report.stopped_by})", highlight=False)
    if report.error:
        console.print(f"error: {report.error}", style="red", markup=False, highlight=False)
    console.print(_headline(report), style="bold red" if report.exit_code else "bold green", markup=False, highlight=False)


def _projects(report: Report) -> Table:
    doing = "would delete" if report.dry_run else "deleted"
    table = Table(title=f"What this pass {doing}, by project", title_justify="left")
    table.add_column("project", overflow="fold")
    for name in ("tasks", "models", "files", "bytes known", "kept", "failed"):
        table.add_column(name, justify="right")
    rows = sorted(report.projects.values(), key=lambda row: (-row.tasks - row.kept - row.failed, row.name))
    for row in rows[:ROWS]:
        table.add_row(escape(row.name or "(no project)"), *_cells(row))
    if len(rows) > ROWS:
        rest = ProjectSum(f"{len(rows) - ROWS} more projects")
        for row in rows[ROWS:]:
            rest.count_in(row)
        table.add_row(rest.name, *_cells(rest), style="dim")
    table.add_section()
    table.add_row("total", *_cells(report.total()), style="bold")
    return table


def _cells(row: ProjectSum) -> list[str]:
    red = f"[red]{row.failed}[/]" if row.failed else "0"
    return [str(row.tasks), str(row.models), str(row.files), size(row.bytes), str(row.kept), red]


def _reason(entry: ReasonSum, report: Report, console: Console) -> None:
    tasks = "1 task stays: it" if entry.count == 1 else f"{entry.count} tasks stay: each"
    console.print(f"[yellow]{tasks}[/] {REASON_TEXTS[entry.reason]}", highlight=False)
    for outcome in entry.examples[:SHOWN]:
        link = report.task_link(outcome.task, outcome.project_id)
        name = escape(outcome.name or outcome.task)
        shown = f"[link={link}]{name}[/link]" if link else name
        console.print(f"  {shown} [dim]{outcome.task}[/] {escape(outcome.detail)}", highlight=False)
        if link and not console.is_terminal:
            console.print(f"    {link}", style="dim", highlight=False, soft_wrap=True)
    if entry.count > SHOWN:
        console.print(f"  and {entry.count - SHOWN} more", style="dim", highlight=False)


def _files(report: Report, console: Console) -> None:
    for count, what, examples in (
        (report.protected, "in use elsewhere stay where they are", report.protected_examples),
        (report.external, "outside the task folders, only linked to", report.external_examples),
    ):
        if count:
            console.print(f"{files(count)} {what}, such as", highlight=False)
            for _, uri in examples[:SHOWN]:
                console.print(f"  {uri}", style="dim", markup=False, highlight=False, overflow="fold")


def _headline(report: Report) -> str:
    total = report.total()
    seconds = (report.finished - report.started).total_seconds() if report.finished else 0
    doing = "Dry run: would delete" if report.dry_run else "Deleted"
    what = f"{total.tasks} tasks, {total.models} models, {files(total.files)}"
    more = f"kept {total.kept}, failed {total.failed}" + (f", not ours {total.not_ours}" if total.not_ours else "")
    meaning = EXIT_CODES.get(report.exit_code, "")
    return f"{doing} {what}; {more}. {report.requests} requests in {seconds:.1f} s. Exit code {report.exit_code}: {meaning}."


def files(count: int) -> str:
    """A number of files, in words."""
    return "1 file" if count == 1 else f"{count} files"


def size(number: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004 -- of bytes
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
