"""A pass over 10 million tasks, simulated: requests, hours, and what limits it.

Pods, each with a thread that reads the claims and then window after window, and with workers that delete; and a server that
takes as long for each request as ``measured`` says, on as many requests at the same time. The time that a pod itself needs for
a task is measured by ``run.py``: own process time. So is its memory, which does not depend on the number of tasks.

Two databases: one on which a page of a listing takes as long as measured, where there was no index, and one that finds records
by their ``last_update`` in an index, as it finds them by their id. ClearML Server declares such an index for tasks.
"""

import argparse
import heapq
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

import measured

from cleanup_job.clearml_api.event_files import AHEAD, TASKS
from cleanup_job.clearml_api.listing import AT_ONCE, SEQUENTIAL
from cleanup_job.passes.batch import CHUNK
from cleanup_job.passes.scheduler import FEW
from cleanup_job.passes.windows import WINDOW

BATCH = 500
LATENCY = 0.005
POD_CLAIMS, POD = 0.00003, 0.0001
"""Seconds of a pod's own time for the claims of each task and its model, and for all else of a task that it deletes."""
POD_EVENTS = 0.0002
"""The same for the events of a task."""
MILLION = 1_000_000
SHOWN = ((1, 4, False), (1, 1, True), (1, 4, True), (1, 16, True), (4, 4, True), (10, 4, True))
"""Shards, workers of each, and whether there is an index."""


@dataclass(frozen=True)
class Calls:
    """Requests that are sent at the same time, by the seconds that the server is at work on each; or a pod's own work."""

    seconds: tuple[float, ...]
    own: bool = False
    alone: bool = False
    """Whether a pod sends it only when no other one of this kind is under way."""


Actor = Generator[Calls | None, None, None]
"""What a thread does, one thing after the other; None: it waits until something has changed in its pod."""


def in_groups(seconds: list[float], size: int) -> Iterator[tuple[float, ...]]:
    """Requests that are sent so many at the same time."""
    for start in range(0, len(seconds), size):
        yield tuple(seconds[start : start + size])


def one(seconds: float) -> Calls:
    """A single request."""
    return Calls((seconds,))


