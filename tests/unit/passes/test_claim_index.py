"""The index of claims remembers what a surviving record needs of a candidate, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.passes.claim_index import SAMPLE, ClaimIndex, Needs, check_model_tags
from cleanup_job.planning.claim import Claim
from cleanup_job.planning.paths import Location, ModelId, TaskId
from cleanup_job.planning.records import Claimant, Model

A, B, LIVING, OTHER = (TaskId(letter * 32) for letter in "abcd")
M, N = ModelId("1" * 32), ModelId("2" * 32)


class Records:
    """A server with these records, which remembers what it was asked for."""

    def __init__(self) -> None:
        self.models: list[Model] = []
        self.tasks: list[Claimant] = []
        self.asked: list[tuple[str, ...]] = []

    def all_models(self, since: str = "") -> Iterator[Model]:
        self.asked.append(("models", since))
        yield from self.models

    def claimants(self, scope: str, since: str = "") -> Iterator[Claimant]:
        self.asked.append(("tasks", scope, since))
        yield from self.tasks


class Places:
    """A fileserver, a bucket that can list, and a mounted folder with a link in it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def locate(self, uri: str) -> Location | None:
        self.asked.append(uri)
        for store, root in (("files", "http://files/"), ("s3://b", "s3://b/"), ("file:///mnt", "file:///mnt/")):
            if uri.startswith(root):
                return Location(store, uri.removeprefix(root))
        return None

    def lists(self, store: str) -> bool:
        return store != "files"

    def real(self, place: Location) -> Location:
        assert place.store == "file:///mnt", "only mounted folders have another name in truth"
        return Location(place.store, place.path.replace("link", f"lab/exp.{A}", 1))


class Known:
    def __init__(self, **options: Any) -> None:
        self.server = Records()
        self.places = Places()
        self.claims = ClaimIndex(self.server, self.places, options.pop("candidates", {A, B}), **options)

    def read(self) -> list[Needs]:
        return list(self.claims.read())


def uri(task: TaskId = A, rest: str = "models/w.pt", root: str = "http://files/") -> str:
    return f"{root}lab/exp.{task}/{rest}"


@pytest.fixture
def known() -> Known:
    return Known()


def test_a_model_that_names_a_file_of_a_candidate_claims_it(known: Known) -> None:
    known.server.models = [Model(M, uri(), LIVING)]
    assert known.read() == [Needs(LIVING, frozenset({A}))]
    assert known.claims.on(A) == (Claim(M, LIVING, uri(), is_model=True),)
    assert known.claims.on(B) == ()


def test_a_model_without_a_maker_claims_too(known: Known) -> None:
    known.server.models = [Model(M, uri(), "")]
    assert known.read() == [Needs(TaskId(""), frozenset({A}))]
    assert known.claims.on(A) == (Claim(M, TaskId(""), uri(), is_model=True),)


def test_a_candidates_own_model_claims_nothing_and_its_maker_is_known(known: Known) -> None:
    known.server.models = [Model(M, uri(), A), Model(N, uri(LIVING), LIVING)]
    assert known.read() == []
    assert known.claims.on(A) == ()
    assert (known.claims.maker_of(M), known.claims.maker_of(N)) == (A, None)


def test_what_names_files_of_tasks_that_are_kept_is_forgotten(known: Known) -> None:
    known.server.models = [Model(M, uri(OTHER), LIVING), Model(N, "", LIVING)]
    known.server.tasks = [Claimant(LIVING, (uri(OTHER), "s3://b/raw.csv"), f"http://files/lab/exp.{OTHER}")]
    assert known.read() == []
    assert known.claims.on(OTHER) == ()


def test_a_task_that_names_files_of_two_candidates_needs_both(known: Known) -> None:
    uris = (uri(A, "artifacts/x"), uri(B, "artifacts/y"), uri(A, "artifacts/z"), "http://files/raw.csv")
    known.server.tasks = [Claimant(LIVING, uris), Claimant(OTHER, (uri(A),))]
    assert known.read() == [Needs(LIVING, frozenset({A, B})), Needs(OTHER, frozenset({A}))]
    assert known.claims.on(A) == (
        Claim(LIVING, LIVING, uris[0]),
        Claim(LIVING, LIVING, uris[2]),
        Claim(OTHER, OTHER, uri(A)),
    )
    assert known.claims.on(B) == (Claim(LIVING, LIVING, uris[1]),)


def test_a_candidate_claims_files_of_another_but_not_its_own(known: Known) -> None:
    known.server.tasks = [Claimant(B, (uri(A), uri(B)))]
    assert known.read() == [Needs(B, frozenset({A}))]
    assert (known.claims.on(A), known.claims.on(B)) == ((Claim(B, B, uri(A)),), ())


