"""From what was planned and answered to outcome records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cleanup_job.planning.deletion import Deletion, digest_of
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import GONE, Reason, TaskOutcome, Verdict
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Selected

_OF_REASON = {Reason.PUBLIC: Verdict.NOT_OURS, Reason.SERVER_ERROR: Verdict.FAILED}
_AT_A_STAGE = GONE | {Verdict.FAILED}
DELETED_BY_OTHERS = "its record was deleted by someone else in the meantime"


@dataclass(frozen=True, slots=True)
class OutcomeBuilder:
    """Makes outcome records; knows the projects' names by id, and by which threshold a task was judged."""

    projects: Mapping[str, str]
    rule_of: Callable[[Task | Selected | Unreadable], str] = field(default=lambda _: "")
    dry_run: bool = False
    policy_of: Callable[[Task | Selected | Unreadable], str] = field(default=lambda _: "")
    """Gives the name of the policy that counts for a task; empty if there is none."""

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
        known: dict[str, Any] = {}
        if not isinstance(task, Unreadable):
            known = {"user": task.user, "status": task.status, "active": task.active}
        if policy := self.policy_of(task):
            known |= {"policy": policy, "stage": Stage.DELETE if verdict in _AT_A_STAGE else None}
        return TaskOutcome(
            task.id,
            task.name,
            project,
            task.project,
            verdict,
            reason,
            detail,
            rule=self.rule_of(task),
            **(known | more),
        )

    def deleted(self, deletion: Deletion) -> TaskOutcome:
        """A task that was deleted, or in a dry run would be."""
        return self.of(
            deletion.task,
            Verdict.WOULD_DELETE if self.dry_run else Verdict.DELETED,
            models=len(deletion.models),
            files=deletion.files,
            bytes=deletion.bytes,
            unsized=deletion.unsized,
            files_missing=deletion.files_missing,
            kept_models=len(deletion.kept_models),
            protected=deletion.protected,
            external=deletion.external,
            external_count=deletion.external_count,
            unknown_stores=deletion.unknown_stores,
            digest=digest_of(deletion),
        )

    def without_its_record(self, deletion: Deletion, verdict: Verdict, reason: Reason | None, detail: str) -> TaskOutcome:
        """A task whose files are deleted, and whose record this pass did not delete."""
        counts = {
            "files": deletion.files,
            "bytes": deletion.bytes,
            "unsized": deletion.unsized,
            "files_missing": deletion.files_missing,
        }
        return self.of(deletion.task, verdict, reason, detail, **counts)

    def gone_already(self, task: Task | Selected | Unreadable) -> TaskOutcome:
        """A task whose record was deleted by someone else before its files were looked at."""
        return self.of(task, Verdict.GONE_ALREADY, detail=DELETED_BY_OTHERS)

    def kept(self, kept: Kept) -> TaskOutcome:
        """A task that is kept by plan."""
        verdict = _OF_REASON.get(kept.reason, Verdict.KEPT)
        return self.of(kept.task, verdict, kept.reason, kept.detail, unknown_stores=kept.unknown_stores)
