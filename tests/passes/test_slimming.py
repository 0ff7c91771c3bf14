"""Slimming removes what a policy chose, and nothing else."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.errors import AnswerError
from cleanup_job.passes import slimming
from cleanup_job.passes.ports import Audit
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Reason, Verdict
from cleanup_job.planning.paths import TaskId
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.store import now
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import ModelBuilder, TaskBuilder
from tests.harness import NOW, clean, state
from tests.passes.slimmer import keys, paths, policies, record, slim

ANN = "Ann"
"""Someone else than the user of the job's key."""


def made_on(day: int, model: ModelBuilder) -> ModelBuilder:
    model.document.update(created=f"2026-08-{day:02}T00:00:00+00:00", last_update=f"2026-08-{day:02}T00:00:00+00:00")
    return model


def full(world: World, name: str = "exp one", **options: Any) -> TaskBuilder:
    """A task with something of each kind."""
    task = world.task(name, user=ANN, **options)
    task.artifact("data")
    task.artifact("metrics csv")
    task.debug_images(3)
    task.plot("plot", images=2)
    task.scalar("loss", [1.0, 2.0])
    for day, model in enumerate(("first", "second", "last"), start=1):
        made_on(day, task.model(model))
    return task


def models(sandbox: Sandbox, task: TaskBuilder) -> list[str]:
    """The names of a task's models in its record, all of which are there."""
    listed = record(sandbox, task.id)["models"]["output"]
    assert all(entry["model"] in sandbox.store.models for entry in listed)
    return [entry["name"] for entry in listed]


def events(sandbox: Sandbox, kind: str, task: TaskBuilder) -> list[dict[str, Any]]:
    return [event for event in sandbox.store.events[task.id] if event["type"] == kind]


EVERYTHING = [
    "artifacts/data/data.bin",
    "artifacts/metrics csv/metrics csv.bin",
    *(f"metrics/img/v0/img_v0_0000000{n}.jpeg" for n in range(3)),
    *(f"metrics/plot/plot/plot_plot_00000000_{n}.png" for n in range(2)),
    *(f"models/{name}.pt" for name in ("first", "last", "second")),
]


def test_all_kinds_go_and_the_rest_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task, other = full(world), full(world, "young", days_old=2)
    sandbox.load(world.as_dict())
    before, beside = record(sandbox, task.id), record(sandbox, other.id)
    scalars = events(sandbox, "training_stats_scalar", task)
    assert paths(sandbox, task.id) == EVERYTHING
    found = slim(sandbox, policies(tmp_path))
    outcome = found[TaskId(task.id)]
    assert (outcome.verdict, outcome.files, outcome.bytes, outcome.unsized, outcome.models) == (Verdict.SLIMMED, 9, 10, 7, 2)
    assert (outcome.policy, outcome.stage) == ("all", Stage.SLIM)
    assert outcome.detail == "kept: 1 of checkpoints (the last 1)"
    assert paths(sandbox, task.id) == ["models/last.pt"]
    after = record(sandbox, task.id)
    assert (keys(after), models(sandbox, task)) == ([], ["last"])
    assert after["tags"] == ["cleanup:archived=2026-09-02", "cleanup:slimmed=2026-11-01"]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"execution", "models", "tags", "last_update", "last_change", "last_changed_by"}
    assert {name for name in before["execution"] if before["execution"][name] != after["execution"][name]} == {"artifacts"}
    assert events(sandbox, "training_stats_scalar", task) == scalars
    assert (paths(sandbox, other.id), record(sandbox, other.id)) == (EVERYTHING, beside)
    assert slim(sandbox, policies(tmp_path)) == {}, "it is not read again"


@pytest.mark.parametrize(
    ("remove", "gone"),
    [
        ("debug_samples", "metrics/img/"),
        ("plots", "metrics/plot/"),
        ("artifacts", "artifacts/"),
        ("checkpoints", "models/first models/second"),
        ("console", "nothing"),
    ],
)
def test_only_what_is_chosen_goes(sandbox: Sandbox, tmp_path: Path, remove: str, gone: str) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())
    sandbox.store.events[task.id].append(
        {"type": "log", "task": task.id, "msg": "a line", "timestamp": 1, "metric": "", "variant": "", "iter": 0}
    )
    slim(sandbox, policies(tmp_path, remove))
    assert paths(sandbox, task.id) == [path for path in EVERYTHING if not path.startswith(tuple(gone.split()))]
    assert len(keys(record(sandbox, task.id))) == (0 if remove == "artifacts" else 2)
    assert len(models(sandbox, task)) == (1 if remove == "checkpoints" else 3)
    logs = events(sandbox, "log", task)
    assert len(logs) == (0 if remove == "console" else 1)


