"""The tasks that free the most, of any number of them, in as little memory as those that are shown."""

import heapq

from cleanup_job.planning.outcome import GONE, TaskOutcome

SHOWN = 20


class Largest:
    """Keeps the largest tasks that a pass deletes, or would: by bytes known, then by files."""

    def __init__(self, most: int = SHOWN) -> None:
        """At most so many are kept."""
        self._most = most
        self._heap: list[tuple[int, int, int, TaskOutcome]] = []
        self.count = 0
        """Tasks that are deleted, or would be."""

    def add(self, outcome: TaskOutcome) -> None:
        """Look at one more task."""
        if outcome.verdict not in GONE:
            return
        self.count += 1
        entry = (outcome.bytes, outcome.files, -self.count, outcome)  # of two that are alike, the first one counts
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def ranked(self) -> list[TaskOutcome]:
        """The largest first."""
        return [entry[-1] for entry in sorted(self._heap, reverse=True)]
