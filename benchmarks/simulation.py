"""A pass over 10 million tasks, simulated: requests, memory, hours, and what limits it.

Memory is that of the code itself: what a pass keeps of its tasks, and the order that they go in, on made-up records without a
server, at two sizes; the rest is a straight line. Requests and hours come from a simulation of pods, of their workers, and of a
server that takes as long for each request as ``measured`` says, on as many requests at the same time. The time that a pod
itself needs for a task is measured by ``run.py``: process time a task.
"""

import argparse
import heapq
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import measured

from cleanup_job.clearml_api.event_files import AHEAD, TASKS
from cleanup_job.clearml_api.listing import AT_ONCE, SEQUENTIAL
from cleanup_job.passes import candidates
from cleanup_job.passes.batch import CHUNK
from cleanup_job.planning.order import Order
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Claimant, Model, Task
from cleanup_job.planning.selection import Query, Rules
from cleanup_job.transport.splitting import Splitting

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BATCH = 500
LATENCY = 0.005
POD = 0.0002
"""Seconds of a pod's own time for each task, and of one more for those of its events."""
MILLION = 1_000_000
CLAIMS_PAGE = 0.45
"""Seconds for a page of 500 records: measured on ClearML Server 2.3.0 with 100,000 tasks, the same at any depth."""


# -- memory
class MadeUp:
    """As much of a server, and of a store, as a selection asks for: each task made one model, and has it in its folder."""

    links = frozenset[str]()

    def __init__(self, tasks: int) -> None:
        """So many tasks."""
        self._tasks = tasks

    def archived_tasks(self, _: Query) -> Iterator[Task]:
        """Each with times of its own."""
        seen: set[TaskId] = set()  # as a listing has it, to give each record once
        for n in range(self._tasks):
            seen.add(TaskId(f"{n:032x}"))
            old = NOW - timedelta(days=60, seconds=n)
            yield Task(
                TaskId(f"{n:032x}"), f"exp {n}", "completed", project="p", system_tags=("archived",),
                status_changed=old, last_update=old, last_change=old + timedelta(hours=1),
            )  # fmt: skip

    def claimants(self, _: str, since: str = "") -> Iterator[Claimant]:
        """Each names its own artifact, and nothing of others."""
        for n in range(self._tasks if not since else 0):
            yield Claimant(TaskId(f"{n:032x}"), (f"s3://b/p/exp.{n:032x}/artifacts/a",), last_update="2026")

    def all_models(self, since: str = "") -> Iterator[Model]:
        """One of each task."""
        seen: set[ModelId] = set()
        for n in range(self._tasks if not since else 0):
            seen.add(ModelId(f"{n + 2**64:032x}"))
            yield Model(ModelId(f"{n + 2**64:032x}"), "", f"{n:032x}", last_update="2026")

    def locate(self, _: str) -> None:
        """Nowhere."""


