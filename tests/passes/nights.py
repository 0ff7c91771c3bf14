"""Nights over one sandbox: its clock is moved, and each night is one pass."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest

import clearml_sandbox.store
from cleanup_job.planning.outcome import Verdict
from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from tests.harness import Done, clean

FIRST = datetime(2026, 11, 1, 2, tzinfo=UTC)
STAGED = frozenset(Verdict) - {Verdict.KEPT, Verdict.FAILED, Verdict.NOT_OURS, Verdict.GONE_ALREADY}


class Nights:
    """The nights of one sandbox, from ``FIRST`` on."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.now = FIRST
        self.file = str(folder / "policies.yaml")

    def world(self) -> World:
        """A world as of the first night."""
        return World(FIRST)

    def load(self, world: World, policies: str) -> None:
        """Begin anew with a world and a file of policies."""
        self.now = FIRST
        self.sandbox.fault = None
        self.sandbox.load(world.as_dict())
        self.sandbox.requests.clear()
        Path(self.file).write_text(policies)

    def night(self, **settings: Any) -> Done:
        """One pass at the present moment."""
        return clean(self.sandbox, now=self.now, policies=self.file, **settings)

    def later(self, days: float) -> Self:
        """Let time pass."""
        self.now += timedelta(days=days)
        return self

    def until_quiet(self, *, days: float = 0, **settings: Any) -> int:
        """Nights, so many days apart, until one of them does nothing; gives their number."""
        for number in range(1, 20):
            if not any(one.verdict in STAGED for one in self.night(**settings).watcher.outcomes.values()):
                return number
            self.later(days)
        raise AssertionError("the nights don't come to an end")

    def everything(self) -> Document:
        """All that is there, records with all their fields."""
        store = self.sandbox.store
        return deepcopy(
            {
                "tasks": dict(store.tasks),
                "models": dict(store.models),
                "events": store.events,
                "files": self.sandbox.state()["files"],
            }
        )

    def task(self, task: str) -> Document:
        """Its record."""
        return self.sandbox.store.tasks[task]

    def is_archived(self, task: str) -> bool:
        return "archived" in self.task(task)["system_tags"]

    def marks(self, task: str) -> list[str]:
        """The job's tags on it."""
        return [tag for tag in self.task(task).get("tags", []) if tag.startswith("cleanup:")]

    def change(self, task: str, **fields: Any) -> None:
        """What another user does to it at the present moment."""
        stamp = clearml_sandbox.store.now()
        self.sandbox.store.tasks.change(task, last_change=stamp, last_changed_by="somebody else", **fields)


@pytest.fixture
def nights(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """Nights whose moment is the sandbox's, too."""
    made = Nights(sandbox, tmp_path)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no subclass is needed
            return made.now.astimezone(tz)

    monkeypatch.setattr(clearml_sandbox.store, "datetime", Clock)
    return made
