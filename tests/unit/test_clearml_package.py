"""Importing this package leaves the clearml package's own `__init__.py` unrun, until somebody asks for something in it."""

import subprocess
import sys

import pytest


def printed(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["clearml_api.session", "storage.allowed_buckets"])
def test_a_part_of_clearml_comes_without_what_training_needs(module: str) -> None:
    loaded = printed(f"import cleanup_job.{module}, sys; print(*sys.modules)").split()
    assert "clearml.backend_config" in loaded
    assert {"clearml.task", "numpy", "PIL", "psutil"}.isdisjoint(loaded)


def test_the_whole_package_is_there_for_who_asks() -> None:
    program = """
import cleanup_job.clearml_api.session as ours
from clearml import Task
import clearml
from clearml.backend_api.session import Session
print(Task is clearml.Task, clearml.Dataset.__name__, ours.Session is Session, hasattr(clearml, "nosuch"))
"""
    assert printed(program) == "True Dataset True False"


def test_a_package_that_was_imported_before_stays() -> None:
    assert (
        printed("import clearml; task = clearml.Task; import cleanup_job; import clearml as now; print(now.Task is task)")
        == "True"
    )