def mib_of(tasks: int) -> float:
    """The most that a pass holds for so many tasks, in MiB, from its selection to its end."""

    def peak() -> float:
        with Path("/proc/self/status").open(encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

    before = peak()
    there: Any = MadeUp(tasks)
    rules = Rules(NOW - timedelta(days=30), force_delete=True)
    found = candidates.find(there, there, rules, {}, split=Splitting(there, there, lambda: None))
    order = Order(found.tasks, found.holds)
    gone: set[TaskId] = set()
    while units := order.take(BATCH, tasks):
        for unit in units:
            order.deleted(unit)
            gone.update(unit)
    assert len(gone) == tasks  # noqa: S101 -- what is measured was kept
    return peak() - before


# -- time
Calls = tuple[str, list[float]]
"""What is asked of the server at the same time, each with the seconds that it is at work on it; or ``pod``, and a pod's own."""


@dataclass(order=True)
class Step:
    """A worker that goes on at a time with the next thing that it has to do."""

    at: float
    pod: int = field(compare=False)
    todo: deque[Calls] = field(compare=False)


def listing(tasks: int) -> Iterator[Calls]:
    """What each pod asks before the first deletion: its tasks, and all models and tasks once more for their claims."""
    page = ("get_all", [measured.LIST_RECORD * BATCH])
    for _ in range(tasks // BATCH):
        yield from (("pod", [POD / 2 * BATCH]), page, page, page)


def batch(*, events: bool) -> Iterator[Calls]:
    """What a worker does for one batch."""
    reads = measured.LIST_RECORD * CHUNK
    if events:
        yield "events", [measured.METRICS_OF_TASK * BATCH] * 2
        look_ups = [measured.EVENTS_OF_TASK * TASKS] * (BATCH // TASKS) + [measured.TASK_EVENTS_CALL] * BATCH
        for start in range(0, len(look_ups), AHEAD):
            yield "events", look_ups[start : start + AHEAD]
        yield "pod", [2 * POD * BATCH]
    for seconds in (measured.LIST_RECORD * BATCH, measured.EVENTS_CALL):  # models, and their events
        yield "get_all", [seconds]
    for _ in range(BATCH // CHUNK):
        for seconds in (0.0, 0.0, reads, 0.0, reads):  # models and tasks that changed, models, their users, tasks
            yield "get_all", [seconds]
        yield "pod", [POD / 2 * CHUNK]
        yield "/delete_many", [measured.DELETE_FILE * measured.FILES_OF_TASK * CHUNK]
        yield "delete_many", [(measured.DELETE_TASK_WITH_EVENTS if events else measured.DELETE_TASK) * CHUNK]


@dataclass
class Took:
    """What a simulated pass took."""

    requests: int
    hours: float
    server: float
    """The share of the server's time that it was at work."""
    pod: float
    """The same of the busiest pod."""


class Simulation:
    """Pods that share a server: whatever can go on next, goes on."""

    def __init__(self, tasks: int, shards: int, workers: int, *, events: bool) -> None:
        """Each pod lists all tasks, and then deletes its part of them."""
        self._events = events
        self._workers = workers
        self._hands = [0.0] * measured.AT_ONCE
        """When each of the server's hands is free."""
        self._free = [0.0] * shards
        """When each pod's own processor is free: Python works on one thing at a time."""
        self._left = [tasks // BATCH // shards] * shards
        self._steps = [Step(0.0, pod, deque(listing(tasks))) for pod in range(shards)]
        self._listing = set(range(shards))
        self._requests, self._server, self._pods = 0, 0.0, [0.0] * shards

    def run(self) -> Took:
        """From the start of all pods to the end of the last one."""
        end = 0.0
        while self._steps:
            step = heapq.heappop(self._steps)
            if step.todo:
                what, seconds = step.todo.popleft()
                at = self._own(step, seconds[0]) if what == "pod" else self._ask(step, seconds)
                heapq.heappush(self._steps, Step(at, step.pod, step.todo))
                continue
            end = step.at
            for _ in range(self._workers if step.pod in self._listing else 1):
                self._begin(step)
            self._listing.discard(step.pod)
        return Took(self._requests, end / 3600, self._server / (end * measured.AT_ONCE), max(self._pods) / end)

    def _own(self, step: Step, seconds: float) -> float:
        self._pods[step.pod] += seconds
        self._free[step.pod] = max(self._free[step.pod], step.at) + seconds
        return self._free[step.pod]

    def _ask(self, step: Step, seconds: list[float]) -> float:
        ends = []
        for work in seconds:
            ends.append(max(heapq.heappop(self._hands), step.at + LATENCY) + work)
            heapq.heappush(self._hands, ends[-1])
        self._requests += len(seconds)
        self._server += sum(seconds)
        return max(ends)

    def _begin(self, step: Step) -> None:
        if self._left[step.pod]:
            self._left[step.pod] -= 1
            heapq.heappush(self._steps, Step(step.at, step.pod, deque(batch(events=self._events))))


def claims_minutes(records: int) -> float:
    """The minutes in which all pages of so many records are read, as many slices at once as a pass reads."""
    pages = -(-records // BATCH)
    sequential = min(pages, SEQUENTIAL // BATCH)
    return (sequential + (pages - sequential) / AT_ONCE) * (CLAIMS_PAGE + LATENCY) / 60


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10 * MILLION)
    parser.add_argument("--memory", type=int, help="print what a pass keeps of so many tasks, in MiB")
    options = parser.parse_args()
    if options.memory:
        print(mib_of(options.memory))
        return
    print("| tasks on the server | minutes to read all tasks | minutes to read as many models |")
    print("|---:|---:|---:|")
    for tasks in (1_000, 10_000, 100_000, MILLION, 3 * MILLION):
        minutes = claims_minutes(tasks)
        print(f"| {tasks:,} | {minutes:.1f} | {minutes:.1f} |")
    print()
    sizes = (MILLION // 4, MILLION)
    small, large = (
        float(subprocess.run([sys.executable, __file__, "--memory", str(n)], stdout=subprocess.PIPE, check=True).stdout)  # noqa: S603 -- ourselves
        for n in sizes
    )
    each = (large - small) * 2**20 / (sizes[1] - sizes[0])
    print(f"{each:.0f} bytes a task ({small:.0f} MiB at {sizes[0]:,}, {large:.0f} MiB at {sizes[1]:,})\n")
    print("| events | shards | workers each | requests | hours | the server is at work | a pod is at work | memory of a pod |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for events in (False, True):
        for shards, workers in ((1, 1), (1, 4), (1, 16), (4, 4), (10, 4)):
            took = Simulation(options.tasks, shards, workers, events=events).run()
            gib = each * options.tasks / 2**30
            print(
                f"| {'with' if events else 'without'} | {shards} | {workers} | {took.requests / MILLION:.2f} million | "
                f"{took.hours:.1f} | {took.server:.0%} | {took.pod:.0%} | {gib:.1f} GiB |"
            )


if __name__ == "__main__":
    main()
