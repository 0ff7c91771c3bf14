"""Which batches of tasks run when: several at the same time, as far as references between tasks, budget and rate allow.

While they run, the next window of tasks is read in a thread of its own, and is added when few tasks are left.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from cleanup_job.passes.batch import CHUNK, Worked
from cleanup_job.passes.rate import Rate
from cleanup_job.planning.backlog import Window
from cleanup_job.planning.order import Order, Unit

LISTENS = 0.5
"""Seconds between two looks at whether to end: while the rate allows no batch, and while batches are waited for."""
FEW = 2_000
"""Tasks that are left when another window is added."""
Read = Callable[[], Window]
"""Reads a window."""


@dataclass(slots=True, kw_only=True)
class Scheduler:
    """Runs batches in threads until no task is left, the budget is spent, or the pass has to stop.

    ``work`` is called in threads of its own, and what ``reads`` gives in another one; all else in the thread that runs it.
    """

    order: Order
    reads: Callable[[], Read | None]
    """What reads the next window; None if there is nothing to read now."""
    add: Callable[[Future[Window]], None]
    """Gets each window that was read, or the error."""
    work: Callable[[Sequence[Unit]], Worked]
    """Works on a batch."""
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
    patience: Callable[[], float | None] = lambda: None
    """Seconds for which batches are still waited for; None if that is as long as they take."""
    so_far: Callable[[Sequence[Unit]], Worked | None] = lambda _: None
    """What is known of a batch that is not waited for any longer; None if it has ended."""
    _running: dict[Future[Worked], list[Unit]] = field(default_factory=dict, init=False)
    _window: Future[Window] | None = field(default=None, init=False)

    def run(self) -> None:
        """Run them all; returns when the last batch has ended, or is not waited for any longer."""
        reader, pool = ThreadPoolExecutor(1, "window"), ThreadPoolExecutor(self.workers, "batch")
        try:
            self._run(reader, pool)
        finally:
            waits = self.patience() is None
            for threads in (reader, pool):
                threads.shutdown(waits, cancel_futures=not waits)

    def _run(self, reader: ThreadPoolExecutor, pool: ThreadPoolExecutor) -> None:
        while True:
            self._read(reader)
            pause = self._fill(pool)
            if not self._running and not pause and (self._window is None or len(self.order) or self.time_to_stop()):
                return
            for units, worked in self._ended(pause):
                self.budget -= self.settle(units, worked)
            if self.patience() == 0:
                for future, units in self._running.items():
                    self.settle(units, self.so_far(units) or future.result())
                return

    def _read(self, reader: ThreadPoolExecutor) -> None:
        """Add the window that was read, if it is needed, and begin to read the next one."""
        if self._window is not None and self._window.done() and len(self.order) < FEW:
            window, self._window = self._window, None
            self.add(window)
        if self._window is None and not self.time_to_stop() and (read := self.reads()) is not None:
            self._window = reader.submit(read)

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
        """How many tasks the next batch may have: if only a few are left, each worker gets some of them, also a busy one."""
        share = -(-len(self.order) // self.workers)  # those that are busy are free again before the first one has done all
        return min(self.batch_size, max(CHUNK, share))

    def _ended(self, pause: float) -> Iterator[tuple[list[Unit], Worked]]:
        """Wait until a batch has ended, a window was read, or the rate allows more; yields the batches that have ended."""
        waited: list[Future[Any]] = [*self._running]
        if self._window is not None and not self._window.done():
            waited.append(self._window)
        if not waited:
            time.sleep(min(pause, LISTENS))
            return
        done = wait(waited, timeout=min(pause, LISTENS) if pause else LISTENS, return_when=FIRST_COMPLETED).done
        for future in [future for future in self._running if future in done]:
            yield self._running.pop(future), future.result()
