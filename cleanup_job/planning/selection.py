"""Which tasks a pass may delete.

ClearML Server's filters fail open: a date it can't read or a misspelled field is dropped, and the listing matches everything
else. So each record is judged here by its own fields, when it is listed and again right before it is deleted. Pure: no I/O.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Protocol, Self

from cleanup_job.planning.filters import (
    FILTERS,
    PROJECTS,
    RULES,
    ActiveFilter,
    Effect,
    Known,
    active,
    resolved,
    threshold_of,
    variable,
)
from cleanup_job.planning.lifecycle.fate import Lifecycle, Step
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import ACTIVE, DRAFT, RUN_TAG, Task, Unreadable


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask the server for. It only narrows the listing; nothing relies on the server honouring it."""

    statuses: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Selected:
    """What a pass remembers of a task from its selection to the last look at it, and how to tell whether it was changed."""

    id: TaskId
    name: str
    project: str
    parent: str
    last_change: datetime | None
    digest: bytes
    """Of the fields in which a restored, edited, moved or running task differs; 128 bits."""
    is_step: bool = False
    """Whether it is deleted along with its pipeline's controller, archived or not."""
    user: str = ""
    status: str = ""
    active: datetime | None = None
    """For reports."""
    policy: str = ""
    """The name of the policy that counts for it; empty if there are none."""

    @classmethod
    def of(cls, task: Task, *, is_step: bool = False, policy: str = "") -> Self:
        """From the whole record."""
        return cls(
            task.id,
            task.name,
            task.project,
            task.parent,
            task.last_change,
            _digest(task),
            is_step,
            task.user,
            task.status,
            task.active,
            policy,
        )


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold for some projects."""

    text: str
    """The entry of the setting."""
    projects: frozenset[str]
    """Ids, including sub-projects."""
    cutoff: datetime | None
    """As in ``Rules``; None if its tasks are never deleted."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Tasks that were chosen by their ids: they alone may be deleted, still judged by all rules."""

    digests: Mapping[TaskId, str | None]
    """For each the digest (`deletion.digest_of`) with which it was approved: it is deleted only if it still has that; None if
    any will do."""


@dataclass(frozen=True, slots=True)
class OwnTasks:
    """The job's own tasks in ClearML."""

    never: frozenset[str] = frozenset()
    """Tasks that are never deleted: the job's draft, and the run of this pass."""
    runs_of: str = ""
    """The job's draft: archived runs of it are deleted past the threshold, whether a filter selects them or not."""
    filters_edited: bool = False
    """Whether the filters are not the operator's alone. What people enter in ClearML may leave nothing to delete."""


