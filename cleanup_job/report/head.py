"""What people should know before a pass on a terminal begins: where, as whom, what, and by which rules."""

from rich.console import Console
from rich.text import Text

from cleanup_job.planning.judgement import FORCE, moment
from cleanup_job.planning.outcome import Report
from cleanup_job.report.formatting import plain
from cleanup_job.settings.model import TABLE

_GROUPS = frozenset({"filters", "related", "limits"})
_POLICIES = "CLEANUP_POLICIES"
_SHOWN = frozenset(entry.env for entry in TABLE.values() if entry.group in _GROUPS) - {FORCE}
"""The settings of the head, where they are not at their defaults. Each is on a line that is never broken: people copy it."""


def render(report: Report, console: Console, *, key: str = "", is_plan: bool = False, asks: bool = True) -> None:
    """Print the head of a pass.

    Args:
        report: The report as it is when the pass begins.
        console: Where to print.
        key: Whose key the job has.
        is_plan: Whether it is a dry run that someone is asked about at its end.
        asks: Whether nothing is deleted before someone has said yes.
    """
    what = "Plan for" if is_plan else "Dry run on" if report.dry_run else "Pass on"
    mode = "tasks in any status" if _is_any_status(report) else "drafts only"
    rows = [("with the key of", plain(key)), _which(report)]
    filters = [f"{name}={value}" for name, value, _ in report.settings if name in _SHOWN]
    rows += [("filters" if number == 0 else "", plain(text)) for number, text in enumerate(filters)]
    if not report.dry_run and not asks:
        rows.append(("without a question", "--yes"))
    console.print(Text.assemble((f"{what} {plain(report.server)}", "bold"), f": {mode}"), soft_wrap=True)
    for name, value in rows:
        if value:
            console.print(Text.assemble((f"  {name:<20}", "dim"), value), soft_wrap=True)


def _which(report: Report) -> tuple[str, str]:
    """Which tasks are old enough: by policies, or by one cut-off."""
    for name, value, _ in report.settings:
        if name == _POLICIES:
            return "by the policies in", plain(value)
    return "last active before", f"{moment(report.cutoff)} ({_days(report):g} days ago)"


def _is_any_status(report: Report) -> bool:
    return any(name == FORCE and value.lower() == "true" for name, value, _ in report.settings)


def _days(report: Report) -> float:
    return round((report.started - report.clock_ahead - report.cutoff).total_seconds() / 86_400, 2)
