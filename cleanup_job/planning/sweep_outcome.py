"""The outcome of a sweep: a record for each orphan, and their sums."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.paths import TaskId


class OrphanVerdict(StrEnum):
    """What became of an orphan. The values are part of the log's schema."""

    FOUND = "found"
    DELETED = "deleted"
    YOUNG = "young"
    ODD = "odd"
    FAILED = "failed"


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
        """Count one orphan."""
        self.folders += 1
        self.files += orphan.files
        self.bytes += orphan.bytes


@dataclass(slots=True)
class SweepReport:
    """The outcome of a sweep. Its size does not depend on what the stores hold."""

    version: str
    server: str
    delete: bool
    started: datetime
    finished: datetime | None = None
    folders: int = 0
    """Task folders found in the stores."""
    known: int = 0
    """Task folders whose task has a record, or in which a model has one."""
    sums: dict[OrphanVerdict, Sum] = field(default_factory=dict)
    stopped_by: StopReason | None = None
    error: str = ""
    exit_code: int = 0

    def left(self) -> int:
        """Orphans that could not be deleted."""
        return self.sums[OrphanVerdict.FAILED].folders if OrphanVerdict.FAILED in self.sums else 0
