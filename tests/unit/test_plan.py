"""The plan: what goes, what stays, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.outputs import Outputs
from cleanup_job.paths import Location, ModelId, TaskFile, TaskFolder, TaskId
from cleanup_job.plan import Batch, Gone, Plan, Policy, Protection, plan_batch, protection
from cleanup_job.records import Model, NotDeleted, References, Task
from cleanup_job.report.outcome import Reason
from cleanup_job.selection import Rules, Selected

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
RULES = Rules(NOW - timedelta(days=30), NOW, drafts_only=False)
FORCE = Policy(RULES, force=True)
A, B = TaskId("a" * 32), TaskId("b" * 32)


def locate(uri: str) -> Location | None:
    return Location("files", uri.removeprefix("http://files/")) if uri.startswith("http://files/") else None


def folder(task: TaskId) -> str:
    return f"http://files/p/exp.{task}"


def task(one: TaskId = A, **fields: object) -> Task:
    made = Task(one, "exp", "completed", system_tags=("archived",), status_changed=OLD, last_update=OLD, last_change=OLD)
    return replace(made, **fields)


def outputs(one: TaskId = A, *uris: str, by_file: bool = False) -> Outputs:
    found = Outputs(one, locate, by_file=by_file, links=frozenset({"files"}))
    for uri in uris or (f"{folder(one)}/artifacts/x",):
        found.add(uri, 7)
    return found


def plan(policy: Policy = FORCE, *, now: Task | None = None, found: Outputs | None = None, **known: object) -> Plan:
    batch = Batch(
        units=((A,),),
        before={A: Selected.of(task())},
        now={A: now or task()},
        outputs={A: found or outputs()},
        models={},
        guard=Protection(frozenset()),
    )
    return plan_batch(replace(batch, **known), policy)


def reason(plan: Plan) -> Reason:
    assert not plan.going
    return plan.staying[0].reason


def test_a_task_goes_with_its_whole_folder() -> None:
    going = plan().going[0]
    assert going.paths == (TaskFolder("files", f"p/exp.{A}", A),)
    assert (going.files, going.bytes) == (1, 7)


def test_a_restored_task_stays() -> None:
    assert reason(plan(now=task(system_tags=()))) is Reason.CHANGED


def test_a_task_that_runs_again_stays() -> None:
    assert reason(plan(now=task(status="in_progress", last_update=NOW))) is Reason.CHANGED


def test_a_task_that_is_gone_is_no_longer_planned() -> None:
    batch = Batch(((A,),), {A: Selected.of(task())}, {}, {A: outputs()}, {}, Protection(frozenset()))
    assert reason(plan_batch(batch, FORCE)) is Reason.CHANGED


def test_a_public_example_is_not_ours() -> None:
    assert reason(plan(now=task(public=True))) is Reason.PUBLIC


def test_a_file_on_an_unknown_store_keeps_the_record_unless_the_settings_leave_it() -> None:
    found = outputs(A, f"s3://bucket/p/exp.{A}/models/w.pt")
    stays = plan(found=found)
    assert reason(stays) is Reason.UNKNOWN_STORE
    assert stays.staying[0].unknown_stores == (("s3://bucket", 1),)
    assert plan(replace(FORCE, keep_unknown=False), found=found).going[0].unknown_stores == (("s3://bucket", 1),)


def test_a_path_that_is_not_safe_keeps_the_record() -> None:
    assert reason(plan(found=outputs(A, f"{folder(A)}/../../x"))) is Reason.UNUSABLE_PATH


def test_an_external_file_stays_and_the_record_goes() -> None:
    going = plan(found=outputs(A, "s3://bucket/raw.csv", "http://files/zoo/base.pt")).going[0]
    assert (going.paths, going.linked, going.external_count) == ((), (), 2)


def test_external_files_go_one_by_one_where_the_settings_say_so_and_nobody_needs_them() -> None:
    policy = replace(FORCE, links=frozenset({"files"}))
    found = outputs(A, "http://files/zoo/base.pt", "http://files/zoo/other.pt")
    guard = Protection(frozenset(), {Location("files", "zoo/base.pt"): "http://files/zoo/base.pt"})
    assert [link.path for link in plan(policy, found=found, guard=guard).going[0].linked] == ["zoo/other.pt"]


def test_without_force_published_children_and_models_keep_the_task_and_its_files() -> None:
    policy = Policy(replace(RULES, drafts_only=True))
    draft = task(status="created")
    known = {"before": {A: Selected.of(draft)}, "now": draft}
    assert reason(plan(policy, **known, published_children=frozenset({A}))) is Reason.NEEDS_FORCE
    assert reason(plan(policy, **known, models={A: [Model(ModelId("m"), "", A, ready=True)]})) is Reason.NEEDS_FORCE
    assert plan(policy, **known).going


def test_a_protected_file_stays_and_the_rest_goes_file_by_file() -> None:
    weights, other = f"{folder(A)}/models/w.pt", f"{folder(A)}/artifacts/x"
    guard = Protection(frozenset({ModelId("m")}), {Location("files", f"p/exp.{A}/models/w.pt"): weights})
    going = plan(found=outputs(A, weights, other, by_file=True), guard=guard).going[0]
    assert going.paths == (TaskFile(TaskFolder("files", f"p/exp.{A}", A), "artifacts/x"),)
    assert (going.files, going.protected) == (1, (weights,))


def test_a_protected_folder_protects_all_below_it() -> None:
    inside, other = f"{folder(A)}/models/bert/config.json", f"{folder(A)}/artifacts/x"
    guard = Protection(frozenset(), {Location("files", f"p/exp.{A}/models/bert"): f"{folder(A)}/models/bert"})
    paths = plan(found=outputs(A, inside, other, by_file=True), guard=guard).going[0].paths
    assert [path.path for path in paths] == [f"p/exp.{A}/artifacts/x"]


def test_only_the_folder_with_the_protected_file_is_taken_apart() -> None:
    kept, new = f"http://files/p/old.{A}/models/w.pt", f"http://files/p/new.{A}/artifacts/x"
    guard = Protection(frozenset(), {Location("files", f"p/old.{A}/models/w.pt"): kept})
    paths = plan(found=outputs(A, kept, new, by_file=True), guard=guard).going[0].paths
    assert paths == (TaskFolder("files", f"p/new.{A}", A),)


def test_a_file_that_comes_into_use_during_the_pass_keeps_the_task() -> None:
    guard = Protection(frozenset(), {Location("files", f"p/exp.{A}/models/w.pt"): "uri"})
    assert reason(plan(found=outputs(), guard=guard)) is Reason.CHANGED


def test_a_store_that_deletes_no_folders_gets_files() -> None:
    paths = plan(replace(FORCE, by_file=frozenset({"files"})), found=outputs(by_file=True)).going[0].paths
    assert [path.path for path in paths] == [f"p/exp.{A}/artifacts/x"]


def test_a_unit_stays_whole() -> None:
    stays = plan_batch(
        Batch(
            ((A, B),),
            {A: Selected.of(task(A)), B: Selected.of(task(B))},
            {A: task(A), B: task(B, system_tags=())},
            {A: outputs(A), B: outputs(B)},
            {},
            Protection(frozenset()),
        ),
        FORCE,
    )
    assert not stays.going
    assert {staying.task.id: staying.reason for staying in stays.staying} == {A: Reason.IN_USE, B: Reason.CHANGED}


def guard(models: list[Model], references: References, gone: Gone | None = None, *, unit: bool = False) -> Protection:
    unit_of = {A: frozenset({A, B} if unit else {A})} | ({B: frozenset({A, B})} if unit else {})
    return protection(models, references, unit_of, gone or Gone(), locate)


def test_published_models_and_those_that_a_surviving_task_uses_are_protected() -> None:
    ready = Model(ModelId("m1"), f"{folder(A)}/models/1", A, ready=True)
    used = Model(ModelId("m2"), f"{folder(A)}/models/2", A)
    free = Model(ModelId("m3"), f"{folder(A)}/models/3", A)
    found = guard([ready, used, free], References({ModelId("m2"): frozenset({B})}))
    assert found.models == {"m1", "m2"}
    assert {place.path for place in found.places} == {f"p/exp.{A}/models/1", f"p/exp.{A}/models/2"}


def test_a_task_that_uses_its_own_model_does_not_protect_it() -> None:
    own = Model(ModelId("m"), f"{folder(A)}/models/1", A)
    assert not guard([own], References({own.id: frozenset({A})})).models


def test_what_a_user_in_the_same_pass_releases_goes_in_the_same_pass() -> None:
    used = Model(ModelId("m"), f"{folder(A)}/models/1", A)
    references = References({used.id: frozenset({B})})
    assert guard([used], references).models
    assert not guard([used], references, Gone({B})).models
    assert not guard([used], references, unit=True).models


def test_a_surviving_model_with_a_file_in_the_folder_protects_it() -> None:
    other = Model(ModelId("o"), f"{folder(A)}/artifacts/x", B)
    assert guard([], References(others=(other,))).places
    assert not guard([], References(others=(other,)), Gone({B})).places
    assert guard([], References(others=(other,)), Gone({B}, {other.id})).places
    assert not guard([], References(others=(other,)), unit=True).places
    assert guard([], References(others=(replace(other, task=""),))).places


def test_a_model_of_another_task_of_the_batch_protects_its_file_too() -> None:
    other = Model(ModelId("o"), f"{folder(A)}/artifacts/x", B)
    unit_of = {A: frozenset({A}), B: frozenset({B})}
    assert protection([other], References(others=(other,)), unit_of, Gone(), locate).places


def test_a_tasks_own_model_at_a_linked_file_does_not_protect_it() -> None:
    own = Model(ModelId("m"), "http://files/zoo/base.pt", A)
    assert not guard([own], References(others=(own,))).places


@pytest.mark.parametrize(
    ("message", "force"),
    [
        ("Task cannot be deleted (has children, use force=True): task=x, children=1", True),
        ("Task cannot be deleted (has output models, use force=True): task=x, models=1", True),
        ("Task cannot be deleted (due to status, use force=True): task=x, expected=created, current=completed", False),
    ],
)
def test_force_is_for_published_children_and_models_alone(message: str, force: bool) -> None:
    assert NotDeleted(400, 123, message).needs_force is force
    assert not NotDeleted(400, 101, message).needs_force
