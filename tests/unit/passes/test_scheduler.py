"""Which batches run when, and in which thread."""

from collections.abc import Callable, Sequence
from threading import Barrier, Event, current_thread

from cleanup_job.passes.batch import CHUNK, Worked
from cleanup_job.passes.rate import Rate
from cleanup_job.passes.scheduler import Scheduler
from cleanup_job.planning.order import Order, Unit
from cleanup_job.planning.paths import TaskId


def run(
    tasks: int,
    *,
    work: Callable[[Sequence[Unit]], Worked] = lambda _: Worked(),
    deleted: Callable[[int], int] = lambda batch: batch,
    stop: Callable[[], bool] = lambda: False,
    workers: int = 2,
    budget: int | None = None,
) -> list[int]:
    """The sizes of the batches, in the order in which they were settled."""
    settled: list[int] = []

    def settle(units: Sequence[Unit], _: Worked) -> int:
        assert current_thread() is caller
        settled.append(len(units))
        return deleted(len(units))

    caller = current_thread()
    order = Order([TaskId(f"{number:032x}") for number in range(tasks)], {})
    Scheduler(
        order=order,
        work=work,
        settle=settle,
        time_to_stop=stop,
        rate=Rate(None),
        workers=workers,
        batch_size=CHUNK,
        budget=tasks if budget is None else budget,
    ).run()
    return settled


def test_every_task_is_in_a_batch() -> None:
    assert sorted(run(2 * CHUNK + 1)) == [1, CHUNK, CHUNK]


def test_batches_run_at_the_same_time() -> None:
    together = Barrier(2, timeout=10)

    def work(_: Sequence[Unit]) -> Worked:
        together.wait()
        return Worked()

    assert run(2 * CHUNK, work=work) == [CHUNK, CHUNK]


def test_no_more_tasks_begin_than_the_budget_allows() -> None:
    assert sum(run(4 * CHUNK, budget=CHUNK + 3)) == CHUNK + 3


def test_the_budget_counts_deleted_tasks_and_those_on_their_way() -> None:
    assert sum(run(4 * CHUNK, budget=CHUNK + 3, deleted=lambda _: 0)) == 4 * CHUNK


def test_no_batch_begins_once_it_is_time_to_stop_and_those_that_run_are_settled() -> None:
    begun = Event()

    def work(_: Sequence[Unit]) -> Worked:
        begun.set()
        return Worked()

    assert run(4 * CHUNK, work=work, stop=begun.is_set, workers=1) == [CHUNK]
