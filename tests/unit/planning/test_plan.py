"""The plan: which tasks are deleted, which are kept, and why."""

from dataclasses import replace

from cleanup_job.planning.facts import Batch
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import ModelId
from cleanup_job.planning.plan import STORES_NAMED, Plan, plan_batch
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.protection import Protection
from cleanup_job.planning.records import Model, Unreadable
from cleanup_job.planning.selection import Selected
from tests.unit.planning.one_task import FORCE, NOW, RULES, A, B, folder, outputs, plan, task


def reason(plan: Plan) -> Reason:
    assert not plan.deletions
    return plan.kept[0].reason


def stays(found: Plan) -> tuple[Reason, str]:
    assert not found.deletions
    (one,) = found.kept
    assert one.task.id == A
    return one.reason, one.detail


def test_a_restored_task_is_kept() -> None:
    assert reason(plan(now=task(system_tags=()))) is Reason.CHANGED


def test_a_task_that_runs_again_is_kept() -> None:
    assert reason(plan(now=task(status="in_progress", last_update=NOW))) is Reason.CHANGED


def test_a_task_that_is_gone_is_no_longer_planned() -> None:
    batch = Batch(((A,),), {A: Selected.of(task())}, {}, {A: outputs()}, {}, Protection())
    assert reason(plan_batch(batch, FORCE)) is Reason.CHANGED


def test_a_public_example_is_not_ours() -> None:
    assert reason(plan(now=task(public=True))) is Reason.PUBLIC


def test_a_file_on_an_unknown_store_keeps_the_record_unless_the_settings_leave_it() -> None:
    found = outputs(A, f"s3://bucket/p/exp.{A}/models/w.pt")
    stays = plan(found=found)
    assert reason(stays) is Reason.UNKNOWN_STORE
    assert stays.kept[0].unknown_stores == (("s3://bucket", 1),)
    assert plan(replace(FORCE, unknown_stores="delete_record"), found=found).deletions[0].unknown_stores == (
        ("s3://bucket", 1),
    )


def test_of_many_unknown_stores_some_are_named_and_the_others_counted() -> None:
    found = outputs(A, *(f"s3://bucket-{n}/p/exp.{A}/models/w.pt" for n in range(STORES_NAMED + 2000)))
    stays = plan(found=found).kept[0]
    assert stays.detail.endswith(f"s3://bucket-{STORES_NAMED - 1} (1 files) and 2,000 more stores")
    assert len(stays.unknown_stores) == STORES_NAMED + 2000


def test_a_path_that_is_not_safe_keeps_the_record() -> None:
    assert reason(plan(found=outputs(A, f"{folder(A)}/../../x"))) is Reason.UNUSABLE_PATH


def test_without_force_published_children_and_models_keep_the_task_and_its_files() -> None:
    policy = Policy(replace(RULES, force_delete=False))
    draft = task(status="created")
    known = {"before": {A: Selected.of(draft)}, "now": draft}
    assert reason(plan(policy, **known, published_children=frozenset({A}))) is Reason.NEEDS_FORCE
    assert reason(plan(policy, **known, models={A: [Model(ModelId("m"), "", A, ready=True)]})) is Reason.NEEDS_FORCE
    assert plan(policy, **known).deletions


def test_a_task_that_changes_each_time_it_is_read_is_kept() -> None:
    assert reason(plan(changing=frozenset({A}))) is Reason.CHANGED


def test_a_record_that_cannot_be_read_keeps_the_task_and_names_the_field() -> None:
    stays = plan(unreadable={A: Unreadable(A, "tags")})
    assert reason(stays) is Reason.UNREADABLE
    assert "tags" in stays.kept[0].detail


def test_a_unit_is_kept_whole() -> None:
    stays = plan_batch(
        Batch(
            ((A, B),),
            {A: Selected.of(task(A)), B: Selected.of(task(B))},
            {A: task(A), B: task(B, system_tags=())},
            {A: outputs(A), B: outputs(B)},
            {},
            Protection(),
        ),
        FORCE,
    )
    assert not stays.deletions
    assert {staying.task.id: staying.reason for staying in stays.kept} == {A: Reason.IN_USE, B: Reason.CHANGED}


