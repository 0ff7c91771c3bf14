"""What a run owes to Kubernetes, whatever it does: it listens to signals, holds the lease, and leaves its last words."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from cleanup_job.cli.streams import watched
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes.cleanup import Stop
from cleanup_job.redaction import redacted
from cleanup_job.report.termination_message import MOST_BYTES
from cleanup_job.settings.model import Settings

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads a container's last words; it makes the file."""


@contextmanager
def signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT end the pass after the batches in progress; a second one ends it at once.

    So does an output that takes nothing any more.
    """

    def ask(number: int, _: FrameType | None) -> None:
        stop.reason = stop.reason or StopReason(signal.Signals(number).name)
        signal.signal(number, signal.SIG_DFL)

    def no_output() -> None:
        stop.reason = stop.reason or StopReason.OUTPUT

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with watched(no_output):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def lease(settings: Settings, stop: Stop, warn: Callable[[str], None]) -> Any:
    """The one-pass-at-a-time guard, where there is one."""
    if settings.cluster.lease is None:
        return nullcontext()
    from cleanup_job.cluster.lease import hold  # noqa: PLC0415 -- kubernetes is slow to import

    def lost(reason: str) -> None:
        stop.lost = reason
        stop.reason = stop.reason or StopReason.LEASE
        warn(reason)

    return hold(
        settings.cluster.lease if settings.run.shards == 1 else f"{settings.cluster.lease}-{settings.run.shard}",
        settings.cluster.lease_namespace,
        wait=settings.cluster.lease_wait_seconds,
        on_wait=warn,
        stopped=lambda: bool(stop.reason),
        on_lost=lost,
    )


def last_words(text: str) -> None:
    """What Kubernetes shows of a container that ended."""
    if TERMINATION_LOG.exists():
        with suppress(OSError):  # a disk may be full
            TERMINATION_LOG.write_bytes(redacted(text).encode()[:MOST_BYTES])
