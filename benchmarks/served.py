"""What the servers of a benchmark hold, and how they are served: each measurement gets a fresh copy of the same world.

The world is built once in this process, its ports bound; each measurement forks a child that serves it and is ended afterwards,
so that no measurement finds what another one left, and none waits for a world to be built. Server and client are processes
apart: on two cores, neither takes the other's time.
"""

import gc
import json
import os
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from endless_server import EndlessServer
from made_up import ARTIFACTS, Numbers

from clearml_sandbox.server import OWN, Sandbox, Work
from clearml_sandbox.worlds.builder import World

IMAGES = 20
PLOTS = 2


@dataclass(frozen=True)
class Served:
    """A world that is ready to be served, and what a deletion without any look-up has to know beforehand."""

    sandbox: Sandbox
    folders: dict[str, str]
    """For each task, its folder on the fileserver."""

    @contextmanager
    def fresh(self, latency: float, work: Work | None = None) -> Iterator[None]:
        """The world as it was built, served by a process of its own.

        Args:
            latency: Seconds added to each request.
            work: What is added beside it, as the sandbox takes it.
        """
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            self.sandbox.latency, self.sandbox.work = latency, work
            self.sandbox.start()
            while True:
                signal.pause()
        try:
            yield
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)

    def close(self) -> None:
        """Give the ports and the memory back."""
        self.sandbox.close()
        self.sandbox.store.clear()
        self.folders.clear()
        gc.unfreeze()
        gc.collect()

    def requests(self) -> Counter[str]:
        """What the present child was asked so far, by call."""
        return Counter(request["call"] for request in self._ask("requests"))

    def left(self) -> dict[str, int]:
        """How many tasks, models and files are left on the present child."""
        state = self._ask("state")
        return {kind: len(state[kind]) for kind in ("tasks", "models", "files")}

    def records(self, service: str) -> int:
        """How many tasks or models there are: asked in the child."""
        return len(getattr(self.sandbox.store, service, ()))

    def _ask(self, name: str) -> Any:
        with urllib.request.urlopen(f"{self.sandbox.api_url}{OWN}{name}") as answer:  # noqa: S310 -- on loopback
            return json.load(answer)


@dataclass(frozen=True)
class ServedWithoutEnd(Served):
    """A world that is made up as it is asked for."""

    sandbox: EndlessServer

    def log(self) -> dict[str, Any]:
        """What the last pass asked the present child, as ``endless_server.Log`` has it."""
        found: dict[str, Any] = self._ask("log")
        return found

    def requests(self) -> Counter[str]:
        """What the last pass asked."""
        return Counter(self.log()["requests"])

    def left(self) -> dict[str, int]:
        """How many of those that may go are left, and how many of these have files."""
        found: dict[str, int] = self._ask("left")
        return found

    def records(self, service: str) -> int:
        """How many tasks or models there are."""
        return self.sandbox.answers.records(service)


def world(tasks: int, *, events: bool, archived: bool = True) -> World:
    """Tasks with 3 artifacts and 1 model each, and with events 20 debug samples and 2 plots."""
    made = World(datetime.now(UTC))
    for n in range(tasks):
        task = made.task(f"exp {n}", project=f"bench/p{n % 10}", days_old=40 + n / tasks, archived=archived)
        for k in range(ARTIFACTS):
            task.artifact(f"a{k}")
        task.model("weights")
        if events:
            task.debug_images(IMAGES)
            for k in range(PLOTS):
                task.plot(f"plot {k}")
    return made


def without_end(numbers: Numbers) -> ServedWithoutEnd:
    """Bind the ports."""
    return ServedWithoutEnd(EndlessServer(numbers), {})


def serve(made: World) -> Served:
    """Bind the ports and load the world; nothing is served yet."""
    folders = {task.id: task.folder for task in made.tasks}
    sandbox = Sandbox(made.as_dict(), log_bodies=False)
    gc.collect()
    gc.freeze()  # the world is no garbage, and looking at it would copy it in each child
    return Served(sandbox, folders)
