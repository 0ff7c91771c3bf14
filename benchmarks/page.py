"""The tables of docs/performance.md, and what was to be reached."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BEGIN, END = "<!-- figures: make bench writes this part -->", "<!-- end of figures -->"
SMALL, LARGE = 1_000, 100_000
DEFAULT = 4
"""Workers unless told otherwise."""


class Figures:
    """All figures of a run, found by what was measured."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        """As they were kept."""
        self._rows = rows

    def row(self, who: str, **wanted: Any) -> dict[str, Any] | None:
        """The first one that has these values."""
        return next((r for r in self._rows if r["who"] == who and all(r.get(k) == v for k, v in wanted.items())), None)

    def values(self, name: str, **wanted: Any) -> list[Any]:
        """What was measured along one side of the matrix."""
        found = (r[name] for r in self._rows if name in r and all(r.get(k) == v for k, v in wanted.items()))
        return sorted(set(found))

    def ratio(self, **wanted: Any) -> float | None:
        """Our time by the floor's."""
        ours, floor = self.row("ours", **wanted), self.row("floor", **wanted)
        return ours["seconds"] / floor["seconds"] if ours and floor else None

    def exponent(self, who: str, **wanted: Any) -> float | None:
        """How time grows with the number of tasks: 1 is linear."""
        small, large = self.row(who, tasks=SMALL, **wanted), self.row(who, tasks=LARGE, **wanted)
        if not (small and large):
            return None
        return math.log(large["seconds"] / small["seconds"]) / math.log(LARGE / SMALL)

    def loop_ratio(self, **wanted: Any) -> float | None:
        """The loop's time a task by ours."""
        loop, ours = self.row("loop", **wanted), self.row("ours", workers=DEFAULT, real=False, **wanted)
        return loop["seconds"] / ours["seconds"] if loop and ours else None

    def requests(self, **wanted: Any) -> float | None:
        """Our requests a task."""
        ours = self.row("ours", **wanted)
        return ours["requests"] / ours["tasks"] if ours else None


@dataclass(frozen=True)
class Target:
    """Something to reach."""

    text: str
    value: float
    sign: str
    bound: float
    known: float | None = None
    """What it is known to be at most where it is known to be missed: docs/performance.md says why."""

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.value >= self.bound if self.sign == "≥" else self.value <= self.bound

    @property
    def as_known(self) -> bool:
        """Whether it is reached, or no worse than it is known to be."""
        return self.met or (self.known is not None and self.value <= self.known)

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.text:<88} {self.value:8.3f} {self.sign} {self.bound:<6} {'ok' if self.met else 'MISSED'}"


def targets(figures: Figures) -> Iterator[Target]:
    """All targets for which there are figures."""
    for events in (False, True):
        yield from _of_time(figures, events=events)
    for tasks in figures.values("tasks", who="loop"):
        value = figures.loop_ratio(tasks=tasks, events=True, latency=5)
        if value is not None:
            yield Target(f"time, the SDK's loop / ours, with events, {tasks:,} tasks, 5 ms, {DEFAULT} workers", value, "≥", 30)
    for events in (False, True):
        value = figures.exponent("ours", events=events, latency=5, workers=DEFAULT, real=False)
        if value is not None:
            text = f"growth exponent from {SMALL:,} to {LARGE:,} tasks, {_kind(events=events)}, 5 ms, {DEFAULT} workers"
            yield Target(text, value, "≤", 1.05)
    row = figures.row("ours", tasks=LARGE, events=True, latency=5, workers=DEFAULT, real=False)
    if row:
        yield Target("peak memory, MiB, 100,000 tasks with 2,000,000 debug samples, 4 workers", row["mib"], "≤", 300)
    row = figures.row("nothing")
    if row:
        yield Target("process time of a pass with nothing to do, seconds", row["process_seconds"], "≤", 1.5)
        yield Target("requests of a pass with nothing to do", row["requests"], "≤", 5)


