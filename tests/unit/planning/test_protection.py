"""What surviving records need of a batch."""

import pytest

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.paths import KINDS, LinkedFile, ModelId, TaskFolder, TaskId
from cleanup_job.planning.protection import Protection, References, protection
from cleanup_job.planning.records import Model
from tests.unit.planning.one_task import PLACE, A, B, claimed, deleted, folder, locate


def guard(models: list[Model], references: References, gone: DeletedSoFar | None = None, *, unit: bool = False) -> Protection:
    unit_of = {A: frozenset({A, B} if unit else {A})} | ({B: frozenset({A, B})} if unit else {})
    return protection(models, references, unit_of, gone or deleted(), locate)


def claims(is_model: bool, maker: TaskId = B) -> References:
    return References(claims={A: (Claim("o", maker, f"{folder(A)}/artifacts/x", is_model=is_model),)})


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
