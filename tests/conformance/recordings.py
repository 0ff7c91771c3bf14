"""Where the recordings of a real ClearML Server are, and the replayer that comes with them.

They are not part of this repository. CLEARML_CONFORMANCE names their folder; otherwise they are looked for in
../shared/conformance beside the repository. Without them the tests skip, but never in CI.
"""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"
FOLDER = Path(os.environ.get("CLEARML_CONFORMANCE", BESIDE))
KEY, SECRET = "conformance-key", "conformance-secret"


def replayer() -> ModuleType:
    """The replayer, as a module."""
    script = FOLDER / "replay.py"
    if not script.exists():
        reason = f"no recordings in {FOLDER}: set CLEARML_CONFORMANCE"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    spec = importlib.util.spec_from_file_location("replay", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(folder: str) -> list[Path | None]:
    """The recordings of a kind; without any a single None, for which the replayer skips."""
    return [*sorted((FOLDER / folder).glob("*.json"))] or [None]


def title(path: Path | None) -> str:
    """A recording's name in the list of tests."""
    return path.stem if path else "none"
