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
        """The loop's time by ours."""
        loop, ours = self.row("loop", **wanted), self.row("ours", workers=DEFAULT, **wanted)
        return loop["seconds"] / ours["seconds"] if loop and ours else None


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
    yield from _of_time(figures)
    for tasks in figures.values("tasks", who="loop"):
        value = figures.loop_ratio(tasks=tasks, events=True, real=True)
        if value is not None:
            yield Target(f"time, the SDK's loop / ours, with events, {tasks:,} tasks, {DEFAULT} workers", value, "≥", 5)
    for events in (False, True):
        value = figures.exponent("ours", events=events, real=False)
        if value is not None:
            text = f"growth exponent from {SMALL:,} to {LARGE:,} tasks, {_kind(events=events)}, bare sandbox, {DEFAULT} workers"
            yield Target(text, value, "≤", 1.05)
    row = figures.row("ours", tasks=LARGE, events=True, real=False)
    if row:
        yield Target("peak memory, MiB, 100,000 tasks with 2,000,000 debug samples, 4 workers", row["mib"], "≤", 300)
    row = figures.row("nothing")
    if row:
        yield Target("process time of a pass with nothing to do, seconds", row["process_seconds"], "≤", 1.5)
        yield Target("requests of a pass with nothing to do", row["requests"], "≤", 6)


def _of_time(figures: Figures) -> Iterator[Target]:
    for tasks in sorted(figures.values("tasks", who="ours", real=True))[-2:]:
        for events in (False, True):
            for workers in figures.values("workers", who="ours", real=True):
                ratio = figures.ratio(tasks=tasks, events=events, workers=workers, real=True)
                if ratio is not None:
                    text = f"time, ours / floor, {_kind(events=events)}, {tasks:,} tasks, {_workers(workers)}"
                    yield Target(text, ratio, "≤", 3.0, known=6.0 if tasks > SMALL else None)


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
    parts = ["### Targets\n", *_target_table(figures)]
    parts += ["\n### Time, relative to the floor\n", *_matrix(figures)]
    parts += ["\n### Requests, memory and the code's own time\n", *_own(figures)]
    return "\n".join(parts) + "\n"


def _target_table(figures: Figures) -> Iterator[str]:
    yield "| | measured | target | |"
    yield "|---|---:|---:|---|"
    for one in targets(figures):
        yield f"| {one.text} | {one.value:.3g} | {one.sign} {one.bound:g} | {'met' if one.met else '**missed**'} |"


def _matrix(figures: Figures) -> Iterator[str]:
    workers = figures.values("workers", who="ours", real=True)
    yield "| tasks | events | " + " | ".join(map(_workers, workers)) + " |"
    yield "|---:|---|" + "---:|" * len(workers)
    for tasks in figures.values("tasks", who="ours", real=True):
        for events in (False, True):
            cells = []
            for w in workers:
                where = {"tasks": tasks, "events": events, "workers": w, "real": True}
                ours, ratio = figures.row("ours", **where), figures.ratio(**where)
                cells.append(f"{ratio:.2f} ({_seconds(ours['seconds'])})" if ours and ratio else "")
            yield f"| {tasks:,} | {'with' if events else 'without'} | {' | '.join(cells)} |"


def _own(figures: Figures) -> Iterator[str]:
    """On the bare sandbox, whose own work is next to none."""
    yield "| tasks | events | requests a task | peak | time on the bare sandbox |"
    yield "|---:|---|---:|---:|---:|"
    for tasks in figures.values("tasks", who="ours", real=False):
        for events in (False, True):
            row = figures.row("ours", tasks=tasks, events=events, real=False)
            if row:
                requests = row["requests"] / tasks
                kind = "with" if events else "without"
                yield f"| {tasks:,} | {kind} | {requests:.2f} | {row['mib']:.0f} MiB | {_seconds(row['seconds'])} |"


def _seconds(number: float) -> str:
    return f"{number:.2f} s" if number < 10 else f"{number:.0f} s"
