"""A pass as a Kubernetes Event."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report.k8s_event import MESSAGE_BYTES, Event, of_error, of_report

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def report(exit_code: int = 0, *, dry_run: bool = False, stopped_by: StopReason | None = None, error: str = "") -> Report:
    made = Report("1", dry_run, NOW, NOW, stopped_by=stopped_by, exit_code=exit_code, error=error)
    made.add(TaskOutcome(TaskId("a" * 32), "t", "p", "p1", Verdict.DELETED, models=2, files=3))
    return made


@pytest.mark.parametrize(
    ("exit_code", "dry_run", "kind", "reason"),
    [
        (0, False, "Normal", "CleanupCompleted"),
        (0, True, "Normal", "DryRunCompleted"),
        (3, False, "Warning", "CleanupIncomplete"),
        (143, False, "Warning", "CleanupIncomplete"),
        (3, True, "Warning", "DryRunIncomplete"),
        (4, False, "Warning", "CleanupFailed"),
        (6, False, "Warning", "CleanupFailed"),
    ],
)
def test_type_and_reason_follow_the_exit_code(exit_code: int, dry_run: bool, kind: str, reason: str) -> None:
    event = of_report(report(exit_code, dry_run=dry_run), "pod-1")
    assert (event.type, event.reason) == (kind, reason)


def test_it_says_what_was_done_what_was_not_and_where_the_log_is() -> None:
    made = report(3, stopped_by=StopReason.DEADLINE)
    made.left = 7
    for verdict, reason in ((Verdict.FAILED, Reason.FILE_ERROR), (Verdict.KEPT, Reason.IN_USE)):
        made.add(TaskOutcome(TaskId("b" * 32), "t", "p", "p1", verdict, reason))
    message = of_report(made, "pod-1").message
    assert message.startswith(
        "Deleted 1 task, 2 models and 3 files; 1 kept, 1 failed. Reasons: file_error 1, in_use 1. 7 tasks"
    )
    assert message.endswith(" (pod pod-1)")


def test_an_error_is_the_message() -> None:
    nothing = Report("1", False, NOW, NOW, exit_code=2, error="CLEARML_API_ACCESS_KEY is wrong")
    event = of_report(nothing, "pod-1")
    assert (event.type, event.reason, event.message) == (
        "Warning",
        "CleanupFailed",
        "CLEARML_API_ACCESS_KEY is wrong. (pod pod-1)",
    )
    assert of_error("wrong", "pod-1") == Event("Warning", "CleanupFailed", "wrong (pod pod-1)")


def test_after_an_error_it_says_what_was_done_before_it() -> None:
    event = of_report(report(4, error="The server is gone."), "pod-1")
    assert event.message == "The server is gone. Deleted 1 task, 2 models and 3 files. (pod pod-1)"
    assert of_report(report(2, dry_run=True, error="Too many."), "pod-1").reason == "DryRunFailed"


def test_a_pass_that_was_stopped_before_it_began_says_so() -> None:
    stopped = Report("1", False, NOW, NOW, exit_code=143, stopped_by=StopReason.SIGTERM)
    assert "It ended early: the pass was stopped by SIGTERM." in of_report(stopped, "pod-1").message


@example("ä" * 3000)
@example("x" * 1020)
@given(st.text(max_size=3000))
def test_kubernetes_takes_every_message(text: str) -> None:
    message = of_error(text, "pod-1").message
    assert len(message.encode()) <= MESSAGE_BYTES
    assert message.endswith("(pod pod-1)")
    assert "\n" not in message
