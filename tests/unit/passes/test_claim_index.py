"""The index of claims remembers what a record names of other tasks, whoever these are, and nothing else."""

import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

import pytest

from cleanup_job.errors import AnswerError, SettingsError
from cleanup_job.passes import survivors
from cleanup_job.passes.claim_index import ClaimIndex, check_model_tags
from cleanup_job.planning.claim import Claim
from cleanup_job.planning.paths import Location, ModelId, TaskId
from cleanup_job.planning.records import Claimant, Model, Task, Unreadable

A, B, LIVING, OTHER = (TaskId(letter * 32) for letter in "abcd")
M, N = ModelId("1" * 32), ModelId("2" * 32)
GONE = TaskId(f"__DELETED__{A}")


class Records:
    """A server with these records, which remembers what it was asked for."""

    def __init__(self) -> None:
        self.models: Iterable[Model] = []
        self.named: Iterable[Claimant] = []
        """What its tasks name."""
        self.records: dict[TaskId, Task | Unreadable] = {}
        self.asked: list[tuple[str, ...]] = []

    def all_models(self, since: str = "") -> Iterator[Model]:
        self.asked.append(("models", since))
        yield from self.models

    def claimants(self, scope: str, since: str = "") -> Iterator[Claimant]:
        self.asked.append(("tasks", scope, since))
        yield from self.named

    def tasks(self, ids: Iterable[TaskId]) -> dict[TaskId, Task | Unreadable]:
        wanted = set(ids)
        assert 0 < len(wanted) <= 500, "one request"
        self.asked.append(("ids", *sorted(wanted)))
        return {task: record for task, record in self.records.items() if task in wanted}

    def has(self, *tasks: TaskId, **fields: Any) -> None:
        self.records |= {task: Task(task, "exp", "completed", **fields) for task in tasks}


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
        self.claims = ClaimIndex(self.server, self.places, **options)

    def read(self, models: Iterable[Model] = (), tasks: Iterable[Claimant] = ()) -> ClaimIndex:
        self.server.models, self.server.named = models, tasks
        self.claims.read()
        return self.claims

    def catch_up(self, models: Iterable[Model] = (), tasks: Iterable[Claimant] = ()) -> None:
        self.server.models, self.server.named = models, tasks
        self.claims.catch_up()


def uri(task: TaskId = A, rest: str = "models/w.pt", root: str = "http://files/") -> str:
    return f"{root}lab/exp.{task}/{rest}"


@pytest.fixture
def known() -> Known:
    return Known()


# -- addresses in the folders of others
def test_a_model_that_names_a_file_of_another_task_claims_it(known: Known) -> None:
    claims = known.read([Model(M, uri(), LIVING)])
    assert claims.on(A) == (Claim(M, LIVING, uri(), is_model=True),)
    assert claims.on(B) == ()
    assert claims.consumers_of(A, ()) == {LIVING}


@pytest.mark.parametrize("maker", ["", GONE])
def test_a_model_whose_maker_is_no_task_claims_too_but_no_task_needs_the_file(known: Known, maker: str) -> None:
    claims = known.read([Model(M, uri(), maker)])
    assert claims.on(A) == (Claim(M, TaskId(maker), uri(), is_model=True),)
    assert claims.consumers_of(A, ()) == frozenset()


def test_what_a_task_or_its_model_names_in_the_tasks_own_folder_is_forgotten(known: Known) -> None:
    claims = known.read([Model(M, uri(), A)], [Claimant(A, (uri(), "s3://b/raw.csv"), f"http://files/lab/exp.{A}")])
    assert claims.on(A) == ()
    assert not claims.concerns(A)
    assert not claims.concerns_model(M)


def test_whether_the_other_task_is_there_makes_no_difference(known: Known) -> None:
    claims = known.read((), [Claimant(LIVING, (uri(OTHER),))])
    assert claims.on(OTHER) == (Claim(LIVING, LIVING, uri(OTHER)),)


