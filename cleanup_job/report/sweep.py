"""The outcome of a sweep, and its renderings: a line for each orphan, and the sum."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.text import Text

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.paths import TaskId
from cleanup_job.report.formatting import counted, plain, size
from cleanup_job.report.json_lines import Line, line


class OrphanVerdict(StrEnum):
    """What became of an orphan. The values are part of the log's schema."""

    FOUND = "found"
    DELETED = "deleted"
    YOUNG = "young"
    ODD = "odd"
    FAILED = "failed"


VERDICT_TEXTS = {
    OrphanVerdict.FOUND: "has no record",
    OrphanVerdict.DELETED: "deleted",
    OrphanVerdict.YOUNG: "has no record, but is within the grace period",
    OrphanVerdict.ODD: "has no record, but is not exactly a task folder: never touched",
    OrphanVerdict.FAILED: "could not be deleted",
}


@dataclass(frozen=True, slots=True)
class Orphan:
    """A task folder without a record."""

    store: str
    path: str
    task: TaskId
    verdict: OrphanVerdict
    files: int
    bytes: int
    youngest: datetime | None
    detail: str = ""


@dataclass(slots=True)
class Sum:
    """Folders of one verdict."""

    folders: int = 0
    files: int = 0
    bytes: int = 0

    def add(self, orphan: Orphan) -> None:
        """Count one in."""
        self.folders += 1
        self.files += orphan.files
        self.bytes += orphan.bytes


@dataclass(slots=True)
class SweepReport:
    """The outcome of a sweep; grows with nothing."""

    version: str
    server: str
    delete: bool
    started: datetime
    finished: datetime | None = None
    folders: int = 0
    """Task folders in the stores."""
    known: int = 0
    """Those whose task, or a model in them, has a record."""
    sums: dict[OrphanVerdict, Sum] = field(default_factory=dict)
    stopped_by: StopReason | None = None
    error: str = ""
    exit_code: int = 0

    def left(self) -> int:
        """Orphans that could not be deleted."""
        return self.sums[OrphanVerdict.FAILED].folders if OrphanVerdict.FAILED in self.sums else 0


# -- renderings
def orphan_line(orphan: Orphan) -> Line:
    """A log line for an orphan."""
    level = {OrphanVerdict.FAILED: "error", OrphanVerdict.ODD: "warning"}.get(orphan.verdict, "info")
    return line("orphan", level, **_fields(orphan))


def finished_line(report: SweepReport) -> Line:
    """The last log line."""
    return line("sweep_finished", "error" if report.exit_code else "info", **summary(report))


def summary(report: SweepReport) -> dict[str, Any]:
    """The sum, as it stands in the last log line and in Kubernetes' termination message."""
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
    """A sum's numbers by name."""
    return {"folders": total.folders, "files": total.files, "bytes": total.bytes}


def print_orphan(orphan: Orphan, console: Console) -> None:
    """A line for people. Only ``Text`` is printed, never markup: names come from a store."""
    colour = {OrphanVerdict.FAILED: "red", OrphanVerdict.ODD: "yellow", OrphanVerdict.YOUNG: "dim"}.get(orphan.verdict, "")
    when = f"{orphan.youngest:%Y-%m-%d}" if orphan.youngest else ""
    about = f"{orphan.verdict.value:8} {counted(orphan.files, 'file'):>12} {size(orphan.bytes):>10}  {when}  "
    detail = f"  ({plain(orphan.detail)})" if orphan.detail else ""
    console.print(Text(f"{about}{plain(f'{orphan.store}/{orphan.path}')}{detail}", colour), soft_wrap=True)


def print_sum(report: SweepReport, console: Console) -> None:
    """The sum for people."""
    console.print()
    console.print(Text(f"{counted(report.folders, 'task folder')}, {report.known:,} known to {plain(report.server)}.", "bold"))
    for verdict, total in sorted(report.sums.items()):
        what = f"{counted(total.folders, 'folder')} with {counted(total.files, 'file')} ({size(total.bytes)})"
        console.print(Text(f"{what}: {VERDICT_TEXTS[verdict]}"))
    if OrphanVerdict.FOUND in report.sums and not report.delete:
        console.print(Text("Nothing was deleted; --delete does."))
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
