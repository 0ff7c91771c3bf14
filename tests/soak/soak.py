"""Passes on a real cluster under trouble, for minutes or hours, while the server grows: `make soak MINUTES=10 SEED=7`.

A pass starts about every 18 seconds, by the schedule or by hand. Meanwhile pods are killed, deleted and evicted, the API server
is restarted, the Lease is stolen, deleted and set ahead, connections break and hang, and the release is upgraded. At no time
may anything be lost that has to be kept, and no two passes may delete at once. At the end, after passes that nothing disturbs,
nothing may be left that had to go, and neither memory nor events nor Jobs may have grown.
"""

import argparse
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random, SystemRandom
from types import FrameType
from typing import Any

import pytest

from clearml_sandbox.server import Sandbox
from tests.soak.checks import Measured, wrong_ends, wrong_in
from tests.soak.cluster import HISTORY, Cluster, new_cluster
from tests.soak.gateway import Gateway, Series, pushgateway
from tests.soak.growth import KEEP_TAG, Growth
from tests.soak.host import ApiServer
from tests.soak.line import Line
from tests.soak.seen import Passes, Requests, together
from tests.soak.timeline import WEIGHTS, Trouble, timeline
from tests.soak.troubles import Troubles

ROOT = Path(__file__).parents[2]

EVERY = 18.0
"""Seconds from the start of a pass to that of the next one: 200 in an hour."""
EARLY = 10
"""Passes that succeeded, after which the series of metrics are all there."""
AT_ONCE = 6
"""Jobs at most that have not ended. After a kill, they wait for the lease for a minute and a half."""
FOR_A_PASS = 20.0
"""Seconds for which a trouble waits for a pass that it can meet."""
LOOK = 0.5
"""Seconds between two looks at the pods."""
MEASURE = 0.3
"""Seconds between two looks at the pods' memory."""
LATENCY = 0.04
"""Seconds that the embedded server adds to each request."""
FIRST_SCENES = 60
SCENES_PER_SECOND = 1.0
LAST_PATIENCE = 420.0
"""Seconds within which what is still running ends after the last trouble: a pass may wait for a dead one's lease first."""
LOGS = ROOT / "build" / "soak"

VALUES = (
    "schedule=* * * * *",
    "clearml.accessKey=sandbox-key",
    "clearml.secretKey=sandbox-secret",
    "dryRunFirst=false",
    "cleanup.forceDelete=true",
    f"cleanup.keepTags={{{KEEP_TAG}}}",
    "cleanup.leaseWaitSeconds=200",
    "cleanup.requestTimeoutSeconds=15",
    "activeDeadlineSeconds=300",
    "terminationGracePeriodSeconds=30",
    "resources.requests.cpu=10m",
    f"successfulJobsHistoryLimit={HISTORY}",
    f"failedJobsHistoryLimit={HISTORY}",
)


class WrongError(Exception):
    """A promise was broken: the soak ends at once, with the traces still fresh."""


