"""The outcome of a sweep, for people and as JSON: a line for each orphan, and the sums."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, Sum, SweepReport
from cleanup_job.report.formatting import counted, plain, size
from cleanup_job.report.json_lines import Line, line

VERDICT_TEXTS = {
    OrphanVerdict.FOUND: "no record",
    OrphanVerdict.DELETED: "deleted",
    OrphanVerdict.YOUNG: "no record, but within the grace period",
    OrphanVerdict.ODD: "no record, but not exactly a task folder: never deleted",
    OrphanVerdict.FAILED: "could not be deleted",
}
"""What became of an orphan, in words."""


def orphan_line(orphan: Orphan, level: str = "info") -> Line:
    """The log line of an orphan. With the level ``debug``, all lines have it except those of orphans that failed."""
    if orphan.verdict is OrphanVerdict.FAILED:
        level = "error"
    elif orphan.verdict is OrphanVerdict.ODD and level != "debug":
        level = "warning"
    return line("orphan", level, **_fields(orphan))


def finished_line(report: SweepReport) -> Line:
    """The last log line."""
    return line("sweep_finished", "error" if report.exit_code else "info", **summary(report))


def summary(report: SweepReport) -> dict[str, Any]:
    """The sums, as the last log line and Kubernetes' termination message have them."""
    finished = report.finished or datetime.now(UTC)
    return {
        "delete": report.delete,
        "exit_code": report.exit_code,
        "error": report.error or None,
        "stopped_by": report.stopped_by,
        "server": report.server,
        "folders": report.folders,
        "known": report.known,
        "orphans": {verdict.value: vars_of(total) for verdict, total in sorted(report.sums.items())},
        "seconds": round((finished - report.started).total_seconds(), 3),
    }


def vars_of(total: Sum) -> dict[str, int]:
    """The numbers of a sum by their names."""
    return {"folders": total.folders, "files": total.files, "bytes": total.bytes}


def print_orphan(orphan: Orphan, console: Console) -> None:
    """Print a line for people. Only ``Text`` is printed, never markup: names come from a store."""
    colour = {OrphanVerdict.FAILED: "red", OrphanVerdict.ODD: "yellow", OrphanVerdict.YOUNG: "dim"}.get(orphan.verdict, "")
    when = f"{orphan.youngest:%Y-%m-%d}" if orphan.youngest else ""
    about = f"{orphan.verdict.value:8} {counted(orphan.files, 'file'):>12} {size(orphan.bytes):>10}  {when}  "
    detail = f"  ({plain(orphan.detail)})" if orphan.detail else ""
    console.print(Text(f"{about}{plain(f'{orphan.store}/{orphan.path}')}{detail}", colour), soft_wrap=True)


def print_sum(report: SweepReport, console: Console) -> None:
    """Print the sums for people."""
    console.print()
    console.print(Text(f"{counted(report.folders, 'task folder')}, {report.known:,} known to {plain(report.server)}.", "bold"))
    for verdict, total in sorted(report.sums.items()):
        what = f"{counted(total.folders, 'folder')} with {counted(total.files, 'file')} ({size(total.bytes)})"
        console.print(Text(f"{what}: {VERDICT_TEXTS[verdict]}"))
    if OrphanVerdict.FOUND in report.sums and not report.delete:
        console.print(Text("Nothing was deleted. To delete these folders, add --delete."))
    if report.error:
        console.print(Text.assemble(("error: ", "bold red"), plain(report.error)), soft_wrap=True)


def _fields(orphan: Orphan) -> dict[str, Any]:
    return {
        "verdict": orphan.verdict.value,
        "store": orphan.store,
        "path": orphan.path,
        "task": orphan.task,
        "files": orphan.files,
        "bytes": orphan.bytes,
        "youngest": orphan.youngest.astimezone(UTC).isoformat(timespec="seconds") if orphan.youngest else None,
        "detail": orphan.detail,
    }
