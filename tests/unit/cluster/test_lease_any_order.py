"""Passes that share a cluster with one Lease, in any order of requests, kills, freezes, failures and clocks: never two at once.

Each pass is a thread; only one of them runs at a time, and which one goes on at each of its requests and waits is drawn.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.cluster import lease
from cleanup_job.cluster.lease import LeaseGuard
from cleanup_job.cluster.lease_api import LeaseChangedError
from cleanup_job.cluster.lease_record import LeaseRecord, Part
from cleanup_job.errors import LeaseHeldError, UnreachableError

START = datetime(2025, 1, 1, tzinfo=UTC)
DURATION = 60.0
JOBS: list[Part | None] = [None, None, Part("two", 0), Part("two", 1), Part("three", 0), Part("three", 1), Part("three", 2)]
"""Who comes: a whole pass, or a pod of one in two or in three."""
SEEDS, STEPS = 15, 1500
SLACK = 10.0
"""Seconds: a wait is made of short ones."""


class Killed(BaseException):
    """The process is gone: nothing that it would still do happens."""


class World:
    """A Lease, a clock, and the passes, of which one runs at a time."""

    namespace = "clearml"

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 -- no secret
        self.seconds = 0.0
        self.lease: LeaseRecord | None = LeaseRecord("", None, None, 0)
        self.version = 0
        self.workers: list[Worker] = []
        self.most = 0
        """How many worked at the same time."""
        self.at_work: set[str] = set()

    # -- the API server
    def get(self, *_: str) -> LeaseRecord | None:
        return self.lease

    def create(self, _namespace: str, _name: str, lease: LeaseRecord) -> None:
        if self.lease is not None:
            raise LeaseChangedError
        self.put(lease)

    def replace(self, _namespace: str, _name: str, lease: LeaseRecord) -> None:
        if self.lease is None or self.lease.metadata != lease.metadata:
            raise LeaseChangedError
        self.put(lease)

    def put(self, lease: LeaseRecord | None) -> None:
        self.version += 1
        self.lease = lease and replace(lease, metadata={"resourceVersion": str(self.version)})

    # -- what happens
    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
            self.check()
        for worker in self.workers:
            worker.kill()

    def step(self) -> None:
        if self.draw.random() < 0.02 and len([worker for worker in self.workers if worker.alive]) < 6:
            self.workers.append(Worker(self, self.draw.choice(JOBS), len(self.workers)))
        if self.draw.random() < 0.001:
            self.put(None)  # someone deletes it
        able = [worker for worker in self.workers if worker.alive]
        due = [worker for worker in able if worker.wakes <= self.seconds]
        if not due:
            self.seconds = min((worker.wakes for worker in able), default=self.seconds + 10)
            return
        worker = self.draw.choice(due)
        chance = self.draw.random()
        if chance < 0.002:
            worker.kill()
        elif chance < 0.006:
            worker.wakes = self.seconds + self.draw.choice([5, 30, 70, 200])  # frozen
        else:
            worker.go_on()

    def check(self) -> None:
        at_work = [worker for worker in self.workers if worker.works and worker.alive and worker.guard.is_safe()]
        passes = {worker.part.of if worker.part else worker.guard.identity for worker in at_work}
        shards = [worker.part.shard for worker in at_work if worker.part]
        assert len(passes) <= 1, [(worker.guard.identity, worker.part) for worker in at_work]
        assert len(shards) == len(set(shards))
        self.most = max(self.most, len(at_work))
        self.at_work |= {worker.guard.identity for worker in at_work}

    def next_one_takes(self) -> float:
        """Seconds until a pass that comes after all the others are dead holds the Lease."""

        def sleep(seconds: float) -> None:
            self.seconds += seconds

        began = self.seconds
        guard = LeaseGuard(
            self,
            "cleanup",
            duration=DURATION,
            now=lambda: START + timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            sleep=sleep,
        )
        guard.wait(300)
        return self.seconds - began


class Worker:
    """A pass, in a thread that only runs between `go_on` and its next request or wait."""

    def __init__(self, world: World, part: Part | None, number: int) -> None:
        self.world = world
        self.part = part
        self.alive, self.works, self.killed = True, False, False
        self.wakes = world.seconds
        self.error: BaseException | None = None
        self.offset = timedelta(seconds=world.draw.choice([0, 0, 1, -50, 90, -7200, 7200]))
        self.until = 0.0
        self.guard = LeaseGuard(
            self,
            "cleanup",
            identity=f"pass-{number}",
            part=part,
            duration=DURATION,
            now=lambda: START + timedelta(seconds=self.world.seconds) + self.offset,
            monotonic=lambda: self.world.seconds,
            sleep=self.sleep,
        )
        self._mine, self._worlds = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    # -- its life
    def _live(self) -> None:
        try:
            self._mine.acquire()
            self._work()
        except (Killed, LeaseHeldError, UnreachableError):
            pass
        except BaseException as error:  # noqa: BLE001 -- told to the test
            self.error = error
        self.works = self.alive = False
        self._worlds.release()

    def _work(self) -> None:
        self.guard.wait(self.world.draw.choice([0, 300, 1000]))
        self.works = True
        self.until = self.world.seconds + self.world.draw.choice([10, 100, 500])
        self.guard.keep(self._pause_of_keeper, lambda _: None)
        self.works = False
        self.guard.release()

    def _pause_of_keeper(self, seconds: float) -> bool:
        self.sleep(seconds)
        return self.world.seconds >= self.until

    # -- one that runs at a time
    def go_on(self) -> None:
        self._mine.release()
        self._worlds.acquire()
        if self.error:
            raise self.error

    def kill(self) -> None:
        if self.alive:
            self.killed, self.works = True, False
            self.go_on()

    def _give_way(self) -> None:
        self._worlds.release()
        self._mine.acquire()
        if self.killed:
            raise Killed

    def sleep(self, seconds: float) -> None:
        self.wakes = self.world.seconds + seconds
        self._give_way()

    # -- its way to the API server: a request, or its answer, takes time or is lost
    namespace = World.namespace

    def _ask(self, call: Callable[[], LeaseRecord | None]) -> LeaseRecord | None:
        self.sleep(self.world.draw.choice([0, 0, 0.1, 5]))
        fate = self.world.draw.random()
        if fate < 0.03:
            raise UnreachableError("lost on the way")
        answer = call()
        self.sleep(self.world.draw.choice([0, 0, 0.1, 5]))
        if fate < 0.06:
            raise UnreachableError("the answer was lost")
        return answer

    def get(self, namespace: str, name: str) -> LeaseRecord | None:
        return self._ask(lambda: self.world.get(namespace, name))

    def create(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        self._ask(lambda: self.world.create(namespace, name, lease))

    def replace(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        self._ask(lambda: self.world.replace(namespace, name, lease))


def test_never_do_two_passes_work_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_NOTICE", 2.0)  # fewer steps
    together = 0
    for seed in range(SEEDS):
        world = World(seed)
        world.run(STEPS)
        assert world.at_work, f"seed {seed}: no pass got the Lease"
        together += world.most > 1
        assert world.next_one_takes() <= 2 * DURATION + SLACK, f"seed {seed}: a dead one holds the Lease"
    assert together, "no pass had several pods at work"