def test_an_address_that_no_store_holds_claims_all_the_same(known: Known) -> None:
    known.server.models = [Model(M, uri(root="https://public.example/"), LIVING)]
    assert known.read() == [Needs(LIVING, frozenset({A}))]


def test_a_place_that_a_mounted_folder_holds_elsewhere_claims_where_it_is(known: Known) -> None:
    known.server.models = [Model(M, "file:///mnt/link/models/w.pt", LIVING)]
    assert known.read() == [Needs(LIVING, frozenset({A}))]
    real = f"/mnt/lab/exp.{A}/models/w.pt"
    assert known.claims.on(A) == (Claim(M, LIVING, "file:///mnt/link/models/w.pt", real, is_model=True),)
    known.server.models = [Model(M, uri(root="file:///mnt/"), LIVING)]
    known.claims.catch_up()
    assert known.claims.on(A) == (Claim(M, LIVING, uri(root="file:///mnt/"), "", is_model=True),)


def test_a_task_that_writes_into_a_folder_of_a_candidate_claims_the_place(known: Known) -> None:
    place = f"http://files/lab/exp.{A}/models"
    known.server.tasks = [Claimant(LIVING, (uri(A),), place)]
    assert known.read() == [Needs(LIVING, frozenset({A}))]
    assert known.claims.on(A) == (Claim(LIVING, LIVING, uri(A)), Claim(LIVING, LIVING, place, writes=True))
    known.claims.catch_up()
    assert len(known.claims.on(A)) == 2


def test_a_task_that_writes_into_its_own_folder_claims_nothing(known: Known) -> None:
    known.server.tasks = [Claimant(A, (), f"http://files/lab/exp.{A}")]
    assert known.read() == []
    assert known.claims.on(A) == ()


def test_a_destination_is_followed_to_where_it_is(known: Known) -> None:
    known.server.tasks = [Claimant(LIVING, (), "file:///mnt/link")]
    assert known.read() == [Needs(LIVING, frozenset({A}))]
    assert known.claims.on(A) == (Claim(LIVING, LIVING, "file:///mnt/link", f"/mnt/lab/exp.{A}", writes=True),)


def test_a_model_that_another_task_lists_is_remembered_with_all_who_list_it(known: Known) -> None:
    known.server.models = [Model(M, "", A), Model(N, "", LIVING)]
    known.server.tasks = [Claimant(A, outputs=(M,)), Claimant(LIVING, outputs=(M, N)), Claimant(OTHER, outputs=(M,))]
    assert known.read() == [Needs(LIVING, frozenset({A})), Needs(OTHER, frozenset({A}))]
    assert known.claims.listed_by(M) == {LIVING, OTHER}
    assert known.claims.listed_by(N) == frozenset()


def test_a_record_that_cannot_be_read_counts_for_every_candidate_that_it_may_need(known: Known) -> None:
    known.server.models = [Model(M, "", A, unreadable="tags", mentions=frozenset({OTHER}))]
    known.server.tasks = [Claimant(LIVING, unreadable="models", mentions=frozenset({B, LIVING, OTHER}))]
    known.read()
    assert known.claims.unreadable(A) == f"tags of model {M}"
    assert known.claims.unreadable(B) == f"models of task {LIVING}, which names it,"
    assert known.claims.unreadable(OTHER) == ""


def test_what_a_models_record_mentions_counts_too_and_a_tasks_own_id_does_not(known: Known) -> None:
    known.server.models = [Model(M, "", "", unreadable="uri", mentions=frozenset({B}))]
    known.server.tasks = [Claimant(A, unreadable="models", mentions=frozenset({A}))]
    known.read()
    assert known.claims.unreadable(B) == f"uri of model {M}"
    assert known.claims.unreadable(A) == ""


def test_only_what_was_changed_since_is_read_again_and_replaces_what_was_known(known: Known) -> None:
    known.server.models = [Model(M, uri(), LIVING, last_update="2026-02"), Model(N, "", LIVING, last_update="2026-01")]
    known.server.tasks = [Claimant(LIVING, (uri(B),), last_update="2026-03"), Claimant(OTHER, last_update="")]
    known.read()
    known.server.models = [Model(M, uri(A, "models/new.pt"), LIVING, last_update="2026-05")]
    known.server.tasks = [Claimant(LIVING, (uri(B), uri(B, "models/x")), last_update="2026-04")]
    known.claims.catch_up()
    known.claims.catch_up()
    assert [claim.uri for claim in known.claims.on(A)] == [uri(A, "models/new.pt")]
    assert [claim.uri for claim in known.claims.on(B)] == [uri(B), uri(B, "models/x")]
    assert known.server.asked == [
        ("models", ""), ("tasks", "all", ""), ("models", "2026-02"), ("tasks", "all", "2026-03"), ("models", "2026-05"),
        ("tasks", "all", "2026-04"),
    ]  # fmt: skip


