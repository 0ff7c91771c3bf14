"""Time, requests and memory of a pass beside the SDK's loop and beside the least that any deletion takes, as ratios of one run.

    python benchmarks/run.py [--sizes 100 1000] [--workers 4] [--figures FILE] [--page FILE]

Every cell of the matrix deletes all tasks of a fresh server; two cells that are compared follow each other. Figures are kept
as they come, so that a run that was ended can be written to the page with ``--render``. Gives 1 where a figure
is worse than what was to be reached, and worse than it is known to be.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import measured
import page
import served

HERE = Path(__file__).resolve().parent
SIZES = [100, 1_000, 10_000, 100_000]
WORKERS = [1, 4, 16]
REAL_SIZES = [100, 1_000, 10_000]
"""With a real server's times, 100,000 tasks would take hours, and each task as long as any other."""
LOOP_SIZES = [100]
"""The loop takes half a second a task."""
LATENCY = 0.005
"""Seconds that are added to each request: a network's."""


@dataclass(frozen=True)
class Cell:
    """One deletion to be measured."""

    who: str
    tasks: int
    events: bool
    workers: int
    real: bool
    """Whether the server takes as long as a real one."""

    def __str__(self) -> str:
        """As it is printed."""
        server = "real times" if self.real else "bare"
        kind = "with events" if self.events else "without"
        return f"{self.who:<7} {self.tasks:>7,} {kind:<11} {self.workers:>2} workers {server:<10}"


def cells(options: argparse.Namespace) -> Iterator[tuple[int, bool, list[Cell]]]:
    """The matrix, world by world: the number of tasks, whether they have events, and what is measured on them."""
    for tasks in options.sizes:
        for events in (False, True):
            of_world = [Cell(who, tasks, events, page.DEFAULT, real=False) for who in ("floor", "ours")]
            for workers in options.workers if tasks in REAL_SIZES else ():
                of_world += [Cell(who, tasks, events, workers, real=True) for who in ("floor", "ours")]
            if events and tasks in LOOP_SIZES:
                of_world.append(Cell("loop", tasks, events, 1, real=True))
            yield tasks, events, of_world


def measure(python: str, there: served.Served, cell: Cell) -> dict[str, Any]:
    """The figures of one cell."""
    with there.fresh(LATENCY, measured.Server(events=cell.events).seconds if cell.real else None):
        figures = deleted(python, there, cell.who, cell.workers)
        left = there.left()
        if any(left.values()):  # a deletion that is not what it should be has no figures
            sys.exit(f"{cell}: left: {left}")
        return {**asdict(cell), **figures}


def nothing_to_do(python: str) -> dict[str, Any]:
    """A pass over a server on which no task may go."""
    there = served.serve(served.world(1_000, events=False, archived=False))
    with there.fresh(LATENCY):
        return {"who": "nothing", **deleted(python, there, "ours", 4)}


def deleted(python: str, there: served.Served, who: str, workers: int) -> dict[str, Any]:
    """What one deletion took, and how many requests it sent."""
    done = subprocess.run(  # noqa: S603 -- ourselves
        [python, str(HERE / "client.py"), who, str(workers)],
        env={**os.environ, **there.sandbox.environment(), "CLEARML_LOG_LEVEL": "ERROR"},
        input=json.dumps(there.folders),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{who}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    return {**figures, "requests": there.requests().total()}


def run(options: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """All figures, as they come."""
    yield nothing_to_do(options.python)
    for tasks, events, of_world in cells(options):
        there = served.serve(served.world(tasks, events=events))
        for cell in of_world:
            figures = measure(options.python, there, cell)
            text = f"{figures['seconds']:8.2f} s {figures['requests'] / tasks:8.4f} requests a task {figures['mib']:6.0f} MiB"
            print(cell, text, flush=True)
            yield figures
        there.close()


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--python", default=sys.executable, help="the Python that has the packages of the job's image")
    parser.add_argument("--figures", type=Path, default=Path(".venv/figures.jsonl"), help="where the figures are kept")
    parser.add_argument("--page", type=Path, help="the page to write the tables into")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the kept figures")
    options = parser.parse_args()
    options.figures.parent.mkdir(parents=True, exist_ok=True)
    if not options.render:
        with options.figures.open("w", encoding="utf-8") as file:
            for figures in run(options):
                print(json.dumps(figures), file=file, flush=True)
    lines = options.figures.read_text(encoding="utf-8").splitlines()
    figures = page.Figures([json.loads(line) for line in lines])
    targets = list(page.targets(figures))
    for target in targets:
        print(target)
    if options.page:
        options.page.write_text(page.written(options.page.read_text(encoding="utf-8"), figures), encoding="utf-8")
    return 0 if all(target.as_known for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
