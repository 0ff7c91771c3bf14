"""One pass at a time: each holds a Lease of the cluster while it runs."""

import math
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from cleanup_job.cluster.lease_api import ForbiddenError, KubernetesLeases, LeaseApi, LeaseChangedError, RefusedError
from cleanup_job.cluster.lease_record import Claim, Holder, LeaseRecord, Part
from cleanup_job.cluster.retrying import until_answered
from cleanup_job.errors import LeaseHeldError, LeaseLostError, UnreachableError

# Fractions of the Lease's duration. A renewal is two requests: one that hangs still leaves time to stop before it expires.
_RENEW_EVERY = 1 / 3
_RETRY_AFTER = 1 / 12
_REQUEST = 1 / 8
_ACQUIRE_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between two tries while the API server does not answer, or refuses as it does while it starts."""
_LOOK_AGAIN = 2.0
"""Seconds between two looks at a Lease that another pass holds."""
_NOTICE = 0.2
"""Seconds within which a wait notices that it should end."""
_RELEASES = 8
"""Tries to let go of a Lease that other pods of the same pass write at the same time."""


@contextmanager
def hold(  # noqa: PLR0913 -- all but the name have defaults, or are required by name
    name: str,
    namespace: str | None = None,
    *,
    duration: float = 60.0,
    part: Part | None = None,
    wait: float = 0.0,
    on_wait: Callable[[str], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
    on_lost: Callable[[str], None],
    api: LeaseApi | None = None,
) -> Iterator["LeaseGuard"]:
    """Hold the Lease while the body runs; gives the guard, which knows whether the Lease is still held.

    With `part`, other pods hold it too that have another shard of the same pass. Raises `LeaseHeldError` if another pass holds
    it for all of `wait` seconds, or until `stopped` is true; `on_wait` is called once, with the holder's name. `on_lost` is
    called at most once, from another thread, when the Lease can no longer be relied on: the body should end then. A holder that
    is killed before it can release the Lease blocks the next one for `duration` seconds from when that one first sees it.
    """
    guard = LeaseGuard(api or KubernetesLeases(duration * _REQUEST), name, namespace, part=part, duration=duration)
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


def _may_pass(error: Exception) -> bool:
    return isinstance(error, UnreachableError | RefusedError)


class LeaseGuard:
    """One holder of the Lease, without the thread that renews it.

    What another holder may still do is judged by this process's monotonic clock alone: a record that did not change for its
    duration, while this process watched it, is that of a dead holder. Times in the record are other machines' clocks.
    """

    def __init__(  # noqa: PLR0913 -- tests set the clocks
        self,
        api: LeaseApi,
        name: str,
        namespace: str | None = None,
        *,
        duration: float,
        identity: str | None = None,
        part: Part | None = None,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Sends no request yet."""
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._me = Holder(self.identity, part)
        self._api = api
        self._name = name
        self._namespace = namespace or api.namespace
        self._lease = f"the Lease {self._name} in namespace {self._namespace}"
        self._duration = duration
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._renewed = -math.inf
        self._lost = False
        self._rival: Claim | None = None
        self._rival_since = -math.inf
        self._rival_lives = False
        self._alone_from = -math.inf
        self._stopped: Callable[[], bool] = lambda: False
        self._say: Callable[[str], None] = lambda _: None

    def is_safe(self) -> bool:
        """Whether no other pass can hold the Lease now: it was not lost, and the last renewal is younger than its duration."""
        return not self._lost and self._monotonic() < self._renewed + self._duration

    # -- to get it
    def wait(
        self, seconds: float, on_wait: Callable[[str], None] = lambda _: None, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Take the Lease as soon as it is free or its holder is dead; raise `LeaseHeldError` after so many seconds.

        `on_wait` is called once, with the reason. When `stopped` becomes true, the wait ends at once with the same error. It
        takes longer than `seconds` where the holder may be dead: as long as it takes to know.
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
                return until_answered(self._take, _may_pass, _ACQUIRE_PAUSES, self._pause)
            except LeaseChangedError:
                self._pause(self._moment())
            except LeaseHeldError as held:
                left = deadline - self._monotonic()
                if stopped() or (left <= 0 and self._rival_seems_alive()):
                    raise
                say(self._why_it_waits(seconds, held))
                self._pause(min(left, _LOOK_AGAIN) if left > 0 else _LOOK_AGAIN)

    def _why_it_waits(self, seconds: float, held: LeaseHeldError) -> str:
        if self._rival is None or self._rival_seems_alive():
            return f"waiting up to {seconds:.0f} s (CLEANUP_LEASE_WAIT_SECONDS): {held}"
        return (
            f"{self._lease} was not released by {self._rival.holder}, which seems to be dead; taking it over in "
            f"{self._rival.duration:.0f} s, unless it is renewed by then"
        )

    def _rival_seems_alive(self) -> bool:
        return self._rival is not None and (self._rival_lives or self._rival.seems_alive(self._now()))

    @staticmethod
    def _moment() -> float:
        """Seconds until the next try after another client was faster: not the same for all, or they would meet again."""
        return random.uniform(0, _NOTICE)  # noqa: S311 -- no secret

    def _pause(self, seconds: float) -> None:
        """Sleep, but end when `stopped` becomes true: a signal alone does not end `sleep`."""
        left = seconds
        while left > 0 and not self._stopped():
            self._sleep(min(left, _NOTICE))
            left -= _NOTICE
        if self._stopped():
            raise LeaseHeldError(f"Stopped while waiting for {self._lease}.")

    def _take(self) -> None:
        """Take the Lease if it is free or its holder is dead.

        Raises:
            LeaseHeldError: another one holds it, who may be alive.
            LeaseChangedError: another client was faster.
        """
        lease = self._read_or_make()
        rival = self._me.rival(lease)
        if rival != self._rival:
            self._rival_lives = None not in {rival, self._rival}
            self._rival, self._rival_since = rival, self._monotonic()
        if rival and not (rival.duration and self._monotonic() >= self._rival_since + rival.duration):
            raise self._held_by(lease, rival)
        self._wait_until_alone()
        self._write(lease)

    def _read_or_make(self) -> LeaseRecord:
        lease = self._api.get(self._namespace, self._name)
        if lease is None:
            # Perhaps it was deleted while a pass held it, which that one notices within its duration.
            self._alone_from = self._monotonic() + self._duration
            made = Holder(self.identity).taken(LeaseRecord("", None, None, 0), self._now(), self._duration * 2)
            self._api.create(self._namespace, self._name, made)
            lease = self._api.get(self._namespace, self._name)
        if lease is None:
            raise LeaseChangedError
        return lease

    def _wait_until_alone(self) -> None:
        left = self._alone_from - self._monotonic()
        if left > 0:
            self._say(
                f"there was no Lease {self._name} in namespace {self._namespace}, so it was created; this pass begins in "
                f"{left:.0f} s, when one that held a deleted Lease would have ended"
            )
            self._pause(left)

    def _write(self, lease: LeaseRecord) -> None:
        began = self._monotonic()
        self._api.replace(self._namespace, self._name, self._me.taken(lease, self._now(), self._duration))
        self._renewed = began

    def _held_by(self, lease: LeaseRecord, rival: Claim) -> LeaseHeldError:
        since = f" since {lease.acquired:%Y-%m-%d %H:%M:%S %Z}" if lease.acquired else ""
        renewed = f", renewed {(self._now() - rival.renewed).total_seconds():.0f} s ago" if rival.renewed else ""
        wait = f"wait {rival.duration:.0f} s, or " if rival.duration else ""
        same = self._me.part is not None and lease.holder == self._me.name
        who = "Another pod of this shard" if same else "Another pass"
        return LeaseHeldError(
            f"{who}, {rival.holder}, holds {self._lease}{since}{renewed}. Wait until it has ended; if you know that it is "
            f"dead, {wait}free it: kubectl patch lease {self._name} --namespace {self._namespace} --type merge "
            """--patch '{"spec":{"holderIdentity":null}}'"""
        )

    # -- to keep it
    def keep(self, stopped: Callable[[float], bool], on_lost: Callable[[str], None]) -> None:
        """Renew until `stopped(seconds to wait)` is true, or until the Lease is lost: then call `on_lost` once."""
        pause = self._duration * _RENEW_EVERY
        while not stopped(pause):
            try:
                self._renew()
                pause = self._duration * _RENEW_EVERY
            except LeaseLostError as taken:
                return self._lose(str(taken), on_lost)
            except ForbiddenError as error:
                # Others may have been given another Lease in its place.
                return self._lose(f"The right to {self._lease} was taken away: nothing more is deleted. {error}", on_lost)
            except Exception as error:  # noqa: BLE001 -- of any kind: without a renewal the Lease is lost
                pause = self._moment() if isinstance(error, LeaseChangedError) else self._duration * _RETRY_AFTER
                # The last moment: another try could end after another pass may take over.
                if self._monotonic() + pause + self._duration * _REQUEST * 2 >= self._renewed + self._duration:
                    return self._lose(
                        f"The Lease {self._name} in namespace {self._namespace} could not be renewed in time, and another "
                        f"pass may start; this one deletes nothing more. The last try: {error}",
                        on_lost,
                    )
        return None

    def _lose(self, reason: str, on_lost: Callable[[str], None]) -> None:
        self._lost = True
        on_lost(reason)

    def _renew(self) -> None:
        lease = self._api.get(self._namespace, self._name)
        if lease is None or not self._me.holds(lease):
            raise LeaseLostError(
                f"The Lease {self._name} in namespace {self._namespace} {self._what_became_of(lease)} while this pass held it: "
                "this one deletes nothing more."
            )
        self._write(lease)

    def _what_became_of(self, lease: LeaseRecord | None) -> str:
        if lease is None:
            return "was deleted"
        rival = self._me.rival(lease)
        return f"is held by {rival.holder}" if rival else "was released"

    # -- to let it go
    def release(self) -> None:
        """Free the Lease, or leave it to the other pods of the pass, if it is still ours. If that fails, it expires."""
        pauses = (self._moment() for _ in range(_RELEASES))
        with suppress(Exception):
            until_answered(self._release, lambda error: isinstance(error, LeaseChangedError), pauses, self._sleep)

    def _release(self) -> None:
        lease = self._api.get(self._namespace, self._name)
        if lease is not None and self._me.holds(lease):
            self._api.replace(self._namespace, self._name, self._me.released(replace(lease, renewed=self._now())))
