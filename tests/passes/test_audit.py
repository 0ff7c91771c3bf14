"""A pass and its audit log: what can't be written down is kept, with the reason and the way out."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.errors import AuditError
from cleanup_job.passes.ports import Audit
from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Project, Task
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, Watcher, clean, state


@dataclass
class Notes(Audit):
    """Remembers what it is told, and fails where a test says so."""

    records: bool = True
    fails: frozenset[str] = frozenset()
    """Methods that fail after ``after`` calls."""
    after_calls: int = 0
    copied: dict[TaskId, bytes] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)

    def _tell(self, event: str, names: Iterable[str]) -> None:
        if event in self.fails:
            if not self.after_calls:
                raise AuditError("CLEANUP_AUDIT=/audit: full")
            self.after_calls -= 1
        self.told += [(event, name) for name in names]

    def record(self, task: TaskId, record: bytes) -> None:
        self.copied[task] = record

    def before(self, planned: Sequence[tuple[Deletion, TaskOutcome, Sequence[str]]]) -> None:
        self._tell("before", [deletion.task.id for deletion, *_ in planned])

    def before_stage(self, planned: Sequence[tuple[Task, TaskOutcome, Sequence[str], Sequence[str]]]) -> None:
        self._tell("before_stage", [task.id for task, *_ in planned])

    def after(self, outcomes: Iterable[TaskOutcome]) -> None:
        self._tell("after", [outcome.task for outcome in outcomes])

    def before_project(self, project: Project) -> None:
        self._tell("before_project", [project.name])

    def after_project(self, project: Project, error: str) -> None:
        self._tell("after_project", [project.name + error])


@pytest.fixture
def world() -> World:
    made = World(NOW)
    for n in range(6):
        task = made.task(f"exp {n}", project="lab/done", days_old=40 + n)
        task.artifact("data")
    made.task("living", archived=False)
    return made


def test_each_task_is_announced_with_its_record_and_its_result_follows(sandbox: Sandbox, world: World) -> None:
    sandbox.load(world.as_dict())
    audit = Notes()
    done = clean(sandbox, batch_size=2, audit=audit, delete_empty_projects=True)
    deleted = done.watcher.deleted
    assert len(deleted) == 6
    assert {name for event, name in audit.told if event == "before"} == deleted == audit.copied.keys()
    assert {name for event, name in audit.told if event == "after"} == deleted
    assert all(f'"{task}"'.encode() in record and b'"hyperparams"' in record for task, record in audit.copied.items())
    assert [one for one in audit.told if "project" in one[0]] == [("before_project", "lab/done"), ("after_project", "lab/done")]
    assert set(done.report.phases) == {"select", "plan", "audit", "files", "records"}


def test_without_records_none_is_read(sandbox: Sandbox, world: World) -> None:
    sandbox.load(world.as_dict())
    audit = Notes(records=False)
    clean(sandbox, audit=audit)
    assert len([one for one in audit.told if one[0] == "before"]) == 6
    assert audit.copied == {}


def test_a_log_that_can_not_be_written_ends_the_pass_before_that_batch(sandbox: Sandbox, world: World) -> None:
    sandbox.load(world.as_dict())
    before = state(sandbox)
    watcher = Watcher()
    with pytest.raises(AuditError, match="CLEANUP_AUDIT"):
        clean(sandbox, audit=Notes(fails=frozenset({"before"})), watcher=watcher)
    assert state(sandbox) == before
    assert {(one.verdict, one.reason) for one in watcher.outcomes.values()} == {(Verdict.FAILED, Reason.NOT_AUDITED)}
    assert all("CLEANUP_AUDIT=/audit" in one.detail for one in watcher.outcomes.values())


def test_what_was_deleted_before_is_reported_as_deleted(sandbox: Sandbox, world: World) -> None:
    for failing in ("before", "after"):
        sandbox.load(world.as_dict())
        before = set(state(sandbox)[0])
        watcher = Watcher()
        with pytest.raises(AuditError):
            clean(
                sandbox,
                batch_size=2,
                workers=1,
                audit=Notes(fails=frozenset({failing}), after_calls=1),
                watcher=watcher,
            )
        gone = before - set(state(sandbox)[0])
        assert gone == watcher.deleted
        assert len(gone) == (2 if failing == "before" else 4)


def test_a_project_is_not_deleted_without_its_line(sandbox: Sandbox, world: World) -> None:
    sandbox.load(world.as_dict())
    with pytest.raises(AuditError):
        clean(sandbox, audit=Notes(fails=frozenset({"before_project"})), delete_empty_projects=True)
    assert "lab/done" in {project["name"] for project in sandbox.store.projects.values()}


def without_records(tasks: set[str]) -> object:
    """The server fails to give the whole records of these tasks."""

    def fault(request: Request) -> Fault | None:
        whole = request.call == "tasks.get_all" and "only_fields" not in request.body
        return Fault(status=500) if whole and tasks.intersection(request.body["id"]) else None

    return fault


def test_a_task_whose_record_can_not_be_copied_is_kept_alone(sandbox: Sandbox, world: World) -> None:
    one, other = world.task("one"), world.task("other")
    one.input_model(other.model("b"))
    other.input_model(one.model("a"))
    sandbox.load(world.as_dict())
    sandbox.fault = without_records({one.id})
    audit = Notes()
    done = clean(sandbox, audit=audit)
    assert done.watcher.failed == {one.id, other.id}
    assert len(done.watcher.deleted) == 6
    detail = done.watcher.outcomes[TaskId(one.id)].detail
    assert "CLEANUP_AUDIT_RECORDS=false" in detail
    assert {one.id, other.id}.isdisjoint(name for _, name in audit.told)
    sandbox.fault = None
    assert clean(sandbox, audit=Notes()).watcher.deleted == {one.id, other.id}


def test_a_record_that_the_server_leaves_out_is_missing(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.load(world.as_dict())
    left_out = world.tasks[0].id
    whole = ClearMLServer.whole_records
    monkeypatch.setattr(
        ClearMLServer, "whole_records", lambda self, ids: (one for one in whole(self, ids) if one[0] != left_out)
    )
    done = clean(sandbox, audit=Notes())
    assert done.watcher.failed == {left_out}
    assert done.watcher.outcomes[TaskId(left_out)].reason is Reason.NOT_AUDITED


POLICIES = """
policies:
  - name: lab
    match: {projects: [lab]}
    archive: {after: 14d}
    slim: {after: 30d, remove: [artifacts]}
"""


@pytest.mark.parametrize(("name", "archived"), [("loud", False), ("fat", True)])
def test_a_policy_changes_nothing_that_the_log_can_not_take(
    sandbox: Sandbox, tmp_path: Path, name: str, archived: bool
) -> None:
    made = World(NOW)
    task = made.task(name, project="lab", days_old=40, archived=archived)
    task.artifact("data")
    sandbox.load(made.as_dict())
    before, records = state(sandbox), deepcopy(sandbox.store.tasks)
    path = tmp_path / "policies.yaml"
    path.write_text(POLICIES)
    watcher = Watcher()
    with pytest.raises(AuditError, match="CLEANUP_AUDIT"):
        clean(sandbox, policies=str(path), audit=Notes(fails=frozenset({"before_stage"})), watcher=watcher)
    assert (state(sandbox), sandbox.store.tasks) == (before, records)
    (outcome,) = watcher.outcomes.values()
    assert (outcome.verdict, outcome.reason) == (Verdict.FAILED, Reason.NOT_AUDITED)
    audit = Notes()
    clean(sandbox, policies=str(path), audit=audit)
    assert audit.told == [("before_stage", task.id), ("after", task.id)]
