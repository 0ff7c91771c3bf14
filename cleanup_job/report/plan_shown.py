"""Plans for people to read before they approve one: what is in it, and how it differs from another one."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import UNSET
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cleanup_job.planning.outcome import ProjectSum
from cleanup_job.report.formatting import at_least, counted, plain
from cleanup_job.report.plan_file import End, Header, PlannedTask, read
from cleanup_job.settings.deciding import notable

NAMED = 20
"""Tasks that are named of each kind: the largest."""
ROWS = 25
"""Projects with a row of their own: the largest."""
Document = dict[str, Any]


def _change(task: PlannedTask) -> tuple[str, str]:
    """What a policy does with a task beside deleting it, and which policy."""
    what = f"announce: {task.stage}" if task.does == "notice" else task.does
    return what, task.policy or ""


def _weight(task: PlannedTask) -> tuple[int, int, str]:
    return task.bytes, task.files, task.id


@dataclass(slots=True)
class Tasks:
    """Some tasks of a plan: their sums, and the largest of them."""

    total: ProjectSum = field(default_factory=lambda: ProjectSum("total"))
    projects: dict[str, ProjectSum] = field(default_factory=dict)
    largest: list[tuple[tuple[int, int, str], PlannedTask]] = field(default_factory=list)
    """A heap, with the smallest of them first."""

    def add(self, task: PlannedTask) -> None:
        """Count one in."""
        one = ProjectSum("", tasks=1, models=task.models, files=task.files, bytes=task.bytes, unsized=task.unsized)
        self.total.count_in(one)
        self.projects.setdefault(task.project, ProjectSum(task.project)).count_in(one)
        heapq.heappush(self.largest, (_weight(task), task))
        if len(self.largest) > NAMED:
            heapq.heappop(self.largest)

    @property
    def words(self) -> str:
        """How much it is."""
        return _words(self.total)

    def by_size(self) -> list[PlannedTask]:
        """The largest of them."""
        return [task for _, task in sorted(self.largest, reverse=True)]


def _words(sums: ProjectSum) -> str:
    size = f" ({at_least(sums.bytes, sums.unsized)})" if sums.files else ""
    return f"{counted(sums.tasks, 'task')}, {counted(sums.models, 'model')}, {counted(sums.files, 'file')}{size}"


# -- one plan
def show(path: Path, console: Console) -> None:
    """Print what is in a plan.

    Raises:
        SettingsError: it can't be read, or was changed.
    """
    tasks, changes = Tasks(), dict[tuple[str, str], Tasks]()

    def each(task: PlannedTask) -> None:
        mine = tasks if task.does == "delete" else changes.setdefault(_change(task), Tasks())
        mine.add(task)

    header, end = read(path, each)
    console.print(Text(f"{plain(path)}: {tasks.words}", "bold"))
    for text in _about(header, end):
        console.print(Text(text), soft_wrap=True)
    if tasks.projects:
        console.print(_project_table({"tasks": tasks}))
        console.print(_task_table("largest tasks", tasks.by_size(), tasks.total.tasks))
    if changes:
        console.print(_change_table(changes))


def as_document(path: Path) -> Document:
    """What is in a plan, with all of its tasks.

    Raises:
        SettingsError: it can't be read, or was changed.
    """
    tasks: list[Document] = []
    header, end = read(path, lambda task: tasks.append(_fields(task)))
    return {"plan": _fields(header), "sums": _fields(end), "tasks": tasks}


def _about(header: Header, end: End) -> Iterator[str]:
    by = f" with the key of user {plain(header.user)}" if header.user else ""
    yield f"for {plain(header.server)}, made {header.started:%Y-%m-%d %H:%M} UTC by version {plain(header.version)}{by}"
    yield f"tasks whose age counts from before {header.cutoff:%Y-%m-%d %H:%M} UTC were old enough"
    given = [f"{plain(name)}={plain(value)}" for name, value in notable(header.settings).items()]
    yield f"settings that decide what is deleted, where they are not the default: {', '.join(given) or 'none'}"
    yield f"not one line was changed since: SHA-256 {end.sha256}"


# -- two plans
@dataclass(slots=True)
class Difference:
    """How one plan differs from another one."""

    before: Header
    after: Header
    came: list[PlannedTask] = field(default_factory=list)
    """In the second plan alone."""
    went: list[PlannedTask] = field(default_factory=list)
    """In the first plan alone."""
    changed: list[PlannedTask] = field(default_factory=list)
    """In both, with another digest; as in the second."""
    same: int = 0
    """Tasks that are the same in both."""

    @property
    def settings(self) -> list[tuple[str, str, str]]:
        """The settings that differ: each one's name, with both values; empty where there is none."""
        one, other = self.before.settings, self.after.settings
        names = dict.fromkeys([*one, *other])
        return [(name, one.get(name, ""), other.get(name, "")) for name in names if one.get(name) != other.get(name)]

    @property
    def is_none(self) -> bool:
        """Whether both plans delete the same."""
        return not (self.came or self.went or self.changed)


