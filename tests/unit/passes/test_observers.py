"""Observers are called for one event at a time, even if events come from several threads."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cleanup_job.passes.observers import Observers
from cleanup_job.passes.ports import Observer
from cleanup_job.planning.outcome import TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId

OUTCOME = TaskOutcome(TaskId("a" * 32), "exp", "team", "p", Verdict.DELETED)
EVENTS: list[Callable[[Observer], None]] = [
    lambda watched: watched.expected(None),
    lambda watched: watched.selected(1),
    lambda watched: watched.outcome(OUTCOME),
    lambda watched: watched.project("team"),
    lambda watched: watched.warning("slow"),
]


class Log(Observer):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def expected(self, tasks: int | None) -> None:
        self.seen.append(tasks)

    def selected(self, total: int) -> None:
        self.seen.append(total)

    def outcome(self, outcome: TaskOutcome) -> None:
        self.seen.append(outcome)

    def project(self, name: str) -> None:
        self.seen.append(name)

    def warning(self, text: str) -> None:
        self.seen.append(text)


class Slow(Observer):
    """Would mix up two events that it gets at the same time."""

    def __init__(self) -> None:
        self.inside = self.most = self.events = 0

    def _event(self, *_: object) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.002)
        self.inside -= 1
        self.events += 1

    expected = selected = outcome = project = warning = _event


def test_each_observer_gets_each_event() -> None:
    one, two = Log(), Log()
    for event in EVENTS:
        event(Observers(one, two))
    assert one.seen == two.seen == [None, 1, OUTCOME, "team", "slow"]


def test_an_observer_overrides_only_what_it_needs() -> None:
    class Warnings(Observer):
        def warning(self, text: str) -> None:
            texts.append(text)

    texts: list[str] = []
    for event in EVENTS:
        event(Observers(Warnings(), Observers()))
    assert texts == ["slow"]


def test_events_of_several_threads_never_overlap() -> None:
    slow = Slow()
    observers = Observers(slow)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(event, observers) for event in EVENTS * 8]:
            done.result()
    assert (slow.most, slow.events) == (1, 40)


@pytest.mark.parametrize("event", EVENTS)
def test_an_observer_may_warn_while_it_is_called(event: Callable[[Observer], None]) -> None:
    class Troubled(Observer):
        def _event(self, *_: object) -> None:
            log.warning("trouble")
            if not inside:
                inside.append(True)
                observers.warning("from within")

        expected = selected = outcome = project = warning = _event

    inside: list[bool] = []
    log = Log()
    observers = Observers(Troubled())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(event, observers).result(timeout=10)
    assert log.seen == ["trouble", "trouble"]
