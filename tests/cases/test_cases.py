"""What users report: each case is a world, faults in between, and what must be true after the installed command has run.

The cases are not part of this repository. CLEARML_CASES names their folder; otherwise they are looked for in
../shared/cases beside the repository. Without them the tests skip, but never in CI.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "cases"
FOLDER = Path(os.environ.get("CLEARML_CASES", BESIDE))
CASES = sorted(FOLDER.glob("*.json"))
SECONDS = 900.0
"""A case may run its command several times, for up to 150 seconds each or as many as it says."""


def play(case: Path) -> tuple[int, str]:
    """Let the runner that comes with the cases play one against this environment's command; its exit code and all it said."""
    command = [sys.executable, str(FOLDER / "run.py"), "--command", shlex.join([sys.executable, "-m", "cleanup_job"])]
    tree = ["--python-path", os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    done = subprocess.run([*command, *tree, case], capture_output=True, text=True, check=False, timeout=SECONDS)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES or [None], ids=lambda case: case.stem if case else "none")
def test_case(case: Path | None) -> None:
    if case is None:
        reason = f"no cases in {FOLDER}: set CLEARML_CASES"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    code, said = play(case)
    if code == 0 and "1 skipped" in said.splitlines()[-1]:
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said.splitlines()[-2].strip())
    assert code == 0, f"{json.loads(case.read_text())['about']}\n{said}"
