"""One pass at a time: each holds a Lease of the cluster while it runs."""

import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from cleanup_job.cluster.lease_api import KubernetesLeases, LeaseApi, LeaseChangedError, LeaseRecord
from cleanup_job.cluster.retrying import until_answered
from cleanup_job.errors import LeaseHeldError, LeaseLostError, UnreachableError

# Fractions of the Lease's duration. A renewal is two requests: one that hangs still leaves time to stop before it expires.
_RENEW_EVERY = 1 / 3
_RETRY_AFTER = 1 / 12
_REQUEST = 1 / 8
_SECOND_LOOK = 1 / 2  # longer than a live holder takes to renew
_ACQUIRE_PAUSES = (1.0, 2.0, 4.0)
_LOOK_AGAIN = 2.0
"""Seconds between two looks at a Lease that another pass holds."""
_NOTICE = 0.2
"""Seconds within which a wait notices that it should end."""


@contextmanager
def hold(  # noqa: PLR0913 -- all but the name have defaults, or are required by name
    name: str,
    namespace: str | None = None,
    *,
    duration: float = 60.0,
    identity: str | None = None,
    wait: float = 0.0,
    on_wait: Callable[[str], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
    on_lost: Callable[[str], None],
    api: LeaseApi | None = None,
) -> Iterator["LeaseGuard"]:
    """Hold the Lease while the body runs; gives the guard, which knows whether the Lease is still held.

    Raises `LeaseHeldError` if another pass holds it for all of `wait` seconds, or until `stopped` is true; `on_wait` is called
    once, with the holder's name. `on_lost` is called at most once, from another thread, when the Lease can no longer be relied
    on: the body should end then. A holder that is killed before it can release the Lease blocks the next one for one and a half
    times `duration` seconds.
    """
    guard = LeaseGuard(api or KubernetesLeases(duration * _REQUEST), name, namespace, identity=identity, duration=duration)
    guard.wait(wait, on_wait, stopped)
    over = threading.Event()

    def lost(reason: str) -> None:
        if not over.is_set():
            on_lost(reason)

    keeper = threading.Thread(target=guard.keep, args=(over.wait, lost), name="lease", daemon=True)
    keeper.start()
    try:
        yield guard
    finally:
        over.set()
        keeper.join(duration)
        # A renewal that hangs could take the Lease again after its release, so in that case it is left to expire.
        if not keeper.is_alive():
            guard.release()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LeaseGuard:
    """One holder of the Lease, without the thread that renews it."""

    def __init__(  # noqa: PLR0913 -- tests set the clocks
        self,
        api: LeaseApi,
        name: str,
        namespace: str | None = None,
        *,
        duration: float,
        identity: str | None = None,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Sends no request yet."""
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._api = api
        self._name = name
        self._namespace = namespace or api.namespace
        self._duration = duration
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._renewed = -math.inf
        self._lost = False
        self._stopped: Callable[[], bool] = lambda: False
        self._say: Callable[[str], None] = lambda _: None

    def is_safe(self) -> bool:
        """Whether no other pass can hold the Lease now: it was not lost, and the last renewal is younger than its duration."""
        return not self._lost and self._monotonic() < self._renewed + self._duration

    def wait(self, seconds: float, on_wait: Callable[[str], None], stopped: Callable[[], bool]) -> None:
        """Take the Lease as soon as it is free or its holder is dead; raise `LeaseHeldError` after so many seconds.

        `on_wait` is called once, with the reason. When `stopped` becomes true, the wait ends at once with the same error.
        """
        deadline = self._monotonic() + seconds
        told: list[str] = []

        def say(text: str) -> None:
            if not told:
                told.append(text)
                on_wait(text)

        self._stopped, self._say = stopped, say
        while True:
            try:
                return self.acquire()
            except LeaseHeldError as held:
                left = deadline - self._monotonic()
                if left <= 0 or stopped():
                    raise
                say(f"waiting up to {seconds:.0f} s (CLEANUP_LEASE_WAIT_SECONDS): {held}")
                self._pause(min(left, _LOOK_AGAIN))

    def _pause(self, seconds: float) -> None:
        """Sleep, but end when `stopped` becomes true: a signal alone does not end `sleep`."""
        left = seconds
        while left > 0 and not self._stopped():
            self._sleep(min(left, _NOTICE))
            left -= _NOTICE
        if self._stopped():
            raise LeaseHeldError(f"Stopped while waiting for the Lease {self._name} in namespace {self._namespace}.")

    def acquire(self) -> None:
        """Take the Lease if it is free or its holder is dead; otherwise raise `LeaseHeldError`."""
        until_answered(self._acquire, lambda error: isinstance(error, UnreachableError), _ACQUIRE_PAUSES, self._pause)

    def _acquire(self) -> None:
        try:
            lease = self._read_or_make()
            # It is ours already if an earlier try succeeded and only its answer was lost.
            if lease.holder not in ("", self.identity):
                if not lease.expired(self._now()):
                    raise self._held_by(lease)
                # Expired by this node's clock, which may be wrong. A live holder renews the Lease during the wait, independent
                # of its own clock, and `replace` then fails because `lease` is older.
                look = lease.duration * _SECOND_LOOK
                self._say(
                    f"the Lease {self._name} in namespace {self._namespace} expired and was not released by {lease.holder}; "
                    f"taking it over in {look:.0f} s, unless it is renewed by then"
                )
                self._pause(look)
            taken = replace(lease, holder=self.identity, acquired=self._now(), transitions=lease.transitions + 1)
            self._write(taken)
        except LeaseChangedError:
            raise self._held_by(self._api.get(self._namespace, self._name)) from None

    def _read_or_make(self) -> LeaseRecord:
        lease = self._api.get(self._namespace, self._name)
        if lease is None:
            # Created free and then taken like any other: a missing right to update shows now, not at the first renewal.
            with suppress(LeaseChangedError):
                self._api.create(self._namespace, self._name, LeaseRecord("", None, None, self._duration))
            lease = self._api.get(self._namespace, self._name)
        if lease is None:
            raise LeaseChangedError
        return lease

    def _write(self, lease: LeaseRecord) -> None:
        began = self._monotonic()
        self._api.replace(self._namespace, self._name, replace(lease, renewed=self._now(), duration=self._duration))
        self._renewed = began

    def _held_by(self, lease: LeaseRecord | None) -> LeaseHeldError:
        where = f"the Lease {self._name} in namespace {self._namespace}"
        if lease is None or not lease.holder:
            return LeaseHeldError(f"Another pass took {where} at the same moment and has ended. Run this one again.")
        since = f" since {lease.acquired:%Y-%m-%d %H:%M:%S %Z}" if lease.acquired else ""
        renewed = f", renewed {(self._now() - lease.renewed).total_seconds():.0f} s ago" if lease.renewed else ""
        wait = f"wait {lease.duration * (1 + _SECOND_LOOK):.0f} s, or " if lease.renewed and lease.duration else ""
        return LeaseHeldError(
            f"Another pass, {lease.holder}, holds {where}{since}{renewed}. Wait until it has ended; if you know that it is "
            f"dead, {wait}free it: kubectl patch lease {self._name} --namespace {self._namespace} --type merge "
            """--patch '{"spec":{"holderIdentity":null}}'"""
        )

    def keep(self, stopped: Callable[[float], bool], on_lost: Callable[[str], None]) -> None:
        """Renew until `stopped(seconds to wait)` is true, or until the Lease is lost: then call `on_lost` once."""
        pause = self._duration * _RENEW_EVERY
        while not stopped(pause):
            try:
                self._renew()
                pause = self._duration * _RENEW_EVERY
            except LeaseLostError as taken:
                self._lost = True
                return on_lost(str(taken))
            except Exception as error:  # noqa: BLE001 -- of any kind: without a renewal the Lease is lost
                pause = self._duration * _RETRY_AFTER
                # The last moment: another try could end after another pass may take over.
                if self._monotonic() + pause + self._duration * _REQUEST * 2 >= self._renewed + self._duration:
                    self._lost = True
                    return on_lost(
                        f"The Lease {self._name} in namespace {self._namespace} could not be renewed in time, and another "
                        f"pass may start; this one deletes nothing more. The last try: {error}"
                    )
        return None

    def _renew(self) -> None:
        lease = self._api.get(self._namespace, self._name)
        if lease is None or lease.holder != self.identity:
            what = "was deleted" if lease is None else f"is held by {lease.holder}" if lease.holder else "was released"
            raise LeaseLostError(
                f"The Lease {self._name} in namespace {self._namespace} {what} while this pass held it: "
                "this one deletes nothing more."
            )
        self._write(lease)

    def release(self) -> None:
        """Free the Lease if it is still ours. If that fails, it expires."""
        with suppress(Exception):
            lease = self._api.get(self._namespace, self._name)
            if lease is not None and lease.holder == self.identity:
                self._write(replace(lease, holder=""))