def compare(first: Path, second: Path) -> Difference:
    """Compare two plans.

    Raises:
        SettingsError: one can't be read, or was changed.
    """
    old: dict[str, PlannedTask] = {}
    before, _ = read(first, lambda task: old.update({task.id: task}))
    came, changed, same = list[PlannedTask](), list[PlannedTask](), 0

    def each(task: PlannedTask) -> None:
        nonlocal same
        known = old.pop(task.id, None)
        if known is None:
            came.append(task)
        elif known.digest != task.digest:
            changed.append(task)
        else:
            same += 1

    after, _ = read(second, each)
    return Difference(before, after, came, list(old.values()), changed, same)


def print_difference(found: Difference, console: Console) -> None:
    """Print a difference: sums by project, and the largest tasks of each kind."""
    kinds = {"came": found.came, "went": found.went, "changed": found.changed}
    for line in _differing_headers(found):
        console.print(Text(line, "yellow"), soft_wrap=True)
    if found.is_none:
        console.print(Text(f"The same: {counted(found.same, 'task')} in both plans.", "bold"))
        return
    sums = {kind: _tasks(tasks) for kind, tasks in kinds.items()}
    console.print(_project_table({kind: tasks for kind, tasks in sums.items() if tasks.total.tasks}))
    for kind, tasks in sums.items():
        if tasks.total.tasks:
            console.print(_task_table(kind, tasks.by_size(), tasks.total.tasks))
    for kind, tasks in sums.items():
        console.print(Text(f"{kind}: {tasks.words}", "bold"))
    console.print(Text(f"the same in both: {counted(found.same, 'task')}"))


def difference_document(found: Difference) -> Document:
    """A difference with all tasks."""
    return {
        "same": found.is_none,
        "before": _fields(found.before),
        "after": _fields(found.after),
        "settings": [{"name": name, "before": one, "after": other} for name, one, other in found.settings],
        "same_tasks": found.same,
        "came": [_fields(task) for task in found.came],
        "went": [_fields(task) for task in found.went],
        "changed": [_fields(task) for task in found.changed],
    }


def _differing_headers(found: Difference) -> Iterator[str]:
    if found.before.server != found.after.server:
        yield f"for another server: {plain(found.before.server)}, then {plain(found.after.server)}"
    for name, one, other in found.settings:
        yield f"{plain(name)}: {plain(one) or 'not set'}, then {plain(other) or 'not set'}"


def _tasks(them: Iterable[PlannedTask]) -> Tasks:
    found = Tasks()
    for task in them:
        found.add(task)
    return found


# -- tables
def _project_table(kinds: dict[str, Tasks]) -> Table:
    """The tasks and known bytes of each kind, by project."""
    table = Table(Column("project", overflow="fold", ratio=1), box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for kind in kinds:
        table.add_column(kind, justify="right", no_wrap=True)
        table.add_column("size", justify="right", no_wrap=True)
    sums: dict[str, ProjectSum] = {}
    for tasks in kinds.values():
        for name, one in tasks.projects.items():
            sums.setdefault(name, ProjectSum(name)).count_in(one)
    names = sorted(sums, key=lambda name: (-sums[name].bytes, -sums[name].tasks, name))
    for name in names[:ROWS]:
        table.add_row(Text(plain(name) or "(no project)"), *_cells([tasks.projects.get(name) for tasks in kinds.values()]))
    if len(names) > ROWS:
        table.add_row(f"and {len(names) - ROWS:,} more projects", style="dim")
    return table


def _change_table(changes: dict[tuple[str, str], Tasks]) -> Table:
    """What policies do beside deleting: how many tasks, and how much of these is deleted."""
    table = Table(Column("by policies", no_wrap=True), Column("policy", overflow="fold", ratio=1), box=SIMPLE_HEAD)
    table.add_column("tasks", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.padding, table.pad_edge = (0, 1), False
    for (what, policy), tasks in sorted(changes.items()):
        table.add_row(what, Text(plain(policy)), f"{tasks.total.tasks:,}", _size(tasks.total))
    return table


def _cells(rows: Sequence[ProjectSum | None]) -> list[str]:
    return [cell for row in rows for cell in ((f"{row.tasks:,}", _size(row)) if row else ("", ""))]


def _size(row: ProjectSum | PlannedTask) -> str:
    return at_least(row.bytes, row.unsized) if row.files else "-"


def _task_table(title: str, tasks: Sequence[PlannedTask], number: int) -> Table:
    table = Table(Column(title, overflow="fold", width=32), Column("project", overflow="fold", ratio=1), box=SIMPLE_HEAD)
    table.add_column("files", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.padding, table.pad_edge = (0, 1), False
    for task in tasks:
        what = "" if task.does == "delete" else f" ({_change(task)[0]})"
        name = Text(f"{plain(task.name) or task.id}{what}\n{task.id}")
        table.add_row(name, Text(plain(task.project)), f"{task.files:,}", _size(task))
    if number > len(tasks):
        table.add_row(f"and {number - len(tasks):,} more", style="dim")
    return table


def _fields(one: PlannedTask | Header | End) -> Document:
    return {name: value for name in one.__struct_fields__ if (value := getattr(one, name)) is not UNSET}