def test_artifacts_by_name_and_the_last_two_checkpoints(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())
    more = '      artifacts: {except: ["metrics*"]}\n      checkpoints: {keep_last: 2}\n'
    slim(sandbox, policies(tmp_path, "artifacts, checkpoints", more))
    assert keys(record(sandbox, task.id)) == ["metrics csv"]
    assert models(sandbox, task) == ["second", "last"]


def test_what_others_need_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    """Files that other records name, and checkpoints that are used, listed, published or tagged."""
    world = World(NOW)
    task = world.task("maker", user=ANN)
    data, image = task.artifact("data"), task.debug_images(2)[0]
    task.artifact("free")
    used, listed = made_on(1, task.model("used")), made_on(1, task.model("listed"))
    for name, options in (("ready", {"ready": True}), ("tagged", {"tags": ["any"]}), ("free", {}), ("last", {})):
        made_on(9 if name == "last" else 1, task.model(name, **options))
    user = world.task("user", archived=False, days_old=1)
    user.linked_artifact("copy", data)
    user.linked_artifact("picture", image.replace("{FILES}", "http://other.name"))
    user.input_model(used)
    user.lists_model(listed)
    sandbox.load(world.as_dict())
    there = paths(sandbox, task.id)
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    gone = {"artifacts/free/free.bin", "models/free.pt", "metrics/img/v0/img_v0_00000001.jpeg"}
    assert paths(sandbox, task.id) == [path for path in there if path not in gone]
    assert keys(record(sandbox, task.id)) == ["data"]
    assert models(sandbox, task) == ["used", "listed", "ready", "tagged", "last"]
    assert len(found.protected) == 2 + 3  # the two addresses, and those of models that are kept for others


