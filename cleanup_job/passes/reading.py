"""What takes long to read of a batch: the files of debug samples and plots, and which models the tasks made.

It is read once for the whole batch, and stays true as long as the tasks aren't changed; the planner checks that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from cleanup_job.errors import AnswerError
from cleanup_job.passes.claim_index import ClaimIndex
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.planning.deletion import kinds_apart
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.policy import Policy
from cleanup_job.transport.splitting import Splitting


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of some tasks."""

    outputs: dict[TaskId, Outputs]
    models: dict[TaskId, frozenset[ModelId]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the outputs of tasks. Safe to use from many threads."""

    storage: Storage
    policy: Policy
    claims: ClaimIndex
    split: Splitting[Server]
    made: Mapping[TaskId, frozenset[ModelId]] = field(default_factory=dict)
    """The models that tasks made, as far as their window knows them."""

    def read_all(self, ids: Sequence[TaskId]) -> tuple[Read, dict[TaskId, Exception]]:
        """What can be read of these, and why the others can't be."""
        read = Read({}, {})
        found, failed = self.split.each("reading", ids, partial(self.read_those_there, made=self.made))
        for one in found:
            read.outputs.update(one.outputs)
            read.models.update(one.models)
        return read, failed

    def read_those_there(
        self,
        server: Server,
        ids: Sequence[TaskId],
        apart: Mapping[TaskId, frozenset[str]] | None = None,
        made: Mapping[TaskId, frozenset[ModelId]] | None = None,
    ) -> Read:
        """What the server says of those that it still has.

        Args:
            server: Asked in bulk.
            ids: Tasks.
            apart: The ``KINDS`` in which to remember single files.
            made: The models that tasks made, as far as they are known.
        """
        try:
            return self._read(server, ids, apart or {}, made or {})
        except AnswerError:
            # Bulk calls refuse all of their tasks if one of them has been deleted: look again without it.
            there = list(server.tasks(ids))
            if len(there) == len(ids):
                raise
            return self._read(server, there, apart or {}, {})

    def _read(
        self,
        server: Server,
        ids: Sequence[TaskId],
        apart: Mapping[TaskId, frozenset[str]],
        made: Mapping[TaskId, frozenset[ModelId]],
    ) -> Read:
        """The files of debug samples and plots, of tasks and of their models; those in some folders with their names."""
        outputs = {task: self._no_outputs(task, apart.get(task)) for task in ids}
        for task, uri in server.event_files(ids):
            outputs[task].add(uri)
        models = {task: made[task] for task in ids if task in made}
        models |= _models_made(server, [task for task in ids if task not in models])
        makers = {model: task for task in ids for model in models[task]}
        for model, uri in server.model_event_files(list(makers)) if makers else ():
            outputs[makers[model]].add(uri)
        return Read(outputs, models)

    def _no_outputs(self, task: TaskId, apart: frozenset[str] | None) -> Outputs:
        return Outputs(
            task,
            self.storage.locate,
            apart=apart or kinds_apart(task, self.claims.on(task), self.policy),
            links=self.policy.links,
            measured=self.policy.lists,
        )


def _models_made(server: Server, tasks: Sequence[TaskId]) -> dict[TaskId, frozenset[ModelId]]:
    found = server.models_of(tasks) if tasks else {}
    return {task: frozenset(model.id for model in found.get(task, ())) for task in tasks}