@dataclass
class Soak:
    """One soak."""

    cluster: Cluster
    growth: Growth
    requests: Requests
    troubles: Troubles
    passes: Passes
    seed: int
    seconds: float
    kinds: list[str]
    gateway: Gateway | None
    early: Series | None = None
    """The series of the first passes that succeeded."""
    began: float = field(default_factory=time.monotonic)
    came: Counter[str] = field(default_factory=Counter)
    jobs: set[str] = field(default_factory=set)
    _names: Iterator[int] = field(default_factory=lambda: count(1))
    _undo: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def run(self) -> list[str]:
        """Play it to the end; gives what is wrong."""
        with every(MEASURE, self.passes.measure):
            with every(1 / SCENES_PER_SECOND, self.growth.add):
                self._disturb(timeline(self.seed, self.seconds, self.kinds))
            self._calm()
        self.say("the oracle looks at all that was ever added")
        return [*self.growth.wrong_at_the_end(), *wrong_in(self._measured())]

    def say(self, text: str) -> None:
        """A line with the time since the start."""
        since = time.monotonic() - self.began
        print(f"{since // 60:02.0f}:{since % 60:04.1f}  {text}", flush=True)

    # -- while it is disturbed
    def _disturb(self, troubles: list[Trouble]) -> None:
        due = list(reversed(troubles))
        while (since := time.monotonic() - self.began) < self.seconds:
            while due and due[-1].at <= since and self._trouble(due[-1], last=since > due[-1].at + FOR_A_PASS):
                due.pop()
            self._look()
            if len(self.jobs) < since / EVERY:
                self._start()
            time.sleep(LOOK)

    def _trouble(self, trouble: Trouble, *, last: bool) -> bool:
        """Make a trouble, if there is something that it can meet."""
        came = self.troubles.make(trouble, last=last)
        if came is None:
            return False
        self.came[trouble.kind] += 1
        self.say(f"trouble  {trouble.kind}: {came.text}")
        if came.undo:
            heappush(self._undo, (time.monotonic() + came.undo.after, self.came.total(), came.undo.do))
        return True

    def _start(self) -> str:
        """Start a pass by hand, unless too many wait already."""
        ended = self.cluster.jobs()
        if list(ended.values()).count(False) >= AT_ONCE:
            return ""
        name = f"by-hand-{next(self._names)}"
        self.cluster.start(name)
        self.jobs.add(name)
        return name

    def _look(self) -> None:
        """End the troubles whose time is over, and see what has become of the passes."""
        while self._undo and self._undo[0][0] <= time.monotonic():
            heappop(self._undo)[2]()
        self.passes.look(self.cluster.pods(), self.cluster.log)
        self.jobs |= {pod.job for pod in self.passes.pods.values()}
        pods = self.passes.pods.values()
        wrong = [*self.growth.lost(), *together(pods, self.requests.spans()), *wrong_ends(pods, self.troubles.without_lease)]
        if wrong:
            raise WrongError("\n".join(wrong))
        if self.gateway and self.early is None and self.passes.codes()["0"] >= EARLY:
            self.early = self.gateway.series()

    # -- afterwards
    def _calm(self) -> None:
        """Let all that runs end, and let passes run that nothing disturbs."""
        self.say("calm: no more trouble, and nothing is added")
        self._wait_for(lambda: not self._undo and not self.troubles.is_without_lease(), "the troubles to end")
        self.cluster.upgrade("suspend=true", "shards=1", "cleanup.logLevel=info", "cleanup.batchSize=500")
        self._wait_for(lambda: all(self.cluster.jobs().values()), "all passes to end")
        for _ in range(2):
            name = self._start()
            self._wait_for(lambda name=name: self._code_of(name) is not None, f"{name} to end")  # type: ignore[misc]  # binds the name
            if self._code_of(name) != 0:
                raise WrongError(f"{name}, which nothing disturbed, ended with exit code {self._code_of(name)}")
        deleted = self._last_of(name).summary.get("deleted")
        if deleted != 0:
            raise WrongError(f"a pass right after an undisturbed one deleted {deleted} tasks")
        self._wait_for(lambda: len(self.cluster.jobs()) <= 2 * HISTORY, f"the history to have {2 * HISTORY} Jobs or fewer")

    def _wait_for(self, there: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LAST_PATIENCE
        while not there():
            self._look()
            if time.monotonic() > deadline:
                raise WrongError(
                    f"waited {LAST_PATIENCE:.0f} s in vain for {what}: {self.cluster.jobs()}, {self.cluster.leases()}"
                )
            time.sleep(LOOK)
        self._look()

    def _last_of(self, job: str) -> Any:
        return [pod for pod in self.passes.pods.values() if pod.job == job][-1]

    def _code_of(self, job: str) -> Any:
        pods = [pod for pod in self.passes.pods.values() if pod.job == job]
        return pods[-1].code if pods else None

    def _measured(self) -> Measured:
        return Measured(
            pods=list(self.passes.pods.values()),
            events=self.cluster.own_events(),
            jobs=len(self.cluster.jobs()),
            leases=len(self.cluster.leases()),
            early=self.early,
            series=self.gateway.series() if self.gateway else None,
        )

    def sums(self) -> str:
        """The table at the end."""
        rows = [("Jobs", len(self.jobs)), ("pods", len(self.passes.pods))]
        rows += [(f"pods with exit code {code}", number) for code, number in sorted(self.passes.codes().items())]
        rows += [(f"trouble {kind}", self.came[kind]) for kind in WEIGHTS if self.came[kind]]
        rows += [("tasks added", self.growth.tasks), ("tasks left", len(self.growth.after().tasks))]
        rows += [("series of metrics", len(self.gateway.series()))] if self.gateway else []
        rows += [("requests that delete came from pods", len(self.requests.spans()))]
        return "\n".join(f"  {name:<40}{number:>8,}" for name, number in rows)


@contextmanager
def every(seconds: float, work: Callable[[], None]) -> Iterator[None]:
    """Meanwhile something is done again and again, in another thread."""
    over = threading.Event()
    failed: list[BaseException] = []

    def go_on() -> None:
        try:
            while not over.wait(seconds):
                work()
        except BaseException as error:  # noqa: BLE001 -- raised by the main thread
            failed.append(error)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


@contextmanager
def prepared(options: argparse.Namespace, kubeconfig: Path, address: str) -> Iterator[Soak]:
    """A release in a namespace of its own, and the server that it cleans."""
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    with ExitStack() as stack:
        lines = (Line(address), Line(address))
        for line in lines:
            stack.callback(line.close)
        requests = Requests(lambda port: lines[0].client(port) or lines[1].client(port), LATENCY)
        sandbox = Sandbox(api_url=lines[0].url, files_url=lines[1].url, fault=requests, log_bodies=False)
        stack.enter_context(sandbox)
        for line, port in zip(lines, sandbox.ports, strict=True):
            line.carry_to(port)
        growth = Growth(sandbox, Random(f"world {options.seed}"))
        for _ in range(FIRST_SCENES):
            growth.add()
        gateway = stack.enter_context(pushgateway(address, LOGS / "pushgateway.log"))
        cluster = stack.enter_context(new_cluster(kubeconfig))
        passes = Passes(LOGS)
        troubles = Troubles(cluster, passes, requests, lines, ApiServer.of(kubeconfig))
        kinds = [kind for kind in WEIGHTS if kind not in {*options.without, *troubles.impossible()}]
        print(f"without: {', '.join(WEIGHTS.keys() - kinds) or 'nothing, all kinds of trouble come'}", flush=True)
        soak = Soak(cluster, growth, requests, troubles, passes, options.seed, options.minutes * 60, kinds, gateway)
        addresses = [f"clearml.apiHost={lines[0].url}", f"clearml.filesHost={lines[1].url}"]
        addresses += [f"metrics.pushgateway.url={gateway.url}"] if gateway else []
        cluster.release.install(*addresses, *VALUES)
        soak.began = time.monotonic()
        passes.say = soak.say
        yield soak


def main(arguments: list[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="how long there is trouble (default: 60)")
    parser.add_argument("--seed", type=int, default=SystemRandom().getrandbits(32), help="what everything random comes from")
    parser.add_argument("--without", nargs="*", default=[], choices=WEIGHTS, help="kinds of trouble that don't come")
    options = parser.parse_args(arguments)
    kubeconfig, address = os.environ.get("KUBECONFIG"), os.environ.get("CLUSTER_NODE_IP")
    if not kubeconfig or not address:
        print(
            "soak: set KUBECONFIG, and CLUSTER_NODE_IP to an address of this machine at which the cluster's pods reach it; "
            "`make soak` without KUBECONFIG starts a cluster and sets both"
        )
        return 2
    signal.signal(signal.SIGTERM, _stop)
    print(f"soak of {options.minutes:g} minutes, seed {options.seed}", flush=True)
    try:
        with prepared(options, Path(kubeconfig), address) as soak:
            return _told(soak, options)
    except KeyboardInterrupt:
        print("soak: stopped")
        return 130


def _told(soak: Soak, options: argparse.Namespace) -> int:
    try:
        wrong = soak.run()
    except WrongError as error:
        wrong = [str(error)]
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 -- helpers of tests/e2e fail like tests
        wrong = [traceback.format_exc()]
    print(f"\nsums\n{soak.sums()}")
    if not wrong:
        print("soak: nothing was lost, nothing is left, nothing has grown")
        return 0
    for log in sorted(LOGS.glob("*.log"), key=lambda path: path.stat().st_mtime)[-3:]:
        print(
            f"\n-- {log.name}, its end", *(line[:300] for line in log.read_text(encoding="utf-8").splitlines()[-8:]), sep="\n"
        )
    print("\nsoak: this is wrong", *wrong, sep="\n  ")
    without = f' WITHOUT="{" ".join(options.without)}"' if options.without else ""
    print(f"all logs are in {LOGS}; play it again: make soak MINUTES={options.minutes:g} SEED={options.seed}{without}")
    return 1


def _stop(_: int, __: FrameType | None) -> None:
    """SIGTERM is as Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
