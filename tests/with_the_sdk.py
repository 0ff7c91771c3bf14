"""The clearml package as a user's program has it: in a process of its own, with a sandbox as its server."""

import os
import subprocess
import sys
from pathlib import Path

from clearml_sandbox.server import Sandbox


def run(sandbox: Sandbox, code: str, folder: Path, *words: str) -> str:
    """Run a program; gives what it printed."""
    clear = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")}
    environ = clear | sandbox.environment() | {"HOME": str(folder), "CLEARML_CONFIG_FILE": str(folder / "none.conf")}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
