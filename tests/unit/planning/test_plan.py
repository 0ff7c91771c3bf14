"""The plan: what is deleted, what is kept, and why."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.deletion import kinds_apart
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.filters import ActiveFilter
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import KINDS, LinkedFile, Location, ModelId, PartOfFolder, TaskFile, TaskFolder, TaskId
from cleanup_job.planning.plan import STORES_NAMED, Plan, plan_batch
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.protection import Protection, References, protection
from cleanup_job.planning.records import Listed, Model, NotDeleted, Size, Task, Unreadable
from cleanup_job.planning.selection import Rules, Selected

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
KEEP_X = ActiveFilter("keep_tags", frozenset({"x"}))
RULES = Rules(NOW - timedelta(days=30), NOW, force_delete=True)
FORCE = Policy(RULES, force=True)
A, B = TaskId("a" * 32), TaskId("b" * 32)


def deleted(tasks: Iterable[TaskId] = (), kept_models: Iterable[ModelId] = ()) -> DeletedSoFar:
    found = DeletedSoFar()
    found.add(tasks, kept_models=kept_models)
    return found


def locate(uri: str) -> Location | None:
    return Location("files", uri.removeprefix("http://files/")) if uri.startswith("http://files/") else None


def folder(task: TaskId) -> str:
    return f"http://files/p/exp.{task}"


def task(one: TaskId = A, **fields: object) -> Task:
    made = Task(one, "exp", "completed", system_tags=("archived",), status_changed=OLD, last_update=OLD, last_change=OLD)
    return replace(made, **fields)


def outputs(one: TaskId = A, *uris: str, apart: frozenset[str] = frozenset()) -> Outputs:
    found = Outputs(one, locate, apart=apart, links=frozenset({"files"}))
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
        guard=Protection(locate=locate),
    )
    return plan_batch(replace(batch, **known), policy)


def claimed(*uris: str, one: TaskId = A, model: str = "m", **more: object) -> Protection:
    claims = tuple(Claim("other", TaskId("f" * 32), uri, **more) for uri in uris)
    return Protection(frozenset({ModelId(model)}), {one: claims}, locate=locate)


def reason(plan: Plan) -> Reason:
    assert not plan.deletions
    return plan.kept[0].reason


def test_a_task_is_deleted_with_its_whole_folder() -> None:
    deletion = plan().deletions[0]
    assert deletion.paths == (TaskFolder("files", f"p/exp.{A}", A),)
    assert (deletion.files, deletion.bytes) == (1, 7)


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
    assert plan(replace(FORCE, keep_unknown=False), found=found).deletions[0].unknown_stores == (("s3://bucket", 1),)


def test_of_many_unknown_stores_some_are_named_and_the_others_counted() -> None:
    found = outputs(A, *(f"s3://bucket-{n}/p/exp.{A}/models/w.pt" for n in range(STORES_NAMED + 2000)))
    stays = plan(found=found).kept[0]
    assert stays.detail.endswith(f"s3://bucket-{STORES_NAMED - 1} (1 files) and 2,000 more stores")
    assert len(stays.unknown_stores) == STORES_NAMED + 2000


def test_a_path_that_is_not_safe_keeps_the_record() -> None:
    assert reason(plan(found=outputs(A, f"{folder(A)}/../../x"))) is Reason.UNUSABLE_PATH


def test_an_external_file_is_kept_and_the_record_is_deleted() -> None:
    deletion = plan(found=outputs(A, "s3://bucket/raw.csv", "http://files/zoo/base.pt")).deletions[0]
    assert (deletion.paths, deletion.linked, deletion.external_count) == ((), (), 2)


def test_external_files_are_deleted_one_by_one_where_the_settings_say_so_and_no_one_needs_them() -> None:
    policy = replace(FORCE, links=frozenset({"files"}))
    found = outputs(A, "http://files/zoo/base.pt", "http://files/zoo/other.pt")
    guard = Protection(on_links=(Claim("m", B, "http://elsewhere/zoo//base.pt?x=1"),), locate=locate)
    assert [link.path for link in plan(policy, found=found, guard=guard).deletions[0].linked] == ["zoo/other.pt"]


def test_without_force_published_children_and_models_keep_the_task_and_its_files() -> None:
    policy = Policy(replace(RULES, force_delete=False))
    draft = task(status="created")
    known = {"before": {A: Selected.of(draft)}, "now": draft}
    assert reason(plan(policy, **known, published_children=frozenset({A}))) is Reason.NEEDS_FORCE
    assert reason(plan(policy, **known, models={A: [Model(ModelId("m"), "", A, ready=True)]})) is Reason.NEEDS_FORCE
    assert plan(policy, **known).deletions


def test_what_holds_a_claimed_file_is_deleted_file_by_file_and_the_rest_as_a_whole() -> None:
    weights, other, data = (f"{folder(A)}/{rest}" for rest in ("models/w.pt", "models/other.pt", "artifacts/x"))
    guard = claimed(weights)
    deletion = plan(found=outputs(A, weights, other, data, apart=frozenset({"models"})), guard=guard).deletions[0]
    place = TaskFolder("files", f"p/exp.{A}", A)
    assert deletion.paths == (PartOfFolder(place, ("models",)), TaskFile(place, "models/other.pt"))
    assert (deletion.files, deletion.protected) == (2, (weights,))


def test_in_a_store_that_can_list_all_but_the_claimed_file_is_deleted() -> None:
    weights = f"{folder(A)}/models/w.pt"
    policy = replace(FORCE, lists=lambda _: True)
    assert plan(policy, found=outputs(A, weights), guard=claimed(weights)).deletions[0].paths == (
        PartOfFolder(TaskFolder("files", f"p/exp.{A}", A), ("models/w.pt",)),
    )


def test_a_claimed_folder_keeps_all_below_it() -> None:
    inside, beside, data = (f"{folder(A)}/{rest}" for rest in ("models/bert/config.json", "models/other.pt", "artifacts/x"))
    found = outputs(A, inside, beside, data, apart=frozenset({"models"}))
    paths = plan(found=found, guard=claimed(f"{folder(A)}/models/bert")).deletions[0].paths
    assert [path.path for path in paths] == [f"p/exp.{A}", f"p/exp.{A}/models/other.pt"]


def test_a_claim_on_the_whole_folder_keeps_all_of_it() -> None:
    for lists in (False, True):
        policy = replace(FORCE, lists=lambda _, lists=lists: lists)
        assert plan(policy, found=outputs(apart=KINDS), guard=claimed(folder(A))).deletions[0].paths == ()


def test_only_the_folder_with_the_claimed_file_is_taken_apart() -> None:
    kept, new = f"http://files/p/old.{A}/models/w.pt", f"http://files/p/new.{A}/models/x"
    paths = plan(found=outputs(A, kept, new, apart=frozenset({"models"})), guard=claimed(kept)).deletions[0].paths
    assert [path.path for path in paths] == [f"p/new.{A}", f"p/old.{A}"]
    assert isinstance(paths[1], PartOfFolder)


def test_a_place_that_a_living_task_writes_to_is_deleted_file_by_file() -> None:
    paths = plan(found=outputs(apart=KINDS), guard=claimed(folder(A), writes=True)).deletions[0].paths
    assert paths == (TaskFile(TaskFolder("files", f"p/exp.{A}", A), "artifacts/x"),)


def test_a_folder_that_living_tasks_write_to_below_is_kept() -> None:
    uris = [f"{folder(A)}/artifacts/x", f"{folder(A)}/models/mine.pt"]
    found = outputs(A, *uris, apart=KINDS)
    paths = plan(found=found, guard=claimed(f"{folder(A)}/models", writes=True)).deletions[0].paths
    assert [path.path for path in paths] == [f"p/exp.{A}"]
    assert paths == (PartOfFolder(TaskFolder("files", f"p/exp.{A}", A), ("models",)),)


def test_what_a_project_of_the_folders_name_may_hold_is_deleted_file_by_file() -> None:
    policy = replace(FORCE, shared={A: frozenset({"models"})})
    assert kinds_apart(A, (), policy) == {"models"}
    found = outputs(A, f"{folder(A)}/models/mine.pt", f"{folder(A)}/artifacts/x", apart=frozenset({"models"}))
    place = TaskFolder("files", f"p/exp.{A}", A)
    assert plan(policy, found=found).deletions[0].paths == (PartOfFolder(place, ("models",)), TaskFile(place, "models/mine.pt"))
    listing = replace(policy, lists=lambda _: True)
    assert plan(listing, found=found).deletions[0].paths == (place,)


def test_a_task_that_changes_each_time_it_is_read_is_kept() -> None:
    assert reason(plan(changing=frozenset({A}))) is Reason.CHANGED


def test_a_record_that_cannot_be_read_keeps_the_task_and_names_the_field() -> None:
    stays = plan(unreadable={A: Unreadable(A, "tags")})
    assert reason(stays) is Reason.UNREADABLE
    assert "tags" in stays.kept[0].detail


def test_models_of_others_leave_the_list_before_the_record_is_deleted() -> None:
    own, other = Listed("own", ModelId("m1")), Listed("other", ModelId("m2"))
    models = {A: [Model(ModelId("m1"), "", A)]}
    assert plan(models=models, listed={A: [own, other]}).deletions[0].listed == (own,)
    assert plan(models=models, listed={A: [own]}).deletions[0].listed is None


@pytest.mark.parametrize(("ready", "used", "detached"), [(False, False, True), (True, False, False), (False, True, False)])
def test_a_kept_model_is_detached_where_the_server_would_delete_it(ready: bool, used: bool, detached: bool) -> None:
    model = Model(ModelId("m"), f"{folder(A)}/models/w.pt", A, ready=ready)
    guard = replace(claimed(model.uri), used=frozenset({model.id} if used else ()))
    deletion = plan(models={A: [model]}, guard=guard).deletions[0]
    assert (deletion.models, deletion.kept_models, deletion.detached) == ((), (model.id,), detached)


def test_a_store_that_deletes_no_folders_gets_files() -> None:
    paths = plan(replace(FORCE, by_file=frozenset({"files"})), found=outputs(apart=KINDS)).deletions[0].paths
    assert [path.path for path in paths] == [f"p/exp.{A}/artifacts/x"]


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


def guard(models: list[Model], references: References, gone: DeletedSoFar | None = None, *, unit: bool = False) -> Protection:
    unit_of = {A: frozenset({A, B} if unit else {A})} | ({B: frozenset({A, B})} if unit else {})
    return protection(models, references, unit_of, gone or deleted(), locate)


def test_published_models_and_those_that_a_surviving_task_uses_or_lists_are_protected() -> None:
    ready = Model(ModelId("m1"), f"{folder(A)}/models/1", A, ready=True)
    used = Model(ModelId("m2"), f"{folder(A)}/models/2", A)
    listed = Model(ModelId("m3"), f"{folder(A)}/models/3", A)
    tagged = Model(ModelId("m4"), f"{folder(A)}/models/4", A, tags=("production", "x"))
    free = Model(ModelId("m5"), f"{folder(A)}/models/5", A, tags=("x",))
    references = References({used.id: frozenset({B})}, {listed.id: frozenset({B})}, keep_tags=frozenset({"production"}))
    found = guard([ready, used, listed, tagged, free], references)
    assert found.models == {"m1", "m2", "m3", "m4"}
    inside = found.of(TaskFolder("files", f"p/exp.{A}", A)).inside
    assert set(inside) == {f"models/{n}" for n in range(1, 5)}


def test_a_task_that_uses_its_own_model_does_not_protect_it() -> None:
    own = Model(ModelId("m"), f"{folder(A)}/models/1", A)
    assert not guard([own], References({own.id: frozenset({A})})).models


def test_a_use_that_ends_with_this_pass_does_not_keep_a_model() -> None:
    tagged = Model(ModelId("m"), f"{folder(A)}/models/1", A, tags=("production",))
    references = References({tagged.id: frozenset({B})}, keep_tags=frozenset({"production"}))
    assert guard([tagged], references).used == {tagged.id}
    assert guard([tagged], references, deleted({B})).used == frozenset()
    assert guard([tagged], references, unit=True).used == frozenset()
    assert guard([tagged], references, unit=True).models == {tagged.id}


@pytest.mark.parametrize("how", ["used_by", "listed_by"])
def test_what_a_user_in_the_same_pass_releases_is_deleted_in_the_same_pass(how: str) -> None:
    used = Model(ModelId("m"), f"{folder(A)}/models/1", A)
    references = References(**{how: {used.id: frozenset({B})}})
    assert guard([used], references).models
    assert not guard([used], references, deleted({B})).models
    assert not guard([used], references, unit=True).models


def claims(is_model: bool, maker: TaskId = B) -> References:
    return References(claims={A: (Claim("o", maker, f"{folder(A)}/artifacts/x", is_model=is_model),)})


@pytest.mark.parametrize("is_model", [True, False])
def test_a_surviving_record_that_names_a_file_in_the_folder_protects_it(is_model: bool) -> None:
    assert guard([], claims(is_model)).claims
    assert not guard([], claims(is_model), deleted({B})).claims
    assert not guard([], claims(is_model), unit=True).claims
    assert guard([], claims(is_model, TaskId(""))).claims
    assert bool(guard([], claims(is_model), deleted({B}, {ModelId("o")})).claims) is is_model


def test_a_kept_model_of_a_task_in_the_same_unit_protects_its_file() -> None:
    other = Model(ModelId("o"), f"{folder(A)}/artifacts/x", B, ready=True)
    assert A in guard([other], claims(is_model=True), unit=True).claims


def test_a_claim_on_a_linked_file_ends_with_its_record() -> None:
    references = References(on_links=(Claim("o", B, "http://files/zoo/base.pt"),))
    assert guard([], references).on_links
    assert not guard([], references, deleted({B})).on_links


@pytest.mark.parametrize(
    ("message", "force"),
    [
        ("Task cannot be deleted (has children, use force=True): task=x, children=1", True),
        ("Task cannot be deleted (has output models, use force=True): task=x, models=1", True),
        ("Task cannot be deleted (has output model, use force=True): task=x, model=y", True),
        ("Task cannot be deleted (due to status, use force=True): task=x, expected=created, current=completed", False),
    ],
)
def test_force_is_for_published_children_and_models_alone(message: str, force: bool) -> None:
    assert NotDeleted(400, 123, message).needs_force is force
    assert not NotDeleted(400, 101, message).needs_force
    assert NotDeleted(400, 101, "Invalid task id (or task published): company=c, id=x").needs_force


# -- every part of what is decided
PLACE = TaskFolder("files", f"p/exp.{A}", A)
LISTING = replace(FORCE, lists=lambda store: store == "files")


def stays(found: Plan) -> tuple[Reason, str]:
    assert not found.deletions
    (one,) = found.kept
    assert one.task.id == A
    return one.reason, one.detail


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
    needed = replace(FORCE, needed_datasets={A: "version x is built on it"})
    assert stays(plan(needed)) == (Reason.DATASET_IN_USE, "version x is built on it")
    assert plan(replace(FORCE, needed_datasets={B: "x"})).deletions
    broken = "models is not what ClearML's API promises; open the task in ClearML and correct it"
    assert stays(plan(unreadable={A: Unreadable(A, "models")})) == (Reason.UNREADABLE, broken)
    assert plan(unreadable={B: Unreadable(B, "models")}).deletions
    assert plan(changing=frozenset({B})).deletions


def test_without_force_it_says_what_needs_it() -> None:
    policy = Policy(RULES)
    model = {A: [Model(ModelId("m1"), "", A), Model(ModelId("m2"), "", A, ready=True)]}
    ending = "; CLEANUP_FORCE_DELETE=true deletes it"
    assert stays(plan(policy, models=model)) == (Reason.NEEDS_FORCE, f"it has a published model m2{ending}")
    assert stays(plan(policy, published_children=frozenset({A}))) == (Reason.NEEDS_FORCE, f"it has a published child{ending}")
    assert plan(policy, published_children=frozenset({B})).deletions
    assert plan(policy, models={A: model[A][:1]}).deletions
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


@pytest.mark.parametrize(
    ("policy", "now", "planned", "allowed"),
    [
        ({}, {}, None, True),
        ({}, {"tags": ("x",)}, None, False),
        ({}, {"system_tags": ()}, None, False),
        ({"steps": frozenset({A})}, {"system_tags": ()}, None, False),
        ({"rules": replace(RULES, keep=(KEEP_X,))}, {"tags": ("x",)}, {"tags": ("x",)}, False),
        ({}, {"last_update": NOW}, None, False),
        ({}, {"last_update": NOW, "last_change": NOW}, {}, True),
        ({}, {"last_update": NOW, "tags": ("x",)}, {}, False),
        ({}, {"status_changed": NOW}, None, False),
    ],
)
def test_the_last_look(
    policy: dict[str, object], now: dict[str, object], planned: dict[str, object] | None, allowed: bool
) -> None:
    before = Selected.of(task(**(planned or {})))
    read = task(**planned) if planned is not None else None
    assert replace(FORCE, **policy).still_allows(before, task(**now), planned=read) is allowed


def test_a_step_may_lie_outside_of_the_archive() -> None:
    steps = replace(FORCE, rules=replace(RULES, include_pipeline_steps=True), steps=frozenset({A}))
    step = task(system_tags=("hidden",))
    assert steps.still_allows(Selected.of(step), step)
    assert not replace(steps, steps=frozenset({B})).still_allows(Selected.of(step), step)


def test_the_grace_counts_from_the_archiving_that_the_selection_saw() -> None:
    grace = replace(FORCE, rules=replace(RULES, archived_before=NOW - timedelta(days=7)))
    before = Selected.of(task(parent="p"))
    assert grace.still_allows(before, task(parent="__DELETED__p", last_change=NOW))


def test_an_age_that_the_deletion_of_models_moved_is_that_of_the_plan() -> None:
    running = task(status="queued")
    before = Selected.of(running)
    assert FORCE.still_allows(before, replace(running, last_update=NOW), planned=running)
    assert not FORCE.still_allows(before, replace(running, last_update=NOW))


def test_what_is_gone() -> None:
    gone = deleted({A}, {ModelId("kept")})
    assert (gone.includes(A), gone.includes(B)) == (True, False)
    assert gone.includes(Model(ModelId("m"), "", A))
    assert not gone.includes(Model(ModelId("kept"), "", A))
    assert not gone.includes(Model(ModelId("m"), "", B))


def test_what_is_claimed_of_a_folder() -> None:
    weights = f"{folder(A)}/models/w.pt"
    found = claimed(weights).of(PLACE)
    assert (found.inside, found.apart) == ({"models/w.pt": weights}, {"models"})
    assert [found.holds(rest) for rest in ("models/w.pt", "models", "models/w.pt/x", "models/w", "artifacts/x")] == [
        True, True, True, False, False
    ]  # fmt: skip
    beside = claimed(f"{folder(A)}/notes.txt").of(PLACE)
    assert (set(beside.inside), beside.apart) == ({"notes.txt"}, frozenset())
    whole = claimed(folder(A)).of(PLACE)
    assert (set(whole.inside), whole.apart, whole.holds("artifacts/x")) == ({""}, KINDS, True)
    writes = claimed(folder(A), writes=True).of(PLACE)
    assert (writes.inside, writes.apart, writes.holds("artifacts/x")) == ({}, KINDS, False)
    below = claimed(f"{folder(A)}/models/runs", writes=True).of(PLACE)
    assert (set(below.inside), below.apart) == ({"models/runs"}, {"models"})
    assert claimed(weights).of(TaskFolder("files", f"p/exp.{B}", B)).inside == {}
    assert claimed(f"{folder(A)}/models/a\x00b").of(PLACE).inside == {"": f"{folder(A)}/models/a\x00b"}


def test_several_claims_on_a_folder_add_up() -> None:
    uris = [f"{folder(A)}/models/w.pt", f"{folder(A)}/artifacts/x"]
    found = claimed(*uris).of(PLACE)
    assert (set(found.inside), found.apart) == ({"models/w.pt", "artifacts/x"}, {"models", "artifacts"})
    deletion = plan(LISTING, found=outputs(A, *uris), guard=claimed(*uris)).deletions[0]
    assert deletion.paths == (PartOfFolder(PLACE, ("artifacts/x", "models/w.pt")),)
    assert deletion.protected == tuple(sorted(uris))


def test_a_claim_beside_the_kinds_keeps_the_file_that_it_names() -> None:
    notes, other = f"{folder(A)}/notes.txt", f"{folder(A)}/other.txt"
    deletion = plan(found=outputs(A, notes, other, f"{folder(A)}/artifacts/x"), guard=claimed(notes)).deletions[0]
    assert deletion.paths == (PLACE, TaskFile(PLACE, "other.txt"))
    assert (deletion.files, deletion.protected) == (2, (notes,))


def test_when_claims_are_counted_apart() -> None:
    claim = (Claim("o", B, f"{folder(A)}/metrics/x"),)
    assert kinds_apart(A, (), FORCE) == frozenset()
    assert kinds_apart(A, claim, FORCE) == {"metrics"}
    assert kinds_apart(A, claim, replace(FORCE, shared={A: frozenset({"models"}), B: KINDS})) == {"metrics", "models"}
    assert kinds_apart(A, (), replace(FORCE, by_file=frozenset({"files"}))) == KINDS


def test_a_folder_all_of_which_is_taken_apart_is_deleted_by_its_files_alone() -> None:
    policy = replace(FORCE, shared={A: KINDS})
    deletion = plan(policy, found=outputs(apart=KINDS)).deletions[0]
    assert deletion.paths == (TaskFile(PLACE, "artifacts/x"),)
    assert deletion.recorded == {}


def test_shared_kinds_of_another_task_change_nothing() -> None:
    assert plan(replace(FORCE, shared={B: KINDS})).deletions[0].paths == (PLACE,)
    assert plan(replace(FORCE, by_file=frozenset({"other"}))).deletions[0].paths == (PLACE,)


def test_only_links_in_stores_that_the_settings_name_are_deleted_in_their_order() -> None:
    found = outputs(A, "http://files/zoo/b.pt", "http://files/zoo/a.pt")
    assert plan(found=found).deletions[0].linked == ()
    assert plan(replace(FORCE, links=frozenset({"other"})), found=found).deletions[0].linked == ()
    linked = plan(replace(FORCE, links=frozenset({"files"})), found=found).deletions[0].linked
    assert [link.path for link in linked] == ["zoo/a.pt", "zoo/b.pt"]


def test_what_a_report_says_of_a_task() -> None:
    external = ["s3://bucket/raw.csv", "http://files/zoo/base.pt"]
    found = outputs(A, f"{folder(A)}/artifacts/x", f"{folder(A)}/artifacts/y", *external, f"gs://b/p/exp.{A}/z")
    models = {A: [Model(ModelId(name), "", A) for name in ("m", "n", "o")]}
    guard = Protection(frozenset({ModelId("n"), ModelId("elsewhere")}), locate=locate)
    deletion = plan(replace(FORCE, keep_unknown=False), found=found, models=models, guard=guard).deletions[0]
    assert (deletion.task, deletion.unit, deletion.files, deletion.bytes) == (task(), (A,), 2, 14)
    assert ([model.id for model in deletion.models], deletion.kept_models, deletion.detached) == (["m", "o"], ("n",), True)
    assert (deletion.listed, deletion.files_missing, deletion.protected) == (None, 0, ())
    assert (deletion.external, deletion.external_count, deletion.unknown_stores) == (tuple(external), 2, (("gs://b", 1),))
    assert deletion.recorded == {PLACE: {"artifacts": Size(2, 14)}}


def test_what_records_say_of_a_folder_is_without_the_files_that_are_named() -> None:
    weights, data, notes = (f"{folder(A)}/{rest}" for rest in ("models/w.pt", "artifacts/x", "notes.txt"))
    found = outputs(A, weights, data, notes, apart=frozenset({"models"}))
    deletion = plan(found=found, guard=claimed(f"{folder(A)}/models/other.pt")).deletions[0]
    assert deletion.recorded == {PartOfFolder(PLACE, ("models",)): {"artifacts": Size(1, 7)}}
    assert (deletion.files, deletion.bytes) == (3, 21)


def test_of_a_store_that_counts_itself_records_say_nothing() -> None:
    found = Outputs(A, locate, measured=lambda _: True)
    found.add(f"{folder(A)}/artifacts/x", 7)
    deletion = plan(LISTING, found=found).deletions[0]
    assert (deletion.files, deletion.bytes, deletion.recorded) == (0, 0, {PLACE: {}})


def test_a_claimed_file_in_a_store_that_counts_itself_is_not_taken_off() -> None:
    notes = f"{folder(A)}/notes.txt"
    assert plan(LISTING, found=outputs(A, notes), guard=claimed(notes)).deletions[0].files == 1
    assert plan(found=outputs(A, notes), guard=claimed(notes)).deletions[0].files == 0


def test_in_two_folders_each_is_decided_by_itself() -> None:
    kept, new = f"http://files/p/old.{A}/models/w.pt", f"http://files/p/new.{A}/models/x"
    found = outputs(A, kept, new, apart=frozenset({"models"}))
    deletion = plan(found=found, guard=claimed(kept)).deletions[0]
    old_place, new_place = (TaskFolder("files", f"p/{name}.{A}", A) for name in ("old", "new"))
    assert deletion.paths == (new_place, PartOfFolder(old_place, ("models",)))
    assert deletion.recorded == {new_place: {"models": Size(1, 7)}, PartOfFolder(old_place, ("models",)): {}}


def test_only_models_that_the_server_would_delete_are_detached() -> None:
    models = [Model(ModelId("used"), "", A), Model(ModelId("ready"), "", A, ready=True), Model(ModelId("free"), "", A)]
    guard = Protection(frozenset({ModelId("used"), ModelId("ready")}), locate=locate, used=frozenset({ModelId("used")}))
    deletion = plan(models={A: models}, guard=guard).deletions[0]
    assert (deletion.detached, [model.id for model in deletion.models]) == (False, ["free"])


def test_other_tasks_claims_end_with_them_and_those_of_models_only_with_the_models() -> None:
    by_task = Claim("t", B, f"{folder(A)}/models/1")
    by_model = Claim("m", B, f"{folder(A)}/models/2", is_model=True)
    references = References(claims={A: (by_task, by_model)})
    assert guard([], references).claims == {A: (by_task, by_model)}
    assert guard([], references, deleted({B}, {ModelId("m")})).claims == {A: (by_model,)}
    assert guard([], references, deleted({B}, {ModelId("t")})).claims == {}
    assert guard([Model(ModelId("m"), "", B, ready=True)], references, unit=True).claims == {A: (by_model,)}


def test_a_kept_model_claims_its_file_beside_what_others_claim() -> None:
    other = Claim("t", B, f"{folder(A)}/models/1")
    model = Model(ModelId("m"), f"{folder(A)}/models/2", A, ready=True)
    found = guard([model, Model(ModelId("bare"), "", A, ready=True)], References(claims={A: (other,)}))
    assert found.claims == {A: (other, Claim("m", A, model.uri, is_model=True))}
    assert found.models == {"m", "bare"}


def test_all_that_hold_on_to_a_model_have_to_be_gone() -> None:
    model = Model(ModelId("m"), "", A)
    references = References({model.id: frozenset({B})}, {model.id: frozenset({TaskId("c" * 32)})})
    assert guard([model], references, deleted({B})).models
    assert not guard([model], references, deleted({B, TaskId("c" * 32)})).models
    assert not guard([model], References(keep_tags=frozenset({"x"}))).models


def test_claims_of_models_on_linked_files_are_kept_where_the_model_is_kept() -> None:
    references = References(on_links=(Claim("m", B, "http://files/zoo/base.pt", is_model=True),))
    assert guard([], references, deleted({B}, {ModelId("m")})).on_links
    assert not guard([], references, unit=True).on_links
    link = LinkedFile("files", "zoo/base.pt")
    assert guard([], references).links_to(link)
    assert not guard([], references).links_to(LinkedFile("files", "zoo/other.pt"))
    assert not guard([], References()).links_to(link)


def test_what_is_known_of_tasks_without_a_unit_counts_too() -> None:
    stranger = TaskId("c" * 32)
    model = Model(ModelId("m"), "", stranger)
    claim = Claim("o", B, f"{folder(stranger)}/models/w")
    references = References({model.id: frozenset({B})}, claims={stranger: (claim,)})
    assert guard([model], references).models == {"m"}
    assert guard([model], references).claims == {stranger: (claim,)}
    assert guard([model], references, deleted({B})).claims == {}


def test_a_clean_address_claims_in_the_folder_that_it_names_alone() -> None:
    found = guard([], claims(is_model=False))
    assert set(found.of(PLACE).inside) == {"artifacts/x"}
    assert found.of(TaskFolder("files", f"p/renamed.{A}", A)).inside == {}


@pytest.mark.parametrize("end", ["models", "artifacts", "metrics", "models/a", "x", "y/z", "artifacts/b", "metrics/c"])
def test_each_reading_of_a_place_that_is_written_to_counts(end: str) -> None:
    found = claimed(f"{folder(A)}?{end}", writes=True).of(PLACE)
    assert (set(found.inside), found.apart) == ({end}, KINDS)
