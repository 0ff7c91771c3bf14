"""The oracle sees what is wrong: a judge that finds nothing is worth nothing."""

from datetime import timedelta

import pytest

from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW
from tests.property.oracle import After, Claim, File, Oracle, claim
from tests.property.scenario import MOUNT, PUBLIC, Happened, Scenario, Seen

ID = "0123456789abcdef" * 2
FOLDER = f"lab/exp 1.{ID}"
WEIGHTS = File("files", f"{FOLDER}/models/w.pt")


def after(world: World, *, without: tuple[str, ...] = (), lost: tuple[str, ...] = ()) -> After:
    """What is left when these tasks and models, and the files whose paths hold one of these texts, are gone."""
    document = world.as_dict()
    files = [File("files", file["path"]) for file in document["files"]]
    return After(
        {task["id"]: task for task in document["tasks"] if task["id"] not in without},
        {model["id"]: model for model in document["models"] if model["id"] not in without},
        frozenset(file for file in files if not any(text in file.path for text in lost)),
    )


def wrong(world: World, left: After) -> list[str]:
    return Oracle(Scenario(world.as_dict())).violations(left)


@pytest.fixture
def world() -> World:
    return World(NOW, aliases=[PUBLIC])


@pytest.fixture
def old(world: World) -> TaskBuilder:
    task = world.task("old")
    task.artifact("data")
    return task


def test_all_is_well_when_what_is_due_is_gone(world: World, old: TaskBuilder) -> None:
    model = old.model("weights")
    world.task("living", archived=False).artifact("data")
    assert wrong(world, after(world, without=(old.id, model.id), lost=(old.id,))) == []


def test_a_living_task_is_missed(world: World) -> None:
    living = world.task("living", archived=False)
    assert "was not to be deleted" in wrong(world, after(world, without=(living.id,)))[0]


def test_a_file_of_a_living_task_is_missed(world: World) -> None:
    living = world.task("living", archived=False)
    living.debug_images(1)
    assert "its task" in wrong(world, after(world, lost=(living.id,)))[0]


def test_a_task_that_is_due_must_be_deleted(world: World, old: TaskBuilder) -> None:
    assert "nothing speaks against its deletion" in wrong(world, after(world))[0]


def test_no_file_is_left_behind(world: World, old: TaskBuilder) -> None:
    assert "left behind" in wrong(world, after(world, without=(old.id,)))[0]


def test_nor_one_that_no_record_names_in_a_folder_that_is_deleted_whole(world: World, old: TaskBuilder) -> None:
    old.file("models/left over")
    assert "deleted whole" in wrong(world, after(world, without=(old.id,), lost=("artifacts",)))[0]


def test_what_lies_beside_and_is_named_by_no_one_is_kept(world: World, old: TaskBuilder) -> None:
    old.file("notes.txt")
    assert "lies beside" in wrong(world, after(world, without=(old.id,), lost=(old.id,)))[0]


def test_a_claimed_file_is_kept(world: World, old: TaskBuilder) -> None:
    uri = old.artifact("other")
    world.task("living", archived=False).linked_artifact("link", uri)
    assert "a surviving record names it" in wrong(world, after(world, without=(old.id,), lost=(old.id,)))[0]
    assert wrong(world, after(world, without=(old.id,), lost=("artifacts/data",))) == []


def test_a_listed_model_is_kept(world: World, old: TaskBuilder) -> None:
    model = old.model("weights")
    world.task("living", archived=False)._refer("output", "listed", model.id)
    assert "still there needs it" in wrong(world, after(world, without=(old.id, model.id), lost=("artifacts",)))[0]


def test_a_model_that_no_one_needs_is_deleted(world: World, old: TaskBuilder) -> None:
    old.model("weights")
    assert "only what is gone needed it" in wrong(world, after(world, without=(old.id,), lost=(old.id,)))[0]


def test_the_clock_of_the_server_counts() -> None:
    world = World(NOW - timedelta(days=40))
    young = world.task("old by the job's clock alone", days_old=20)
    assert "was not to be deleted" in wrong(world, after(world, without=(young.id,)))[0]


def test_what_a_task_needs_may_wait_for_it(world: World, old: TaskBuilder) -> None:
    user = world.task("user", destination="s3://bucket/base")
    user.artifact("on an unknown store")
    user.input_model(old.model("weights"))
    assert wrong(world, after(world)) == []