def test_each_reason_says_what_to_know_about_it() -> None:
    touched = "it was restored, run again or edited while the pass ran; the next pass looks again"
    moving = "its models, or claims on its files, changed each time it was read; the next pass looks again"
    assert stays(plan(now=task(tags=("x",)))) == (Reason.CHANGED, touched)
    assert stays(plan(changing=frozenset({A}))) == (Reason.CHANGED, moving)
    unread = "it, or a model of it, was not there while it was read; the next pass looks again"
    assert stays(plan(outputs={})) == (Reason.CHANGED, unread)
    assert stays(plan(now=task(public=True))) == (Reason.PUBLIC, "a public example belongs to the server, not to its users")
    wrong = f"{folder(A)}/../../x"
    assert stays(plan(found=outputs(A, wrong))) == (Reason.UNUSABLE_PATH, f"{wrong!r}: correct or remove this entry in ClearML")
    unknown = outputs(A, f"s3://b/p/exp.{A}/x", f"s3://b/p/exp.{A}/y", f"gs://c/p/exp.{A}/x")
    assert stays(plan(found=unknown)) == (Reason.UNKNOWN_STORE, "s3://b (2 files), gs://c (1 files)")
    broken = "models is not what ClearML's API promises; open the task in ClearML and correct it"
    assert stays(plan(unreadable={A: Unreadable(A, "models")})) == (Reason.UNREADABLE, broken)
    assert plan(unreadable={B: Unreadable(B, "models")}).deletions
    assert plan(changing=frozenset({B})).deletions


def test_without_force_it_says_what_needs_it() -> None:
    policy, draft = Policy(replace(RULES, force_delete=False)), task(status="created")
    known = {"before": {A: Selected.of(draft)}, "now": draft}
    model = {A: [Model(ModelId("m1"), "", A), Model(ModelId("m2"), "", A, ready=True)]}
    ending = "; CLEANUP_FORCE_DELETE=true deletes it"
    assert stays(plan(policy, **known, models=model)) == (Reason.NEEDS_FORCE, f"it has a published model m2{ending}")
    assert stays(plan(policy, **known, published_children=frozenset({A}))) == (
        Reason.NEEDS_FORCE,
        f"it has a published child{ending}",
    )
    assert plan(policy, **known, published_children=frozenset({B})).deletions
    assert plan(policy, **known, models={A: model[A][:1]}).deletions
    assert plan(models=model, published_children=frozenset({A})).deletions


def test_a_task_that_is_kept_is_reported_as_it_is_now_if_it_is_still_there() -> None:
    now = task(tags=("x",))
    assert plan(now=now).kept[0].task is now
    assert plan(now=now, unreadable={A: Unreadable(A, "models")}).kept[0].task is now


def test_a_record_that_is_gone_and_unreadable_is_reported_as_unreadable() -> None:
    broken = Unreadable(A, "tags", "its name")
    batch = Batch(((A,),), {A: Selected.of(task())}, {}, {}, {}, Protection(), unreadable={A: broken})
    assert plan_batch(batch, FORCE).kept[0].task is broken


def test_an_output_that_cannot_be_read_keeps_the_task() -> None:
    found = outputs()
    found.add(Unreadable(A, "plot_str"))
    broken = "plot_str is not what ClearML's API promises; open the task in ClearML and correct it"
    assert stays(plan(found=found)) == (Reason.UNREADABLE, broken)


def test_the_rest_of_a_unit_says_who_keeps_it() -> None:
    before = {one: Selected.of(task(one)) for one in (A, B)}
    found = {one: outputs(one) for one in (A, B)}
    kept = plan_batch(Batch(((A, B),), before, {A: task(A)}, found, {}, Protection()), FORCE)
    assert [(one.task.id, one.reason, one.detail) for one in kept.kept] == [
        (A, Reason.IN_USE, f"task {B} and this one use each other's outputs, and {B} is kept"),
        (B, Reason.CHANGED, "the server does not list it any more; the next pass looks again"),
    ]
    assert kept.kept[0].task == task(A)
    gone = plan_batch(Batch(((A,), (B,)), before, {A: task(A), B: task(B, tags=("x",))}, found, {}, Protection()), FORCE)
    assert [one.task.id for one in gone.deletions] == [A]
    assert gone.deletions[0].unit == (A,)
    assert [one.task.id for one in gone.kept] == [B]
