"""What is measured: each part gives its figures as rows, which ``page`` reads.

Every measurement has a fresh server in a process of its own, and a client in another one. Where the server is the endless one,
no memory and no time of either goes into building a world.
"""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import measured
import page
import served
from made_up import KEEP_TAG, Numbers

HERE = Path(__file__).resolve().parent
LATENCY = 0.005
"""Seconds that are added to each request: a network's."""
Row = dict[str, Any]


# -- one deletion
def deleted(  # noqa: PLR0913, PLR0917 -- what is measured, and under which circumstances
    python: str,
    there: served.Served,
    who: str,
    workers: int,
    settings: Mapping[str, str] | None = None,
    given: object = None,
) -> Row:
    """What one deletion took, and how many requests it sent."""
    done = subprocess.run(  # noqa: S603 -- ourselves
        [python, str(HERE / "client.py"), who, str(workers)],
        env={**os.environ, **there.sandbox.environment(), "CLEARML_LOG_LEVEL": "ERROR", **(settings or {})},
        input=json.dumps(given or there.folders),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{who}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    figures: Row = json.loads(done.stderr.splitlines()[-1])
    return {**figures, "requests": there.requests().total()}


@dataclass(frozen=True)
class Cell:
    """One deletion of all tasks of a sandbox."""

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


def nothing(options: Namespace) -> Iterator[Row]:
    """A pass over a server on which no task may go."""
    there = served.serve(served.world(1_000, events=False, archived=False))
    with there.fresh(LATENCY):
        yield {"who": "nothing", **deleted(options.python, there, "ours", page.DEFAULT)}
    there.close()


# -- beside the floor and the loop
def cells(options: Namespace) -> Iterator[tuple[int, bool, list[Cell]]]:
    """The matrix, world by world: the number of tasks, whether they have events, and what is measured on them."""
    for tasks in options.sizes:
        for events in (False, True):
            of_world = [Cell(who, tasks, events, page.DEFAULT, real=False) for who in ("floor", "ours")]
            for workers in options.workers if tasks in options.real_sizes else ():
                of_world += [Cell(who, tasks, events, workers, real=True) for who in ("floor", "ours")]
            if events and tasks in options.loop_sizes:
                of_world.append(Cell("loop", tasks, events, 1, real=True))
            yield tasks, events, of_world


def matrix(options: Namespace) -> Iterator[Row]:
    """All tasks of a world, deleted in several ways."""
    for tasks, events, of_world in cells(options):
        there = served.serve(served.world(tasks, events=events))
        for cell in of_world:
            work = measured.Server(there.records, events=events).seconds if cell.real else None
            with there.fresh(LATENCY, work):
                figures = deleted(options.python, there, cell.who, cell.workers)
                left = there.left()
                if any(left.values()):  # a deletion that is not what it should be has no figures
                    sys.exit(f"{cell}: left: {left}")
            print(cell, _text(figures, tasks), flush=True)
            yield {**asdict(cell), **figures}
        there.close()


# -- on the endless server
@dataclass(frozen=True)
class Form:
    """A pass over the endless server."""

    what: str
    numbers: Numbers
    settings: tuple[tuple[str, str], ...] = ()
    left: int | None = 0
    """Tasks that may go and are still there afterwards; None: any number."""
    real: bool = False


def _pass(options: Namespace, form: Form) -> Row:
    """One pass, with what the server's log tells of it."""
    there = served.without_end(form.numbers)
    work = measured.Server(there.records, events=False).seconds if form.real else None
    with there.fresh(LATENCY, work):
        figures = deleted(options.python, there, "ours", page.DEFAULT, dict(form.settings))
        left, log = there.left(), there.log()
    there.close()
    if form.left is not None and left["tasks"] != form.left:
        sys.exit(f"{form.what}, {form.numbers.tasks:,} tasks: left: {left}")
    row = {
        "who": "endless",
        "what": form.what,
        "tasks": form.numbers.tasks,
        "workers": page.DEFAULT,
        **figures,
        "claims_requests": log["requests"].get("claims", 0),
        "claims_seconds": log["last_claims"] - log["first_claims"],
        "claims_forms": log["claims_forms"],
        "before_deletion": log["first_deletion"] - log["last_claims"] if log["first_deletion"] else None,
    }
    print(f"{form.what:<7} {form.numbers.tasks:>10,} {_text(figures, form.numbers.tasks)}", flush=True)
    return row


def growth(options: Namespace) -> Iterator[Row]:
    """All tasks deleted, without events, on the bare server: time, own CPU, memory, and how soon the first one is deleted."""
    for tasks in options.growth:
        yield _pass(options, Form("all", Numbers(tasks)))


def shards(options: Namespace) -> Iterator[Row]:
    """All tasks deleted by the pods of four shards, one after the other; what one pod takes for as many is in ``growth``."""
    numbers = Numbers(options.sharded)
    there = served.without_end(numbers)
    rows = []
    with there.fresh(LATENCY):
        for shard in range(page.SHARDS):
            settings = {"CLEANUP_SHARDS": str(page.SHARDS), "JOB_COMPLETION_INDEX": str(shard)}
            row = deleted(options.python, there, "ours", page.DEFAULT, settings)
            rows.append({**row, "claims_requests": there.log()["requests"].get("claims", 0)})
        left = there.left()
    there.close()
    if any(left.values()):
        sys.exit(f"shards: left: {left}")
    total = {name: sum(row[name] for row in rows) for name in ("requests", "claims_requests", "seconds", "process_seconds")}
    row = {"who": "endless", "what": "shards", "tasks": numbers.tasks, **total, "mib": max(row["mib"] for row in rows)}
    print(f"shards  {numbers.tasks:>10,} {_text(row, numbers.tasks)}", flush=True)
    yield row


def claims(options: Namespace) -> Iterator[Row]:
    """Claims, with a real server's times, read by a pass that ends after its first tasks, and by bare paging.

    Beside it, with these times, how soon the first task is deleted once the claims are read.
    """
    numbers = Numbers(options.claims // 2)
    row = _pass(options, Form("claims", numbers, (("CLEANUP_MAX_TASKS", "500"),), left=None, real=True))
    yield row
    there = served.without_end(numbers)
    begin, end = (numbers.time(n).isoformat() for n in (0, numbers.tasks - 1))
    given = {"calls": row["claims_forms"], "begin": begin, "end": end}
    with there.fresh(LATENCY, measured.Server(there.records, events=False).seconds):
        figures = deleted(options.python, there, "paging", measured.AT_ONCE, given=given)
        log = there.log()
    there.close()
    seconds = log["last_claims"] - log["first_claims"]
    print(f"paging  {numbers.tasks:>10,} {_text(figures, numbers.tasks)}", flush=True)
    yield {"who": "paging", "tasks": numbers.tasks, **figures, "claims_seconds": seconds, "requests": log["requests"]["claims"]}


def memory(options: Namespace) -> Iterator[Row]:
    """Peak memory of passes over millions of tasks, in forms that take minutes and leave nothing out that could grow.

    - ``dry``: a dry run over all. It reads the claims, lists, judges and plans each task, and remembers what its going frees.
      The model of one in 100 is used by a task that is listed much later: these wait for the end of the pass.
    - ``kept``: 99 of 100 tasks are kept by a tag. The pass reads the claims of all, lists and judges all, reports those that
      are kept, and deletes the others.
    """
    dry, kept = options.memory
    yield _pass(options, Form("dry", Numbers(dry, users=100), (("CLEANUP_DRY_RUN", "true"),), left=dry))
    yield _pass(options, Form("kept", Numbers(kept, every=100, rest="kept"), (("CLEANUP_KEEP_TAGS", KEEP_TAG),)))


PARTS: dict[str, Callable[[Namespace], Iterable[Row]]] = {
    part.__name__: part for part in (nothing, matrix, growth, shards, claims, memory)
}


def _text(figures: Row, tasks: int) -> str:
    return f"{figures['seconds']:8.2f} s {figures['requests'] / tasks:8.4f} requests a task {figures['mib']:6.0f} MiB"
