"""What is deleted with a batch of tasks, and what is kept, each with its reason.

The one place that decides on deletion: nothing is deleted that is not in a plan. Pure functions on data, no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cleanup_job.planning.deletion import Deletion, deletion_of, digest_of
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Selected

STORES_NAMED = 5
"""Unknown stores that the detail of a kept task names."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A task that is kept, and why. ``task`` is as it was selected if it was not looked at again, or is gone."""

    task: Task | Selected | Unreadable
    reason: Reason
    detail: str
    unknown_stores: tuple[tuple[str, int], ...] = ()
    absent: bool = False
    """Whether a list of tasks lacked it, which alone proves nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass will do with a batch; a dry run prints it and stops."""

    deletions: tuple[Deletion, ...] = ()
    kept: tuple[Kept, ...] = ()


def plan_batch(batch: Batch, policy: Policy) -> Plan:
    """The plan of a batch. A unit is deleted whole or kept whole."""
    deletions: list[Deletion] = []
    kept: list[Kept] = []
    for unit in batch.units:
        reasons = {task: found for task in unit if (found := _why_kept(task, batch, policy)) is not None}
        if reasons:
            kept += [reasons.get(task) or _kept_with(task, next(iter(reasons)), batch) for task in unit]
        else:
            made = [deletion_of(batch.now[task], unit, batch, policy) for task in unit]
            differs = _other_than_approved(made, policy)
            if differs:
                kept += [_not_as_approved(deletion.task, differs) for deletion in made]
            else:
                deletions += made
    return Plan(tuple(deletions), tuple(kept))


def unreadable(task: Task | Unreadable, what: str) -> Kept:
    """A task that is kept since something of it can't be read."""
    detail = f"{what} is not what ClearML's API promises; open the task in ClearML and correct it"
    return Kept(task, Reason.UNREADABLE, detail)


def _kept_with(task: TaskId, other: TaskId, batch: Batch) -> Kept:
    """A task that could be deleted, if it were not in a unit with one that is kept."""
    detail = f"task {other} and this one use each other's outputs, and {other} is kept"
    return Kept(batch.now.get(task) or batch.before[task], Reason.IN_USE, detail)


def _other_than_approved(made: Sequence[Deletion], policy: Policy) -> TaskId | None:
    """The first of some tasks that is no longer as it was approved; None if there is none."""
    approved = policy.rules.chosen.digests if policy.rules.chosen is not None else {}
    for deletion in made:
        digest = approved.get(deletion.task.id)
        if digest is not None and digest != digest_of(deletion):
            return deletion.task.id
    return None


def _not_as_approved(task: Task, differs: TaskId) -> Kept:
    what = "its record, that of a model it made, or what others need of it"
    which = what if differs == task.id else f"task {differs}, with which it is deleted,"
    return Kept(task, Reason.CHANGED, f"{which} changed since the plan was made; make a new plan to delete it")


def _why_kept(task: TaskId, batch: Batch, policy: Policy) -> Kept | None:
    before, now = batch.before[task], batch.now.get(task)
    if task in batch.unreadable:
        return unreadable(now or batch.unreadable[task], batch.unreadable[task].field)
    if now is None:
        return Kept(before, Reason.CHANGED, "the server does not list it any more; the next pass looks again", absent=True)
    if task not in batch.outputs:
        return Kept(now, Reason.CHANGED, "it, or a model of it, was not there while it was read; the next pass looks again")
    if now.public:
        return Kept(now, Reason.PUBLIC, "a public example belongs to the server, not to its users")
    return _changed(now, batch, policy) or _needs_force(now, batch, policy) or _kept_by_a_file(now, batch.outputs[task], policy)


def _changed(task: Task, batch: Batch, policy: Policy) -> Kept | None:
    if not policy.still_allows(batch.before[task.id], task):
        what = "it was restored, run again or edited while the pass ran"
    elif task.id in batch.changing:
        what = "its models, or claims on its files, changed each time it was read"
    else:
        return None
    return Kept(task, Reason.CHANGED, f"{what}; the next pass looks again")


def _needs_force(task: Task, batch: Batch, policy: Policy) -> Kept | None:
    """A record that the server would refuse to delete after its files."""
    published = [model.id for model in batch.models.get(task.id, ()) if model.ready]
    if policy.rules.force_delete or not (published or task.id in batch.published_children):
        return None
    what = f"published model {published[0]}" if published else "published child"
    return Kept(task, Reason.NEEDS_FORCE, f"it has a {what}; CLEANUP_FORCE_DELETE=true deletes it")


def _kept_by_a_file(task: Task, found: Outputs, policy: Policy) -> Kept | None:
    if found.unreadable is not None:
        what = found.unreadable.field
        return Kept(task, Reason.SERVER_ERROR, what) if found.unreadable.refused else unreadable(task, what)
    if found.unusable:
        return Kept(task, Reason.UNUSABLE_PATH, f"{found.unusable!r}: correct or remove this entry in ClearML")
    if found.unknown and policy.unknown_stores == "keep_record":
        stores = tuple(found.unknown.items())
        named = ", ".join(f"{address} ({files} files)" for address, files in stores[:STORES_NAMED])
        named += f" and {len(stores) - STORES_NAMED:,} more stores" if len(stores) > STORES_NAMED else ""
        return Kept(task, Reason.UNKNOWN_STORE, named, stores)
    return None