def test_a_task_that_names_files_of_two_others_needs_both(known: Known) -> None:
    uris = (uri(A, "artifacts/x"), uri(B, "artifacts/y"), uri(A, "artifacts/z"), "http://files/raw.csv")
    claims = known.read((), [Claimant(LIVING, uris), Claimant(OTHER, (uri(A),))])
    assert claims.on(A) == (Claim(LIVING, LIVING, uris[0]), Claim(LIVING, LIVING, uris[2]), Claim(OTHER, OTHER, uri(A)))
    assert claims.on(B) == (Claim(LIVING, LIVING, uris[1]),)
    assert claims.consumers_of(A, ()) == {LIVING, OTHER}
    assert claims.consumers_of(B, ()) == {LIVING}


def test_an_address_that_no_store_holds_claims_all_the_same(known: Known) -> None:
    assert known.read([Model(M, uri(root="https://public.example/"), LIVING)]).on(A)


def test_a_place_that_a_mounted_folder_holds_elsewhere_claims_where_it_is(known: Known) -> None:
    claims = known.read([Model(M, "file:///mnt/link/models/w.pt", LIVING)])
    real = f"/mnt/lab/exp.{A}/models/w.pt"
    assert claims.on(A) == (Claim(M, LIVING, "file:///mnt/link/models/w.pt", real, is_model=True),)
    known.catch_up([Model(M, uri(root="file:///mnt/"), LIVING)])
    assert claims.on(A) == (Claim(M, LIVING, uri(root="file:///mnt/"), "", is_model=True),)


def test_a_task_that_writes_into_the_folder_of_another_claims_the_place(known: Known) -> None:
    place = f"http://files/lab/exp.{A}/models"
    tasks = [Claimant(LIVING, (uri(A),), place)]
    claims = known.read((), tasks)
    assert claims.on(A) == (Claim(LIVING, LIVING, uri(A)), Claim(LIVING, LIVING, place, writes=True))
    assert claims.consumers_of(A, ()) == {LIVING}
    known.catch_up((), tasks)
    assert len(claims.on(A)) == 2


def test_a_destination_is_followed_to_where_it_is(known: Known) -> None:
    claims = known.read((), [Claimant(LIVING, (), "file:///mnt/link")])
    assert claims.on(A) == (Claim(LIVING, LIVING, "file:///mnt/link", f"/mnt/lab/exp.{A}", writes=True),)


def test_a_task_without_a_destination_asks_for_no_place(known: Known) -> None:
    known.read((), [Claimant(LIVING, (uri(),)), Claimant(OTHER)])
    assert known.places.asked == [uri()]


# -- models that others list
def test_a_model_that_other_tasks_list_is_remembered_with_all_of_them(known: Known) -> None:
    claims = known.read((), [Claimant(A), Claimant(LIVING, listed=(M,)), Claimant(OTHER, listed=(N, M))])
    assert claims.listed_by(M) == {LIVING, OTHER}
    assert claims.listed_by(N) == {OTHER}
    assert claims.listed_by(ModelId("3")) == frozenset()


def test_a_task_is_needed_by_those_that_name_its_files_and_those_that_list_its_models(known: Known) -> None:
    claims = known.read([Model(N, uri(A), OTHER)], [Claimant(LIVING, listed=(M,)), Claimant(A, (uri(B),))])
    assert claims.consumers_of(A, [M, N]) == {LIVING, OTHER}
    assert claims.consumers_of(A, []) == {OTHER}
    assert claims.consumers_of(B, [N]) == {A}
    assert claims.consumers_of(LIVING, [M]) == frozenset(), "not by itself"


# -- who makes a difference
def test_only_tasks_that_claim_or_list_something_make_a_difference_when_they_are_deleted(known: Known) -> None:
    models = [Model(M, uri(), LIVING), Model(N, uri(OTHER), OTHER)]
    claims = known.read(models, [Claimant(B, listed=(M,)), Claimant(OTHER, (uri(OTHER),)), Claimant(A)])
    assert [claims.concerns(task) for task in (LIVING, B, OTHER, A)] == [True, True, False, False]
    assert [claims.concerns_model(model) for model in (M, N)] == [True, False]
    known.catch_up((), [Claimant(OTHER, (uri(B),))])
    assert claims.concerns(OTHER)


