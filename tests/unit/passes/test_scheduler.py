"""Which batches run when, in which thread, and when the next window is read and added."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Barrier, Event, current_thread

import pytest

from cleanup_job.errors import UnreachableError
from cleanup_job.passes import scheduler
from cleanup_job.passes.batch import CHUNK, Worked
from cleanup_job.passes.rate import Rate
from cleanup_job.passes.scheduler import Scheduler
from cleanup_job.planning.backlog import Window
from cleanup_job.planning.order import Order, Unit
from cleanup_job.planning.paths import TaskId


@dataclass
class Doing:
    """Windows of so many tasks each, and what is done with them."""

    sizes: Sequence[int]
    work: Callable[[Sequence[Unit]], Worked] = lambda _: Worked()
    deleted: Callable[[int], int] = lambda batch: batch
    stop: Callable[[], bool] = lambda: False
    read: Callable[[int], None] = lambda _: None
    """Called when a window is read, with its number."""
    workers: int = 2
    budget: int | None = None
    batch_size: int = CHUNK
    patience: Callable[[], float | None] = lambda: None
    so_far: Callable[[Sequence[Unit]], Worked | None] = lambda _: None
    settles: Callable[[Worked], None] = lambda _: None
    order: Order = field(default_factory=Order)
    settled: list[int] = field(default_factory=list)
    """The sizes of the batches, in the order in which they were settled."""
    story: list[str] = field(default_factory=list)
    begun: int = 0
    """Windows of which the reading began."""
    errors: list[BaseException] = field(default_factory=list)

    def run(self) -> list[int]:
        self._caller = current_thread()
        budget = sum(self.sizes) if self.budget is None else self.budget
        Scheduler(
            order=self.order,
            reads=self._reads,
            add=self._add,
            work=self.work,
            settle=self._settle,
            time_to_stop=self.stop,
            rate=Rate(None),
            workers=self.workers,
            batch_size=self.batch_size,
            budget=budget,
            patience=self.patience,
            so_far=self.so_far,
        ).run()
        return self.settled

    def _reads(self) -> Callable[[], Window] | None:
        assert current_thread() is self._caller
        number = self.begun
        if number == len(self.sizes):
            return None
        self.begun += 1
        return lambda: self._read(number)

    def _read(self, number: int) -> Window:
        assert current_thread() is not self._caller
        self.read(number)
        return Window({TaskId(f"{number:04}{n:04}"): None for n in range(self.sizes[number])})

    def _add(self, reading: Future[Window]) -> None:
        assert current_thread() is self._caller
        assert reading.done()
        if error := reading.exception():
            self.errors.append(error)
            return
        tasks = reading.result().tasks
        self.story.append(f"added {len(tasks)}")
        self.order.add(tasks, {})

    def _settle(self, units: Sequence[Unit], worked: Worked) -> int:
        assert current_thread() is self._caller
        self.settles(worked)
        self.settled.append(len(units))
        self.story.append(f"settled {len(units)}")
        for unit in units:
            self.order.deleted(unit)
        return self.deleted(len(units))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another window is added when none is left that was not begun."""
    monkeypatch.setattr(scheduler, "FEW", 1)


# -- batches
def test_every_task_is_in_a_batch() -> None:
    assert sorted(Doing([2 * CHUNK + 1]).run()) == [1, CHUNK, CHUNK]


def test_batches_run_at_the_same_time() -> None:
    together = Barrier(2, timeout=10)

    def work(_: Sequence[Unit]) -> Worked:
        together.wait()
        return Worked()

    assert Doing([2 * CHUNK], work).run() == [CHUNK, CHUNK]


def test_no_more_tasks_begin_than_the_budget_allows() -> None:
    assert sum(Doing([4 * CHUNK], budget=CHUNK + 3).run()) == CHUNK + 3


def test_nor_than_it_allows_in_all_windows_together(few: None) -> None:
    assert sum(Doing([CHUNK] * 4, budget=CHUNK + 3).run()) == CHUNK + 3


