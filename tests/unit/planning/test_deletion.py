"""What is deleted with a task: whole folders, single files, models."""

from dataclasses import replace

import pytest

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.deletion import kinds_apart
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import KINDS, ModelId, PartOfFolder, TaskFile, TaskFolder
from cleanup_job.planning.protection import Protection
from cleanup_job.planning.records import Listed, Model, Size
from tests.unit.planning.one_task import (
    FORCE,
    LISTING,
    PLACE,
    A,
    B,
    claimed,
    folder,
    locate,
    outputs,
    plan,
    task,
)


def test_a_task_is_deleted_with_its_whole_folder() -> None:
    deletion = plan().deletions[0]
    assert deletion.paths == (TaskFolder("files", f"p/exp.{A}", A),)
    assert (deletion.files, deletion.bytes) == (1, 7)


def test_an_external_file_is_kept_and_the_record_is_deleted() -> None:
    deletion = plan(found=outputs(A, "s3://bucket/raw.csv", "http://files/zoo/base.pt")).deletions[0]
    assert (deletion.paths, deletion.linked, deletion.external_count) == ((), (), 2)


def test_external_files_are_deleted_one_by_one_where_the_settings_say_so_and_no_one_needs_them() -> None:
    policy = replace(FORCE, links=frozenset({"files"}))
    found = outputs(A, "http://files/zoo/base.pt", "http://files/zoo/other.pt")
    guard = Protection(on_links=(Claim("m", B, "http://elsewhere/zoo//base.pt?x=1"),), locate=locate)
    assert [link.path for link in plan(policy, found=found, guard=guard).deletions[0].linked] == ["zoo/other.pt"]


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
    deletion = plan(replace(FORCE, unknown_stores="delete_record"), found=found, models=models, guard=guard).deletions[0]
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
