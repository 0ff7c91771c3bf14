"""Several iterators at the same time, in threads, with a limit on the items that wait to be taken."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
WAITING = 8
"""The most items that wait to be taken."""
CHECK_SECONDS = 0.1
"""How often a thread checks whether its items are still wanted."""


def in_parallel(sources: Sequence[Callable[[], Iterable[T]]], most: int) -> Iterator[T]:
    """Yield what the sources yield, from up to ``most`` of them at the same time, in no particular order.

    Raises:
        Exception: what a source raises, as soon as it does.
    """
    work = _Work(sources)
    threads = [Thread(target=work.run, name=f"slice-{n}", daemon=True) for n in range(min(most, len(sources)))]
    for thread in threads:
        thread.start()
    try:
        yield from work.items(len(threads))
    finally:
        work.over.set()
        for thread in threads:
            thread.join()


class _Work(Generic[T]):
    """Sources that are read, and the items that they have yielded."""

    def __init__(self, sources: Sequence[Callable[[], Iterable[T]]]) -> None:
        self.over = Event()
        self._left = deque(sources)  # its operations are atomic
        self._items: Queue[tuple[T] | Exception | None] = Queue(WAITING)

    def items(self, workers: int) -> Iterator[T]:
        """Yield items until each worker has reported that it is done."""
        while workers:
            item = self._items.get()
            if item is None:
                workers -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield item[0]

    def run(self) -> None:
        """Read sources as long as there are any and their items are wanted. Runs in a thread."""
        try:
            while (source := self._take()) is not None:
                self._drain(source)
        except Exception as error:  # noqa: BLE001 -- raised where the items are taken
            self._put(error)
        self._put(None)

    def _take(self) -> Callable[[], Iterable[T]] | None:
        try:
            return None if self.over.is_set() else self._left.popleft()
        except IndexError:
            return None

    def _drain(self, source: Callable[[], Iterable[T]]) -> None:
        for item in source():
            self._put((item,))
            if self.over.is_set():
                return

    def _put(self, item: tuple[T] | Exception | None) -> None:
        while not self.over.is_set():
            try:
                self._items.put(item, timeout=CHECK_SECONDS)
            except Full:
                continue
            return