def test_the_scope_says_which_tasks_are_asked_for() -> None:
    known = Known(scope="pipelines")
    known.read()
    assert known.server.asked == [("models", ""), ("tasks", "pipelines", "")]


def test_all_tags_of_models_are_known(known: Known) -> None:
    known.server.models = [Model(M, "", A, tags=("production", "x")), Model(N, "", LIVING, tags=("y",))]
    known.read()
    assert known.claims.model_tags == {"production", "x", "y"}


def test_claims_on_files_of_no_task_are_remembered_where_these_may_be_deleted() -> None:
    base, public, own = "http://files/zoo/base.pt", "https://public.example/zoo//base.pt?x=1", uri(LIVING, "models/base.pt")
    for links in (True, False):
        known = Known(links=links)
        known.server.models = [Model(M, base, LIVING), Model(N, own, LIVING)]
        known.server.tasks = [Claimant(LIVING, (public, "http://files/zoo/other.pt"))]
        assert known.read() == []
        found = known.claims.on_links(["zoo/base.pt", "x/base.pt", "zoo/none.pt"])
        assert found == ((Claim(M, LIVING, base, is_model=True), Claim(LIVING, LIVING, public)) if links else ())
    assert not Known(links=True).claims.on_links(["zoo/base.pt"])


def test_a_link_is_known_by_its_name_however_deep_it_lies() -> None:
    for options, wanted in (({"links": True}, 1), ({}, 0)):
        known = Known(**options)
        known.server.models = [Model(M, "http://files/a/b/c/base.pt", LIVING)]
        known.read()
        assert len(known.claims.on_links(["x/y/base.pt", "a/b/c/base.pt"])) == wanted


def test_a_task_without_a_destination_asks_for_no_place(known: Known) -> None:
    known.server.tasks = [Claimant(LIVING, (uri(),)), Claimant(OTHER)]
    known.read()
    assert known.places.asked == [uri()]


def test_a_task_needs_both_those_whose_files_it_names_and_those_whose_models_it_lists(known: Known) -> None:
    known.server.models = [Model(M, "", B)]
    known.server.tasks = [Claimant(LIVING, (uri(A),), outputs=(M,))]
    assert known.read() == [Needs(LIVING, frozenset({A, B}))]


def test_the_sample_is_of_files_that_surviving_records_name_in_stores_that_cannot_list(known: Known) -> None:
    known.server.models = [
        Model(M, uri(LIVING), LIVING), Model(N, uri(A), A), Model(ModelId("3"), "s3://b/x", LIVING),
        Model(ModelId("4"), "http://files/uploading_file", LIVING), Model(ModelId("5"), "http://files/a//b", LIVING),
        Model(ModelId("6"), "http://elsewhere/x", LIVING), Model(ModelId("7"), "http://files/zoo/base.pt", ""),
    ]  # fmt: skip
    known.server.tasks = [Claimant(OTHER, (uri(OTHER, "artifacts/x"), uri(LIVING)), uri(OTHER, ""))]
    known.read()
    wanted = [f"lab/exp.{LIVING}/models/w.pt", "zoo/base.pt", f"lab/exp.{OTHER}/artifacts/x"]
    assert known.claims.sample == [Location("files", path) for path in wanted]
    known.server.models = [Model(M, "http://files/later", LIVING)]
    known.claims.catch_up()
    assert len(known.claims.sample) == 3


def test_the_sample_is_bounded_fair_and_the_same_for_the_same_records() -> None:
    def sample() -> list[int]:
        known = Known()
        known.server.tasks = [Claimant(LIVING, tuple(f"http://files/lab/{n}" for n in range(5000)))]
        known.read()
        return [int(place.path.rpartition("/")[2]) for place in known.claims.sample]

    found = sample()
    assert found == sample()
    assert len(set(found)) == SAMPLE
    assert 2200 < sum(found) / SAMPLE < 2800, "none is more likely than another"


def test_a_tag_that_no_model_has_is_an_error() -> None:
    check_model_tags(["production"], {"production", "x"})
    with pytest.raises(SettingsError, match="CLEANUP_KEEP_MODEL_TAGS: no model has the tag 'prod'"):
        check_model_tags(["production", "prod"], {"production"})
