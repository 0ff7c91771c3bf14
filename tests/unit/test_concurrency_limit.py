"""The limit on requests in flight: how it falls and rises, on a clock that stands still unless a test moves it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from threading import Barrier, Thread
from typing import Any

import pytest
import requests
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cleanup_job.concurrency_limit import LONGEST_PAUSE, ConcurrencyLimit, pause_of
from cleanup_job.errors import CleanupError

NOW = "Sun, 01 Nov 2026 12:00:00 GMT"


def answer(status: int = 200, size: int = 0, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = b"x" * size
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    made.request = requests.Request("POST", "http://clearml/", data=b"{}").prepare()
    return made


class Server:
    """Answers as it is told, on a clock of its own."""

    def __init__(self, most: int = 16) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.limit = ConcurrencyLimit(most, "ClearML Server", self.told.append, lambda: self.now)
        self.limit._free.wait = self._wait

    def _wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "it waits for ever"
        self.now += timeout
        return False

    def ask(
        self, name: str = "tasks.get_all", status: int = 200, took: float = 0.01, size: int = 0, **headers: str
    ) -> requests.Response:
        """One request by itself."""
        with self.limit.slot():
            return self.limit.ask(name, lambda: self.answer(status, took, size, **headers))

    def answer(self, status: int = 200, took: float = 0.01, size: int = 0, **headers: str) -> requests.Response:
        self.now += took
        return answer(status, size, **headers)

    def asks(self, times: int, **how: Any) -> list[int]:
        """The limit after each of so many."""
        return [(self.ask(**how), self.limit.limit)[1] for _ in range(times)]

    @contextmanager
    def busy(self, others: int) -> Iterator[None]:
        """So many other requests are in flight."""
        with ExitStack() as held:
            for _ in range(others):
                held.enter_context(self.limit.slot())
            yield

    def fall(self, in_flight: int = 16) -> None:
        """To half of what is in flight."""
        with self.busy(in_flight - 1):
            self.ask(status=503)


@pytest.fixture
def server() -> Server:
    return Server()


# -- down, and up again
def test_it_begins_at_the_most_and_good_answers_keep_it_there(server: Server) -> None:
    assert set(server.asks(40)) == {16}


@pytest.mark.parametrize("status", [429, 502, 503, 504, 509])
def test_an_answer_of_a_server_that_can_not_keep_up_halves_it(server: Server, status: int) -> None:
    with server.busy(15):
        assert server.asks(1, status=status) == [8]


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 500])
def test_another_answer_does_not(server: Server, status: int) -> None:
    with server.busy(15):
        assert set(server.asks(20, status=status)) == {16}


def test_a_servers_own_error_is_no_good_answer(server: Server) -> None:
    server.fall(4)
    assert set(server.asks(20, status=500)) == {2}


@pytest.mark.parametrize("error", [requests.ConnectionError, requests.ReadTimeout, ConnectionResetError])
def test_no_answer_halves_it_and_stays_an_error(server: Server, error: type[OSError]) -> None:
    def fail() -> requests.Response:
        raise error

    with server.busy(15), server.limit.slot(), pytest.raises(error):
        server.limit.ask("tasks.get_all", fail)
    assert server.limit.limit == 8


def test_an_error_of_ours_is_none_of_the_servers(server: Server) -> None:
    def fail() -> requests.Response:
        raise CleanupError

    with server.busy(15), server.limit.slot(), pytest.raises(CleanupError):
        server.limit.ask("tasks.get_all", fail)
    assert server.limit.limit == 16


@pytest.mark.parametrize(("in_flight", "left"), [(16, 8), (7, 4), (3, 2), (2, 1), (1, 1)])
def test_half_of_what_was_in_flight_rounded_up(server: Server, in_flight: int, left: int) -> None:
    server.fall(in_flight)
    assert server.limit.limit == left


def test_it_never_falls_below_one(server: Server) -> None:
    for in_flight in (16, 8, 4, 2, 1, 1):
        server.fall(in_flight)
    assert server.limit.limit == 1


def test_one_more_after_each_window_of_good_answers_up_to_the_most() -> None:
    server = Server(4)
    server.fall(4)
    server.fall(2)
    assert server.asks(12) == [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]


def test_trouble_begins_the_window_anew(server: Server) -> None:
    server.fall(4)
    server.ask()
    server.fall(2)  # to 1
    server.ask()  # to 2
    server.ask()
    server.fall(2)
    assert server.asks(3) == [2, 2, 3]


def test_all_that_was_sent_before_a_fall_is_one_trouble(server: Server) -> None:
    def send(left: int) -> requests.Response:
        """As many requests at the same time: each is sent before the first answer is there."""
        if left:
            with server.limit.slot():
                server.limit.ask("tasks.get_all", lambda: send(left - 1))
        return server.answer(503)

    send(8)
    assert server.limit.limit == 4
    server.fall(4)
    assert server.limit.limit == 2


def test_good_answers_to_what_was_sent_before_a_fall_do_not_raise_it(server: Server) -> None:
    def send() -> requests.Response:
        server.fall(1)
        return server.answer()

    with server.limit.slot():
        server.limit.ask("tasks.get_all", send)
    assert server.limit.limit == 1
    assert server.asks(1) == [2]


def test_another_most_counts_at_once_and_the_same_one_changes_nothing(server: Server) -> None:
    server.limit.allow(4)
    assert server.limit.limit == 4
    server.fall(4)
    server.limit.allow(4)
    assert server.limit.limit == 2


def test_slow_answers_do_not(server: Server) -> None:
    server.asks(20, took=0.01)
    with server.busy(15):
        assert set(server.asks(20, took=30.0)) == {16}


# -- Retry-After
def test_nothing_is_sent_before_the_server_wants_it(server: Server) -> None:
    server.ask(status=503, Retry_After="30")
    began = server.now
    server.ask(took=0.0)
    assert server.now == began + 30


def test_a_shorter_time_does_not_cut_a_longer_one(server: Server) -> None:
    began = server.now
    with server.busy(1):
        server.limit.ask("tasks.get_all", lambda: answer(503, Retry_After="30"))
        server.limit.ask("tasks.get_all", lambda: answer(429, Retry_After="1"))
    server.ask(took=0.0)
    assert server.now == began + 30


def test_an_answer_without_it_holds_nothing_back(server: Server) -> None:
    server.ask(status=503, took=0.0)
    server.ask(took=0.0, Retry_After="30")  # a good answer's is none
    server.ask(took=0.0)
    assert server.now == 0


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("", 0),
        ("7", 7),
        ("0", 0),
        ("-7", 0),
        ("86400", LONGEST_PAUSE),
        ("9" * 5000, 0),
        ("soon", 0),
        ("Sun, 01 Nov 2026 12:00:20 GMT", 20),
        ("Sun, 01 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 02 Nov 2026 12:00:00 GMT", LONGEST_PAUSE),
        ("Sun, 01 Nov 2026 12:00:20 -0000", 0),  # which says no time zone
        ("Sun, 99 Nov 2026 12:00:20 GMT", 0),
    ],
)
def test_seconds_or_a_time_by_the_servers_own_clock(asked: str, seconds: float) -> None:
    assert pause_of({"Retry-After": asked, "Date": NOW}) == seconds


@given(st.text(), st.text() | st.just(""))
def test_whatever_a_server_writes_there_is_a_pause_with_an_end(asked: str, date: str) -> None:
    for headers in ({"Retry-After": asked, "Date": date}, {"Retry-After": NOW, "Date": date}, {"Retry-After": asked}):
        assert 0 <= pause_of(headers) <= LONGEST_PAUSE


# -- what is said
def test_a_fall_is_told_once_until_it_is_back_at_the_most() -> None:
    server = Server(8)
    server.fall(8)
    server.fall(4)
    assert server.told == [
        "ClearML Server can't keep up (tasks.get_all: HTTP 503): at most 4 requests at a time until it recovers"
    ]
    server.asks(40)
    server.fall(2)
    assert len(server.told) == 2
    assert "at most 1 request at" in server.told[1]


def test_the_failure_of_a_request_by_itself_is_told_by_its_retries_alone(server: Server) -> None:
    server.fall(1)
    assert (server.limit.limit, server.told) == (1, [])


# -- threads
class Watched(ConcurrencyLimit):
    """Remembers each moment that a request was let go: how many were in flight with it, and the limit."""

    def __init__(self, most: int) -> None:
        self.seen: list[tuple[int, int]] = []
        self._count = 0
        super().__init__(most)

    @property
    def _taken(self) -> int:
        return self._count

    @_taken.setter
    def _taken(self, value: int) -> None:  # the lock is held
        if value > self._count:
            self.seen.append((value, self._limit))
        self._count = value


def outcome(kind: str) -> requests.Response:
    time.sleep(0.0005)  # long enough for others to come, were they let
    if kind == "lost":
        raise requests.ConnectionError
    return answer({"good": 200, "overloaded": 503, "refused": 404}[kind])


def together(count: int, work: Callable[[int], None]) -> None:
    """In so many threads, all of which must end."""
    threads = [Thread(target=work, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    assert not any(thread.is_alive() for thread in threads), "a request waits for ever"


@settings(max_examples=50, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a wait for ever takes too long to shrink
@given(
    most=st.integers(1, 8),
    scripts=st.lists(st.lists(st.sampled_from(["good", "overloaded", "refused", "lost"]), max_size=6), min_size=1, max_size=12),
)
def test_never_more_in_flight_than_the_limit_and_everybody_gets_through(most: int, scripts: list[list[str]]) -> None:
    limit = Watched(most)
    start = Barrier(len(scripts))
    ended: SimpleQueue[str] = SimpleQueue()

    def work(number: int) -> None:
        start.wait(30)
        for step in scripts[number]:
            with suppress(requests.ConnectionError), limit.slot():
                limit.ask("tasks.get_all", partial(outcome, step))
            ended.put(step)

    together(len(scripts), work)
    assert ended.qsize() == len(limit.seen) == sum(map(len, scripts))
    assert all(1 <= count <= allowed <= most for count, allowed in limit.seen)
    assert limit._taken == 0


def test_who_waits_is_let_go_when_a_request_ends_and_not_before() -> None:
    limit = ConcurrencyLimit(2)
    first = ExitStack()
    first.enter_context(limit.slot())
    waited: list[float | None] = []

    def wait(timeout: float | None = None) -> bool:
        waited.append(timeout)
        if len(waited) == 3:
            first.close()  # until then it was woken for nothing
        return True

    limit._free.wait = wait
    with limit.slot(), limit.slot():
        assert waited == [None] * 3


def test_what_ends_a_request_before_it_is_sent_frees_its_slot() -> None:
    limit = ConcurrencyLimit(1)
    for _ in range(3):
        with pytest.raises(CleanupError), limit.slot():
            raise CleanupError
    with limit.slot():
        pass
