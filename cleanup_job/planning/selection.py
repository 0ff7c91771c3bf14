"""Which tasks a pass may delete.

ClearML Server's filters fail open: a date it can't read or a misspelled field is dropped, and the listing matches everything
else. So each record is judged here by its own fields, when it is listed and again right before it is deleted. Pure: no I/O.
"""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Self

from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Task, Unreadable

ACTIVE = frozenset({"in_progress", "queued"})
DRAFT = "created"


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask the server for. It only narrows the listing: nothing relies on its being honoured."""

    statuses: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Selected:
    """What a pass remembers of a task from its selection to the last look at it: there may be millions.

    Its id, its place in the order, and how to tell whether somebody touched it.
    """

    id: TaskId
    project: str
    parent: str
    last_change: datetime | None
    order: float
    """Most recent activity first: seconds since 1970, negative."""
    digest: bytes
    """Of the fields in which a restored, edited, moved or running task differs; 128 bits."""

    @classmethod
    def of(cls, task: Task) -> Self:
        """From the whole record."""
        since = age_from(task)
        order = -since.timestamp() if since is not None else 0.0
        return cls(task.id, task.project, task.parent, task.last_change, order, _digest(task))

    @property
    def name(self) -> str:
        """Not remembered: only a record that is read again has it."""
        return ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold of its own for some projects."""

    text: str
    """As the setting has it."""
    projects: frozenset[str]
    """Ids, sub-projects included."""
    cutoff: datetime | None
    """As ``Rules.cutoff``; None: never."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The filters of one pass, with names resolved to ids and days to moments."""

    cutoff: datetime
    """Tasks whose age counts from before this moment are old enough."""
    archived_before: datetime | None
    """Tasks archived later than this are within their grace; None where there is none."""
    drafts_only: bool
    projects: frozenset[str] | None = None
    """Ids, sub-projects included; None stands for all, and none for none."""
    exclude_projects: frozenset[str] | None = None
    known_projects: frozenset[str] = frozenset()
    """All project ids at the start: of another one nobody can tell whether it is excluded."""
    tags: frozenset[str] = frozenset()
    exclude_tags: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    exclude_statuses: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    exclude_users: frozenset[str] = frozenset()
    include_hidden: bool = False
    include_pipeline_steps: bool = False
    keep_tags: frozenset[str] = frozenset()
    keep_projects: frozenset[str] | None = None
    thresholds: tuple[Threshold, ...] = ()
    """The first that has a task's project counts."""
    pipeline_projects: frozenset[str] = field(default=frozenset(), repr=False)
    """Projects in which the SDK keeps pipelines (``…/.pipelines/…``)."""
    never: frozenset[str] = frozenset()
    """Tasks that are not deleted whatever is said of them: the job's own draft, and the run of this pass."""
    runs_of: str = ""
    """The job's own draft: archived runs of it go past the threshold, whatever else is asked for."""

    @property
    def finds_nothing(self) -> bool:
        """Whether no task can be in these filters: nothing is left of what they ask for."""
        return self.projects is not None and not self.projects

    def query(self) -> Query:
        """The listing that these rules need, unless they find nothing."""
        statuses = self.statuses
        if self.drafts_only:
            statuses = frozenset({DRAFT})
        return Query(
            tuple(sorted(statuses)),
            tuple(sorted(self.types)),
            tuple(sorted(self.users)),
            tuple(sorted(self.projects)) if self.projects is not None else (),
            self.include_hidden or self.include_pipeline_steps,
        )

    def allows(
        self, task: Task, *, archived_at: datetime | None = None, is_step: bool = False, since: datetime | None = None
    ) -> bool:
        """Whether the task may be deleted, by its own fields alone; ``keeps`` has the last word.

        Args:
            task: The record as the server holds it now.
            archived_at: When it was archived, where that is known better than by ``last_change``.
            is_step: Whether it is deleted with its pipeline's controller: it need not be archived, but must not be active.
            since: The moment from which its age counts, where a change by this pass has moved that of its record.
        """
        if task.id in self.never:
            return False
        since = since or age_from(task)
        own_run = bool(self.runs_of) and task.parent == self.runs_of and RUN_TAG in task.tags
        archived_at = archived_at or task.last_change
        with_controller = is_step and self.include_pipeline_steps
        return (
            (task.archived or (with_controller and task.status not in ACTIVE))
            and since is not None
            and since < self._cutoff(task)
            and (
                not task.archived or self.archived_before is None or archived_at is None or archived_at <= self.archived_before
            )
            and (task.status == DRAFT or not self.drafts_only or own_run)
            and self._not_excluded(task)
            and (own_run or self._in_filters(task))
            and ("hidden" not in task.system_tags or self.include_hidden or with_controller)
        )

    def keeps(self, task: Task) -> str:
        """The rule that keeps a task whatever else may be said of it, in words; empty where there is none."""
        tags = self.keep_tags.intersection(task.tags)
        if tags:
            return f"the tag {min(tags)!r} is in CLEANUP_KEEP_TAGS"
        if self.keep_projects is not None and task.project in self.keep_projects:
            return "its project is in CLEANUP_KEEP_PROJECTS"
        by_project = self.keep_projects is not None or self.thresholds
        if by_project and task.project not in self.known_projects | {""}:
            return (
                "its project was not there, or could not be read, when the pass began: nobody can tell whether a rule keeps it"
            )
        threshold = self._threshold(task)
        if threshold is not None and threshold.cutoff is None:
            return f"{threshold.text!r} in CLEANUP_THRESHOLD_RULES"
        return ""

    def rule_of(self, task: Task | Selected | Unreadable) -> str:
        """The entry of the table of thresholds that a task's age was measured by; empty for the threshold of all."""
        threshold = self._threshold(task)
        return threshold.text if threshold is not None else ""

    def is_step(self, task: Task) -> bool:
        """Whether a task is a step if its parent is a controller: a clone of a controller has that as its parent, too."""
        return not task.is_controller and ("hidden" in task.system_tags or task.project in self.pipeline_projects)

    def _threshold(self, task: Task | Selected | Unreadable) -> Threshold | None:
        return next((threshold for threshold in self.thresholds if task.project in threshold.projects), None)

    def _cutoff(self, task: Task) -> datetime:
        """What is never deleted would be by the threshold of all: so it is told of as kept."""
        threshold = self._threshold(task)
        return self.cutoff if threshold is None or threshold.cutoff is None else threshold.cutoff

    def _in_filters(self, task: Task) -> bool:
        return (
            (self.projects is None or task.project in self.projects)
            and (not self.tags or bool(self.tags.intersection(task.tags)))
            and (not self.types or task.type in self.types)
            and (not self.statuses or task.status in self.statuses)
            and (not self.users or task.user in self.users)
        )

    def _not_excluded(self, task: Task) -> bool:
        return (
            (
                self.exclude_projects is None
                or (task.project not in self.exclude_projects and task.project in self.known_projects | {""})
            )
            and not self.exclude_tags.intersection(task.tags)
            and task.status not in self.exclude_statuses
            and task.user not in self.exclude_users
        )


