"""How many tasks a pass works through in a second, if the settings limit it. Pure except for the clock."""

import time
from collections.abc import Callable

BURST = 10.0
"""Seconds whose tasks may be in one batch: a low rate makes small batches, not large ones far apart."""


class Rate:
    """Spreads batches over time."""

    def __init__(self, tasks_per_second: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """``tasks_per_second``: None for no limit."""
        self._rate = tasks_per_second
        self._clock = clock
        self._next = clock()

    def batch(self, most: int) -> int:
        """How many tasks a batch may have, of ``most`` at most."""
        return most if self._rate is None else max(1, min(most, int(self._rate * BURST)))

    def pause(self) -> float:
        """Seconds until the next batch may begin; 0 if it may begin now."""
        return max(0.0, self._next - self._clock())

    def began(self, tasks: int) -> None:
        """A batch of so many tasks begins now. Unused time is not saved up for a burst."""
        if self._rate is not None:
            self._next = max(self._next, self._clock()) + tasks / self._rate
