"""How a pass is asked to end, from wherever that is known."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cleanup_job.errors import LeaseLostError, StoppedError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes.in_hand import InHand

PATIENCE = 5.0
"""Seconds for which requests on their way are waited for when a pass has to end at once."""


@dataclass(slots=True)
class Stop:
    """Asks a pass to end after the batches in progress. Signals and several threads may ask."""

    reason: StopReason | None = None
    """Why it is to end; None while it may continue."""
    holds_lease: Callable[[], bool] = field(default=lambda: True)
    """Whether no other pass can have begun by now."""
    lost: str = "The lease was lost: another pass may have begun, so this one deletes nothing more."
    """How it lost its lease, if it did."""
    in_hand: InHand = field(default_factory=InHand)
    """The batches in progress."""
    _interrupted: bool = False
    """Whether someone who watches it asked."""
    _insisted: float | None = None
    """When that was asked again."""

    def ask(self, reason: StopReason) -> None:
        """Ask it to end. The first reason counts; of two at the same moment, either."""
        self.reason = self.reason or reason

    def interrupt(self) -> None:
        """Ask it to end for someone who waits: nothing begins to be deleted from now on, even if it is planned."""
        self._interrupted = True
        self.ask(StopReason.SIGINT)

    def insist(self) -> None:
        """Ask it once more: no request that deletes is sent from now on, and what is on its way is waited for only briefly."""
        self._insisted = self._insisted or time.monotonic()

    def patience(self) -> float | None:
        """Seconds for which batches in progress are still waited for; None as long as no one insists."""
        return None if self._insisted is None else max(0.0, self._insisted + PATIENCE - time.monotonic())

    def go_on(self) -> None:
        """Called before a few tasks are planned, and before their deletion begins: who presses Ctrl-C waits for neither.

        Raises:
            StoppedError: it was interrupted.
        """
        if self._interrupted:
            raise StoppedError(StopReason.SIGINT.text)

    def before_deletion(self) -> None:
        """Called before each request that deletes: a pass that lost its lease, or has to end at once, sends no more of them.

        Raises:
            LeaseLostError: the lease was lost.
            StoppedError: it has to end at once.
        """
        if self._insisted is not None:
            raise StoppedError(StopReason.SIGINT.text)
        if not self.holds_lease():
            self.ask(StopReason.LEASE)
            raise LeaseLostError(self.lost)
