"""The process as a whole."""

import subprocess
import sys


def test_python_does_not_search_for_cycles_as_often_as_usual_nor_as_it_ends() -> None:
    code = (
        "import gc, sys; from cleanup_job.__main__ import main; usual = gc.get_threshold(); sys.argv = ['x', 'version']; "
        "main(); sys.exit(f'{gc.get_threshold()} {gc.get_freeze_count()}' "
        "if gc.get_threshold() <= usual or not gc.get_freeze_count() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
