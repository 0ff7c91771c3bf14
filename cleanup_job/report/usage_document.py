"""What takes the space on a server, as one document from which each form is rendered. docs/commands/usage.md has its fields."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any

from cleanup_job.planning.usage import AGES, HORIZONS, Kind, Row, Space, Usage
from cleanup_job.report.interface import Document

SCHEMA = 1
"""Raised when a field is removed or changes its meaning; new fields don't raise it."""
KIND_TEXTS = {
    Kind.ARTIFACTS: "artifacts",
    Kind.MODELS: "models",
    Kind.METRICS: "debug samples and plots",
    Kind.REPORTS: "images of reports",
    Kind.BESIDE: "other files of tasks",
    Kind.ORPHANS: "orphans: their task has no record",
    Kind.OTHER: "files outside of task folders",
}
NO_RECORD = "(no record)"
"""In place of a name, for files without a task that has a record."""


@dataclass(slots=True)
class UsageReport:
    """What takes the space on a server, with all that is needed to show it."""

    version: str
    server: str
    started: datetime
    force_delete: bool
    """Whether the settings let tasks in any status be deleted."""
    threshold_days: float
    has_policies: bool = False
    """Whether policies decide what is freed."""
    web: str = ""
    """The web server's address, for links; empty if it is unknown."""
    usage: Usage = field(default_factory=lambda: Usage(datetime.now(UTC)))
    projects: Mapping[str, str] = field(default_factory=dict)
    """Names by id."""
    users: Mapping[str, str] = field(default_factory=dict)
    """The same."""
    finished: datetime | None = None
    warnings: list[str] = field(default_factory=list)


def as_document(report: UsageReport) -> Document:
    """Everything that a report knows: only what JSON can hold."""
    usage = report.usage
    return {
        "schema": SCHEMA,
        "version": report.version,
        "server": report.server,
        "started": report.started.isoformat(timespec="seconds"),
        "finished": report.finished.isoformat(timespec="seconds") if report.finished else None,
        "stores": [{"store": name, **_files(space)} for name, space in usage.stores.items()],
        "total": asdict(usage.total),
        "kinds": [
            {"kind": kind.value, "text": KIND_TEXTS[kind], **_files(space)}
            for kind, space in sorted(usage.by_kind().items(), key=lambda item: _weight(item[1]))
        ],
        "projects": _projects(report),
        "users": _by_size({"id": key, "name": _name(key, report.users), **asdict(row)} for key, row in usage.users.items()),
        "statuses": _by_size({"status": key, **asdict(row)} for key, row in usage.statuses.items()),
        "ages": [_age(key, usage.ages[key]) for key in (*range(len(AGES) + 1), -1, None) if key in usage.ages],
        "archived": [{"archived": key, **asdict(usage.archived[key])} for key in (True, False, None) if key in usage.archived],
        "largest": [_task(row, report) for row in usage.largest.rows()],
        "threshold_days": report.threshold_days,
        "frees": _frees(report),
        "linked_elsewhere": usage.elsewhere,
        "warnings": list(report.warnings),
    }


def _files(space: Space) -> dict[str, int]:
    return {"files": space.files, "bytes": space.bytes, "unsized": space.unsized}


def _weight(space: Space) -> tuple[int, int, int]:
    return -space.bytes, -space.files, -space.tasks


def _by_size(rows: Any) -> list[dict[str, Any]]:
    """The largest first; of equal ones, by what they are about."""
    return sorted(rows, key=lambda row: (-row["bytes"], -row["files"], -row["tasks"], str(next(iter(row.values())))))


def _name(key: str | None, names: Mapping[str, str]) -> str:
    return NO_RECORD if key is None else names.get(key, key)


def _projects(report: UsageReport) -> list[dict[str, Any]]:
    kinds: dict[str | None, dict[str, dict[str, int]]] = {}
    for (project, kind), space in report.usage.projects.items():
        if kind is not None:
            kinds.setdefault(project, {})[kind.value] = _files(space)
    return _by_size(
        {"id": key, "name": _name(key, report.projects), **asdict(row), "kinds": kinds.get(key, {})}
        for key, row in report.usage.by_project().items()
    )


def _age(key: int | None, space: Space) -> dict[str, Any]:
    """A row of ages in days; both ends are null for what has no time or no record."""
    if key is None or key < 0:
        return {"from_days": None, "to_days": None, "text": NO_RECORD if key is None else "(no time)", **asdict(space)}
    start, end = (0, *AGES)[key], (*AGES, None)[key]
    text = f"{start} days and more" if end is None else f"under {end} days" if not start else f"{start} to {end} days"
    return {"from_days": start, "to_days": end, "text": text, **asdict(space)}


def _task(row: Row, report: UsageReport) -> dict[str, Any]:
    owner = row.owner
    return {
        "task": owner.id,
        "name": owner.name,
        "project_id": owner.project,
        "project": _name(owner.project, report.projects),
        "user": _name(owner.user, report.users),
        "status": owner.status,
        "archived": owner.archived,
        "active": owner.active.isoformat(timespec="seconds") if owner.active else None,
        **_files(row.space),
    }


def _frees(report: UsageReport) -> list[dict[str, Any]]:
    by = ((True, ""),) if report.force_delete else ((False, ", drafts only"), (True, ", CLEANUP_FORCE_DELETE=true"))
    stages = (("", report.usage.frees), ("slim", report.usage.slims)) if report.has_policies else (("", report.usage.frees),)
    return [
        {
            "force_delete": force,
            "days": days,
            "text": f"{'artifacts by slimming ' if stage else ''}{f'in {days} days' if days else 'now'}{words}",
            **({"stage": stage or "delete"} if report.has_policies else {}),
            **asdict(sums.get((rules, days), Space())),
        }
        for (stage, sums), (rules, (force, words)), days in product(stages, enumerate(by), HORIZONS)
    ]