@pytest.mark.parametrize(("told", "demanded"), [(3, True), (None, False), (6, False)])
def test_a_deed_during_the_pass_counts_from_when_the_pass_saw_it(
    world: World, old: TaskBuilder, told: int | None, demanded: bool
) -> None:
    event = {"at": 2, "kind": "restore", "task": old.id}
    log = [Seen(n, "api", "POST", "tasks.get_all", "") for n in range(1, 5)]
    log.append(Seen(5, "files", "POST", "/delete_many", old.id))
    oracle = Oracle(Scenario(world.as_dict()), [Happened(event, 2, told)], log)
    found = oracle.violations(after(world, without=(old.id,), lost=(old.id,)))
    assert any("restored in time" in line for line in found) == demanded


def test_a_deed_before_the_chunk_counts_even_if_no_one_looked(world: World, old: TaskBuilder) -> None:
    log = [Seen(1, "api", "POST", "tasks.get_all", ""), Seen(2, "api", "POST", "tasks.delete_many", "another one")]
    log.append(Seen(3, "files", "POST", "/delete_many", old.id))
    happened = Happened({"at": 1, "kind": "restore", "task": old.id}, 1)
    assert Oracle(Scenario(world.as_dict()), [happened], log).violations(after(world, without=(old.id,), lost=(old.id,)))


@pytest.mark.parametrize(("at", "demanded"), [(1, True), (3, False)])
def test_a_task_that_came_back_too_late_may_have_lost_files_that_its_record_names(
    world: World, old: TaskBuilder, at: int, demanded: bool
) -> None:
    old.model("weights")
    log = [Seen(1, "api", "POST", "tasks.get_all", ""), Seen(2, "files", "POST", "/delete_many", old.id)]
    happened = Happened({"at": at, "kind": "restore", "task": old.id}, at, 1 if at == 1 else None)
    found = Oracle(Scenario(world.as_dict()), [happened], log).violations(after(world, lost=(old.id,)))
    assert sum("a surviving record names it" in line for line in found) == (2 if demanded else 0)


@pytest.mark.parametrize(
    ("uri", "certainty"),
    [
        (f"{{FILES}}/lab/exp%201.{ID}/models/w.pt", Claim.YES),
        (f"{PUBLIC}/lab/exp%201.{ID}/models/w.pt", Claim.YES),
        (f"HTTPS://PUBLIC.EXAMPLE:443/lab/exp%201.{ID}/models/w.pt", Claim.YES),
        (f"http://elsewhere:8081/lab/exp%201.{ID}/models/w.pt", Claim.YES),
        (f"http://elsewhere/files/lab/exp%201.{ID}/models/w.pt", Claim.YES),
        (f"/opt/clearml/fileserver/lab/exp 1.{ID}/models/w.pt", Claim.YES),
        (f"{{FILES}}//lab/./exp%201.{ID}//models/x/../w.pt", Claim.YES),
        (f"{{FILES}}/lab/exp%201.{ID}/models/w.pt?download=1", Claim.YES),
        (f"{{FILES}}/lab/exp%201.{ID}/models/w.pt/", Claim.YES),
        (f"{{FILES}}/lab/exp%25201.{ID}/models/w.pt", Claim.YES),
        (f"{{FILES}}/lab/exp 1.{ID}/models/w.pt", Claim.YES),
        (f"{{FILES}}/lab/exp%201.{ID}/models", Claim.YES),
        (f"{{FILES}}/lab/exp%201.{ID}", Claim.YES),
        (f"s3://bucket/base/lab/exp 1.{ID}/models/w.pt", Claim.MAYBE),
        (f"file://{MOUNT}/lab/exp 1.{ID}/models/w.pt", Claim.MAYBE),
        (f"{{FILES}}/lab/exp%201.{ID}/models/other.pt", Claim.NO),
        (f"{{FILES}}/lab/exp%201.{ID}/artifacts", Claim.NO),
        ("{FILES}/lab", Claim.NO),
        (f"{{FILES}}/lab/exp%201.{ID[::-1]}/models/w.pt", Claim.NO),
    ],
)
def test_addresses_are_read_in_every_way_that_they_can_be_meant(uri: str, certainty: Claim) -> None:
    assert claim(uri, WEIGHTS, {}) is certainty


def test_symbolic_links_and_second_roots_are_the_place_that_they_lead_to() -> None:
    file = File("mount", f"lab/exp.{ID}/models/w.pt")
    assert claim(f"file://{MOUNT}/short/exp.{ID}/models/w.pt", file, {"short": "lab"}) is Claim.YES
    assert claim(f"{{AGAIN}}/lab/exp.{ID}/models/w.pt", file, {}) is Claim.YES
