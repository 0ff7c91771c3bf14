"""A sandbox with something to clean, and an environment that names it."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World


@pytest.fixture
def world() -> World:
    return World(datetime.now(UTC))


@pytest.fixture
def filled(sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    for n in range(4):
        task = world.task(f"exp {n}")
        task.artifact("data")
        task.debug_images(2)
    world.task("living", archived=False).artifact("data")
    kept = world.task("kept")
    kept.model("w", uri=f"http://files.old.example/x/x.{kept.id}/w.pt")
    sandbox.load(world.as_dict())
    for name in list(os.environ):
        if name.startswith(("CLEARML_", "CLEANUP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return sandbox
