"""What the policies have in store for a task at a moment: what keeps it, when its stages come, and what is to be done now.

Pure: no I/O. What the settings' own filters say comes on top of it (``planning/selection.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hashlib import blake2b

from cleanup_job.planning.lifecycle.marks import (
    ARCHIVED,
    NOTICES,
    SLIMMED,
    Marks,
    OwnersWish,
    begins,
    ends,
    first_date_from,
    is_plausible,
    tag,
)
from cleanup_job.planning.lifecycle.policy import ARCHIVABLE, ENDED, LifecyclePolicy, PolicyFile, Stage
from cleanup_job.planning.records import ARCHIVED_BY, DRAFT, Task

RESTORED = f"it was restored from the archive; remove its tag {ARCHIVED}=… to let policies apply to it again"
_SOON = timedelta.resolution
"""A task has to be older than an age: by the least that two times can differ."""


@dataclass(frozen=True, slots=True)
class TagChange:
    """Tags that a task gets, and loses."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with a task now, apart from its deletion."""

    policy: LifecyclePolicy
    stage: Stage | None
    """What is done or announced; None if only tags are put right."""
    due: datetime | None = None
    """From when on its policy wants it, without the notice."""
    announced: date | None = None
    """The date that is announced; None if it is done now."""
    tags: TagChange = TagChange()
    """Of a notice, or what puts tags right. What is done now gets ``Lifecycle.tags_before`` and ``tags_after``."""

    @property
    def is_now(self) -> bool:
        """Whether the stage itself comes now: more than tags change."""
        return self.stage is not None and self.announced is None

    def digest(self, task: Task) -> str:
        """A digest of what is done, and of the record that it is done with, in hexadecimal digits: for what was approved."""
        record = (task.name, task.last_update, task.status, task.status_changed, task.tags, task.system_tags, task.project)
        return blake2b(repr((record, self.policy.name, self.stage, self.is_now)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The policies, at a moment."""

    file: PolicyFile
    now: datetime
    """In UTC, by the clock that ages count by."""
    me: str = ""
    """The id of the job's own user; empty if unknown: then each change of a task counts as one by others."""
    floor: datetime | None = None
    """Tasks whose age counts from later than this are too young to be slimmed or deleted, by the settings."""
    archived_for: timedelta = timedelta()
    """How long tasks have to be in the archive by the settings; a policy can only ask for longer."""
    floors: tuple[tuple[frozenset[str], datetime], ...] = ()
    """The same for some projects, by their ids: the first one that has a task's project counts, beside ``floor``."""
    slims: bool = True
    """Whether the settings allow to slim, and to delete what is not a draft."""

    @property
    def deletes(self) -> bool:
        """Whether any policy deletes."""
        return any(policy.delete is not None for policy in self.file.policies)

    @property
    def by_project(self) -> bool:
        """Whether projects decide: for a project that was created later, the policy that counts is unknown."""
        return any(policy.match.projects is not None for policy in self.file.policies)

    def at(self, now: datetime) -> "Lifecycle":
        """The same policies at another moment."""
        passed = now - self.now
        floors = tuple((projects, floor + passed) for projects, floor in self.floors)
        return replace(self, now=now, floor=self.floor and self.floor + passed, floors=floors)

    # -- what keeps a task
    def keeps(self, task: Task) -> str:
        """The rule of its policy, or the tag of its owner, that keeps a task as it is; in words, empty if there is none."""
        policy = self.file.of(task)
        if policy is None:
            return ""
        return self._kept_by_its_owner(task) or self._kept_by(policy, task)

    def _kept_by_its_owner(self, task: Task) -> str:
        names = self.file.tag_names
        wish = OwnersWish.of(task.tags, names)
        if wish.malformed and names is not None:
            known = f"{names.keep}, {names.ttl}=14d or {names.expires}=2026-12-31"
            return f"its own tag {wish.malformed!r}, which can't be read; write {known}"
        return f"its own tag {wish.keep!r}" if wish.keep else ""

    def _kept_by(self, policy: LifecyclePolicy, task: Task) -> str:
        if policy.keep.all:
            return f"keep: all in policy {policy.name!r}"
        if kept := next((one for one in task.tags if policy.keep.has_tag(one)), ""):
            return f"the tag {kept!r} is in keep.tags of policy {policy.name!r}"
        rank = self.file.kept_by_rank(policy, task) if policy.keep.is_ranked else ""
        return f"{rank} in policy {policy.name!r}" if rank else ""

    def is_restored(self, task: Task) -> bool:
        """Whether it was taken out of the archive after the job knew it there: it is left alone then."""
        return not task.archived and bool(_named(task, ARCHIVED))

    # -- when
    def due(self, task: Task, stage: Stage, since: datetime | None = None) -> datetime | None:
        """The first moment from which its policy wants a stage, notices aside; None: never.

        Args:
            task: The record as the server holds it.
            stage: Which stage.
            since: The moment from which its age counts, if that is known better than by the record.
        """
        policy, since = self.file.of(task), since or task.active
        after = policy.after(stage) if policy is not None else None
        if policy is None or after is None or since is None or not is_plausible(since):
            return None
        moment = self._wished(task, policy, since, since + after) + _SOON
        if stage is Stage.ARCHIVE:
            return moment
        moment = max([moment, *(since + (self.now - floor) + _SOON for floor in self.floors_of(task))])
        return moment if stage is Stage.SLIM else self._after_grace(task, policy, moment)

    def _after_grace(self, task: Task, policy: LifecyclePolicy, moment: datetime) -> datetime | None:
        """A moment, or the later one at which the task has been in the archive for long enough; None if that can't be known."""
        grace, noted = max(policy.archived_for, self.archived_for), Marks.of(task.tags).archived
        if not task.archived:
            return moment
        if noted is not None and is_plausible(ends(noted)):  # there is at least the rest of that day to take it back
            moment = max(moment, ends(noted))
        if not grace:
            return moment
        archived_at = self.archived_at(task)
        return max(moment, archived_at + grace) if archived_at is not None and is_plausible(archived_at) else None

    def floors_of(self, task: Task) -> list[datetime]:
        """The moments of the settings from before which its age has to count for it to be slimmed or deleted."""
        of_project = next((floor for projects, floor in self.floors if task.project in projects), None)
        return [floor for floor in (self.floor, of_project) if floor is not None]

    def _wished(self, task: Task, policy: LifecyclePolicy, since: datetime, moment: datetime) -> datetime:
        """The moment of a policy, as far as the task's owner may move it."""
        until = OwnersWish.of(task.tags, self.file.tag_names).until(since)
        if until is None or (until < moment and not policy.allow_shorter):
            return moment
        longest = until if policy.max_ttl is None else max(moment, since + policy.max_ttl)
        return min(until, longest)

    def archived_at(self, task: Task) -> datetime | None:
        """When it was archived, or a later moment; None if its record does not say, or if it is not archived.

        ClearML does not record that: it is the last change, unless that was the job's own, which has noted the date by then.
        """
        marked = Marks.of(task.tags).archived
        if not task.archived:
            return None
        return ends(marked) if marked is not None and self.is_own_change(task) else task.last_change

    def is_own_change(self, task: Task) -> bool:
        """Whether the job itself was the last one who changed the record."""
        return bool(self.me) and task.last_changed_by == self.me

    def announced(self, task: Task, stage: Stage) -> date | None:
        """The date for which a stage is announced; None if it is not, or if that does not count since the task was touched."""
        policy, found = self.file.of(task), Marks.of(task.tags).notice
        due = self.due(task, stage)
        if policy is None or found is None or found[0] is not stage or due is None:
            return None
        day = found[1]
        if not self.is_own_change(task) or task.last_change is None or task.last_change > begins(day) - policy.notice:
            return None
        return day if begins(day) >= due - _SOON else None

    def allows(self, task: Task, stage: Stage, since: datetime | None = None) -> bool:
        """Whether a stage may come now, by age, tags, archive and notice; what ``keeps`` says takes precedence."""
        policy, due = self.file.of(task), self.due(task, stage, since)
        if policy is None or due is None or due > self.now or not self._is_possible(task, stage, policy):
            return False
        if not policy.notice:
            return True
        day = self.announced(task, stage)
        return day is not None and begins(day) <= self.now

    def _is_possible(self, task: Task, stage: Stage, policy: LifecyclePolicy) -> bool:
        """Whether a task is in a state that the stage can follow on."""
        if stage is Stage.ARCHIVE:
            return not task.archived and task.status in ARCHIVABLE
        if stage is Stage.DELETE:
            return task.archived and (self.slims or task.status == DRAFT)
        slim = policy.slim
        return (
            slim is not None
            and self.slims
            and task.status in ENDED
            and (task.archived or slim.also_not_archived)
            and _is_whole(task)
        )

    # -- what is to be done
    def coming(self, task: Task) -> list[tuple[datetime, Stage]]:
        """The stages that can follow on the state in which a task is, each with the moment from which its policy wants it.

        The earliest comes first; deletion before slimming once both are due.
        """
        return [] if self.keeps(task) or self.is_restored(task) else self._possible(task)

    def is_near(self, task: Task) -> bool:
        """Whether a stage has come, or its notice would have, apart from what ``keeps`` and ``is_restored`` say."""
        policy, possible = self.file.of(task), self._possible(task)
        return policy is not None and any(due - policy.notice <= self.now for due, _ in possible)

    def _possible(self, task: Task) -> list[tuple[datetime, Stage]]:
        """What ``coming`` gives for a task that nothing keeps."""
        policy = self.file.of(task)
        if policy is None:
            return []
        found = [
            (due, stage)
            for stage in policy.stages
            if self._is_possible(task, stage, policy) and (due := self.due(task, stage)) is not None
        ]
        return sorted(found, key=lambda one: (max(one[0], self.now), one[1] is not Stage.DELETE, one[0]))

    def step(self, task: Task) -> Step | None:
        """What is to be done with a task now, apart from its deletion; None if it is nothing."""
        policy = self.file.of(task)
        if policy is None or task.public or self.is_restored(task):
            return None
        coming = self.coming(task)
        if not coming:
            return self.put_right(task)
        due, stage = coming[0]
        if stage is not Stage.DELETE and self.allows(task, stage):
            return Step(policy, stage, due)
        if self._is_to_be_announced(task, policy, stage, due):
            day = first_date_from(max(due, self.now + policy.notice))
            return Step(policy, stage, due, day, self._changed_tags(task, add=(tag(NOTICES[stage], day),)))
        return self.put_right(task, of_stage=stage)

    def _is_to_be_announced(self, task: Task, policy: LifecyclePolicy, stage: Stage, due: datetime) -> bool:
        return bool(policy.notice) and self.now >= due - policy.notice and self.announced(task, stage) is None

    def put_right(self, task: Task, of_stage: Stage | None = None) -> Step | None:
        """Take back announcements that don't count, or of other stages; note an archiving that a killed pass could not note."""
        policy, marks = self.file.of(task), Marks.of(task.tags)
        stale = marks.notices and (of_stage is None or self.announced(task, of_stage) is None)
        killed = task.archived and task.status_reason == ARCHIVED_BY and marks.archived is None
        if policy is None or not (stale or killed):
            return None
        return Step(policy, None, tags=self._changed_tags(task, keep_notices=not stale))

    # -- tags
    def tags_before(self, task: Task) -> TagChange:
        """The tags that a task gets before its record is changed in any other way: that would hide when it was archived."""
        return self._changed_tags(task, keep_notices=True)

    def tags_after(self, task: Task, stage: Stage) -> TagChange:
        """The tags that a task gets once it was archived or slimmed."""
        name = ARCHIVED if stage is Stage.ARCHIVE else SLIMMED
        return _change(task, [tag(name, self.now.date())], [*_named(task, name), *Marks.of(task.tags).notices])

    def _changed_tags(self, task: Task, add: Sequence[str] = (), *, keep_notices: bool = False) -> TagChange:
        """A change of its tags that keeps what they say of the archive right, and drops other notices unless told otherwise."""
        old = [] if keep_notices else [*Marks.of(task.tags).notices]
        new = [*add]
        is_noted = self.is_own_change(task) and Marks.of(task.tags).archived is not None
        if task.archived and task.last_change is not None and not is_noted:
            new.append(tag(ARCHIVED, task.last_change.date()))
            old += _named(task, ARCHIVED)
        return _change(task, new, old)


def _is_whole(task: Task) -> bool:
    """Whether it was not slimmed yet, or ran again since then."""
    slimmed = Marks.of(task.tags).slimmed
    return slimmed is None or (task.active is not None and task.active >= ends(slimmed))


def _named(task: Task, name: str) -> list[str]:
    """The tags with a name and a value that a task has."""
    return [one for one in task.tags if one.partition("=")[0] == name]


def _change(task: Task, new: Sequence[str], old: Sequence[str]) -> TagChange:
    """What has to change so that a task has the new tags, and of the old ones only those that are among them."""
    add = tuple(dict.fromkeys(one for one in new if one not in task.tags))
    return TagChange(add, tuple(dict.fromkeys(one for one in old if one not in new)))
