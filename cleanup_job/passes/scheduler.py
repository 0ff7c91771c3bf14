"""Which batches of tasks run when: several at the same time, as far as references between tasks, budget and rate allow."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from cleanup_job.passes.batch import CHUNK, Worked
from cleanup_job.passes.rate import Rate
from cleanup_job.planning.order import Order, Unit

LISTENS = 0.5
"""Seconds between two looks for a signal while the rate allows no batch."""


@dataclass(slots=True, kw_only=True)
class Scheduler:
    """Runs batches in threads until no task is left, the budget is spent, or the pass has to stop."""

    order: Order
    work: Callable[[Sequence[Unit]], Worked]
    """Works on a batch; called in threads of the scheduler. Everything else is called in the thread that runs it."""
    settle: Callable[[Sequence[Unit], Worked], int]
    """Gets each batch with what became of it, and gives how many tasks were deleted."""
    time_to_stop: Callable[[], bool]
    """Whether no further batch may begin."""
    rate: Rate
    workers: int
    """Batches at the same time."""
    batch_size: int
    """Tasks in a batch at most; a larger unit comes alone."""
    budget: int
    """Tasks that may be deleted at most."""
    _running: dict[Future[Worked], list[Unit]] = field(default_factory=dict, init=False)

    def run(self) -> None:
        """Run them all; returns when the last batch has ended."""
        with ThreadPoolExecutor(self.workers, "batch") as pool:
            while True:
                pause = self._fill(pool)
                if not self._running and not pause:
                    break
                if not self._running:
                    time.sleep(min(pause, LISTENS))
                for units, worked in self._ended(pause):
                    self.budget -= self.settle(units, worked)

    def _fill(self, pool: ThreadPoolExecutor) -> float:
        """Start as many batches as there are workers, tasks and budget for; gives the seconds until the rate allows more."""
        while len(self._running) < self.workers and len(self.order) and not self.time_to_stop():
            pause = self.rate.pause()
            if pause:
                return pause
            left = self.budget - sum(len(unit) for units in self._running.values() for unit in units)
            units = self.order.take(self.rate.batch(self._size()), left)
            if not units:
                break
            self.rate.began(sum(map(len, units)))
            self._running[pool.submit(self.work, units)] = units
        return 0.0

    def _size(self) -> int:
        """How many tasks the next batch may have: if only a few are left, each worker gets some of them."""
        share = -(-len(self.order) // (self.workers - len(self._running)))
        return min(self.batch_size, max(CHUNK, share))

    def _ended(self, pause: float) -> Iterator[tuple[list[Unit], Worked]]:
        """Wait until a batch has ended, or the rate allows another one; yields those that have ended."""
        for future in wait(self._running, timeout=pause or None, return_when=FIRST_COMPLETED).done:
            yield self._running.pop(future), future.result()
