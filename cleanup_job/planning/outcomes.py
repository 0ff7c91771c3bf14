"""From what was planned and answered to outcome records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.plan import Going, Staying
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Selected

_OF_REASON = {Reason.PUBLIC: Verdict.NOT_OURS, Reason.SERVER_ERROR: Verdict.FAILED}
GONE = "somebody else deleted its record in the meantime"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Makes outcome records; knows the projects' names by id, and by which threshold a task was judged."""

    projects: Mapping[str, str]
    rule_of: Callable[[Task | Selected | Unreadable], str] = field(default=lambda _: "")

    def of(
        self,
        task: Task | Selected | Unreadable,
        verdict: Verdict,
        reason: Reason | None = None,
        detail: str = "",
        **more: Any,
    ) -> TaskOutcome:
        """One task's outcome; ``more`` are further fields of it."""
        project = self.projects.get(task.project, task.project)
        return TaskOutcome(task.id, task.name, project, task.project, verdict, reason, detail, rule=self.rule_of(task), **more)

    def goes(self, going: Going) -> TaskOutcome:
        """A task that is gone, or in a dry run would be."""
        return self.of(
            going.task,
            Verdict.DELETED,
            models=len(going.models),
            files=going.files,
            bytes=going.bytes,
            files_missing=going.files_missing,
            kept_models=len(going.kept_models),
            protected=going.protected,
            external=going.external,
            external_count=going.external_count,
            unknown_stores=going.unknown_stores,
        )

    def without_its_record(self, going: Going, verdict: Verdict, reason: Reason | None, detail: str) -> TaskOutcome:
        """A task whose files are gone, and whose record this pass did not delete."""
        counts = {"files": going.files, "bytes": going.bytes, "files_missing": going.files_missing}
        return self.of(going.task, verdict, reason, detail, **counts)

    def gone_already(self, task: Task | Selected | Unreadable) -> TaskOutcome:
        """A task whose record somebody else deleted before its files were looked at."""
        return self.of(task, Verdict.GONE_ALREADY, detail=GONE)

    def stays(self, staying: Staying) -> TaskOutcome:
        """A task that stays by plan."""
        verdict = _OF_REASON.get(staying.reason, Verdict.KEPT)
        return self.of(staying.task, verdict, staying.reason, staying.detail, unknown_stores=staying.unknown_stores)
