"""Tasks outside of a window on which something in it depends, as they are now."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from cleanup_job.passes.ports import Server
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Rules
from cleanup_job.transport.splitting import Splitting


class Others:
    """Reads tasks by their ids, and judges them."""

    def __init__(self, server: Server, rules: Rules, split: Splitting[Server]) -> None:
        """Nothing is read yet."""
        self._server = server
        self._rules = rules
        self._split = split

    def read(self, ids: Collection[TaskId]) -> dict[TaskId, Task | Unreadable]:
        """Those that are there. One for which the server fails to answer can't be read."""
        found, failed = self._split.each("tasks.get_all", sorted(ids), lambda server, some: server.tasks(some))
        there: dict[TaskId, Task | Unreadable] = {task: Unreadable(task, str(error)) for task, error in failed.items()}
        return there | {task: record for some in found for task, record in some.items()}

    def to_be_deleted(self, there: Mapping[TaskId, Task | Unreadable]) -> dict[TaskId, datetime | None]:
        """Those that may be deleted by the rules, alone or as a step with its controller; each with its last activity.

        A step has that of its controller, since the controller takes it along.
        """
        readable = [task for task in there.values() if isinstance(task, Task)]
        found = {task.id: task.last_update for task in readable if self._rules.selects(task)}
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
            if isinstance(controller, Task) and controller.is_controller and self._rules.selects(controller):
                found[step.id] = controller.last_update
        return found