@dataclass(frozen=True)
class Costs:
    """How long a server takes that has so many tasks, and as many models."""

    tasks: int
    events: bool
    indexed: bool
    """Whether it finds records by their time in an index."""

    def page(self, records: int = BATCH) -> float:
        """A page of a listing."""
        return measured.look_up_seconds(records) if self.indexed else measured.page_seconds(records, self.tasks)

    def claims(self) -> Iterator[Calls]:
        """All models and tasks, and who made the models that the tasks list."""
        pages = self.tasks // BATCH
        for some in in_groups([self.page(), self.page(), measured.look_up_seconds(BATCH)] * pages, AT_ONCE):
            yield Calls(some)
            yield Calls((POD_CLAIMS * BATCH / 3 * len(some),), own=True)

    def window(self, tasks: int) -> Iterator[Calls]:
        """A window: its pages; the models that its tasks made, and the tasks that use these."""
        for _ in range(tasks // BATCH):
            yield one(self.page())
            yield one(measured.look_up_seconds(BATCH))
            yield one(measured.look_up_seconds(0))
            yield Calls((POD / 2 * BATCH,), own=True)

    def batch(self) -> Iterator[Calls]:
        """What a worker does for one batch."""
        yield from [one(measured.EVENTS_CALL)] * 4  # whether any task, and any model, has images or plots
        if self.events:
            yield Calls((measured.METRICS_OF_TASK * BATCH,) * 2)
            look_ups = [measured.EVENTS_OF_TASK * TASKS] * (BATCH // TASKS) + [measured.TASK_EVENTS_CALL] * BATCH
            yield from map(Calls, in_groups(look_ups, AHEAD))
            yield Calls((POD_EVENTS * BATCH,), own=True)
        for _ in range(BATCH // CHUNK):
            found = measured.look_up_seconds(CHUNK)
            yield from [Calls((self.page(1),), alone=True)] * 2  # models and tasks that changed
            yield from map(one, (found, measured.look_up_seconds(0), found))  # models, their users, tasks
            yield Calls((POD / 2 * CHUNK,), own=True)
            yield one(measured.DELETE_FILE * measured.FILES_OF_TASK * CHUNK)
            yield one((measured.DELETE_TASK_WITH_EVENTS if self.events else measured.DELETE_TASK) * CHUNK)


@dataclass
class Took:
    """What a simulated pass took."""

    requests: int
    hours: float
    claims_hours: float
    """Until the last pod had read the claims."""
    server: float
    """The share of the server's time that it was at work."""
    pod: float
    """The same of the busiest pod."""


@dataclass
class Pod:
    """One pod."""

    batches: int
    """Those that it has not listed yet."""
    ready: int = 0
    """Those that wait for a worker."""
    waiting: list[Actor] = field(default_factory=list)
    has_changed: bool = False
    free: float = 0.0
    """When its processor is free: Python works on one thing at a time."""
    own: float = 0.0
    """The seconds that it was at work."""
    alone: float = 0.0
    """When the last request is answered that it sends only by itself."""
    has_claims: float = 0.0

    def read(self, costs: Costs, now: "Clock") -> Actor:
        """Read the claims, and window after window; each is handed over when few tasks are left."""
        yield from costs.claims()
        self.has_claims = now.time
        while self.batches:
            some = min(WINDOW // BATCH, self.batches)
            yield from costs.window(some * BATCH)
            while self.ready * BATCH >= FEW:
                yield None
            self.ready, self.batches, self.has_changed = self.ready + some, self.batches - some, True

    def work(self, costs: Costs) -> Actor:
        """Delete batch after batch."""
        while self.ready or self.batches:
            if not self.ready:
                yield None
                continue
            self.ready, self.has_changed = self.ready - 1, True
            yield from costs.batch()


@dataclass
class Clock:
    """The time of the simulation, in seconds."""

    time: float = 0.0


class Simulation:
    """Pods that share a server: whatever can go on next, goes on."""

    def __init__(self, tasks: int, shards: int, workers: int, *, events: bool, indexed: bool = True) -> None:
        """Each pod reads the claims of all tasks, and then lists and deletes its part of them."""
        costs = Costs(tasks, events, indexed)
        self._now = Clock()
        self._order = count()
        self._hands = [0.0] * measured.AT_ONCE
        """When each of the server's hands is free."""
        self._requests, self._server = 0, 0.0
        self._pods = [Pod(tasks // BATCH // shards) for _ in range(shards)]
        self._actors: list[tuple[float, int, Pod, Actor]] = []
        for pod in self._pods:
            self._go_on(pod, [pod.read(costs, self._now), *(pod.work(costs) for _ in range(workers))])

    def run(self) -> Took:
        """From the start of all pods to the end of the last one."""
        while self._actors:
            self._now.time, _, pod, actor = heapq.heappop(self._actors)
            calls = next(actor, ())
            if calls is None:
                pod.waiting.append(actor)
            elif isinstance(calls, Calls):
                at = self._own(pod, calls.seconds[0]) if calls.own else self._ask(pod, calls)
                heapq.heappush(self._actors, (at, next(self._order), pod, actor))
            if pod.has_changed:
                pod.has_changed = False
                waiting, pod.waiting = pod.waiting, []
                self._go_on(pod, waiting)
        end = self._now.time
        claims = max(pod.has_claims for pod in self._pods)
        busiest = max(pod.own for pod in self._pods)
        return Took(self._requests, end / 3600, claims / 3600, self._server / (end * measured.AT_ONCE), busiest / end)

    def _go_on(self, pod: Pod, actors: Iterable[Actor]) -> None:
        for actor in actors:
            heapq.heappush(self._actors, (self._now.time, next(self._order), pod, actor))

    def _own(self, pod: Pod, seconds: float) -> float:
        pod.own += seconds
        pod.free = max(pod.free, self._now.time) + seconds
        return pod.free

    def _ask(self, pod: Pod, calls: Calls) -> float:
        ends = []
        sent = max(self._now.time, pod.alone) if calls.alone else self._now.time
        for work in calls.seconds:
            ends.append(max(heapq.heappop(self._hands), sent + LATENCY) + work)
            heapq.heappush(self._hands, ends[-1])
        self._requests += len(calls.seconds)
        self._server += sum(calls.seconds)
        if calls.alone:
            pod.alone = max(ends)
        return max(ends)


def claims_minutes(tasks: int, *, indexed: bool) -> float:
    """The minutes in which the claims of so many tasks, and of as many models, are read: the first page after page."""
    costs = Costs(tasks, events=False, indexed=indexed)
    seconds = [costs.page(), costs.page(), measured.look_up_seconds(BATCH)]
    pages = -(-tasks // BATCH)
    sequential = min(pages, SEQUENTIAL // BATCH)
    return sum(s + LATENCY for s in seconds) * (sequential + (pages - sequential) / AT_ONCE) / 60


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10 * MILLION)
    options = parser.parse_args()
    print("| tasks, and as many models | minutes to read their claims | with an index |")
    print("|---:|---:|---:|")
    for tasks in (1_000, 10_000, 100_000, MILLION, 3 * MILLION, 10 * MILLION):
        print(f"| {tasks:,} | {claims_minutes(tasks, indexed=False):.1f} | {claims_minutes(tasks, indexed=True):.1f} |")
    print()
    print("| events | shards | workers each | index | requests | hours | until the claims are read | server at work | pod |")
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|")
    for events in (False, True):
        for shards, workers, indexed in SHOWN:
            took = Simulation(options.tasks, shards, workers, events=events, indexed=indexed).run()
            print(
                f"| {'with' if events else 'without'} | {shards} | {workers} | {'yes' if indexed else 'no'} | "
                f"{took.requests / MILLION:.2f} million | {took.hours:.1f} | {took.claims_hours:.1f} | "
                f"{took.server:.0%} | {took.pod:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
