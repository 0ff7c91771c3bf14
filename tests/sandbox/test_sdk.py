"""The clearml package itself works on the sandbox, unchanged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import state

from cleanup_job.sandbox.server import Sandbox

MAKE = """
import sys
from clearml import Task, OutputModel
task = Task.init("sdk/of one", "makes all", auto_connect_frameworks=False, auto_connect_arg_parser=False,
                 auto_resource_monitoring=False, auto_connect_streams=False, reuse_last_task_id=False, output_uri=True)
task.upload_artifact("a dict", {"a": 1}, wait_on_upload=True)
open(sys.argv[1], "w").write("weights")
OutputModel(task=task, name="the model").update_weights(sys.argv[1], auto_delete_file=False, async_enable=False)
import numpy
task.get_logger().report_image("im", "v", 0, image=numpy.zeros((4, 4, 3), dtype="uint8"))
task.flush(wait_for_uploads=True)
task.close()
print("id", task.id)
"""
DELETE = """
import sys
from clearml import Task
print("deleted", bool(Task.get_task(sys.argv[1]).delete()))
"""
CREATE = """
from clearml import Task
from clearml.backend_api.session.client import APIClient
task = Task.create("sdk/of one", "created", task_type=Task.TaskTypes.testing)
client = APIClient()
print("found", [t.id for t in client.tasks.get_all(only_fields=["id"], order_by=["-last_update"])] == [task.id])
print("archived", client.tasks.archive(tasks=[task.id]).archived)
print("status", Task.get_task(task.id).status)
"""


def run(sandbox: Sandbox, code: str, folder: Path, *words: str) -> str:
    clear = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")}
    environ = clear | sandbox.environment() | {"HOME": str(folder), "CLEARML_CONFIG_FILE": str(folder / "none.conf")}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_task_made_by_the_sdk_is_deleted_by_the_sdk_with_all_it_wrote(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load({})
    key = run(sandbox, MAKE, tmp_path, str(tmp_path / "weights.pt")).rpartition("id ")[2].split()[0]
    tasks, models, files = state(sandbox)
    assert (tasks, len(models), len(files)) == ([key], 1, 3)
    assert all(f"sdk/of one/makes all.{key}/" in path for path in files)
    assert "deleted True" in run(sandbox, DELETE, tmp_path, key)
    assert state(sandbox) == ([], [], [])


@pytest.mark.parametrize("version", ["2.34", "2.23"])
def test_create_session_and_client(tmp_path: Path, version: str) -> None:
    with Sandbox(max_api_version=version) as sandbox:
        out = run(sandbox, CREATE, tmp_path)
    assert "found True" in out
    assert "archived 1" in out
    assert "status created" in out
