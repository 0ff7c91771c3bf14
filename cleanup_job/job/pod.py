"""What a run exchanges with Kubernetes: signals, the lease, the termination message and an Event."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Any

from cleanup_job.errors import SettingsError
from cleanup_job.exit_codes import ExitCode, StopReason
from cleanup_job.passes.scheduler import LISTENS
from cleanup_job.passes.stop import PATIENCE, Stop
from cleanup_job.redaction import redacted
from cleanup_job.report import k8s_event
from cleanup_job.report.termination_message import MOST_BYTES
from cleanup_job.settings.model import Settings

NAME = socket.gethostname()
"""The pod's name; outside a pod, the machine's."""
SHOW_CURSOR = b"\x1b[?25h\n"
"""What a terminal needs whose progress bar has no time to end."""
TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads a container's termination message; it creates the file."""


@contextmanager
def signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT end the run after the batches in progress; a second one ends it at once."""

    def ask(number: int, _: FrameType | None) -> None:
        stop.ask(StopReason(signal.Signals(number).name))
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts(stop: Stop, told: Callable[[], None], late: Callable[[], None]) -> Iterator[None]:
    """As ``signals``, for a run that someone watches: it says at once what Ctrl-C does, and a second one still reports.

    The first one ends the run after what is being deleted at the moment; the second one ends it as soon as requests on their
    way have returned, or are not waited for any longer; a third one ends the process.

    Args:
        stop: Ends the run.
        told: Called after each of the first two, in another thread: a handler may not print.
        late: Called, in that thread, if the run has not ended soon after the second one.
    """
    reads, writes = os.pipe()
    ended = Event()
    pressed = 0

    def press(*_: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 2:  # noqa: PLR2004 -- a third time
            with suppress(OSError):
                os.write(1, SHOW_CURSOR)
            os._exit(ExitCode.SIGINT)
        if pressed == 1:
            stop.interrupt()
        else:
            stop.insist()
        os.write(writes, b"!")

    def tell() -> None:
        while os.read(reads, 1):
            told()
            if stop.patience() is not None and not ended.wait(PATIENCE + LISTENS):
                late()

    teller = Thread(target=tell, name="interrupts", daemon=True)
    with signals(stop):
        signal.signal(signal.SIGINT, press)
        teller.start()
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # no one reads any more
            ended.set()
            os.close(writes)
            teller.join(LISTENS)
            os.close(reads)


def lease(settings: Settings, stop: Stop, warn: Callable[[str], None]) -> Any:
    """Hold the lease that keeps two passes from running at once. Without a lease in the settings, hold nothing.

    Raises:
        LeaseHeldError: another pass held it for the whole wait, or the run was stopped while it waited.
        SettingsError: the pass has several pods, and it is not known which Job they belong to.
    """
    if settings.cluster.lease is None:
        return nullcontext()
    from cleanup_job.cluster.lease import hold  # noqa: PLC0415 -- kubernetes is slow to import
    from cleanup_job.cluster.lease_record import Part  # noqa: PLC0415 -- as above

    part = None
    if settings.run.shards > 1:
        part = Part(_whole_pass(settings), settings.run.shard or 0)

    def lost(reason: str) -> None:
        stop.lost = reason
        stop.ask(StopReason.LEASE)
        warn(reason)

    return hold(
        settings.cluster.lease,
        settings.cluster.lease_namespace,
        part=part,
        wait=settings.cluster.lease_wait_seconds,
        on_wait=warn,
        stopped=lambda: bool(stop.reason),
        on_lost=lost,
    )


def _whole_pass(settings: Settings) -> str:
    """The pass that this pod shares with the others of its Job. Another Job is another pass, even one of the same name."""
    job, shards = settings.cluster.job, settings.run.shards
    if job is None:
        raise SettingsError(
            f"CLEANUP_SHARDS={shards} and CLEANUP_LEASE={settings.cluster.lease}, but CLEANUP_JOB is not set: only pods of the "
            "same Job may hold the Lease at the same time. Set it to the Job's name in each pod, as the Helm chart does."
        )
    return "_".join(filter(None, (job, f"{shards}-shards", settings.cluster.job_uid)))


def write_termination_message(text: str) -> None:
    """Write what Kubernetes shows of a container that has ended."""
    if TERMINATION_LOG.exists():
        with suppress(OSError):  # a disk may be full
            TERMINATION_LOG.write_bytes(redacted(text).encode()[:MOST_BYTES])


def leave_event(cronjob: str | None, namespace: str | None, what: k8s_event.Event, warn: Callable[[str], None]) -> None:
    """Leave an Event on the CronJob, if there is one. A failure to do so is only a warning."""
    if not cronjob:
        return
    from cleanup_job.cluster.k8s_events import EventError, leave  # noqa: PLC0415 -- kubernetes is slow to import

    try:
        leave(cronjob, namespace, kind=what.type, reason=what.reason, message=what.message, pod=NAME)
    except EventError as error:
        warn(str(error))


def tell_of_killed(settings: Settings, warn: Callable[[str], None], debug: Callable[[str], None]) -> None:
    """Warn of passes before this one that Kubernetes ended, and leave an Event for each on the CronJob, if there is one."""
    if not settings.cluster.cronjob:
        return
    from cleanup_job.cluster.killed_passes import UntoldError, tell  # noqa: PLC0415 -- kubernetes is slow to import

    try:
        texts = tell(settings.cluster.cronjob, settings.cluster.lease_namespace, NAME, settings.run.shard or 0)
    except UntoldError as error:
        debug(str(error))
        return
    for text in texts:
        warn(text)


def explain_failure(error: str, warn: Callable[[str], None]) -> None:
    """Tell Kubernetes why no pass ran. There is no report, and there may be no settings."""
    write_termination_message(f"error: {error}")
    cronjob, namespace = (os.environ.get(name) for name in ("CLEANUP_CRONJOB", "CLEANUP_LEASE_NAMESPACE"))
    leave_event(cronjob, namespace or None, k8s_event.of_error(error, NAME), warn)
