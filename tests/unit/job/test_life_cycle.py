"""The life cycle of a run: whatever happens in it, the report, the exit code and Kubernetes say the same."""

import os
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from cleanup_job.errors import LeaseHeldError, LeaseLostError, SettingsError, UnreachableError
from cleanup_job.exit_codes import StopReason
from cleanup_job.job import pod
from cleanup_job.job.life_cycle import Job
from cleanup_job.passes.stop import Stop
from cleanup_job.service_task.schedule import Skipped
from cleanup_job.settings.metrics import MetricsSettings
from cleanup_job.settings.notify import NotifySettings

Work = Callable[["Made"], Skipped | None]


@dataclass
class Ending:
    finished: datetime | None = None
    stopped_by: StopReason | None = None
    error: str = ""
    exit_code: int = 0


@dataclass
class Shown:
    reports: list[Ending] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def warning(self, text: str) -> None: ...

    def finished(self, report: Ending) -> None:
        self.reports.append(report)


class Made(Job[Ending]):
    """A run that does one thing."""

    def __init__(self, work: Work, failures: bool) -> None:
        self.shown, self.ending, self.stop = Shown(), Ending(), Stop()
        self.sent: list[int] = []
        settings = SimpleNamespace(metrics=MetricsSettings(), notify=NotifySettings())
        super().__init__(settings, self.ending, self.shown, self.stop)
        self._does, self._failures = work, failures

    def _work(self, *, holds_lease: bool) -> Skipped | None:  # noqa: ARG002 -- the interface
        return self._does(self)

    def _has_failures(self) -> bool:
        return self._failures

    def _publish(self) -> None:
        pod.write_termination_message("published")

    def _metrics(self) -> Any:
        raise NotImplementedError

    def _message(self, sender: str) -> Any:
        raise NotImplementedError

    def _send(self) -> None:
        self.sent.append(self.ending.exit_code)

    def _explain_failure(self, error: str) -> None:
        pod.write_termination_message(error)


@pytest.fixture(autouse=True)
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kubernetes' termination message; nothing holds a lease."""
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(pod, "TERMINATION_LOG", log)

    @contextmanager
    def lease(*_: Any) -> Any:
        yield None

    monkeypatch.setattr(pod, "lease", lease)
    return log


def nothing(_: Made) -> None: ...


def fails_with(error: Exception) -> Work:
    def work(_: Made) -> None:
        raise error

    return work


def gets(number: signal.Signals) -> Work:
    def work(made: Made) -> None:
        os.kill(os.getpid(), number)
        made.ending.stopped_by = made.stop.reason

    return work


def loses_its_lease(made: Made) -> None:
    made.stop.holds_lease = lambda: False
    made.stop.before_deletion()


def is_stopped_while_it_waits(made: Made) -> None:
    made.stop.reason = StopReason.SIGTERM
    raise LeaseHeldError("pod-1 holds the lease")


@pytest.mark.parametrize(
    ("work", "failures", "code", "stopped_by", "error"),
    [
        (nothing, False, 0, None, ""),
        (nothing, True, 3, None, ""),
        (fails_with(SettingsError("wrong")), False, 2, None, "wrong"),
        (fails_with(UnreachableError("gone")), True, 4, None, "gone"),
        (fails_with(LeaseHeldError("held")), False, 5, None, "held"),
        (gets(signal.SIGTERM), True, 143, StopReason.SIGTERM, ""),
        (gets(signal.SIGINT), False, 130, StopReason.SIGINT, ""),
        (is_stopped_while_it_waits, False, 143, StopReason.SIGTERM, ""),
        (loses_its_lease, True, 6, StopReason.LEASE, Stop().lost),
        (fails_with(LeaseLostError("taken")), False, 6, StopReason.LEASE, "taken"),
    ],
)
def test_how_a_run_ends(
    work: Work, failures: bool, code: int, stopped_by: StopReason | None, error: str, message: Path
) -> None:
    made = Made(work, failures)
    assert made.run() == code
    ending = made.ending
    assert (ending.exit_code, ending.stopped_by, ending.error) == (code, stopped_by, error)
    assert ending.finished is not None
    assert made.shown.reports == [ending]
    assert made.sent == [code], "metrics have the code, too"
    assert message.read_text() == "published"


def test_a_pass_that_is_not_due_says_why_and_ends_well(message: Path) -> None:
    made = Made(lambda _: Skipped("not due: it ran yesterday", {"event": "not_due"}), failures=True)
    assert made.run() == 0
    assert message.read_text() == '{"event": "not_due"}'
    assert made.shown.reports == []
    assert made.sent == [], "there was no pass"


def test_an_unexpected_error_is_raised_and_explained_to_kubernetes(message: Path) -> None:
    made = Made(fails_with(ZeroDivisionError("a bug")), failures=False)
    with pytest.raises(ZeroDivisionError):
        made.run()
    assert made.sent == [1]
    assert made.ending.finished is not None
    assert message.read_text() == "unexpected error: ZeroDivisionError: a bug"


def test_an_output_that_can_not_be_written_is_a_failure_even_if_nothing_is_left() -> None:
    made = Made(lambda made: made.stop.ask(StopReason.OUTPUT), failures=False)
    assert made.run() == 1
    assert made.sent == [1]


def test_signals_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    Made(gets(signal.SIGTERM), failures=False).run()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_of_several_reasons_to_stop_the_first_one_counts() -> None:
    stop = Stop()
    stop.ask(StopReason.SIGTERM)
    stop.ask(StopReason.DEADLINE)
    assert stop.reason is StopReason.SIGTERM