def test_the_maker_of_a_model_that_claims_a_link_makes_a_difference_too() -> None:
    claims = Known(links=True).read([Model(M, "http://files/zoo/base.pt", LIVING)])
    assert claims.concerns(LIVING)
    assert claims.concerns_model(M)


# -- records that can't be read
def test_a_record_that_cannot_be_read_counts_for_every_task_that_it_may_need(known: Known) -> None:
    claims = known.read(
        [Model(M, "", A, unreadable="tags", mentions=frozenset({OTHER}))],
        [Claimant(LIVING, unreadable="models", mentions=frozenset({B, LIVING}))],
    )
    assert claims.unreadable(A) == claims.unreadable(OTHER) == f"tags of model {M}"
    assert claims.unreadable(B) == f"models of task {LIVING}, which names it,"
    assert claims.unreadable(LIVING) == ""


def test_a_model_that_cannot_be_read_and_has_no_maker_counts_for_what_it_mentions(known: Known) -> None:
    claims = known.read([Model(M, "", "", unreadable="uri", mentions=frozenset({B}))])
    assert claims.unreadable(B) == f"uri of model {M}"
    assert claims.unreadable(TaskId("")) == ""


def test_of_records_whose_ids_cannot_be_read_none_takes_the_place_of_another(known: Known) -> None:
    without = [Model(ModelId(""), uri(A, f"models/{n}"), LIVING, unreadable="id") for n in range(2)]
    assert len(known.read(without).on(A)) == 2


# -- what changes
def test_only_what_was_changed_since_is_read_again_and_replaces_what_was_known(known: Known) -> None:
    claims = known.read(
        [Model(M, uri(), LIVING, last_update="2026-02"), Model(N, "", LIVING, last_update="2026-01")],
        [Claimant(LIVING, (uri(B),), last_update="2026-03"), Claimant(OTHER, last_update="")],
    )
    known.server.asked.clear()
    known.catch_up(
        [Model(M, uri(A, "models/new.pt"), LIVING, last_update="2026-05")],
        [Claimant(LIVING, (uri(B), uri(B, "models/x")), last_update="2026-04")],
    )
    known.catch_up()
    assert [claim.uri for claim in claims.on(A)] == [uri(A, "models/new.pt")]
    assert [claim.uri for claim in claims.on(B)] == [uri(B), uri(B, "models/x")]
    assert known.server.asked == [
        ("models", "2026-02"), ("tasks", "all", "2026-03"), ("models", "2026-05"), ("tasks", "all", "2026-04"),
    ]  # fmt: skip


def test_a_record_that_comes_again_leaves_the_claims_of_others_alone(known: Known) -> None:
    claims = known.read((), [Claimant(LIVING, (uri(A),)), Claimant(OTHER, (uri(A),)), Claimant(LIVING, (uri(A, "x"),))])
    assert [claim.uri for claim in claims.on(A)] == [uri(A), uri(A, "x")]


# -- how it is read
def test_what_was_read_is_not_read_again(known: Known) -> None:
    claims = known.read()
    asked = list(known.server.asked)
    claims.read()
    assert known.server.asked == asked


def test_models_and_tasks_are_read_at_the_same_time(known: Known) -> None:
    models, tasks = Event(), Event()

    def some(mine: Event, other: Event) -> Iterator[Any]:
        mine.set()
        assert other.wait(60), "the other one has begun"
        yield from ()

    known.read(some(models, tasks), some(tasks, models))


@pytest.mark.parametrize("kind", ["models", "tasks"])
def test_what_fails_ends_the_reading_of_the_other_kind_too(known: Known, kind: str) -> None:
    def broken() -> Iterator[Any]:
        yield from ()
        raise AnswerError("no list")

    def endless() -> Iterator[Any]:
        while True:
            yield Model(M, "", A) if kind == "tasks" else Claimant(A)

    with pytest.raises(AnswerError, match="no list"):
        known.read(*((broken(), endless()) if kind == "models" else (endless(), broken())))


def test_the_scope_says_which_tasks_are_asked_for() -> None:
    known = Known(scope="pipelines")
    known.read()
    assert set(known.server.asked) == {("models", ""), ("tasks", "pipelines", "")}