def test_what_is_on_another_store_stays_with_its_entry(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = world.task("exp", user=ANN)
    task.linked_artifact("link", "s3://bucket/raw.csv")
    task.linked_image("https://example.org/x.png")
    task.sends_to("s3://bucket/base").artifact("elsewhere")
    task.sends_to(world.files).artifact("here")
    sandbox.load(world.as_dict())
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert keys(record(sandbox, task.id)) == ["elsewhere", "link"]
    assert (found.verdict, found.files) == (Verdict.SLIMMED, 1)


def test_a_dry_run_changes_nothing_and_says_the_same(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())
    before, there = record(sandbox, task.id), state(sandbox)
    would = slim(sandbox, policies(tmp_path), dry_run=True)[TaskId(task.id)]
    assert (record(sandbox, task.id), state(sandbox)) == (before, there)
    done = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert would.verdict is Verdict.WOULD_SLIM
    assert (would.files, would.bytes, would.models, would.detail) == (done.files, done.bytes, done.models, done.detail)


def test_a_task_with_nothing_to_remove_gets_its_tag(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = world.task("empty", user=ANN)
    sandbox.load(world.as_dict())
    assert slim(sandbox, policies(tmp_path, "artifacts"))[TaskId(task.id)].verdict is Verdict.SLIMMED
    assert "cleanup:slimmed=2026-11-01" in record(sandbox, task.id)["tags"]


def test_a_task_that_changes_meanwhile_is_left(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    restored, edited, gone, other = (full(world, name) for name in ("restored", "edited", "gone", "other"))
    sandbox.load(world.as_dict())

    def people(request: Request) -> None:
        """After the pass has looked at its tasks again, and before it reads what they wrote."""
        if request.call == "events.get_task_metrics" and gone.id in sandbox.store.tasks:
            sandbox.store.tasks[restored.id]["system_tags"] = []
            sandbox.store.tasks[edited.id]["last_change"] = now()
            del sandbox.store.tasks[gone.id]

    sandbox.fault = people
    found = slim(sandbox, policies(tmp_path))
    assert found.pop(TaskId(other.id)).verdict is Verdict.SLIMMED
    assert {(outcome.verdict, outcome.reason) for outcome in found.values()} == {(Verdict.KEPT, Reason.CHANGED)}
    assert paths(sandbox, restored.id) == paths(sandbox, edited.id) == EVERYTHING


def test_a_task_that_makes_a_model_meanwhile_is_left(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())

    def upload(request: Request) -> None:
        if request.call == "events.get_task_metrics":
            made = next(iter(sandbox.store.models.values()))
            sandbox.store.models.put({**made, "id": "f" * 32})

    sandbox.fault = upload
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert (found.verdict, found.reason) == (Verdict.KEPT, Reason.CHANGED)
    assert paths(sandbox, task.id) == EVERYTHING


def test_a_model_that_cant_be_read_keeps_its_task(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    task.model("odd").document["ready"] = "perhaps"
    sandbox.load(world.as_dict())
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert (found.verdict, found.reason) == (Verdict.KEPT, Reason.UNREADABLE)
    assert paths(sandbox, task.id) == sorted([*EVERYTHING, "models/odd.pt"])


def test_tasks_with_many_files_are_slimmed_one_after_the_other(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slimming, "MOST_FILES", 4)
    world = World(NOW)
    tasks = [full(world, f"exp {number}") for number in range(3)]
    sandbox.load(world.as_dict())
    found = slim(sandbox, policies(tmp_path))
    assert {outcome.verdict for outcome in found.values()} == {Verdict.SLIMMED}
    assert [paths(sandbox, task.id) for task in tasks] == [["models/last.pt"]] * 3
    calls = [request.call for request in sandbox.requests]
    assert calls.count("/delete_many") - 1 == calls.count("models.delete_many") == 3


# -- trouble
CHANGES = {"/delete_many", "tasks.update_tags", "tasks.edit", "models.delete_many", "events.clear_task_log"}


def failing(call: str, *, task: str = "", status: int = 500) -> Any:
    """Each request of a kind that is about a task fails."""

    def fault(request: Request) -> Fault | None:
        return Fault(status) if request.call.endswith(call) and task in str(request.body) else None

    return fault


@pytest.mark.parametrize(
    ("call", "reason", "left"),
    [
        ("events.get_task_events", Reason.SERVER_ERROR, EVERYTHING),
        ("tasks.update_tags", Reason.RECORD_ERROR, EVERYTHING),
        ("tasks.edit", Reason.RECORD_ERROR, ["models/last.pt"]),
        ("events.clear_task_log", Reason.RECORD_ERROR, ["models/last.pt"]),
    ],
)
def test_one_tasks_trouble_is_its_own(sandbox: Sandbox, tmp_path: Path, call: str, reason: Reason, left: list[str]) -> None:
    world = World(NOW)
    bad, good = full(world, "bad one"), full(world, "good one")
    sandbox.load(world.as_dict())
    sandbox.fault = failing(call, task=bad.id)
    found = slim(sandbox, policies(tmp_path), attempts=1)
    assert (found[TaskId(bad.id)].verdict, found[TaskId(bad.id)].reason) == (Verdict.FAILED, reason)
    assert (found[TaskId(bad.id)].policy, found[TaskId(bad.id)].stage) == ("all", Stage.SLIM)
    assert found[TaskId(good.id)].verdict is Verdict.SLIMMED
    assert (paths(sandbox, bad.id), found[TaskId(bad.id)].files) == (left, len(EVERYTHING) - len(left))
    assert not any("slimmed" in tag for tag in record(sandbox, bad.id)["tags"])
    sandbox.fault = None
    assert slim(sandbox, policies(tmp_path))[TaskId(bad.id)].verdict is Verdict.SLIMMED
    assert (paths(sandbox, bad.id), keys(record(sandbox, bad.id)), models(sandbox, bad)) == (["models/last.pt"], [], ["last"])


def test_a_model_that_the_server_keeps_is_reported(sandbox: Sandbox, tmp_path: Path) -> None:
    """The call says so in its answer only: it does not fail."""
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())
    kept = '{"meta": {"result_code": 200, "result_subcode": 0}, "data": {"succeeded": [], "failed": []}}'
    sandbox.fault = lambda request: Fault(200, body=kept) if request.call == "models.delete_many" else None
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert (found.verdict, found.reason) == (Verdict.FAILED, Reason.RECORD_ERROR)
    assert "the server keeps it" in found.detail
    assert not any("slimmed" in tag for tag in record(sandbox, task.id)["tags"])


def test_a_file_that_fails_keeps_all_entries_of_its_kind(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())
    sandbox.store.files.restrict(f"{task.folder}/artifacts/data", "500")
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert (found.verdict, found.reason, found.files) == (Verdict.FAILED, Reason.FILE_ERROR, 8)
    assert keys(record(sandbox, task.id)) == ["data", "metrics csv"]
    assert not any("slimmed" in tag for tag in record(sandbox, task.id)["tags"])
    assert (paths(sandbox, task.id), models(sandbox, task)) == (["artifacts/data/data.bin", "models/last.pt"], ["last"])


def test_artifacts_that_change_meanwhile_keep_their_entries(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())

    def upload(request: Request) -> None:
        if request.call == "tasks.update_tags":
            sandbox.store.tasks[task.id]["execution"]["artifacts"][0]["hash"] = "another"

    sandbox.fault = upload
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert (found.verdict, found.reason) == (Verdict.FAILED, Reason.RECORD_ERROR)
    assert "changed meanwhile" in found.detail
    assert keys(record(sandbox, task.id)) == ["data", "metrics csv"]


def test_who_ends_the_pass_ends_it_before_a_file_is_deleted(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())
    stop = Stop()
    sandbox.fault = lambda request: stop.interrupt() if request.call == "events.get_task_metrics" else None
    done = clean(sandbox, policies=policies(tmp_path), stop=stop)
    assert (done.watcher.outcomes, done.report.left) == ({}, 1)
    assert paths(sandbox, task.id) == EVERYTHING


def test_without_its_lease_a_pass_removes_nothing_more_and_reports_no_failure(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())
    stop, lost = Stop(), list[bool]()
    stop.holds_lease = lambda: not lost
    sandbox.fault = lambda request: lost.append(True) if request.call == "tasks.update_tags" else None
    done = clean(sandbox, policies=policies(tmp_path), stop=stop, workers=1)
    assert (done.watcher.outcomes, done.report.left) == ({}, 1)
    assert paths(sandbox, task.id) == EVERYTHING


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_request_it_converges(sandbox: Sandbox, tmp_path: Path, after: bool) -> None:
    """A request that changes something and all that follow get no answer; with `after`, that one is carried out."""
    world = World(NOW)
    one, other = full(world), full(world, "other")
    file = policies(tmp_path)
    sandbox.load(world.as_dict())
    sandbox.requests.clear()
    slim(sandbox, file)
    calls, expected = [request.call for request in sandbox.requests], state(sandbox)
    changing = [n for n, call in enumerate(calls, start=1) if call in CHANGES]
    assert {calls[n - 1] for n in changing} == CHANGES
    for n in changing[1:]:  # an empty `delete_many` asks whether it is allowed
        sandbox.fault = None
        sandbox.load(world.as_dict())
        sandbox.requests.clear()

        def dead(_: Request, n: int = n) -> Fault | None:
            number = len(sandbox.requests)
            return None if number < n else Fault(after=after and number == n)

        sandbox.fault = dead
        with suppress(Exception):  # after the last request, or the last of a task, it only fails
            slim(sandbox, file, attempts=1)
        sandbox.fault = None
        if any("slimmed" not in " ".join(record(sandbox, task.id)["tags"]) for task in (one, other)):
            slim(sandbox, file)
        assert state(sandbox) == expected, f"request {n}"
        for task in (one, other):
            assert (keys(record(sandbox, task.id)), models(sandbox, task)) == ([], ["last"]), f"request {n}"
            assert any("slimmed" in tag for tag in record(sandbox, task.id)["tags"]), f"request {n}"


@pytest.mark.parametrize("name", ["exp #1", "näme 100%"])
def test_names_of_any_kind(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """Where ClearML's SDK can have meant several paths, each is looked at."""
    world = World(NOW)
    task = full(world, name, project=f"{name}/sub")
    sandbox.load(world.as_dict())
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert (found.verdict, found.files, found.models, found.files_missing) == (Verdict.SLIMMED, 9, 2, 0)
    assert (paths(sandbox, task.id), keys(record(sandbox, task.id))) == (["models/last.pt"], [])


def test_a_file_that_may_be_there_under_another_name_keeps_its_entry(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world, "näme")
    sandbox.load(world.as_dict())
    lost = next(path for path in sandbox.state()["files"] if path.endswith("/data.bin"))
    sandbox.store.files.remove(lost)
    found = slim(sandbox, policies(tmp_path))[TaskId(task.id)]
    assert (found.verdict, found.reason, found.files) == (Verdict.KEPT, Reason.FILES_NOT_FOUND, 8)
    assert "CLEANUP_MISSING_FILES=delete_record" in found.detail
    assert (keys(record(sandbox, task.id)), models(sandbox, task)) == (["data"], ["last"])
    assert slim(sandbox, policies(tmp_path), missing_files="delete_record")[TaskId(task.id)].verdict is Verdict.SLIMMED
    assert keys(record(sandbox, task.id)) == []


# -- afterwards
@pytest.mark.parametrize("name", ["exp one", "exp #1 äöü 100%"])
@pytest.mark.parametrize("remove", ["debug_samples, plots", "debug_samples, plots, artifacts, checkpoints, console"])
def test_a_slimmed_task_is_deleted_like_any_other(sandbox: Sandbox, tmp_path: Path, name: str, remove: str) -> None:
    """Its events still promise images: that these are missing keeps no record."""
    world = World(NOW)
    task = full(world, name)
    sandbox.load(world.as_dict())
    assert slim(sandbox, policies(tmp_path, remove, "      checkpoints: {keep_last: 0}\n" * ("checkpoints" in remove)))
    done = clean(sandbox, missing_files="keep_record")
    assert done.watcher.outcomes[TaskId(task.id)].verdict is Verdict.DELETED
    assert state(sandbox) == ([], [], [])
    assert not done.watcher.warnings


@dataclass
class Notes(Audit):
    """An audit log that remembers."""

    records: bool = True
    lines: list[tuple[str, Any]] = field(default_factory=list)

    def record(self, task: TaskId, record: bytes) -> None:
        self.lines.append(("record", (task, record)))

    def before_stage(self, planned: Any) -> None:
        self.lines += [("before", one) for one in planned]

    def after(self, outcomes: Any) -> None:
        self.lines += [("after", one) for one in outcomes]


def test_the_audit_log_has_it_before(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task, empty = full(world), world.task("empty", user=ANN)
    sandbox.load(world.as_dict())
    audit = Notes()
    slim(sandbox, policies(tmp_path, "artifacts, checkpoints"), audit=audit)
    (_, (copied, _)), (_, (audited, planned, why, uris)), (_, done) = audit.lines
    assert copied == audited.id == task.id != empty.id
    assert [uri.rpartition("/")[2] for uri in uris] == ["data.bin", "metrics%20csv.bin", "first.pt", "second.pt"]
    assert (planned.verdict, planned.stage, planned.policy) == (Verdict.SLIMMED, Stage.SLIM, "all")
    assert why == [
        "is slimmed after 10d by policy 'all'",
        "loses 2 of artifacts, 2 of checkpoints: artifact 'data'; artifact 'metrics csv'",
    ]
    assert done == planned


def test_without_a_copy_of_its_record_nothing_is_removed(sandbox: Sandbox, tmp_path: Path) -> None:
    world = World(NOW)
    task = full(world)
    sandbox.load(world.as_dict())

    class Refusing(Notes):
        def record(self, task: TaskId, record: bytes) -> None:  # noqa: ARG002 -- as the log's
            raise AnswerError("no")

    found = slim(sandbox, policies(tmp_path), audit=Refusing())[TaskId(task.id)]
    assert (found.verdict, found.reason, found.stage) == (Verdict.FAILED, Reason.NOT_AUDITED, Stage.SLIM)
    assert paths(sandbox, task.id) == EVERYTHING
