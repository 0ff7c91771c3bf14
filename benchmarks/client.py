"""One deletion in a process of its own, whose time and memory are measured: ours, the floor, or the SDK's loop; or bare paging.

    python benchmarks/client.py ours|floor|loop|paging WORKERS

The last line on standard error is a JSON object: seconds (wall clock, without imports and the start of Python), process_seconds
(CPU, all included), mib (peak of the resident set, all included).
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

BATCH = 500
SLICES = 32
LAST_TIME = re.compile(r'"last_update": "([^"]+)"')


def ours(workers: int) -> Callable[[], None]:
    """A pass as the CronJob's pod runs it."""
    # The job imports them when it needs them; a deletion that takes a second should not be measured by that.
    import clearml  # noqa: F401, PLC0415 -- see above

    from cleanup_job.cli.main import main  # noqa: PLC0415 -- see above

    def delete() -> None:
        code = main(["run", "--force-delete", "--workers", str(workers), "--log-format", "json"])
        if code:
            sys.exit(code)

    return delete


def floor(workers: int) -> Callable[[], None]:
    """The least that any deletion has to send: folders and records known beforehand, 500 at a time, no look at anything."""
    import requests  # noqa: PLC0415 -- nobody else's import is measured
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 -- likewise

    folders: dict[str, str] = json.load(sys.stdin)
    api, files = os.environ["CLEARML_API_HOST"], os.environ["CLEARML_FILES_HOST"]
    http = requests.Session()
    http.mount("http://", HTTPAdapter(pool_maxsize=64))
    ids = list(folders)

    def delete() -> None:
        keys = (os.environ["CLEARML_API_ACCESS_KEY"], os.environ["CLEARML_API_SECRET_KEY"])
        token = http.post(f"{api}/auth.login", auth=keys).json()["data"]["token"]
        http.headers["Authorization"] = f"Bearer {token}"

        def batch(start: int) -> None:
            some = ids[start : start + BATCH]
            paths = [quote(folders[task]) for task in some]
            http.post(f"{files}/delete_many", json={"files": paths}).raise_for_status()
            body = {"ids": some, "force": True, "delete_external_artifacts": False}
            http.post(f"{api}/tasks.delete_many", json=body).raise_for_status()

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(batch, range(0, len(ids), BATCH)))

    return delete


def paging(workers: int) -> Callable[[], None]:
    """Read listings to their end, slices of time at once, and look at nothing but each page's last time.

    Standard input has the calls with their bodies, and the first and the last time.
    """
    import requests  # noqa: PLC0415 -- likewise

    given = json.load(sys.stdin)
    api = os.environ["CLEARML_API_HOST"]
    http = requests.Session()
    begin, end = (datetime.fromisoformat(given[name]) for name in ("begin", "end"))
    edges = [*((begin + (end - begin) / SLICES * n).isoformat() for n in range(SLICES)), "9000-01-01"]

    def read(call: str, body: dict[str, Any], since: str, until: str) -> None:
        while True:
            bounds = [f">={since}", f"<{until}"][: len(body.get("last_update") or [""])]  # in the form that a pass has
            asked = {**body, "last_update": bounds, "order_by": ["last_update"], "page": 0}
            found = LAST_TIME.findall(http.post(f"{api}/{call}", json=asked).text)
            if len(found) < body["page_size"] or found[-1] >= until:
                return
            since = found[-1]

    def delete() -> None:
        keys = (os.environ["CLEARML_API_ACCESS_KEY"], os.environ["CLEARML_API_SECRET_KEY"])
        token = http.post(f"{api}/auth.login", auth=keys).json()["data"]["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        slices = [(call, body, *edge) for call, body in given["calls"].items() for edge in pairwise(edges)]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda one: read(*one), slices))

    return delete


def loop(_: int) -> Callable[[], None]:
    """What ClearML's own cleanup service does: the SDK's deletion, one task after the other."""
    from clearml import Task  # noqa: PLC0415 -- nobody else's import is measured

    ids = list(json.load(sys.stdin))
    Task.get_task(ids[0])  # logs in

    def delete() -> None:
        for task in ids:
            Task.get_task(task).delete()

    return delete


def main() -> None:
    """Delete, and tell what it took."""
    what, workers = sys.argv[1], int(sys.argv[2])
    delete = {"ours": ours, "floor": floor, "loop": loop, "paging": paging}[what](workers)
    began = time.perf_counter()
    delete()
    seconds = time.perf_counter() - began
    # Not ru_maxrss: that one is inherited, with the server's memory in it.
    with Path("/proc/self/status").open(encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    figures = {
        "seconds": seconds,
        "process_seconds": sum(os.times()[:2]),
        "mib": int(status["VmHWM"].split()[0]) / 1024,
    }
    print(json.dumps(figures), file=sys.stderr, flush=True)
    os._exit(0)  # the SDK's threads are nobody's concern here


if __name__ == "__main__":
    main()
