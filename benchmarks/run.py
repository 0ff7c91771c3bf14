"""Time, requests and memory of a pass beside the SDK's loop and beside the least that any deletion takes, as ratios of one run.

    python benchmarks/run.py [--only PART ...] [--large] [--sizes 100 1000] [--workers 4] [--figures FILE] [--page FILE]

Every cell of the matrix deletes all tasks of a fresh server; two cells that are compared follow each other. Figures are kept
as they come, so that a run that was ended can be written to the page with ``--render``, and one part can be measured again.
Gives 1 where a figure is worse than what was to be reached, and worse than it is known to be.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import measurements
import page

SIZES = [100, 1_000, 10_000, 100_000]
WORKERS = [1, 4, 16]
REAL_SIZES = [100, 1_000, 10_000]
"""With a real server's times, 100,000 tasks would take hours, and each task as long as any other."""
LOOP_SIZES = [100]
"""The loop takes half a second a task."""
GROWTH = [page.SMALL, page.LARGE, page.MILLION]
SHARDED = page.LARGE
CLAIMS = page.MILLION
MEMORY = [3 * page.MILLION, 10 * page.MILLION]
LARGE = ("claims", "memory")
"""Parts that take long: they are measured where they are named, or with ``--large``."""


def parts(options: argparse.Namespace) -> list[str]:
    """What is to be measured."""
    return options.only or [part for part in measurements.PARTS if options.large or part not in LARGE]


def run(options: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """All figures, as they come: first those of parts that are not measured now."""
    wanted = parts(options)
    yield from [row for row in kept(options.figures) if row["part"] not in wanted]
    for part in wanted:
        for row in measurements.PARTS[part](options):
            yield {"part": part, **row}


def kept(figures: Path) -> list[dict[str, Any]]:
    """The figures that were measured before."""
    return [json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines()] if figures.exists() else []


def measure(options: argparse.Namespace) -> None:
    """Measure, and keep each figure as it comes."""
    options.figures.parent.mkdir(parents=True, exist_ok=True)
    lines = map(json.dumps, run(options))
    first = next(lines)  # what is kept was read before the file is opened
    with options.figures.open("w", encoding="utf-8") as file:
        for line in chain([first], lines):
            print(line, file=file, flush=True)


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=measurements.PARTS, help="measure these parts alone")
    parser.add_argument("--large", action="store_true", help=f"measure what takes long, too: {', '.join(LARGE)} (an hour)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--real-sizes", type=int, nargs="*", default=REAL_SIZES, help="those with a real server's times")
    parser.add_argument("--loop-sizes", type=int, nargs="*", default=LOOP_SIZES, help="those with the SDK's loop")
    parser.add_argument("--growth", type=int, nargs="+", default=GROWTH, help="tasks that are deleted on the endless server")
    parser.add_argument("--sharded", type=int, default=SHARDED, help="tasks for four shards: one of those of --growth")
    parser.add_argument("--claims", type=int, default=CLAIMS, help="records whose claims are read")
    parser.add_argument("--memory", type=int, nargs=2, default=MEMORY, help="tasks of a dry run, and of a pass that keeps most")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the packages of the job's image")
    parser.add_argument("--figures", type=Path, default=Path(".venv/figures.jsonl"), help="where the figures are kept")
    parser.add_argument("--page", type=Path, help="the page to write the tables into")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the kept figures")
    options = parser.parse_args()
    if not options.render:
        measure(options)
    figures = page.Figures(kept(options.figures))
    targets = list(page.targets(figures))
    for target in targets:
        print(target)
    if options.page:
        options.page.write_text(page.written(options.page.read_text(encoding="utf-8"), figures), encoding="utf-8")
    return 0 if all(target.as_known for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
