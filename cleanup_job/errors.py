"""The errors that can end a run, each with its exit code.

An error names its cause, the setting or task it concerns, and the way out. Only the command line prints it and exits.
"""

from typing import ClassVar

from cleanup_job.exit_codes import ExitCode

_PROJECT_EXISTS = 801
"""ClearML's subcode for a project whose name is taken (recording ``state_create_projects``)."""


class CleanupError(Exception):
    """Why a run ended. ``str()`` is the whole message for the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED


class SettingsError(CleanupError):
    """A setting or the credentials are wrong: trying again can't help."""

    exit_code = ExitCode.REFUSED


class RefusedError(CleanupError):
    """The pass found more than ``refuse_above`` allows, and deleted nothing."""

    exit_code = ExitCode.REFUSED


class UnreachableError(CleanupError):
    """ClearML Server or its fileserver gave no usable answer, even after retries."""

    exit_code = ExitCode.UNREACHABLE


class DownError(UnreachableError):
    """A server as a whole gives no usable answer, not only for some tasks."""


class AuditError(CleanupError):
    """A line of the audit log could not be written: what it was about is not deleted, and trying again may help."""

    exit_code = ExitCode.UNREACHABLE


class LeaseHeldError(CleanupError):
    """Another pass of this release holds the lease."""

    exit_code = ExitCode.LEASE_HELD


class LeaseLostError(LeaseHeldError):
    """This pass lost the lease, so another one may have begun. Trying again helps."""

    exit_code = ExitCode.LEASE_LOST


class StoppedError(CleanupError):
    """Someone asked the pass to stop: nothing that deletes is sent any more."""

    exit_code = ExitCode.SIGINT


class AnswerError(CleanupError):
    """ClearML Server refused a call, or its answer is not what its API promises."""

    def __init__(self, message: str, *, status: int = 0, subcode: int = 0) -> None:
        """``status`` and ``subcode`` are ClearML's ``meta.result_code`` and ``meta.result_subcode``, or 0."""
        super().__init__(message)
        self.status = status
        self.subcode = subcode

    @property
    def says_missing(self) -> bool:
        """Whether the server says that a task or model does not exist, or no longer does."""
        return (self.status, self.subcode) in {(400, 101), (400, 201)}

    @property
    def says_project_exists(self) -> bool:
        """Whether the server refused to create a project because there is one of this name, which the key may not see."""
        return self.subcode == _PROJECT_EXISTS


class LargeAnswerError(AnswerError):
    """An answer is larger than the caller accepts; the rest of it was not read."""


class ForeignAnswerError(AnswerError):
    """The answer is not from ClearML's API server, but from a login page, a proxy or another server: check the address."""

    exit_code = ExitCode.REFUSED
