"""The recordings of a real ClearML Server in recordings/, and the replayer that comes with them.

CLEARML_CONFORMANCE names the folder of another set of the same form to test with instead.
"""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

FOLDER = Path(os.environ.get("CLEARML_CONFORMANCE", Path(__file__).with_name("recordings")))
KEY, SECRET = "conformance-key", "conformance-secret"


def replayer() -> ModuleType:
    """Import the replayer."""
    spec = importlib.util.spec_from_file_location("replay", FOLDER / "replay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(folder: str) -> list[Path]:
    """List the recordings of a kind.

    Raises:
        FileNotFoundError: there are none, so a test over them would pass without having looked at anything.
    """
    found = sorted((FOLDER / folder).glob("*.json"))
    if not found:
        message = f"no recordings in {FOLDER / folder}: set CLEARML_CONFORMANCE to the folder of a set, or unset it"
        raise FileNotFoundError(message)
    return found


def title(path: Path) -> str:
    """Name a recording in the list of tests."""
    return path.stem
