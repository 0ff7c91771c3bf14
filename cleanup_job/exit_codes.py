"""Exit codes and the reasons why a pass ended early, each with its text.

The values are part of the interface: scripts and the chart's `podFailurePolicy` rely on the codes, and the log's schema lists
the reasons.
"""

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """The exit code of a command."""

    DONE = 0
    UNEXPECTED = 1
    REFUSED = 2
    IN_PART = 3
    UNREACHABLE = 4
    LEASE_HELD = 5
    LEASE_LOST = 6
    RUN_BEFORE_NOT_DONE = 7
    SIGINT = 130
    SIGTERM = 143

    @property
    def text(self) -> str:
        """The meaning in words."""
        return _MEANINGS[self]


class StopReason(StrEnum):
    """Why a pass ended before it had looked at all tasks."""

    MAX_TASKS = "max_tasks"
    DEADLINE = "deadline"
    SIGTERM = "SIGTERM"
    SIGINT = "SIGINT"
    ABORTED = "aborted"
    LEASE = "lease"
    OUTPUT = "output"
    UNREACHABLE = "unreachable"
    AUDIT = "audit"

    @property
    def text(self) -> str:
        """The reason in words."""
        return _REASONS[self]

    @property
    def exit_code(self) -> ExitCode | None:
        """The exit code of a pass that ended for this reason, or None if the outcome up to then decides."""
        return _CODES.get(self)


_MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.UNEXPECTED: "unexpected error",
    ExitCode.REFUSED: "wrong settings or credentials, or refused",
    ExitCode.IN_PART: "done in part: the next pass continues with the rest",
    ExitCode.UNREACHABLE: "server unreachable, or the audit log could not be written",
    ExitCode.LEASE_HELD: "another pass held the lease for the whole wait",
    ExitCode.LEASE_LOST: "the lease was lost during the pass",
    ExitCode.RUN_BEFORE_NOT_DONE: "the run that an agent was given before did not do its whole pass",
    ExitCode.SIGINT: "stopped by SIGINT after the batches in progress",
    ExitCode.SIGTERM: "stopped by SIGTERM after the batches in progress",
}
_REASONS = {
    StopReason.MAX_TASKS: "the limit of CLEANUP_MAX_TASKS was reached",
    StopReason.DEADLINE: "the time limit of CLEANUP_DEADLINE_SECONDS was reached",
    StopReason.SIGTERM: "the pass was stopped by SIGTERM",
    StopReason.SIGINT: "the pass was stopped by SIGINT",
    StopReason.ABORTED: "the run was aborted in ClearML",
    StopReason.LEASE: "the pass lost its lease, and another one may have begun",
    StopReason.OUTPUT: "the output could not be written",
    StopReason.UNREACHABLE: "the server could not be reached",
    StopReason.AUDIT: "the audit log could not be written",
}
_CODES = {
    StopReason.SIGTERM: ExitCode.SIGTERM,
    StopReason.SIGINT: ExitCode.SIGINT,
    StopReason.ABORTED: ExitCode.SIGTERM,
    StopReason.LEASE: ExitCode.LEASE_LOST,
    StopReason.OUTPUT: ExitCode.UNEXPECTED,
}

DID_WELL = frozenset({ExitCode.IN_PART, ExitCode.SIGINT, ExitCode.SIGTERM})
"""Exit codes of a pass that did not finish, but what it did was right."""
BY_REQUEST = frozenset({StopReason.SIGTERM, StopReason.SIGINT, StopReason.ABORTED})
"""Someone asked the pass to stop: it is not a failure."""


def is_failure(code: int) -> bool:
    """Whether someone should look at a run with this exit code: not one that was asked to stop, as when a node is drained."""
    return code not in {ExitCode.DONE, ExitCode.SIGINT, ExitCode.SIGTERM}


def meaning(code: int) -> str:
    """An exit code in words. A container may end with a code that is not ours, for example 137."""
    return next((known.text for known in ExitCode if known == code), "unknown")
