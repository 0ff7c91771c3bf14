"""A pass as a Kubernetes Event: its type, its reason, and a message short enough for Kubernetes to take."""

from dataclasses import dataclass
from typing import Literal

from cleanup_job.exit_codes import DID_WELL
from cleanup_job.planning.outcome import Report
from cleanup_job.report.words import by_weight, headline, left_over, plain

MESSAGE_BYTES = 1024
"""What Kubernetes takes of an Event's message."""
REASONS_NAMED = 5
"""The log and the report name every one, in words."""


@dataclass(frozen=True, slots=True)
class Event:
    """What `kubectl describe cronjob` shows of a pass."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def of_report(report: Report, pod: str) -> Event:
    """The Event of a pass; ``pod`` is where its log is."""
    parts = [report.error.rstrip(".") + "."] if report.error else []
    if not report.error or report.reasons or report.total().tasks:
        parts.append(headline(report))
    if reasons := [f"{entry.reason.value} {entry.count:,}" for entry in by_weight(report)[:REASONS_NAMED]]:
        parts.append(f"Reasons: {', '.join(reasons)}.")
    if report.left:
        parts.append(f"{left_over(report.left, report.stopped_by)}.")
    elif report.stopped_by:
        parts.append(f"It ended early: {report.stopped_by.text}.")
    done = report.exit_code == 0
    name = "DryRun" if report.dry_run else "Cleanup"
    ending = "Completed" if done else "Incomplete" if report.exit_code in DID_WELL else "Failed"
    return Event("Normal" if done else "Warning", name + ending, _message(" ".join(parts), pod))


def of_error(error: str, pod: str) -> Event:
    """The Event of a pass that has no report: it never began, or nobody thought of what happened."""
    return Event("Warning", "CleanupFailed", _message(error, pod))


def _message(text: str, pod: str) -> str:
    end = f" (pod {pod})"
    room = MESSAGE_BYTES - len(end.encode())
    whole = plain(text)
    if len(whole.encode()) > room:
        whole = whole.encode()[: room - len("…".encode())].decode(errors="ignore") + "…"
    return whole + end