def test_the_budget_counts_deleted_tasks_and_those_on_their_way() -> None:
    assert sum(Doing([4 * CHUNK], budget=CHUNK + 3, deleted=lambda _: 0).run()) == 4 * CHUNK


def test_no_batch_begins_once_it_is_time_to_stop_and_those_that_run_are_settled() -> None:
    begun = Event()

    def work(_: Sequence[Unit]) -> Worked:
        begun.set()
        return Worked()

    assert Doing([4 * CHUNK], work, stop=begun.is_set, workers=1).run() == [CHUNK]


def test_a_batch_that_is_not_waited_for_any_longer_is_settled_with_what_is_known() -> None:
    hangs, begun = Event(), Event()
    known = Worked(dropped=CHUNK)
    settled: list[Worked] = []

    def work(_: Sequence[Unit]) -> Worked:
        begun.set()
        hangs.wait(30)
        return Worked()

    doing = Doing([CHUNK], work, stop=begun.is_set, workers=1, patience=lambda: 0.0 if begun.is_set() else None)
    doing.so_far = lambda _: known
    doing.settles = settled.append
    try:
        assert doing.run() == [CHUNK]
        assert settled == [known]
    finally:
        hangs.set()


# -- windows
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("sizes", [[], [0], [1], [0, 0, 5], [5, 0, 0], [1, 2, 3, 4, 5], [0, CHUNK + 1, 0, 2]])
def test_every_task_of_every_window_is_in_a_batch(sizes: list[int], workers: int) -> None:
    doing = Doing(sizes, workers=workers)
    assert sum(doing.run()) == sum(sizes)
    assert doing.begun == len(sizes)


def test_windows_are_read_one_after_the_other_while_batches_run() -> None:
    is_read = Event()

    def read(number: int) -> None:
        if number == 1:
            is_read.set()

    def work(_: Sequence[Unit]) -> Worked:
        assert is_read.wait(10), "the next window is read while this batch runs"
        return Worked()

    assert sum(Doing([1, 1], work, read=read).run()) == 2


def test_batches_go_on_while_a_window_is_read() -> None:
    is_settled = Event()

    def read(number: int) -> None:
        assert number == 0 or is_settled.wait(10), "the tasks that are there are worked on"

    def deleted(batch: int) -> int:
        if sum(doing.settled) == 2 * CHUNK:
            is_settled.set()
        return batch

    doing = Doing([2 * CHUNK, 1], read=read, deleted=deleted)
    assert sum(doing.run()) == 2 * CHUNK + 1


def test_a_window_is_added_only_when_few_tasks_are_left(few: None) -> None:
    doing = Doing([3, 3], workers=1, batch_size=1)
    doing.run()
    assert doing.story[:3] == ["added 3", "settled 1", "settled 1"]  # the third one is being worked on
    assert doing.story.count("settled 1") == 6


def test_no_window_is_read_further_ahead_than_one(few: None) -> None:
    seen: list[int] = []

    def work(_: Sequence[Unit]) -> Worked:
        seen.append(doing.begun - doing.story.count("added 1"))
        return Worked()

    doing = Doing([1] * 8, work, workers=1)
    doing.run()
    assert max(seen) <= 1


def test_no_window_is_read_or_added_once_it_is_time_to_stop() -> None:
    begun = Event()

    def work(_: Sequence[Unit]) -> Worked:
        begun.set()
        return Worked()

    doing = Doing([CHUNK] * 20, work, stop=begun.is_set, workers=1)
    assert sum(doing.run()) <= 2 * CHUNK
    assert doing.begun < 20


def test_a_window_that_can_not_be_read_is_handed_over_with_its_error() -> None:
    def read(number: int) -> None:
        if number:
            raise UnreachableError("no answer")

    doing = Doing([2, 2], read=read)
    assert sum(doing.run()) == 2
    assert [str(error) for error in doing.errors] == ["no answer"]


def test_nothing_is_read_while_there_is_no_budget_left_for_what_is_there(few: None) -> None:
    doing = Doing([1] * 20, budget=3, workers=1)
    assert sum(doing.run()) == 3
    assert doing.begun <= 6
