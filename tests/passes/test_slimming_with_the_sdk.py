"""The clearml package writes a task, it is slimmed, and the package still reads it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cleanup_job.planning.outcome import Verdict
from cleanup_job.planning.paths import TaskId
from clearml_sandbox.server import Sandbox
from tests.passes.slimmer import paths, policies, slim
from tests.with_the_sdk import run

WRITE = """
import sys
import numpy
from clearml import OutputModel, Task
task = Task.init("sdk/slim", "exp one", auto_connect_frameworks=False, auto_connect_arg_parser=False,
                 auto_resource_monitoring=False, reuse_last_task_id=False, output_uri=True)
task.connect({"rate": 0.1})
print("a line of the console", flush=True)
logger = task.get_logger()
for i in range(3):
    logger.report_scalar("loss", "train", value=i, iteration=i)
    logger.report_image("im", "v", i, image=numpy.full((4, 4, 3), i, dtype="uint8"))
logger.report_table("table", "rows", 0, table_plot=[["a", "b"], [1, 2]])
task.upload_artifact("metrics csv", {"kept": 1}, wait_on_upload=True)
task.upload_artifact("data", {"gone": 1}, wait_on_upload=True)
for name in ("first", "last"):
    open(name + ".pt", "w").write(name)
    OutputModel(task=task, name=name).update_weights(name + ".pt", auto_delete_file=False, async_enable=False, iteration=1)
task.flush(wait_for_uploads=True)
task.close()
print("id", task.id)
"""
READ = """
import sys
from clearml import Task
task = Task.get_task(sys.argv[1])
print("status", task.status, task.get_parameter("General/rate"))
print("scalars", task.get_reported_scalars()["loss"]["train"]["y"])
print("latest", task.get_last_scalar_metrics()["loss"]["train"]["last"])
print("artifacts", sorted(task.artifacts), task.artifacts["metrics csv"].get(force_download=True))
print("models", [model.name.rpartition(" - ")[2] for model in task.models["output"]])
print("weights", open(task.models["output"][0].get_local_copy(force_download=True)).read())
print("plots", [plot["metric"] for plot in task.get_reported_plots()])
print("console", [line for line in task.get_reported_console_output(100) if line])
print("tags", task.get_tags())
"""


def test_the_package_still_reads_what_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load({})
    key = run(sandbox, WRITE, tmp_path).rpartition("id ")[2].split()[0]
    assert len(paths(sandbox, key)) == 7  # three images, two artifacts, two checkpoints
    more = '      also: not_archived\n      artifacts: {except: ["metrics*"]}\n'
    month = datetime.now(UTC) + timedelta(days=30)
    found = slim(sandbox, policies(tmp_path, more=more), now=month)[TaskId(key)]
    assert (found.verdict, found.files, found.models) == (Verdict.SLIMMED, 5, 1)
    left = [path.partition("/")[0] for path in paths(sandbox, key)]
    assert left == ["artifacts", "models"]
    said = run(sandbox, READ, tmp_path, key)
    assert "status completed 0.1" in said
    assert "scalars [0.0, 1.0, 2.0]" in said
    assert "latest 2.0" in said
    assert "artifacts ['metrics csv'] {'kept': 1}" in said
    assert "models ['last']" in said
    assert "weights last" in said
    assert "plots ['table']" in said
    assert "console []" in said
    assert f"tags ['cleanup:slimmed={month:%Y-%m-%d}']" in said
