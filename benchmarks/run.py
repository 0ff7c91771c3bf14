"""Figures of a pass, measured on the sandbox with 5 ms added to each request.

Ratios come from one run on one machine, the peer beside us: `Task.get_task(id).delete()` in a loop is what ClearML's own
cleanup service does. Each figure runs in a process of its own, so that memory and caches don't carry over.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cleanup_job.cleanup import Options, Pass, Stop
from cleanup_job.report.outcome import Report, TaskOutcome
from cleanup_job.sandbox.builder import World
from cleanup_job.sandbox.server import Sandbox
from cleanup_job.selection import Filters
from cleanup_job.server.clearml_server import ClearMLServer
from cleanup_job.server.session import Connection, Transport
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.store import Stores

NOW = datetime.now(UTC)
LATENCY = 0.005


class Silent:
    """Watches without a word."""

    def selected(self, total: int, projects: Mapping[str, int]) -> None:
        """Nothing."""

    def outcome(self, outcome: TaskOutcome) -> None:
        """Nothing."""

    def project(self, name: str) -> None:
        """Nothing."""

    def warning(self, text: str) -> None:
        """Warnings would spoil a figure: show them."""
        print("warning:", text, file=sys.stderr)


def world(tasks: int, *, outputs: bool, events: bool) -> World:
    """Tasks with 3 artifacts and 1 model, and with events 10 debug samples and 2 plots."""
    made = World(NOW)
    for n in range(tasks):
        task = made.task(f"exp {n}", project=f"bench/p{n % 10}", days_old=40 + n / tasks)
        if outputs:
            for k in range(3):
                task.artifact(f"a{k}")
            task.model("weights")
        if events:
            task.debug_images(10)
            for k in range(2):
                task.plot(f"plot {k}")
    return made


def expect(holds: object, what: str) -> None:
    """A deletion that is not what it should be has no figures."""
    if not holds:
        sys.exit(f"not as expected: {what}")


def ours(sandbox: Sandbox, workers: int) -> Report:
    """One pass."""
    transport = Transport(Connection(sandbox.api_url, sandbox.key, sandbox.secret))
    files = FileServer(sandbox.files_url, (), transport.token)
    report = Report("bench", False, NOW, NOW - timedelta(days=30))  # noqa: FBT003 -- no dry run
    options = Options(Filters(timedelta(days=30), drafts_only=False), workers=workers)
    Pass(ClearMLServer(transport), Stores((files,)), options, report, Silent(), Stop()).run()
    return report


def measure_ours(tasks: int, *, outputs: bool, events: bool) -> dict[str, float]:
    """Requests and seconds of one pass."""
    with Sandbox(world(tasks, outputs=outputs, events=events).as_dict(), latency=LATENCY, log_bodies=False) as sandbox:
        started = time.perf_counter()
        report = ours(sandbox, 8)
        seconds = time.perf_counter() - started
        left = sandbox.state()
        expect(report.total().tasks == tasks, f"{tasks} tasks deleted")
        expect(not left["files"] and not left["models"], "no file and no model left")
        return {"requests": len(sandbox.requests), "seconds": seconds}


def measure_peer(tasks: int) -> dict[str, float]:
    """Requests and seconds of the SDK's own deletion, one task after the other."""
    with Sandbox(world(tasks, outputs=True, events=True).as_dict(), latency=LATENCY, log_bodies=False) as sandbox:
        ids = list(sandbox.store.tasks)
        code = (
            "import sys, time\n"
            "from clearml import Task\n"
            "ids = sys.argv[1:]\n"
            "Task.get_task(ids[0])\n"
            "started = time.perf_counter()\n"
            "for i in ids: Task.get_task(i).delete()\n"
            "print(time.perf_counter() - started)\n"
        )
        done = subprocess.run(  # noqa: S603 -- ourselves
            [sys.executable, "-c", code, *ids],
            env={**os.environ, **sandbox.environment(), "CLEARML_LOG_LEVEL": "ERROR"},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        expect(not sandbox.state()["tasks"], "no task left")
        return {"requests": len(sandbox.requests), "seconds": float(done.stdout.split()[-1])}


def measure_memory(tasks: int) -> dict[str, float]:
    """Peak memory in MiB of a pass in a process without the sandbox."""
    with Sandbox(world(tasks, outputs=False, events=False).as_dict(), log_bodies=False) as sandbox:
        code = (
            "import sys\n"
            "from cleanup_job.cli import main\n"
            "code = main(['run', '--force-delete', '--workers', '8', '--log-format', 'json', '--log-level', 'warning'])\n"
            # Not ru_maxrss: that one is inherited, with the sandbox's memory in it.
            "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
            "print(int(status['VmHWM'].split()[0]) / 1024, file=sys.stderr)\n"
            "sys.exit(code)\n"
        )
        done = subprocess.run(  # noqa: S603 -- ourselves
            [sys.executable, "-c", code],
            env={**os.environ, **sandbox.environment()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=True,
            text=True,
        )
        expect(not sandbox.state()["tasks"], "no task left")
        return {"mib": float(done.stderr.split()[-1]), "requests": len(sandbox.requests)}


FIGURES = {
    "ours": lambda n: measure_ours(n, outputs=True, events=True),
    "ours_without_events": lambda n: measure_ours(n, outputs=True, events=False),
    "ours_small": lambda n: measure_ours(n, outputs=False, events=False),
    "peer": measure_peer,
    "memory": measure_memory,
}


def figure(name: str, tasks: int) -> dict[str, float]:
    """A figure, from a process of its own."""
    done = subprocess.run(  # noqa: S603 -- ourselves
        [sys.executable, __file__, "--figure", name, "--tasks", str(tasks)], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Print the figures beside what they have to reach; gives 1 where one misses it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", choices=FIGURES)
    parser.add_argument("--tasks", type=int, default=500)
    options = parser.parse_args()
    if options.figure:
        print(json.dumps(FIGURES[options.figure](options.tasks)))
        return 0
    n, many = options.tasks, 20_000
    peer, we = figure("peer", n), figure("ours", n)
    plain, small, memory = figure("ours_without_events", n), figure("ours_small", n), figure("memory", many)
    lines = [
        (f"requests, SDK / ours, {n} tasks", peer["requests"] / we["requests"], ">=", 20),
        (f"time, SDK / ours, {n} tasks, 8 workers", peer["seconds"] / we["seconds"], ">=", 20),
        ("requests a task, SDK", peer["requests"] / n, "", 0),
        ("requests a task, ours, with events", we["requests"] / n, "<", 0.5),
        ("requests a task, ours, without events", plain["requests"] / n, "<", 0.05),
        ("requests a task, ours, tasks without outputs", small["requests"] / n, "<", 0.05),
        (f"peak memory of a pass over {many} small tasks, MiB", memory["mib"], "<", 250),
    ]
    good = True
    for text, value, sign, bound in lines:
        met = {">=": value >= bound, "<": value < bound, "": True}[sign]
        good &= met
        print(f"{text:<52} {value:9.3f}  {sign} {bound if sign else '':<5} {'ok' if met else 'MISSED'}")
    print(f"seconds: SDK {peer['seconds']:.1f}, ours {we['seconds']:.2f}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
