"""The sandbox answers like the recorded ClearML Server: statuses, codes and bodies; the wording of errors is free.

The recordings are not part of this repository. CLEARML_CONFORMANCE names their folder; otherwise they are looked for in
../shared/conformance beside the repository. Without them these tests skip, but never in CI.
"""

import argparse
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cleanup_job.sandbox.server import Sandbox

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"
FOLDER = Path(os.environ.get("CLEARML_CONFORMANCE", BESIDE))
SCENARIOS = sorted((FOLDER / "scenarios").glob("*.json")) or [None]
KEY, SECRET = "conformance-key", "conformance-secret"


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    """The replayer that comes with the recordings."""
    if SCENARIOS == [None]:
        reason = f"no recordings in {FOLDER}: set CLEARML_CONFORMANCE"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    spec = importlib.util.spec_from_file_location("replay", FOLDER / "replay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(key=KEY, secret=SECRET) as sandbox:
        yield sandbox


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem if path else "none")
def test_a_recorded_conversation(replay: ModuleType, server: Sandbox, path: Path, tmp_path: Path) -> None:
    options = argparse.Namespace(
        api=server.api_url, files=server.files_url, key=KEY, secret=SECRET, load=None, state=None, no_messages=True
    )
    found = replay.replay(_without_order_of_sets(path, tmp_path), options)
    # How an error is worded is free in the entries of `failed`, too.
    assert [line for line in found if not re.search(r"\.error\.msg: want", line)] == []


def _without_order_of_sets(path: Path, folder: Path) -> Path:
    """The scenario with `source_urls` compared as the set that the server makes of them: their order differs."""
    scenario: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for step in scenario["steps"]:
        if step.get("unordered") is not True:
            step["unordered"] = [*(step.get("unordered") or []), "source_urls"]
    (folder / "scenarios").mkdir()
    (folder / "worlds").symlink_to(FOLDER / "worlds")
    changed = folder / "scenarios" / path.name
    changed.write_text(json.dumps(scenario), encoding="utf-8")
    return changed