def test_all_tags_of_models_are_known(known: Known) -> None:
    claims = known.read([Model(M, "", A, tags=("production", "x")), Model(N, "", LIVING, tags=("y",))])
    assert claims.model_tags == {"production", "x", "y"}


def test_memory_does_not_grow_with_models_and_tasks_that_name_only_what_is_theirs(known: Known) -> None:
    """2,000 and 40,000 records: only the exception at their end is remembered."""

    def models(count: int) -> Iterator[Model]:
        for n in range(count):
            maker = TaskId(f"{n:032x}")
            yield Model(ModelId(f"{n:032x}"), uri(maker), maker, tags=("x",), last_update=f"{n:08}")
        yield Model(M, uri(A), LIVING)

    def tasks(count: int) -> Iterator[Claimant]:
        for n in range(count):
            task = TaskId(f"{n:032x}")
            yield Claimant(task, (uri(task, "artifacts/x"), "s3://b/raw.csv"), "http://files", last_update=f"{n:08}")

    def kept(count: int) -> int:
        known = Known()
        known.places.locate = lambda _: None  # the other one notes what it is asked for
        tracemalloc.start()
        try:
            claims = known.read(models(count), tasks(count))
            assert claims.on(A) == (Claim(M, LIVING, uri(A), is_model=True),)
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert kept(20_000) < kept(1_000) + 50_000, "bytes"  # a pointer for each would be three times as many


# -- links
def test_claims_on_files_of_no_task_are_remembered_where_these_may_be_deleted() -> None:
    base, public, own = "http://files/zoo/base.pt", "https://public.example/zoo//base.pt?x=1", uri(LIVING, "models/base.pt")
    for links in (True, False):
        claims = Known(links=links).read(
            [Model(M, base, LIVING), Model(N, own, LIVING)], [Claimant(LIVING, (public, "http://files/zoo/other.pt"))]
        )
        found = set(claims.on_links(["zoo/base.pt", "x/base.pt", "zoo/none.pt"]))
        assert found == ({Claim(M, LIVING, base, is_model=True), Claim(LIVING, LIVING, public)} if links else set())
    assert not Known(links=True).claims.on_links(["zoo/base.pt"])


def test_a_link_is_known_by_its_name_however_deep_it_lies() -> None:
    for options, wanted in (({"links": True}, 1), ({}, 0)):
        claims = Known(**options).read([Model(M, "http://files/a/b/c/base.pt", LIVING)])
        assert len(claims.on_links(["x/y/base.pt", "a/b/c/base.pt"])) == wanted


# -- the sample
def test_the_sample_is_of_files_of_living_tasks_in_stores_that_cannot_list(known: Known) -> None:
    known.server.has(LIVING, OTHER)
    known.server.has(A, B, system_tags=("archived",))
    models = [
        Model(M, uri(LIVING), LIVING), Model(N, uri(A), A), Model(ModelId("3"), "s3://b/x", LIVING),
        Model(ModelId("4"), "http://files/uploading_file", LIVING), Model(ModelId("5"), "http://files/a//b", LIVING),
        Model(ModelId("6"), "http://elsewhere/x", LIVING),
    ]  # fmt: skip
    tasks = [
        Claimant(OTHER, (uri(OTHER, "artifacts/x"), uri(LIVING)), uri(OTHER, "")),
        Claimant(B, (uri(B),), archived=True),
    ]
    claims = known.read(models, tasks)
    wanted = [f"lab/exp.{LIVING}/models/w.pt", f"lab/exp.{OTHER}/artifacts/x"]
    assert claims.sample == [Location("files", path) for path in wanted]
    assert ("ids", A, LIVING, OTHER) in known.server.asked
    known.catch_up([Model(M, "http://files/later", LIVING)])
    assert len(claims.sample) == 2


def test_files_of_models_that_no_deletion_takes_are_in_the_sample(known: Known) -> None:
    known.server.has(A, system_tags=("archived",))
    models = [
        Model(M, uri(A, "models/published"), A, ready=True), Model(N, "http://files/zoo/base.pt", ""),
        Model(ModelId("3"), uri(B), GONE), Model(ModelId("4"), uri(A, "models/unreadable"), A, ready=True, unreadable="tags"),
    ]  # fmt: skip
    found = {place.path for place in known.read(models).sample}
    assert found == {"zoo/base.pt", f"lab/exp.{B}/models/w.pt"}


