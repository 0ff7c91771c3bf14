"""How much time a pass spends in each phase. Safe to use from many threads."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Phases:
    """Seconds in each phase, added up over all threads: batches overlap, so that the sum may be more than the pass took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Around the work of a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - began
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + spent
