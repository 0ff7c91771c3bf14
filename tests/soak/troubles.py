"""What goes wrong while passes run. Each kind of timeline.WEIGHTS is a method of `Troubles`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from tests.soak import host
from tests.soak.cluster import Cluster
from tests.soak.line import Line
from tests.soak.seen import Passes, Pod, Requests, Span
from tests.soak.timeline import Trouble

THIEF = "somebody-else"
UNTIL_NOTICED = 30.0
"""Seconds after which whoever held a Lease that is gone has noticed it: a pass renews every 20 seconds."""


class Undo(NamedTuple):
    """What ends a trouble."""

    after: float
    """Seconds."""
    do: Callable[[], None]


class Came(NamedTuple):
    """What became of a trouble: what is told of it, and what ends it."""

    text: str
    undo: Undo | None = None


@dataclass
class Troubles:
    """Makes trouble for the passes of a release."""

    cluster: Cluster
    passes: Passes
    requests: Requests
    lines: tuple[Line, Line]
    api_server: host.ApiServer | None
    without_lease: list[Span] = field(default_factory=list)
    """When a Lease of the release was missing."""
    _last: bool = False

    def impossible(self) -> set[str]:
        """The kinds that this machine can't make: the API server is restarted only where cluster.sh runs it here."""
        return set() if self.api_server else {"restart_api_server"}

    def is_without_lease(self) -> bool:
        """Whether a Lease is missing right now."""
        return any(gone.last > time.monotonic() for gone in self.without_lease)

    def make(self, trouble: Trouble, *, last: bool) -> Came | None:
        """Make one; None where there is nothing that it can meet yet. The `last` time it takes what there is."""
        if trouble.kind == "upgrade" and self.is_without_lease():
            return None  # it would put the Lease back before the pass that held it can have noticed
        self._last = last
        came: Came | None = getattr(self, f"_{trouble.kind}")(Random(trouble.seed))
        return came or (Came("met nothing: no pass ran, and no Lease was held") if last else None)

    # -- pods
    def _victim(self, chance: Random) -> Pod | None:
        """A pod that is at work; the last time, also one that waits for the lease."""
        running = self.passes.running()
        working = [pod for pod in running if self.requests.at_work(pod.address)]
        found = working or (running if self._last else [])
        return chance.choice(found) if found else None

    def _kill(self, chance: Random) -> Came | None:
        pod = self._victim(chance)
        if pod is None:
            return None
        if host.kill(pod.uid):
            return Came(f"SIGKILL for {pod.name}")
        return Came(f"{pod.name} was not killed: it has ended just now, or runs on another machine")

    def _delete_pod(self, chance: Random) -> Came | None:
        pod = self._victim(chance)
        if pod is None:
            return None
        self.passes.keep_log(pod, self.cluster.log)
        self.cluster.delete_pod(pod.name)
        return Came(f"{pod.name} deleted, with no grace")

    def _evict(self, chance: Random) -> Came | None:
        pod = self._victim(chance)
        if pod is None:
            return None
        self.cluster.evict(pod.name)
        return Came(f"{pod.name} evicted")

    # -- the API server
    def _restart_api_server(self, chance: Random) -> Came:
        assert self.api_server
        took = self.api_server.restart(chance.uniform(0.0, 5.0), self.cluster.is_ready)
        return Came(f"answers again after {took:.1f} s")

    # -- the Lease
    def _held(self, chance: Random) -> str | None:
        """A Lease that is held."""
        held = sorted(name for name, holder in self.cluster.leases().items() if holder)
        return chance.choice(held) if held else None

    def _steal_lease(self, chance: Random) -> Came | None:
        name = self._held(chance)
        if name is None:
            return None
        self.cluster.change_lease(name, holderIdentity=THIEF, renewTime=_api_time())
        return Came(f"Lease {name} has another holder")

    def _delete_lease(self, chance: Random) -> Came | None:
        names = sorted(self.cluster.leases())
        if not names:
            return None
        name = chance.choice(names)
        put_back = self.cluster.delete_lease(name)
        now = time.monotonic()
        self.without_lease.append(Span(now, now + UNTIL_NOTICED))
        return Came(f"Lease {name} deleted, for {UNTIL_NOTICED:.0f} s", Undo(UNTIL_NOTICED, put_back))

    def _lease_ahead(self, chance: Random) -> Came | None:
        name = self._held(chance)
        if name is None:
            return None
        self.cluster.change_lease(name, renewTime=_api_time(timedelta(hours=1)))
        return Came(f"Lease {name} was renewed in an hour from now")

    # -- the network
    def _some_lines(self, chance: Random) -> list[Line]:
        return list(chance.choice([self.lines, self.lines[:1], self.lines[1:]]))

    def _drop_connections(self, chance: Random) -> Came:
        for line in (some := self._some_lines(chance)):
            line.drop()
        return Came(f"all connections to {len(some)} of 2 servers ended")

    def _cut_network(self, chance: Random) -> Came:
        some, seconds = self._some_lines(chance), chance.uniform(0.5, 20.0)
        for line in some:
            line.cut()
        return Came(f"no connection to {len(some)} of 2 servers for {seconds:.1f} s", Undo(seconds, _mends(some)))

    def _hang_network(self, chance: Random) -> Came:
        some, seconds = self._some_lines(chance), chance.uniform(0.5, 10.0)
        for line in some:
            line.hang()
        return Came(f"nothing moves to or from {len(some)} of 2 servers for {seconds:.1f} s", Undo(seconds, _mends(some)))

    # -- the release
    def _upgrade(self, chance: Random) -> Came:
        values = {
            "shards": chance.choice([1, 1, 2]),
            "cleanup.batchSize": chance.choice([1, 5, 25, 500]),
            "cleanup.workers": chance.choice([1, 2, 4]),
            "cleanup.logLevel": chance.choice(["info", "debug"]),
        }
        changed = [f"{name}={value}" for name, value in values.items()]
        self.cluster.upgrade(*changed)
        return Came(f"helm upgrade: {', '.join(changed)}")


def _mends(lines: list[Line]) -> Callable[[], None]:
    def mend() -> None:
        for line in lines:
            line.mend()

    return mend


def _api_time(ahead: timedelta = timedelta()) -> str:
    """A MicroTime of Kubernetes."""
    return (datetime.now(UTC) + ahead).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
