"""The tables of docs/performance.md, and what was to be reached."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BEGIN, END = "<!-- figures: make bench writes this part -->", "<!-- end of figures -->"
SMALL, LARGE, MILLION = 1_000, 100_000, 1_000_000
DEFAULT = 4
"""Workers unless told otherwise."""
SHARDS = 4


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

    def exponent(self, *between: dict[str, Any] | None) -> float | None:
        """How time grows with the number of tasks, from a small row to a large one: 1 is linear."""
        small, large = between
        if not (small and large):
            return None
        return math.log(large["seconds"] / small["seconds"]) / math.log(large["tasks"] / small["tasks"])

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


KNOWN: dict[str, float] = {
    "time, ours / floor, without events, 1,000 tasks, 1 worker": 2.0,
    "time, ours / floor, without events, 1,000 tasks, 4 workers": 1.55,
    "own process time for 100,000 tasks without events, seconds, bare endless server": 100,
    "process time of a pass with nothing to do, seconds": 0.9,
}
"""What figures are known to be at most where they are known to be missed, by the targets' texts."""


def targets(figures: Figures) -> Iterator[Target]:
    """All targets for which there are figures."""
    for text, value, sign, bound in (
        *_of_time(figures),
        *_of_growth(figures),
        *_of_memory(figures),
        *_of_claims(figures),
        *_of_small_passes(figures),
    ):
        if value is not None:
            yield Target(text, value, sign, bound, KNOWN.get(text))


Wanted = tuple[str, float | None, str, float]
"""What a target is about, what was measured, and what was to be reached."""


def _of_time(figures: Figures) -> Iterator[Wanted]:
    for tasks in sorted(figures.values("tasks", who="ours", real=True))[-2:]:
        for events in (False, True):
            for workers in figures.values("workers", who="ours", real=True):
                text = f"time, ours / floor, {_kind(events=events)}, {tasks:,} tasks, {_workers(workers)}"
                ratio = figures.ratio(tasks=tasks, events=events, workers=workers, real=True)
                yield text, ratio, "≤", 3.0 if events else 1.25
    for tasks in figures.values("tasks", who="loop"):
        text = f"time, the SDK's loop / ours, with events, {tasks:,} tasks, {DEFAULT} workers"
        yield text, figures.loop_ratio(tasks=tasks, events=True, real=True), "≥", 5


def _of_growth(figures: Figures) -> Iterator[Wanted]:
    sandbox = (figures.row("ours", tasks=tasks, events=True, real=False) for tasks in (SMALL, LARGE))
    text = f"growth exponent from {SMALL:,} to {LARGE:,} tasks, with events, bare sandbox, {DEFAULT} workers"
    yield text, figures.exponent(*sandbox), "≤", 1.05
    endless = (figures.row("endless", what="all", tasks=tasks) for tasks in (SMALL, MILLION))
    text = f"growth exponent from {SMALL:,} to {MILLION:,} tasks, without events, bare endless server, {DEFAULT} workers"
    yield text, figures.exponent(*endless), "≤", 1.02


def _of_memory(figures: Figures) -> Iterator[Wanted]:
    text = f"peak memory, MiB, {LARGE:,} tasks with {LARGE * 20:,} debug samples, {DEFAULT} workers"
    yield text, _value(figures.row("ours", tasks=LARGE, events=True, real=False), "mib"), "≤", 160
    forms = {
        "all": "all are deleted",
        "dry": "a dry run over all, of which 1 in 100 is used by an older one",
        "kept": "99 of 100 are kept by a tag, the others deleted",
    }
    for what, words in forms.items():
        for tasks in figures.values("tasks", who="endless", what=what):
            if tasks >= MILLION:
                text = f"peak memory, MiB, {tasks:,} tasks without events: {words}"
                yield text, _value(figures.row("endless", what=what, tasks=tasks), "mib"), "≤", 200


def _of_claims(figures: Figures) -> Iterator[Wanted]:
    for what, words in (("all", "bare endless server"), ("claims", "real times")):
        for tasks in figures.values("tasks", who="endless", what=what)[-1:]:
            text = f"seconds from the last claim read to the first deletion, {tasks:,} tasks, {words}"
            yield text, _value(figures.row("endless", what=what, tasks=tasks), "before_deletion"), "≤", 5
    ours, paging = figures.row("endless", what="claims"), figures.row("paging")
    if ours and paging:
        text = f"time to read {2 * ours['tasks']:,} records for their claims, real times, ours / bare paging, 4 slices at once"
        yield text, ours["claims_seconds"] / paging["claims_seconds"], "≤", 1.2


def _of_small_passes(figures: Figures) -> Iterator[Wanted]:
    four = figures.row("endless", what="shards")
    one = figures.row("endless", what="all", tasks=four["tasks"]) if four else None
    if one and four:
        ratio = (four["requests"] - four["claims_requests"]) / (one["requests"] - one["claims_requests"])
        yield f"requests of {SHARDS} shards / of one pod, claims aside, {one['tasks']:,} tasks", ratio, "≤", 1.1
    own = _value(figures.row("endless", what="all", tasks=LARGE), "process_seconds")
    yield f"own process time for {LARGE:,} tasks without events, seconds, bare endless server", own, "≤", 13
    nothing = figures.row("nothing")
    yield "process time of a pass with nothing to do, seconds", _value(nothing, "process_seconds"), "≤", 0.6
    yield "requests of a pass with nothing to do", _value(nothing, "requests"), "≤", 6


def _value(row: dict[str, Any] | None, name: str) -> float | None:
    return row[name] if row else None


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
    parts += ["\n### On the endless server\n", *_endless(figures)]
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


def _endless(figures: Figures) -> Iterator[str]:
    yield "| tasks | pass | claims read in | all in | own process time | peak |"
    yield "|---:|---|---:|---:|---:|---:|"
    words = {
        "all": "all are deleted",
        "dry": "dry run over all",
        "kept": "99 of 100 are kept by a tag",
        "claims": "real times, the first 500 are deleted",
    }
    for what, text in words.items():
        for tasks in figures.values("tasks", who="endless", what=what):
            row = figures.row("endless", what=what, tasks=tasks)
            if row:
                times = [_seconds(row[name]) for name in ("claims_seconds", "seconds", "process_seconds")]
                yield f"| {tasks:,} | {text} | {' | '.join(times)} | {row['mib']:.0f} MiB |"


def _seconds(number: float) -> str:
    return f"{number:.2f} s" if number < 10 else f"{number:.0f} s"