class Wanted(Protocol):
    """The settings that select tasks. Each name in ``FILTERS`` is an attribute, too."""

    @property
    def archived_for_days(self) -> float:
        """Grace period after a task was archived."""

    @property
    def force_delete(self) -> bool:
        """Whether tasks in any status are deleted, not only drafts."""

    @property
    def threshold_rules(self) -> Sequence[str]:
        """Thresholds for single projects."""

    @property
    def include_hidden(self) -> bool:
        """Whether hidden tasks are deleted."""

    @property
    def include_pipeline_steps(self) -> bool:
        """Whether steps are deleted together with their controller."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a pass may delete: the filters with names resolved to ids, and days to moments."""

    cutoff: datetime
    """Tasks whose age counts from before this moment are old enough."""
    archived_before: datetime | None = None
    """Tasks archived later than this are within their grace period; None where there is none."""
    force_delete: bool = False
    only: tuple[ActiveFilter, ...] = ()
    exclude: tuple[ActiveFilter, ...] = ()
    keep: tuple[ActiveFilter, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    """The first one that has a task's project counts."""
    include_hidden: bool = False
    include_pipeline_steps: bool = False
    known_projects: frozenset[str] = frozenset()
    """All project ids at the start: whether a project created later is excluded or kept can't be known."""
    pipeline_projects: frozenset[str] = field(default=frozenset(), repr=False)
    """Projects in which the SDK keeps pipelines (``…/.pipelines/…``)."""
    own: OwnTasks = OwnTasks()
    chosen: Chosen | None = None
    """The only tasks that may be deleted, if they were chosen by their ids."""
    lifecycle: Lifecycle | None = None
    """The policies, if there is a file with policies: each task has to be allowed by its own, too."""

    @property
    def finds_nothing(self) -> bool:
        """Whether no task can match: a filter has no names left, or no policy deletes."""
        return any(not one.ids for one in self.only) or (self.lifecycle is not None and not self.lifecycle.deletes)

    @property
    def projects(self) -> tuple[str, ...]:
        """The ids of the projects whose tasks alone may be deleted; none if it may be those of all."""
        return self.query().projects

    def query(self) -> Query:
        """The listing that these rules need, unless they find nothing."""
        narrowed = {FILTERS[one.name].listed_by: tuple(sorted(one.ids)) for one in self.only}
        narrowed.pop("", None)
        if not self.force_delete:
            narrowed["statuses"] = (DRAFT,)
        return Query(**narrowed, hidden=self.include_hidden or self.include_pipeline_steps)

    def allows(
        self, task: Task, *, archived_at: datetime | None = None, is_step: bool = False, since: datetime | None = None
    ) -> bool:
        """Whether the task may be deleted, by its own fields alone; what ``keeps`` says takes precedence.

        Args:
            task: The record as the server holds it now.
            archived_at: When it was archived, if that is known better than by ``last_change``.
            is_step: Whether it is deleted with its pipeline's controller: it need not be archived, but must not be active.
            since: The moment from which its age counts, if a change by this pass has moved that of its record.
        """
        with_controller = is_step and self.include_pipeline_steps
        return (
            self._is_open_to_rules(task)
            and self.is_put_away(task, with_controller=with_controller)
            and self.is_old_enough(task, since or task.active)
            and self._may_go_by_now(task, archived_at or task.last_change, since or task.active)
            and (self.is_own_run(task) or self._is_selected(task))
            and not self._is_excluded(task)
        )

    def selects(self, task: Task) -> bool:
        """Whether the task may be deleted: by its own fields, and by no rule that keeps it."""
        return self.allows_as_step_too(task) and not task.public and not self.keeps(task)

    def allows_as_step_too(self, task: Task) -> bool:
        """Whether the task may be deleted, by itself or as an archived step of a pipeline that the SDK has hidden."""
        is_archived_step = task.archived and task.project in self.pipeline_projects and self.is_step(task)
        return self.allows(task) or (is_archived_step and self.allows(task, is_step=True))

    def keeps(self, task: Task) -> str:
        """The rule that keeps a task regardless of everything else, in words; empty if there is none."""
        for one in self.keep:
            if one.matches(task):
                return one.words(task)
        if self._keeps_by_project and self.is_new_project(task.project):
            return (
                "its project did not exist, or could not be read, when the pass began, so it is unknown whether a rule keeps it"
            )
        threshold = self.threshold(task)
        if threshold is not None and threshold.cutoff is None:
            return f"{threshold.text!r} in {variable(RULES)}"
        return self.lifecycle.keeps(task) if self.lifecycle is not None and not self.is_own_run(task) else ""

    @property
    def _keeps_by_project(self) -> bool:
        by_policy = self.lifecycle is not None and self.lifecycle.by_project
        return by_policy or bool(self.thresholds) or any(one.by_project for one in self.keep)

    def rule_of(self, task: Task | Selected | Unreadable) -> str:
        """The threshold rule that a task's age was measured by; empty for the general threshold."""
        threshold = self.threshold(task)
        return threshold.text if threshold is not None else ""

    def policy_of(self, task: Task | Selected | Unreadable) -> str:
        """The name of the policy that counts for a task; empty if there are none, or if that can't be known."""
        if isinstance(task, Task):
            policy = self.lifecycle.file.of(task) if self.lifecycle is not None else None
            return policy.name if policy is not None else ""
        return task.policy if isinstance(task, Selected) else ""

    def cutoff_of(self, task: Task) -> datetime:
        """The moment before which a task is old enough: by the threshold rule of its project, or by the general one."""
        threshold = self.threshold(task)
        by_policy = self.lifecycle is not None and not self.is_own_run(task)
        rest = self.lifecycle.now if self.lifecycle is not None and by_policy else self.cutoff
        return (threshold.cutoff if threshold is not None else None) or rest

    def is_step(self, task: Task) -> bool:
        """Whether a task is a step if its parent is a controller. A clone of a controller also has that as its parent."""
        return not task.is_controller and ("hidden" in task.system_tags or task.project in self.pipeline_projects)

    # -- single rules, by the task's own fields
    def is_put_away(self, task: Task, *, with_controller: bool) -> bool:
        """Whether it is archived, and hidden only if that is allowed; or deleted with its controller, and not active."""
        if with_controller:
            return task.archived or task.status not in ACTIVE
        return task.archived and (self.include_hidden or "hidden" not in task.system_tags)

    def is_old_enough(self, task: Task, since: datetime | None) -> bool:
        """Whether it is past its threshold. What is never deleted counts by the general one, so that it is reported as kept."""
        return since is not None and since < self.cutoff_of(task)

    def _is_open_to_rules(self, task: Task) -> bool:
        """Whether rules decide at all: it is not the job's own, and one of those that were chosen, if any were."""
        return task.id not in self.own.never and (self.chosen is None or task.id in self.chosen.digests)

    def _may_go_by_now(self, task: Task, archived_at: datetime | None, since: datetime | None) -> bool:
        return self.grace_is_over(task, archived_at) and self.is_due(task, archived_at, since)

    def is_due(self, task: Task, archived_at: datetime | None, since: datetime | None) -> bool:
        """Whether its policy deletes it by now, if there are policies; they don't apply to the job's own runs."""
        if self.lifecycle is None or self.is_own_run(task):
            return True
        as_archived = replace(task, last_change=archived_at)
        if not task.archived:  # a step of a pipeline that is deleted with its controller
            as_archived = replace(as_archived, system_tags=(*task.system_tags, "archived"))
        return self.lifecycle.allows(as_archived, Stage.DELETE, since)

    def step(self, task: Task) -> Step | None:
        """What its policy does with a task now, apart from deletion; None for nothing, and if the settings leave it out."""
        if self.lifecycle is None or not self.has_policies(task):
            return None
        step = self.lifecycle.put_right(task) if self.keeps(task) else self.lifecycle.step(task)
        approved = self.chosen.digests.get(task.id) if self.chosen is not None else None
        return step if step is not None and approved in {None, step.digest(task)} else None

    def has_policies(self, task: Task) -> bool:
        """Whether policies may change a task, by everything but them."""
        return (
            self._is_open_to_rules(task)
            and not task.public
            and RUN_TAG not in task.tags
            and (self.include_hidden or "hidden" not in task.system_tags)
            and all(one.matches(task) for one in self.only)
            and not self._is_excluded(task)
        )

    def grace_is_over(self, task: Task, archived_at: datetime | None) -> bool:
        """Whether it has been in the archive for long enough, if it is there."""
        return not task.archived or self.archived_before is None or archived_at is None or archived_at <= self.archived_before

    def is_own_run(self, task: Task) -> bool:
        """Whether it is a run of the job itself."""
        return bool(self.own.runs_of) and task.parent == self.own.runs_of and RUN_TAG in task.tags

    def _is_selected(self, task: Task) -> bool:
        return (self.force_delete or task.status == DRAFT) and all(one.matches(task) for one in self.only)

    def _is_excluded(self, task: Task) -> bool:
        return any(one.matches(task) or (one.by_project and self.is_new_project(task.project)) for one in self.exclude)

    def is_new_project(self, project: str) -> bool:
        """Whether a project was not there when the pass began."""
        return bool(project) and project not in self.known_projects

    def threshold(self, task: Task | Selected | Unreadable) -> Threshold | None:
        """The threshold of its project, if it has one of its own."""
        return next((threshold for threshold in self.thresholds if task.project in threshold.projects), None)


def resolve(  # noqa: PLR0913 -- the settings, and what they are measured by
    filters: Wanted,
    now: datetime,
    known: Known,
    warn: Callable[[str], None],
    *,
    cutoff: datetime,
    own: OwnTasks | None = None,
    chosen: Chosen | None = None,
    lifecycle: Lifecycle | None = None,
) -> Rules:
    """The rules of a pass.

    Args:
        filters: The settings that select tasks.
        now: The one moment from which all ages count.
        known: What the server knows.
        warn: Called with names in including filters that match nothing.
        cutoff: The moment before which tasks are old enough, unless a threshold rule has another one.
        own: The job's own tasks.
        chosen: The only tasks that may be deleted; None if it may be any.
        lifecycle: The policies, if there are any.

    Raises:
        SettingsError: a project, user or tag that an exclusion, a keep rule or a threshold names matches nothing.
    """
    found = active(filters, known, warn)
    thresholds = tuple(_resolved_threshold(rule, now, known) for rule in filters.threshold_rules)
    floors = tuple((one.projects, one.cutoff) for one in thresholds if one.cutoff is not None)
    return Rules(
        cutoff=cutoff,
        archived_before=now - timedelta(days=filters.archived_for_days) if filters.archived_for_days else None,
        force_delete=filters.force_delete,
        only=found[Effect.ONLY],
        exclude=found[Effect.EXCLUDE],
        keep=found[Effect.KEEP],
        thresholds=thresholds,
        include_hidden=filters.include_hidden,
        include_pipeline_steps=filters.include_pipeline_steps,
        known_projects=frozenset(known.projects),
        pipeline_projects=frozenset(i for i, name in known.projects.items() if ".pipelines" in name.split("/")),
        own=own or OwnTasks(),
        chosen=chosen,
        lifecycle=lifecycle and replace(lifecycle, floors=floors),
    )


def _resolved_threshold(rule: str, now: datetime, known: Known) -> Threshold:
    project, days = threshold_of(rule)
    cutoff = None if days is None else now - timedelta(days=days)
    return Threshold(rule, resolved(RULES, [project], PROJECTS, known), cutoff)


def unchanged(before: Selected, now: Task, *, planned: Task | None = None) -> bool:
    """Whether the task was not changed by others since it was listed.

    ``last_change`` alone may move if its parent was deleted. If this pass itself has changed the record since it was read as
    ``planned`` (deleted its models, or removed models of others from its list), ``last_update`` and ``last_change`` no longer
    say anything. Restoring, editing tags and moving show in other fields.
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
