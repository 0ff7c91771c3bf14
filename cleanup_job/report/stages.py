"""What policies did, by stage and policy: the rows and phrases that all forms of the report share."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import NOTICES, Report, StageSum, TaskOutcome
from cleanup_job.report.formatting import counted, size

_ORDER = {stage: number for number, stage in enumerate(Stage)}
_DONE = {Stage.ARCHIVE: ("archive", "archived"), Stage.SLIM: ("slim", "slimmed")}
"""What is done at a stage, in a dry run and otherwise. Deletions have phrases of their own."""


def by_policy(report: Report) -> list[StageSum]:
    """A row for each stage of each policy, in the order of a task's life; none without policies."""
    return sorted(report.stages.values(), key=lambda row: (_ORDER[row.stage], row.policy))


@dataclass(slots=True)
class Sums:
    """What all policies did together, deletions left out; counts are of tasks unless they say otherwise."""

    done: Counter[Stage] = field(default_factory=Counter)
    bytes: Counter[Stage] = field(default_factory=Counter)
    """Of known sizes."""
    noticed: Counter[Stage] = field(default_factory=Counter)
    """By the stage that is announced, deletion included."""
    soonest: datetime | None = None

    @property
    def any(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.done.total() or self.noticed.total())


def sums(report: Report) -> Sums:
    """What all policies did together."""
    found = Sums()
    for row in report.stages.values():
        found.noticed[row.stage] += row.noticed
        if row.stage is not Stage.DELETE:
            found.done[row.stage] += row.done
            found.bytes[row.stage] += row.bytes
        found.soonest = min((one for one in (found.soonest, row.soonest) if one is not None), default=None)
    return found


def phrases(report: Report) -> list[str]:
    """What was done apart from deletion, or in a dry run would be: ``archived 30 tasks``, ``slimmed 12 tasks (1.2 GiB)``."""
    found = sums(report)
    told = [
        f"{words[not report.dry_run]} {counted(found.done[stage], 'task')}"
        + (f" ({size(found.bytes[stage])})" if found.bytes[stage] else "")
        for stage, words in _DONE.items()
        if found.done[stage]
    ]
    if noticed := found.noticed.total():
        verb = "give" if report.dry_run else "gave"
        told.append(f"{verb} notice to {counted(noticed, 'task')}{_from(found.soonest)}")
    return told


def _from(moment: datetime | None) -> str:
    return f" (first for {day(moment)})" if moment is not None else ""


def day(moment: datetime | None) -> str:
    """The date of a notice, in UTC; empty if there is none."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}" if moment is not None else ""


def notices(row: StageSum) -> str:
    """How many tasks got notice of a stage, and the earliest date: ``5 from 2026-12-05``; empty if there are none."""
    if not row.noticed:
        return ""
    return f"{row.noticed:,} from {day(row.soonest)}" if row.soonest else f"{row.noticed:,}"


def word(outcome: TaskOutcome) -> str:
    """What a policy does with a task, in a word: a stage, or ``notice``; empty without a policy."""
    if outcome.verdict in NOTICES:
        return "notice"
    return outcome.stage.value if outcome.stage is not None else ""


def announced(outcome: TaskOutcome) -> str:
    """What a notice announces: ``delete from 2026-12-05 on``; empty for what is not a notice."""
    if outcome.verdict not in NOTICES or outcome.stage is None:
        return ""
    return f"{outcome.stage.value} from {day(outcome.due)} on" if outcome.due else outcome.stage.value


def as_fields(row: StageSum) -> dict[str, Any]:
    """A row as the log and the documents have it."""
    return {
        "stage": row.stage.value,
        "policy": row.policy,
        "done": row.done,
        "failed": row.failed,
        "noticed": row.noticed,
        "soonest": None if row.soonest is None else row.soonest.astimezone(UTC).isoformat(timespec="milliseconds"),
        "models": row.models,
        "files": row.files,
        "bytes": row.bytes,
    }
