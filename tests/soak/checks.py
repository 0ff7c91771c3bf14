"""What may not grow from the first pass to the last, and how no pass may end."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from tests.soak.cluster import HISTORY
from tests.soak.gateway import Series
from tests.soak.seen import Pod, Span

MOST_MEMORY = 1.25
"""By how much the median peak RSS of the last passes may be above that of the first ones. Passes that delete more at once, by
the batch size of an upgrade, need more; what grows with every pass or with the server would double it within an hour."""
FEW = 4
"""Passes of each end of the soak that are compared at least; with fewer, nothing is said of memory."""
EVENTS_PER_POD = 2
"""A pass leaves an event when it ends, and may tell of the one before it."""
NAMED = 3
"""Series of many that are named."""
LEASES = 1
"""Of a release without sweeps, for all values."""
NEVER = {"1": "an unexpected error", "2": "its settings and rights are as they should be", "130": "nobody pressed Ctrl-C"}
"""Exit codes that no trouble explains, but for 2 while there is no Lease: the chart's Role does not allow a pass to make it."""
SEEN_LATE = 15.0
"""Seconds within which the end of a pod is seen, also while the API server is restarted."""


@dataclass
class Measured:
    """What there is at the end."""

    pods: list[Pod]
    """In the order in which they came."""
    events: int
    jobs: int
    leases: int
    early: Series | None = None
    """Of the first passes that succeeded; None without a Pushgateway, or where too few have."""
    series: Series | None = None


def wrong_in(measured: Measured) -> Iterator[str]:
    """All that has grown."""
    yield from _memory(measured.pods)
    if measured.events > EVENTS_PER_POD * len(measured.pods):
        yield f"{measured.events} events of ours for {len(measured.pods)} pods"
    if measured.jobs > 2 * HISTORY:
        yield f"{measured.jobs} Jobs are kept, and the history has {2 * HISTORY} at most"
    if measured.leases > LEASES:
        yield f"there are {measured.leases} Leases"
    if measured.early is not None and measured.series is not None:
        if not measured.series:
            yield "the passes have pushed no series to the Pushgateway"
        for when, some in (("at the end", measured.series - measured.early), ("at first", measured.early - measured.series)):
            if some:
                named = ", ".join(f"{name} {dict(labels)}" for name, labels in sorted(some, key=str)[:NAMED])
                yield f"{len(some)} series are there {when} only, such as {named}"


def wrong_ends(pods: Iterable[Pod], without_lease: Iterable[Span]) -> Iterator[str]:
    """Each end of a pass that may not be."""
    for pod in pods:
        excused = pod.code == 2 and any(gone.first <= pod.ended <= gone.last + SEEN_LATE for gone in without_lease)
        if str(pod.code) in NEVER and not excused:
            yield f"{pod.name} ended with exit code {pod.code}: {NEVER[str(pod.code)]}"


def _memory(pods: list[Pod]) -> Iterator[str]:
    peaks = [pod.peak for pod in pods if pod.code == 0 and pod.shards == 1 and pod.peak]
    third = len(peaks) // 3
    if third < FEW:
        return
    first, last = median(peaks[:third]), median(peaks[-third:])
    if last > MOST_MEMORY * first:
        yield f"peak RSS has grown from {first / 2**20:.0f} to {last / 2**20:.0f} MiB (medians of {third} passes each)"
