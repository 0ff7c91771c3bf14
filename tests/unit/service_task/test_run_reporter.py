"""What a run in ClearML says of a pass whose tasks are not all known at its beginning."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import LEFT_TAG
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.service_task.run_reporter import RunReporter

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


class Runs:
    """ClearML, as far as a reporter calls it."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.console = ""

    def tag(self, _: str, tag: str) -> None:
        self.tags.append(tag)

    def report(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.console += "".join(event["msg"] for event in events if event["type"] == "log")

    def status(self, _: str) -> str:
        return "in_progress"

    def end(self, *_: str) -> None: ...


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def reporter(runs: Runs) -> RunReporter:
    def never(*_: object) -> None:
        pytest.fail("nothing to warn of")

    clearml = cast("ServiceTasks", runs)
    task = TaskId("a" * 32)
    return RunReporter(clearml, task, folder="", by_agent=False, worker="pod", uploads=None, warn=never, aborted=never)


def finish(reporter: RunReporter, *, left: int = 0, at_least: bool = False) -> None:
    report = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT, finished=MOMENT, left=left, left_is_least=at_least)
    report.stopped_by = StopReason.DEADLINE if report.unfinished else None
    with reporter:
        reporter.finish(report)


@pytest.mark.parametrize(("left", "at_least", "tags"), [(0, False, []), (7, False, [LEFT_TAG]), (0, True, [LEFT_TAG])])
def test_a_run_is_tagged_if_tasks_are_or_may_be_left(
    reporter: RunReporter, runs: Runs, left: int, at_least: bool, tags: list[str]
) -> None:
    finish(reporter, left=left, at_least=at_least)
    assert runs.tags == tags


def test_the_console_says_what_a_policy_announces(reporter: RunReporter, runs: Runs) -> None:
    due = datetime(2026, 12, 5, tzinfo=UTC)
    reporter.outcome(
        TaskOutcome(TaskId("b" * 32), "exp", "lab", "p", Verdict.NOTICED, policy="playground", stage=Stage.DELETE, due=due)
    )
    reporter.outcome(TaskOutcome(TaskId("c" * 32), "old", "lab", "p", Verdict.DELETED))
    finish(reporter)
    assert f"noticed {'b' * 32} lab/exp" in runs.console
    assert "lab/exp (delete from 2026-12-05 on; policy playground)\n" in runs.console
    assert f"deleted {'c' * 32} lab/old\n" in runs.console


def test_the_console_says_how_many_tasks_are_expected_and_how_many_were_selected(reporter: RunReporter, runs: Runs) -> None:
    reporter.expected(1200)
    reporter.selected(1)
    finish(reporter)
    assert runs.console.index("about 1,200 tasks to look at\n") < runs.console.index("1 task selected\n")


def test_the_console_does_not_guess_what_nobody_knows(reporter: RunReporter, runs: Runs) -> None:
    reporter.expected(None)
    finish(reporter)
    assert "to look at" not in runs.console
    assert "selected" not in runs.console
