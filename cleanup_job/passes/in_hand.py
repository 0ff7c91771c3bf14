"""What the workers of a pass have begun and not ended, for people who want to end the pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident


class InHand:
    """The batches in progress. Safe to use from many threads."""

    def __init__(self) -> None:
        """Nothing is in progress."""
        self._tasks: dict[int, int] = {}

    @contextmanager
    def working_on(self, tasks: int) -> Iterator[None]:
        """Count a batch of so many tasks while its deletion is in progress."""
        self._tasks[get_ident()] = tasks
        try:
            yield
        finally:
            del self._tasks[get_ident()]

    def now(self) -> tuple[int, int]:
        """How many batches are in progress at this moment, and how many tasks they have."""
        tasks = list(self._tasks.values())
        return len(tasks), sum(tasks)
