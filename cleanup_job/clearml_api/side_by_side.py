"""Several iterators at once, in threads, with a bound on what waits to be taken."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
WAITING = 8
"""Items that wait to be taken."""
LOOKS = 0.1
"""Seconds between two looks whether anybody still wants them."""


def at_once(sources: Sequence[Callable[[], Iterable[T]]], most: int) -> Iterator[T]:
    """Yield what the sources bring, ``most`` of them at the same time, in no certain order.

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
    """Sources that are worked through, and what they have brought."""

    def __init__(self, sources: Sequence[Callable[[], Iterable[T]]]) -> None:
        self.over = Event()
        self._left = deque(sources)  # whose own operations are atomic
        self._brought: Queue[tuple[T] | Exception | None] = Queue(WAITING)

    def items(self, workers: int) -> Iterator[T]:
        """Yield items until each worker has said that it is done."""
        while workers:
            item = self._brought.get()
            if item is None:
                workers -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield item[0]

    def run(self) -> None:
        """Work through sources as long as there are any, and anybody wants them. Runs in a thread."""
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
                self._brought.put(item, timeout=LOOKS)
            except Full:
                continue
            return
