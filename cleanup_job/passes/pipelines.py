"""Pipelines: steps are kept as long as their controller is; ``include_pipeline_steps`` deletes all of them with it, or none."""

from collections.abc import Mapping
from datetime import datetime

from cleanup_job.passes.others import Others
from cleanup_job.passes.ports import Server
from cleanup_job.planning.backlog import Window
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Rules
from cleanup_job.transport.splitting import Splitting


class Pipelines:
    """Finds the steps and controllers among the tasks of a window, and what becomes of them together."""

    def __init__(self, rules: Rules, others: Others, split: Splitting[Server]) -> None:
        """Nothing is read yet."""
        self._rules = rules
        self._others = others
        self._split = split
        self.hidden_steps: frozenset[TaskId] = frozenset()
        """Of the last window: hidden tasks that may only be deleted as steps, and are archived themselves."""
        self.controllers_outside: dict[TaskId, datetime | None] = {}
        """Of the last window: controllers of other windows that may be deleted, with their last activity."""

    def sort_out(self, window: Window, tasks: dict[TaskId, Task]) -> list[Task]:
        """Note which tasks of a window wait for each other, and which are kept; gives the steps that its controllers add."""
        self.hidden_steps = frozenset(task.id for task in tasks.values() if not self._rules.allows(task))
        steps = self._add_steps(window, tasks) if self._rules.include_pipeline_steps else []
        self._hold_steps(window, tasks)
        return steps

    def _add_steps(self, window: Window, tasks: dict[TaskId, Task]) -> list[Task]:
        """Add the steps of the controllers, and keep the controllers of which a step is kept or can't be read."""
        children, kept = self._children([task.id for task in tasks.values() if task.is_controller])
        for controller, why in kept.items():
            if controller in tasks:
                window.held[controller] = Kept(tasks[controller], Reason.IN_USE, why)
        steps = [task for task in children if isinstance(task, Task) and self._rules.is_step(task) and task.parent not in kept]
        for step in steps:
            tasks[step.id] = step
            window.holds[step.id].add(TaskId(step.parent))
        return steps

    def _children(self, controllers: list[TaskId]) -> tuple[list[Task | Unreadable], dict[TaskId, str]]:
        """The children of controllers, and the controllers that are kept because of them, each with the reason."""
        found, failed = self._split.each("children", controllers, lambda server, some: list(server.children(some)))
        children = [child for some in found for child in some]
        kept = {controller: f"the server does not say which steps it has: {error}" for controller, error in failed.items()}
        for child in children:
            if why := self._why_kept(child):
                kept.setdefault(TaskId(child.parent), why)
        return children, kept

    def _why_kept(self, child: Task | Unreadable) -> str:
        """Why a child of a controller keeps it; empty if it does not."""
        if isinstance(child, Unreadable):
            return f"its step {child.id} can't be read ({child.field})"
        if not self._rules.is_step(child):
            return ""
        why = self._rules.keeps(child)
        if not why and (child.public or not self._rules.allows(child, is_step=True)):
            why = "it is active, too young, or left out by a filter"
        return why and f"its step {child.id} is kept: {why}"

    def _hold_steps(self, window: Window, tasks: Mapping[TaskId, Task]) -> None:
        """Let steps wait for their controllers, and keep those whose controller is kept."""
        steps = [task for task in tasks.values() if task.parent and self._rules.is_step(task)]
        known = self._others.read({TaskId(step.parent) for step in steps} - tasks.keys()) | dict(tasks)
        self.controllers_outside = {}
        for step in steps:
            parent = TaskId(step.parent)
            controller = known.get(parent)
            if isinstance(controller, Task) and not controller.is_controller:
                continue
            if isinstance(controller, Task) and self._others.selects(controller):
                window.holds[parent].add(step.id)
                self.controllers_outside |= {} if parent in tasks else {parent: controller.last_update}
            elif controller is not None:
                window.held[step.id] = Kept(step, Reason.PIPELINE_STEP, f"the controller is task {parent}")
