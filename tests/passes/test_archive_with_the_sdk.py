"""The clearml package sees what a policy archived, and restores it: that is respected."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from clearml_sandbox.server import Sandbox
from tests.harness import clean
from tests.with_the_sdk import run

WRITE = """
from clearml import Task
task = Task.init("sdk/life", "exp one", auto_connect_frameworks=False, auto_connect_arg_parser=False,
                 auto_resource_monitoring=False, reuse_last_task_id=False, tags=["mine"])
task.connect({"rate": 0.1})
task.close()
print("id", task.id)
"""
SEE = """
import sys
from clearml import Task
def see():
    task = Task.get_task(sys.argv[1])
    print("archived", task.get_archived(), "tags", task.get_tags())
    print("task", task.name, task.status, task.get_parameter("General/rate"))
    print("found", [one.id for one in Task.get_tasks(project_name="sdk/life", task_filter={"system_tags": ["-archived"]})])
    return task
task = see()
"""
RESTORE = """
task.set_archived(False)
see()
"""
UNTAG = """
task.set_tags([tag for tag in task.get_tags() if not tag.startswith("cleanup:")])
see()
"""


def night(sandbox: Sandbox, folder: Path, now: datetime, key: str) -> TaskOutcome:
    """A pass with a policy that archives."""
    file = folder / "policies.yaml"
    file.write_text("policies: [{name: all, archive: {after: 14d}}]")
    return clean(sandbox, policies=str(file), now=now).watcher.outcomes[TaskId(key)]


def test_the_package_sees_the_archive_and_a_restore_by_it_is_respected(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load({})
    key = run(sandbox, WRITE, tmp_path).rpartition("id ")[2].split()[0]
    month = datetime.now(UTC) + timedelta(days=30)
    assert night(sandbox, tmp_path, month, key).verdict is Verdict.ARCHIVED
    tag = f"cleanup:archived={month:%Y-%m-%d}"
    seen = run(sandbox, SEE + RESTORE, tmp_path, key).splitlines()
    task = "task exp one completed 0.1"
    assert seen[:3] == [f"archived True tags ['{tag}', 'mine']", task, "found []"]
    restored = [f"archived False tags ['{tag}', 'mine']", task, f"found ['{key}']"]
    assert seen[3:] == restored

    for days in (1, 100):
        left = night(sandbox, tmp_path, month + timedelta(days=days), key)
        assert (left.verdict, left.reason) == (Verdict.KEPT, Reason.RESTORED)
    seen = run(sandbox, SEE + UNTAG, tmp_path, key).splitlines()
    assert seen[:3] == restored
    assert seen[3:] == ["archived False tags ['mine']", task, f"found ['{key}']"]
    assert night(sandbox, tmp_path, month + timedelta(days=101), key).verdict is Verdict.ARCHIVED