def test_files_of_tasks_that_are_archived_or_gone_or_that_cannot_be_read_are_not(known: Known) -> None:
    known.server.records = {A: Unreadable(A, "status")}
    known.server.has(B, system_tags=("archived",))
    tasks = [Claimant(task, (uri(task),)) for task in (A, B, OTHER)]
    assert known.read([Model(M, uri(B), B)], tasks).sample == []


@pytest.mark.parametrize(
    ("controller", "wanted"),
    [
        (Task(A, "nightly", "completed"), 1),
        (Task(A, "nightly", "completed", system_tags=("archived",)), 0),
        (Unreadable(A, "system_tags"), 0),
    ],
)
def test_files_of_a_step_count_if_its_controller_is_not_archived(
    known: Known, controller: Task | Unreadable, wanted: int
) -> None:
    """A step goes with its controller, archived or not."""
    known.server.has(LIVING, parent=A)
    known.server.records[A] = controller
    assert len(known.read((), [Claimant(LIVING, (uri(LIVING),))]).sample) == wanted


def test_a_deleted_parent_is_not_asked_for(known: Known) -> None:
    known.server.has(LIVING, parent=GONE)
    assert len(known.read((), [Claimant(LIVING, (uri(LIVING),))]).sample) == 1
    assert [asked for asked in known.server.asked if asked[0] == "ids"] == [("ids", LIVING)]


def test_the_sample_is_bounded_fair_and_the_same_for_the_same_records() -> None:
    def sample() -> list[int]:
        known = Known()
        known.server.has(*(TaskId(f"{n:032x}") for n in range(5000)))
        tasks = [Claimant(TaskId(f"{n:032x}"), (f"http://files/lab/{n}",)) for n in range(5000)]
        return [int(place.path.rpartition("/")[2]) for place in known.read((), tasks).sample]

    found = sample()
    assert found == sample()
    assert len(set(found)) == survivors.SAMPLE
    assert 2000 < sum(found) / len(found) < 3000, "none is more likely than another"


def test_a_tag_that_no_model_has_is_an_error() -> None:
    check_model_tags(["production"], {"production", "x"})
    with pytest.raises(SettingsError, match="CLEANUP_KEEP_MODEL_TAGS: no model has the tag 'prod'"):
        check_model_tags(["production", "prod"], {"production"})


def test_a_pass_that_has_to_end_reads_no_claims_to_the_end_and_can_do_nothing_with_them() -> None:
    known = Known(stopped=lambda: True)
    known.read([Model(M, uri(), LIVING)])
    assert known.claims.sample == []
    with pytest.raises(RuntimeError):
        known.claims.catch_up()


class Slow:
    """Models that take until they may end to be listed."""

    def __init__(self) -> None:
        self.begun, self.may_end = Event(), Event()

    def __iter__(self) -> Iterator[Model]:
        self.begun.set()
        assert self.may_end.wait(10)
        return iter(())


def test_threads_that_wait_for_a_look_share_the_next_one_and_not_one_that_had_begun(known: Known) -> None:
    known.read()
    known.server.models = slow = Slow()
    known.server.asked.clear()
    with ThreadPoolExecutor(5) as pool:
        looks = [pool.submit(known.claims.catch_up)]
        assert slow.begun.wait(10)
        looks += [pool.submit(known.claims.catch_up) for _ in range(4)]
        while not all(look.running() for look in looks):
            sleep(0.001)
        sleep(0.05)  # until each has asked for the lock
        slow.may_end.set()
        for look in looks:
            look.result()
    assert known.server.asked == 2 * [("models", ""), ("tasks", "all", "")]


def test_a_look_that_failed_counts_for_no_other_thread(known: Known) -> None:
    known.read()
    known.server.models = Broken()
    with pytest.raises(AnswerError):
        known.claims.catch_up()
    known.server.asked.clear()
    known.catch_up()
    assert len(known.server.asked) == 2


class Broken:
    """Models that can't be listed."""

    def __iter__(self) -> Iterator[Model]:
        raise AnswerError("no list")
