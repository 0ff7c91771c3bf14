"""A pass does not delete more tasks in a second than the settings allow, and still ends when it is asked to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.exit_codes import StopReason
from cleanup_job.passes import cleanup
from cleanup_job.passes.rate import BURST, Rate
from cleanup_job.passes.stop import Stop
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean


class Clock:
    """Time that passes only while a thread sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(cleanup, "Rate", lambda rate: Rate(rate, clock))
    monkeypatch.setattr(cleanup.time, "sleep", clock.sleep)
    return clock


def tasks(sandbox: Sandbox, number: int) -> None:
    world = World(NOW)
    for n in range(number):
        world.task(f"exp {n}")
    sandbox.load(world.as_dict())


def test_batches_are_spread_over_time(sandbox: Sandbox, clock: Clock) -> None:
    tasks(sandbox, 20)
    begun: list[tuple[float, int]] = []

    def note(request: Request) -> Fault | None:
        if request.call == "tasks.delete_many":
            begun.append((clock.now, len(request.body["ids"])))
        return None

    sandbox.fault = note
    assert len(clean(sandbox, max_tasks_per_second=0.5, batch_size=4, workers=1).watcher.deleted) == 20
    assert begun == [(1000.0 + 8 * n, 4) for n in range(5)]


def test_a_low_rate_makes_small_batches(sandbox: Sandbox, clock: Clock) -> None:
    tasks(sandbox, 6)
    sandbox.requests.clear()
    assert len(clean(sandbox, max_tasks_per_second=0.2).watcher.deleted) == 6
    calls = [request.body["ids"] for request in sandbox.requests if request.call == "tasks.delete_many"]
    assert [len(ids) for ids in calls] == [2, 2, 2]
    assert clock.now == pytest.approx(1020.0, abs=0.01)


def test_a_pass_that_waits_for_its_rate_stops_when_asked_to(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks(sandbox, 3)
    stop = Stop()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        stop.reason = StopReason.SIGTERM

    monkeypatch.setattr(cleanup.time, "sleep", sleep)
    report = clean(sandbox, max_tasks_per_second=0.001, stop=stop).report
    assert (report.total().tasks, report.left, report.stopped_by) == (1, 2, "SIGTERM")
    assert clock.now < 1001


def test_without_a_rate_nothing_waits(sandbox: Sandbox, clock: Clock) -> None:
    tasks(sandbox, 3)
    assert len(clean(sandbox, batch_size=1).watcher.deleted) == 3
    assert clock.now == 1000.0


@given(st.floats(0.01, 10_000), st.lists(st.integers(1, 500), min_size=1, max_size=50))
def test_no_second_has_more_than_its_share(rate: float, wanted: list[int]) -> None:
    """Over any time, no more tasks begin than the rate allows, and the batch that is on its way."""
    clock = Clock()
    limit = Rate(rate, clock)
    begun = 0
    for most in wanted:
        clock.sleep(limit.pause())
        assert limit.pause() == pytest.approx(0, abs=1e-6)
        batch = limit.batch(most)
        assert 1 <= batch <= max(1, min(most, rate * BURST))
        assert begun <= rate * (clock.now - 1000.0) + 1e-3
        limit.began(batch)
        begun += batch


def test_unused_time_is_not_saved_up() -> None:
    clock = Clock()
    limit = Rate(10, clock)
    clock.sleep(1000)
    limit.began(50)
    assert limit.pause() == pytest.approx(5)
