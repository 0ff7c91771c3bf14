"""All that was read of a batch of tasks before it is planned."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cleanup_job.planning.order import Unit
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.protection import Protection
from cleanup_job.planning.records import Listed, Model, Task, Unreadable
from cleanup_job.planning.selection import Selected


@dataclass(frozen=True, slots=True)
class Batch:
    """All that is known of a batch of tasks."""

    units: tuple[Unit, ...]
    before: Mapping[TaskId, Selected]
    """The tasks as they were selected."""
    now: Mapping[TaskId, Task]
    """The tasks as they are, read last of all; those that are gone or can't be read are missing."""
    outputs: Mapping[TaskId, Outputs]
    models: Mapping[TaskId, Sequence[Model]]
    guard: Protection
    listed: Mapping[TaskId, Collection[Listed]] = field(default_factory=dict)
    """The output models that a task's record lists, its own and existing ones of others."""
    changing: frozenset[TaskId] = frozenset()
    """Those whose models or claims changed each time they were read."""
    published_children: frozenset[TaskId] = frozenset()
    """Those that have a published child; only looked up where that matters."""
    unreadable: Mapping[TaskId, Unreadable] = field(default_factory=dict)
    """Those of which the record, or that of a model, can't be read."""
