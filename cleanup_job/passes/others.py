"""Tasks outside of a window on which something in it depends, as they are now."""

from collections.abc import Collection, Container, Iterable, Mapping
from datetime import datetime

from cleanup_job.passes.ports import Server
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Rules
from cleanup_job.transport.splitting import Splitting


class Others:
    """Reads tasks by their ids, and judges them. For one thread at a time."""

    def __init__(
        self, server: Server, rules: Rules, split: Splitting[Server], in_work: Container[TaskId] = frozenset()
    ) -> None:
        """Nothing is read yet.

        Args:
            server: Where they are.
            rules: Which tasks may be deleted.
            split: Divides calls that fail.
            in_work: Those that were selected and are not finished. The pass may edit their records right before they are
                deleted, which makes them look as if someone had just changed them. It may shrink at any time.
        """
        self._server = server
        self._rules = rules
        self._split = split
        self._in_work = in_work
        self._were_in_work: set[TaskId] = set()

    def begin(self) -> None:
        """Another window begins: what was in work when it was read is forgotten."""
        self._were_in_work.clear()

    def read(self, ids: Collection[TaskId]) -> dict[TaskId, Task | Unreadable]:
        """Those that are there. One for which the server fails to answer can't be read."""
        self._were_in_work.update(task for task in ids if task in self._in_work)  # before: it may be finished meanwhile
        found, failed = self._split.each("tasks.get_all", sorted(ids), lambda server, some: server.tasks(some))
        there: dict[TaskId, Task | Unreadable] = {task: Unreadable(task, str(error)) for task, error in failed.items()}
        return there | {task: record for some in found for task, record in some.items()}

    def selects(self, task: Task) -> bool:
        """Whether a task that was read for this window may be deleted by the rules, or was already selected."""
        return task.id in self._were_in_work or self._rules.selects(task)

    def to_be_deleted(self, there: Mapping[TaskId, Task | Unreadable]) -> dict[TaskId, datetime | None]:
        """Those that may be deleted by the rules, alone or as a step with its controller; each with its last activity.

        A step has that of its controller, since the controller takes it along.
        """
        readable = [task for task in there.values() if isinstance(task, Task)]
        found = {task.id: task.last_update for task in readable if self.selects(task)}
        if self._rules.include_pipeline_steps:
            found |= self._with_controllers([task for task in readable if task.id not in found])
        return found

    def _with_controllers(self, tasks: Iterable[Task]) -> dict[TaskId, datetime | None]:
        """The steps that their controllers take along, each with the last activity of its controller."""
        steps = [task for task in tasks if task.parent and self._rules.is_step(task)]
        controllers = self.read({TaskId(step.parent) for step in steps})
        found: dict[TaskId, datetime | None] = {}
        for step in steps:
            controller = controllers.get(TaskId(step.parent))
            if isinstance(controller, Task) and controller.is_controller and self.selects(controller):
                found[step.id] = controller.last_update
        return found
