"""Several observers of a pass, called for one event at a time, even if events come from several threads."""

from threading import RLock

from cleanup_job.passes.ports import Observer
from cleanup_job.planning.outcome import TaskOutcome


class Observers(Observer):
    """Several observers; each is called after the other, and for one event at a time. Safe to use from many threads."""

    def __init__(self, *observers: Observer) -> None:
        """In the order in which they are called."""
        self._observers = observers
        self._lock = RLock()
        """One that is called may warn of something itself."""

    def expected(self, tasks: int | None) -> None:
        """Call each."""
        with self._lock:
            for observer in self._observers:
                observer.expected(tasks)

    def selected(self, total: int) -> None:
        """Call each."""
        with self._lock:
            for observer in self._observers:
                observer.selected(total)

    def outcome(self, outcome: TaskOutcome) -> None:
        """Call each."""
        with self._lock:
            for observer in self._observers:
                observer.outcome(outcome)

    def project(self, name: str) -> None:
        """Call each."""
        with self._lock:
            for observer in self._observers:
                observer.project(name)

    def warning(self, text: str) -> None:
        """Call each."""
        with self._lock:
            for observer in self._observers:
                observer.warning(text)