def age_from(task: Task) -> datetime | None:
    """The moment from which a task's age counts; None where its record has no time at all.

    A draft that never ran has no ``status_changed``; an active task counts by its last report.
    """
    if task.status in ACTIVE:
        return task.last_update
    return task.status_changed or task.last_update or task.created


def unchanged(before: Selected, now: Task, *, planned: Task | None = None) -> bool:
    """Whether nobody touched the task since it was listed.

    ``last_change`` alone may move where its parent was deleted. Where this pass itself has changed the record since it was
    read as ``planned`` (deleted its models, or taken models of others from its list), ``last_update`` and ``last_change`` say
    nothing any more. Restoring, editing tags and moving show in other fields.
    """
    same_parent = before.parent == now.parent
    parent_deleted = now.parent == f"__DELETED__{before.parent}"
    if planned is not None:
        return (same_parent or parent_deleted) and _lasting(planned) == _lasting(now)
    return before.digest == _digest(now) and ((same_parent and before.last_change == now.last_change) or parent_deleted)


def _lasting(task: Task) -> tuple[object, ...]:
    return (task.status, task.status_changed, task.tags, task.system_tags, task.project)


def _digest(task: Task) -> bytes:
    return blake2b(repr((task.last_update, *_lasting(task))).encode(), digest_size=16).digest()
