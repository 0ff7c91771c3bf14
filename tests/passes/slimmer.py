"""Slims tasks of a sandbox, as a pass does it, with everything real around it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.passes.auditing import Auditing
from cleanup_job.passes.cleanup import Pass, Stop
from cleanup_job.passes.ports import Audit
from cleanup_job.passes.slimming import Slimming
from cleanup_job.planning.backlog import Backlog
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Report, TaskOutcome
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from cleanup_job.retry import Retry
from cleanup_job.settings.sources import load
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.stores import Stores
from clearml_sandbox.server import Sandbox
from tests.harness import NOW, Watcher

ALL = "debug_samples, plots, artifacts, checkpoints, console"


def policies(folder: Path, remove: str = ALL, more: str = "", delete: str = "") -> str:
    """A file with one policy, for tasks in the archive."""
    path = folder / "policies.yaml"
    slim = f"    slim:\n      after: 10d\n      remove: [{remove}]\n{more}"
    path.write_text(f"policies:\n  - name: all\n    match: {{}}\n{slim}{delete}", encoding="utf-8")
    return str(path)


def slim(
    sandbox: Sandbox, file: str, *, attempts: int = 4, audit: Audit | None = None, between: Any = None, **settings: Any
) -> dict[TaskId, TaskOutcome]:
    """Slim all that is due; ``between`` is called after the tasks were read, and before they are read again."""
    given = {"force_delete": True, "request_timeout_seconds": 30, "policies": file, **settings}
    wanted, _ = load({name: value for name, value in given.items() if value not in ((), None)}, sandbox.environment())
    retry = Retry(attempts, wait=0)
    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, timeout=30, retry=retry))
    stop = Stop()
    files = FileServer(sandbox.files_url, (), transport.token, timeout=30, retry=retry, before_deletion=stop.before_deletion)
    server = ClearMLServer(transport, wanted.run.page_size, before_deletion=stop.before_deletion)
    doing = Pass(server, Stores((files,)), wanted, Report("test", wanted.run.dry_run, NOW, NOW), Watcher(), stop)
    doing.set_clock()
    names = server.projects()
    rules = doing._rules(names)
    doing._claims.read()
    policy = doing._policy(rules, names, doing._claims)
    outcomes = OutcomeBuilder(names, rules.rule_of, wanted.run.dry_run, rules.policy_of)
    planner = doing._batches(policy, doing._claims, Backlog(DeletedSoFar()), outcomes).planner
    assert rules.lifecycle is not None
    slimming = Slimming(
        storage=planner.storage,
        policy=policy,
        lifecycle=rules.lifecycle,
        planner=planner,
        outcomes=outcomes,
        split=planner.split,
        auditing=Auditing(audit, policy, {}, planner.split, outcomes) if audit is not None else None,
        keep_missing=wanted.files.missing_files == "keep_record",
        go_on=stop.go_on,
    )
    steps = [(task, step) for task in server.tasks_of(rules.query()) if isinstance(task, Task) and (step := rules.step(task))]
    due = [(task, step) for task, step in steps if step.stage is Stage.SLIM and step.announced is None]
    if between is not None:
        between()
    found: list[TaskOutcome] = []
    for first in range(0, len(due), 25):
        slimming.slim(due[first : first + 25], found)
    assert sorted(outcome.task for outcome in found) == sorted(task.id for task, _ in due)
    return {outcome.task: outcome for outcome in found}


def paths(sandbox: Sandbox, task: str) -> list[str]:
    """The files in a task's folders, below these."""
    return sorted(path.partition(f".{task}/")[2] for path in sandbox.state()["files"] if f".{task}/" in path)


def record(sandbox: Sandbox, task: str) -> dict[str, Any]:
    """A task's record as it is."""
    return dict(sandbox.store.tasks[task])


def keys(document: dict[str, Any]) -> Sequence[str]:
    """The names of its artifacts."""
    return [artifact["key"] for artifact in document["execution"]["artifacts"]]
