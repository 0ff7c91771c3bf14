"""What is seen of the passes: how each pod ended, its memory, its log, and when it deleted something."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from clearml_sandbox.server import Fault, Request
from tests.property.scenario import DELETES_RECORDS
from tests.soak import host

JOB, INDEX = "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"
GONE = "gone"
"""In place of an exit code: the pod was deleted before its end could be seen."""


@dataclass
class Pod:
    """One pod of a pass."""

    name: str
    uid: str
    job: str
    index: int
    shards: int
    address: str = ""
    runs: bool = False
    code: int | str | None = None
    """None while it has not ended."""
    reason: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    peak: int = 0
    """Bytes."""
    ended: float = 0.0
    """When its end was seen, by `time.monotonic`."""

    def line(self) -> str:
        """How it ended."""
        told = self.summary
        did = f", deleted {told['deleted']} tasks in {told['seconds']:.1f} s" if "deleted" in told else ""
        memory = f", {self.peak / 2**20:.0f} MiB" if self.peak else ""
        reason = f" {self.reason}" if self.reason and self.reason not in {"Completed", "Error"} else ""
        return f"pass     {self.name}: {self.code}{reason}{did}{memory}"


class Span(NamedTuple):
    """From a pod's first deletion to its last; or while there was no Lease."""

    first: float
    last: float


class Requests:
    """Who deletes when, by the server's own log. `client` gives the address behind a request's port."""

    def __init__(self, client: Callable[[int], str], latency: float) -> None:
        """`latency` is in seconds, for each request: so passes take long enough to be met."""
        self._client = client
        self._latency = latency
        self._lock = threading.Lock()
        self._spans: dict[str, Span] = {}
        self._latest: dict[str, float] = {}

    def __call__(self, request: Request) -> Fault | None:
        """Note a request; it is a fault hook of the sandbox that lets nothing fail."""
        time.sleep(self._latency)
        now, address = time.monotonic(), self._client(request.port)
        with self._lock:
            self._latest[address] = now
            if deletes(request):
                self._spans[address] = Span(self._spans.get(address, Span(now, now)).first, now)
        return None

    def spans(self) -> dict[str, Span]:
        """By the address of the pod."""
        with self._lock:
            return dict(self._spans)

    def at_work(self, address: str) -> bool:
        """Whether a pod has asked for something in the last seconds."""
        with self._lock:
            return time.monotonic() - self._latest.get(address, 0) < 3


def deletes(request: Request) -> bool:
    """Whether a request deletes files or records."""
    files = request.service == "files" and (request.method == "DELETE" or request.call == "/delete_many")
    return files or request.call in DELETES_RECORDS


def together(pods: Iterable[Pod], spans: Mapping[str, Span]) -> Iterator[str]:
    """Each two passes that deleted at the same time. The indexes of one Job share a pass and may."""
    known = {pod.address: pod for pod in pods if pod.address}
    for one, other in combinations(sorted(spans, key=lambda address: spans[address]), 2):
        first, second = spans[one], spans[other]
        if second.first >= first.last:
            continue
        a, b = known.get(one), known.get(other)
        if a and b and a.job == b.job and a.index != b.index:
            continue
        names = [pod.name if pod else address for pod, address in ((a, one), (b, other))]
        overlap = min(first.last, second.last) - second.first
        yield f"{names[0]} and {names[1]} deleted at the same time, for {overlap:.1f} s: two passes at once"


class Passes:
    """All pods of passes so far; `look` brings it up to date."""

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        """Logs are written to the folder."""
        self._folder = folder
        self.say = say
        self.pods: dict[str, Pod] = {}
        """By uid, in the order in which they were seen."""

    def look(self, listed: Iterable[Any], log_of: Callable[[str], str]) -> None:
        """Take in a listing of the pods."""
        there = set()
        for one in listed:
            pod = self._known(one)
            there.add(pod.uid)
            pod.address = one.status.pod_ip or pod.address
            pod.runs = one.status.phase == "Running" and not one.metadata.deletion_timestamp
            ended = next((status.state.terminated for status in one.status.container_statuses or () if status.state), None)
            if pod.code is None and (ended or one.status.phase in {"Failed", "Succeeded"}):
                self.keep_log(pod, log_of)
                self._ends(pod, ended, one.status.reason or "")
        for pod in self.pods.values():
            if pod.code is None and pod.uid not in there:
                pod.code, pod.runs = GONE, False
                self.say(pod.line())

    def measure(self) -> None:
        """Note how much memory those that run have needed so far."""
        for pod in self.running():
            pod.peak = max(pod.peak, host.peak(pod.uid))

    def keep_log(self, pod: Pod, log_of: Callable[[str], str]) -> None:
        """Write the pod's log as it is now."""
        (self._folder / f"{pod.name}.log").write_text(log_of(pod.name), encoding="utf-8")

    def running(self) -> list[Pod]:
        """Those that run, by name."""
        return sorted((pod for pod in list(self.pods.values()) if pod.runs and pod.code is None), key=lambda pod: pod.name)

    def codes(self) -> Counter[str]:
        """How many pods ended with which exit code."""
        return Counter(str(pod.code) for pod in self.pods.values() if pod.code is not None)

    def _known(self, one: Any) -> Pod:
        if one.metadata.uid not in self.pods:
            labels = one.metadata.labels
            variables = {variable.name: variable.value for variable in one.spec.containers[0].env or ()}
            self.pods[one.metadata.uid] = Pod(
                one.metadata.name,
                one.metadata.uid,
                labels.get(JOB, ""),
                int(labels.get(INDEX, 0)),
                int(variables.get("CLEANUP_SHARDS") or 1),
            )
        return self.pods[one.metadata.uid]

    def _ends(self, pod: Pod, ended: Any, reason: str) -> None:
        pod.runs, pod.ended = False, time.monotonic()
        pod.code = ended.exit_code if ended else "none"
        pod.reason = reason or (ended.reason if ended else "") or ""
        try:
            summary = json.loads((ended.message if ended else "") or "{}")
        except ValueError:
            pod.reason += f" {ended.message[:200]!r}"
        else:
            pod.summary = summary if isinstance(summary, dict) else {}
        self.say(pod.line())
