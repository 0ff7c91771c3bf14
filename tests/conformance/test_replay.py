"""The sandbox answers like the recorded ClearML Server: statuses, codes and bodies; the wording of errors is free."""

import argparse
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from clearml_sandbox.server import Sandbox
from tests.conformance.recorded import FOLDER, KEY, SECRET, recorded, title


@pytest.mark.parametrize("path", recorded("scenarios"), ids=title)
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
