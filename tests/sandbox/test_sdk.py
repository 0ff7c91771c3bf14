"""The clearml package itself works on the sandbox, unchanged."""

from pathlib import Path

import pytest

from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import now
from clearml_sandbox.worlds.records import queue_record
from tests.harness import state
from tests.with_the_sdk import run

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
SERVICE = """
from clearml import Task
from clearml.backend_api.session.client import APIClient
task = Task.init("DevOps", "Cleanup Service", task_type=Task.TaskTypes.service, reuse_last_task_id=False,
                 auto_resource_monitoring=False, auto_connect_frameworks=False)
values = task.connect({"delete_threshold_days": 30.0, "force_delete": False})
print("a line of the console", flush=True)
logger = task.get_logger()
for i in range(3):
    logger.report_scalar("deleted", "tasks", value=i * 5, iteration=i)
logger.report_single_value("files", 7)
logger.report_table("result", "projects", 0, table_plot=[["project", "tasks"], ["lab", 5]])
logger.report_plotly("result", "bars", {"data": [{"type": "bar", "x": ["lab"], "y": [5]}], "layout": {}}, iteration=0)
logger.report_text("the last text")
task.upload_artifact("a dict", {"a": 1}, wait_on_upload=True)
task.flush(wait_for_uploads=True)
task.close()
task = Task.get_task(project_name="DevOps", task_name="Cleanup Service")
print("status", task.status, sorted(task.get_parameters()))
print("latest", {key: of["tasks"]["last"] for key, of in task.get_last_scalar_metrics().items() if key == "deleted"})
print("artifact", task.artifacts["a dict"].get())
print("scalars", task.get_reported_scalars()["deleted"]["tasks"]["y"], task.get_reported_single_value("files"))
print("console", "a line of the console" in "".join(task.get_reported_console_output(100)))
print("newest", "the last text" in task.get_reported_console_output(1)[0])
print("plots", sorted(plot["variant"] for plot in task.get_reported_plots()))
data = APIClient().events.get_scalar_metric_data(task=task.id, metric="deleted")
print("data", [event["value"] for event in data.events])
(last,) = [m for m in APIClient().events.get_task_latest_scalar_values(task=task.id).metrics if m["name"] == "deleted"]
print("mean", last["variants"][0]["last_value"], last["variants"][0]["last_100_value"])
clone = Task.clone(task, name="a clone", parent=task.id)
clone.set_parameters({"General/force_delete": True})
Task.enqueue(clone, queue_name="services")
clone = Task.get_task(clone.id)
print("clone", clone.status, clone.get_parameter("General/force_delete"), clone.parent == task.id)
"""


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


def test_the_original_services_own_way_with_a_task(sandbox: Sandbox, tmp_path: Path) -> None:
    """Task.init, connect, reports, close; reading them again; a clone with other parameters in a queue."""
    sandbox.load({"queues": [queue_record("q" * 32, now()) | {"name": "services"}]})
    said = run(sandbox, SERVICE, tmp_path)
    assert "status completed ['General/delete_threshold_days', 'General/force_delete']" in said
    assert "scalars [0.0, 5.0, 10.0] 7" in said
    assert "console True" in said
    assert "latest {'deleted': 10.0}" in said
    assert "artifact {'a': 1}" in said
    assert "newest True" in said
    assert "plots ['bars', 'projects']" in said
    assert "data [0.0, 5.0, 10.0]" in said
    assert "mean 10.0 5.0" in said
    assert "clone queued True True" in said
    (entry,) = sandbox.store.queues["q" * 32]["entries"]
    assert sandbox.store.tasks[entry["task"]]["name"] == "a clone"
