"""Everything that can end a pass, each with the exit code that the CLI returns for it.

An error names its cause, the setting or task it concerns, and the way out; only the CLI turns it into text and an exit code.
"""

from typing import ClassVar

from cleanup_job.exit_codes import ExitCode


class CleanupError(Exception):
    """Why a pass ended. ``str()`` is the whole message for the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED


class SettingsError(CleanupError):
    """A setting, or the credentials, are wrong: trying again can't help."""

    exit_code = ExitCode.REFUSED


class RefusedError(CleanupError):
    """The pass found more than ``refuse_above`` allows, and deleted nothing."""

    exit_code = ExitCode.REFUSED


class UnreachableError(CleanupError):
    """ClearML Server or its fileserver gave no usable answer, retries included."""

    exit_code = ExitCode.UNREACHABLE


class DownError(UnreachableError):
    """The same of a server as a whole: the trouble is not that of some tasks."""


class LeaseHeldError(CleanupError):
    """Another pass of this release holds the lease."""

    exit_code = ExitCode.LEASE_HELD


class LeaseLostError(LeaseHeldError):
    """This pass held the lease, and lost it: another one may have begun. Trying again helps."""

    exit_code = ExitCode.LEASE_LOST


class AnswerError(CleanupError):
    """ClearML Server refused a call, or its answer is not what its API promises."""

    def __init__(self, message: str, *, status: int = 0, subcode: int = 0) -> None:
        """``status`` and ``subcode`` are ClearML's (``meta.result_code``, ``meta.result_subcode``); 0 where there is none."""
        super().__init__(message)
        self.status = status
        self.subcode = subcode

    @property
    def says_missing(self) -> bool:
        """Whether this is the server's word for one task, or one model, that does not exist (any more)."""
        return (self.status, self.subcode) in {(400, 101), (400, 201)}


class LargeAnswerError(AnswerError):
    """An answer is larger than the caller can take; the server was not heard to its end."""


class ForeignAnswerError(AnswerError):
    """What answered is not ClearML's API server: a login page, a proxy, another server. The address is wrong if it lasts."""

    exit_code = ExitCode.REFUSED