def _of_time(figures: Figures, *, events: bool) -> Iterator[Target]:
    for real in (True, False):
        server = "a real server's times" if real else "the bare sandbox"
        tasks = max(figures.values("tasks", who="ours", real=real), default=0)
        for workers in figures.values("workers", who="ours", real=real):
            ratio = figures.ratio(tasks=tasks, events=events, latency=5, workers=workers, real=real)
            if ratio is not None:
                text = f"time, ours / floor, {_kind(events=events)}, {tasks:,} tasks, 5 ms, {_workers(workers)}, {server}"
                yield Target(text, ratio, "≤", 3.0 if events else 1.5, known=(5.0 if real else 14.0) if events else 9.0)


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"


def _kind(*, events: bool) -> str:
    return "with events" if events else "without events"


def written(text: str, figures: Figures) -> str:
    """A page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables(figures)}\n{END}{after}"


def tables(figures: Figures) -> str:
    """All tables."""
    parts = ["### What was to be reached\n", *_target_table(figures)]
    parts += ["\n### A server with a real one's times\n", *_matrix(figures, real=True)]
    parts += ["\n### The bare sandbox\n", *_matrix(figures, real=False)]
    parts += ["\n### Growth\n", *_growth(figures)]
    parts += ["\n### Requests and memory\n", *_requests(figures)]
    return "\n".join(parts) + "\n"


def _target_table(figures: Figures) -> Iterator[str]:
    yield "| | measured | target | |"
    yield "|---|---:|---:|---|"
    for one in targets(figures):
        yield f"| {one.text} | {one.value:.3g} | {one.sign} {one.bound:g} | {'met' if one.met else '**missed**'} |"


def _matrix(figures: Figures, *, real: bool) -> Iterator[str]:
    workers = figures.values("workers", who="ours", real=real)
    yield "| tasks | events | latency | " + " | ".join(map(_workers, workers)) + " |"
    yield "|---:|---|---:|" + "---:|" * len(workers)
    for tasks in figures.values("tasks", who="ours", real=real):
        for events in (False, True):
            for latency in figures.values("latency", who="ours", real=real):
                cells = []
                for w in workers:
                    where = {"tasks": tasks, "events": events, "latency": latency, "workers": w, "real": real}
                    ours, ratio = figures.row("ours", **where), figures.ratio(**where)
                    cells.append(f"{ratio:.2f} ({_seconds(ours['seconds'])})" if ours and ratio else "")
                yield f"| {tasks:,} | {'with' if events else 'without'} | {latency} ms | {' | '.join(cells)} |"


def _growth(figures: Figures) -> Iterator[str]:
    workers = figures.values("workers", who="ours", real=False)
    yield "| events | latency | " + " | ".join(f"{_workers(w)}: ours, floor" for w in workers) + " |"
    yield "|---|---:|" + "---:|" * len(workers)
    for events in (False, True):
        for latency in figures.values("latency", who="ours", real=False):
            cells = []
            for w in workers:
                where = {"events": events, "latency": latency, "workers": w, "real": False}
                pair = [figures.exponent(who, **where) for who in ("ours", "floor")]
                cells.append(", ".join(f"{one:.2f}" for one in pair if one is not None))
            yield f"| {'with' if events else 'without'} | {latency} ms | {' | '.join(cells)} |"


def _requests(figures: Figures) -> Iterator[str]:
    yield "| tasks | events | requests a task | peak, 1 worker | peak, 4 workers | peak, 16 workers |"
    yield "|---:|---|---:|---:|---:|---:|"
    for tasks in figures.values("tasks", who="ours", real=False):
        for events in (False, True):
            where = {"tasks": tasks, "events": events, "latency": 5, "real": False}
            rows = [figures.row("ours", workers=w, **where) for w in (1, DEFAULT, 16)]
            peaks = " | ".join(f"{row['mib']:.0f} MiB" if row else "" for row in rows)
            value = figures.requests(**where)
            kind = "with" if events else "without"
            yield (
                f"| {tasks:,} | {kind} | {value:.4f} | {peaks} |"
                if value is not None
                else f"| {tasks:,} | {kind} | | {peaks} |"
            )


def _seconds(number: float) -> str:
    return f"{number:.2f} s" if number < 10 else f"{number:.0f} s"
