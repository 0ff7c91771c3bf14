"""A pass as a Kubernetes Event: its type, its reason, and a message short enough for Kubernetes to accept."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cleanup_job.exit_codes import DID_WELL
from cleanup_job.planning.outcome import Report
from cleanup_job.report.formatting import plain
from cleanup_job.report.phrases import by_weight, headline, left_over

MESSAGE_BYTES = 1024
"""The longest message that Kubernetes accepts."""
REASONS_NAMED = 5
"""Reasons in a message; the log and the report name all of them."""


@dataclass(frozen=True, slots=True)
class Event:
    """What `kubectl describe cronjob` shows of a pass."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def of_report(report: Report, pod: str) -> Event:
    """The Event of a pass; ``pod`` is where its log is."""
    done = report.exit_code == 0
    name = "DryRun" if report.dry_run else "Cleanup"
    ending = "Completed" if done else "Incomplete" if report.exit_code in DID_WELL else "Failed"
    return Event("Normal" if done else "Warning", name + ending, _message(" ".join(_sentences(report)), pod))


def _sentences(report: Report) -> Iterator[str]:
    if report.error:
        yield report.error.rstrip(".") + "."
    if not report.error or report.reasons or report.stages or report.total().tasks:
        yield headline(report)
    if report.reasons:
        yield f"Reasons: {', '.join(f'{entry.reason.value} {entry.count:,}' for entry in by_weight(report)[:REASONS_NAMED])}."
    if report.unfinished:
        yield f"{left_over(report.left, report.stopped_by, at_least=report.left_is_least)}."
    elif report.stopped_by:
        yield f"It ended early: {report.stopped_by.text}."


def of_error(error: str, pod: str) -> Event:
    """The Event of a pass that has no report, because it did not begin or ended in an unexpected error."""
    return Event("Warning", "CleanupFailed", _message(error, pod))


def of_run_before(text: str, pod: str) -> Event:
    """The Event of a run that an agent was given and that did not do its whole pass; ``pod`` is of the Job that tells."""
    return Event("Warning", "AgentRunNotDone", _message(text, pod))


def of_killed(text: str, pod: str) -> Event:
    """The Event for a pass before this one, which Kubernetes ended; ``pod`` is the one that noticed it."""
    return Event("Warning", "PassKilled", _message(text, pod))


def _message(text: str, pod: str) -> str:
    end = f" (pod {pod})"
    limit = MESSAGE_BYTES - len(end.encode())
    whole = plain(text)
    if len(whole.encode()) > limit:
        whole = whole.encode()[: limit - len("…".encode())].decode(errors="ignore") + "…"
    return whole + end
