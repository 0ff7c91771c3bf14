"""What a surviving record needs is kept: models that it uses or lists, files that it names, places that it writes to."""

from collections.abc import Callable
from typing import Any

import pytest

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.errors import SettingsError
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.records import Claimant
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW, clean, state


@pytest.fixture
def world() -> World:
    return World(NOW)


def files(sandbox: Sandbox) -> set[str]:
    return set(state(sandbox)[2])


def models(sandbox: Sandbox) -> set[str]:
    return set(state(sandbox)[1])


def run(sandbox: Sandbox, world: World, **options: Any) -> Any:
    """A pass that tells in a dry run what it does."""
    sandbox.load(world.as_dict())
    dry = clean(sandbox, dry_run=True, **options)
    done = clean(sandbox, **options)
    assert dry.watcher.ends == done.watcher.ends
    assert not done.watcher.failed
    return done


# -- models
def test_a_model_in_the_outputs_of_a_living_task_is_kept_with_its_file(sandbox: Sandbox, world: World) -> None:
    step, other = world.task("step"), world.task("other")
    best, rest = step.model("best"), step.model("rest")
    step.artifact("data")
    step.debug_images(2)
    other.model("best")
    living = world.pipeline("nightly", archived=False)
    living.lists_model(best)
    done = run(sandbox, world)
    assert done.watcher.deleted == {step.id, other.id}
    assert models(sandbox) == {best.id}
    assert files(sandbox) == {world.path(best.uri)}
    assert done.watcher.warnings == []
    assert done.watcher.outcomes[step.id].models == 1
    assert rest.id not in models(sandbox)
    assert not clean(sandbox).watcher.deleted


@pytest.mark.parametrize("force", [True, False])
def test_an_archived_import_that_lists_a_living_tasks_models_takes_none(sandbox: Sandbox, world: World, force: bool) -> None:
    living = world.task("original", archived=False)
    listed, published = living.model("best"), living.model("published", ready=True)
    copy = world.task("copy", status="created")
    copy.lists_model(listed)
    copy.lists_model(published, "published")
    copy.linked_artifact("data", living.artifact("data"))
    own = copy.model("own")
    done = run(sandbox, world, force_delete=force)
    assert done.watcher.deleted == {copy.id}
    assert done.watcher.outcomes[copy.id].models == 1
    assert models(sandbox) == {listed.id, published.id}
    assert own.id not in models(sandbox)
    assert files(sandbox) == {path for path in world.stored if living.id in path}
    assert done.watcher.warnings == []


def test_a_record_that_cannot_be_relieved_of_others_models_is_kept_with_its_files(sandbox: Sandbox, world: World) -> None:
    living, copy = world.task("original", archived=False), world.task("copy")
    model = living.model("best")
    copy.lists_model(model)
    copy.artifact("data")
    healthy = world.task("healthy")
    sandbox.load(world.as_dict())
    before = files(sandbox)
    sandbox.fault = lambda request: Fault(status=400) if request.call == "tasks.edit" else None
    done = clean(sandbox)
    assert done.watcher.deleted == {healthy.id}
    assert done.watcher.failed == {copy.id}
    assert models(sandbox) == {model.id}
    assert files(sandbox) == before


def test_the_lister_is_deleted_before_the_maker_and_both_with_all_they_have(sandbox: Sandbox, world: World) -> None:
    maker, lister = world.task("maker", days_old=40), world.task("lister", days_old=50)
    lister.lists_model(maker.model("best"))
    lister.linked_artifact("data", maker.artifact("data"))
    done = run(sandbox, world, batch_size=1)
    assert done.watcher.deleted == {maker.id, lister.id}
    assert state(sandbox) == ([], [], [])


def test_tasks_that_list_each_others_models_are_deleted_together(sandbox: Sandbox, world: World) -> None:
    one, other = world.task("one"), world.task("other")
    one.lists_model(other.model("b"))
    other.lists_model(one.model("a"))
    assert run(sandbox, world).watcher.deleted == {one.id, other.id}
    assert state(sandbox) == ([], [], [])


def test_models_with_a_tag_to_keep_are_kept_with_their_files(sandbox: Sandbox, world: World) -> None:
    task = world.task("exp")
    live, old = task.model("live", tags=["production"]), task.model("old")
    task.artifact("data")
    done = run(sandbox, world, keep_model_tags=("production",))
    assert done.watcher.deleted == {task.id}
    assert models(sandbox) == {live.id}
    assert files(sandbox) == {world.path(live.uri)}
    assert old.uri
    assert not clean(sandbox, keep_model_tags=("production",)).watcher.deleted


@pytest.mark.parametrize("first", [True, False])
def test_a_model_with_a_tag_to_keep_is_kept_in_a_circle_too(sandbox: Sandbox, world: World, first: bool) -> None:
    one, other = world.task("one"), world.task("other")
    makers = (one, other) if first else (other, one)
    live = makers[0].model("live", tags=["production"])
    makers[1].input_model(live)
    makers[0].input_model(makers[1].model("rest"))
    done = run(sandbox, world, keep_model_tags=("production",))
    assert done.watcher.deleted == {one.id, other.id}
    assert models(sandbox) == {live.id}
    assert files(sandbox) == {world.path(live.uri)}


def test_a_tag_that_no_model_has_is_an_error_also_where_there_is_nothing_to_delete(sandbox: Sandbox, world: World) -> None:
    world.task("living", archived=False).model("m", tags=["prod"])
    sandbox.load(world.as_dict())
    with pytest.raises(SettingsError, match="CLEANUP_KEEP_MODEL_TAGS: no model has the tag 'production'"):
        clean(sandbox, keep_model_tags=("production",))
    world.task("old").artifact("data")
    sandbox.load(world.as_dict())
    with pytest.raises(SettingsError, match="production"):
        clean(sandbox, keep_model_tags=("production",))
    assert len(state(sandbox)[0]) == 2


def test_a_task_that_uses_its_own_model_is_deleted_with_it(sandbox: Sandbox, world: World) -> None:
    task = world.task("resumed")
    task.input_model(task.model("weights"))
    assert run(sandbox, world).watcher.deleted == {task.id}
    assert state(sandbox) == ([], [], [])


def claimants(sandbox: Sandbox) -> dict[str, Claimant]:
    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret))
    return {claimant.id: claimant for claimant in ClearMLServer(transport).claimants("all")}


def test_of_the_models_that_tasks_list_those_are_read_as_claims_that_others_made(sandbox: Sandbox, world: World) -> None:
    maker, lister = world.task("maker"), world.task("lister", archived=False)
    free = world.model("free", uri="s3://zoo/base.pt")
    left = world.model("left", uri="s3://zoo/left.pt", task=f"__DELETED__{world.new_id()}")
    best, own = maker.model("best"), lister.model("own")
    for model in (best, free, left, world.new_id(), f"__DELETED__{world.new_id()}"):
        lister.lists_model(model)
    broken = maker.model("broken")
    lister.lists_model(broken)
    sandbox.load(world.as_dict())
    sandbox.store.models.change(broken.id, task=5)
    found = claimants(sandbox)
    assert set(found[lister.id].listed) == {best.id, broken.id}
    assert found[maker.id].listed == (broken.id,), "its record does not say any more that this task made it"
    assert own.id not in found[lister.id].listed
    assert (found[lister.id].archived, found[maker.id].archived) == (False, True)


# -- files
SPELLINGS: dict[str, Callable[[str], str]] = {
    "another host": lambda path: f"https://public.example/files/{path}",
    "doubled slashes": lambda path: "{FILES}//" + path.replace("/", "//"),
    "dots": lambda path: "{FILES}/./" + path,
    "a query": lambda path: f"{{FILES}}/{path}?download=1",
    "a final slash": lambda path: f"{{FILES}}/{path}/",
    "an upper-case host": lambda path: f"HTTP://FILES.EXAMPLE/{path}",
    "quoted twice": lambda path: "{FILES}/" + path.replace(".", "%252E"),
    "a local path": lambda path: f"/mnt/files/{path}",
    "a bucket": lambda path: f"s3://bucket/{path}",
    "backslashes": lambda path: "C:\\files\\" + path.replace("/", "\\"),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("by", ["model", "artifact"])
def test_a_living_record_that_names_the_file_keeps_it(
    sandbox: Sandbox, world: World, by: str, spelling: Callable[[str], str]
) -> None:
    step, living = world.task("step"), world.task("living", archived=False)
    named, other = step.artifact("named"), step.artifact("other")
    step.debug_images(2)
    uri = spelling(world.path(named))
    if by == "model":
        living.model("best", uri=uri, ready=True)
    else:
        living.linked_artifact("link", uri)
    done = run(sandbox, world)
    assert done.watcher.deleted == {step.id}
    assert files(sandbox) == {world.path(named)}
    assert world.path(other) not in files(sandbox)


def test_a_folder_that_a_living_record_names_is_kept_whole(sandbox: Sandbox, world: World) -> None:
    step, living = world.task("step"), world.task("living", archived=False)
    step.file("models/bert/config.json")
    step.artifact("data")
    step.file("models/other.pt")
    living.linked_artifact("bert", f"{{FILES}}/{step.folder}/models/bert")
    run(sandbox, world)
    assert f"{step.folder}/models/bert/config.json" in files(sandbox)
    assert not [path for path in files(sandbox) if "artifacts" in path]


def test_only_what_the_claim_touches_is_taken_apart(sandbox: Sandbox, world: World) -> None:
    """Images that no record names lie beside a claimed model: they go with their own folder."""
    step, living = world.task("step"), world.task("living", archived=False)
    weights = step.model("best")
    living.input_model(weights)
    step.debug_images(3)
    step.file("metrics/img/unnamed.jpeg")
    step.file("artifacts/unnamed.bin")
    run(sandbox, world)
    assert files(sandbox) == {world.path(weights.uri)}


@pytest.mark.parametrize("below", ["", "/runs", "/models/runs"])
def test_a_place_that_a_living_task_writes_to_is_kept(sandbox: Sandbox, world: World, below: str) -> None:
    old = world.task("old")
    old.artifact("data")
    living = world.task("living", archived=False, folder=f"{old.folder}{below}/lab/living.{{id}}")
    living.writes_to(f"{{FILES}}/{old.folder}{below}")
    living.debug_images(2)
    living.file("models/checkpoint.pt")
    done = run(sandbox, world)
    assert done.watcher.deleted == {old.id}
    assert {path for path in world.stored if living.id in path} <= files(sandbox)
    assert not [path for path in files(sandbox) if "artifacts/data" in path]


def test_files_beside_what_the_sdk_makes_are_deleted_only_where_they_are_named(sandbox: Sandbox, world: World) -> None:
    old = world.task("old")
    named = old.linked_artifact("checkpoint", old.file("checkpoint.pt"))
    old.file("notes.txt")
    old.file("runs/other.txt")
    run(sandbox, world)
    assert files(sandbox) == {f"{old.folder}/notes.txt", f"{old.folder}/runs/other.txt"}
    assert world.path(named) not in files(sandbox)


def test_a_project_called_like_the_folder_loses_nothing(sandbox: Sandbox, world: World) -> None:
    old = world.task("old", project="lab")
    old.artifact("data")
    name = f"lab/old.{old.id}"
    livings = [world.task(f"living {n}", project=project, archived=False) for n, project in enumerate((name, f"{name}/models"))]
    for living in livings:
        living.artifact("data")
        living.debug_images(2)
    run(sandbox, world)
    assert files(sandbox) == {path for path in world.stored if any(living.id in path for living in livings)}


def test_a_link_that_a_living_task_names_too_is_kept_where_links_are_deleted(sandbox: Sandbox, world: World) -> None:
    old, living = world.task("old"), world.task("living", archived=False)
    for name in ("shared", "mine"):
        world.stored[f"zoo/{name}.pt"] = 5
        old.linked_artifact(name, f"{{FILES}}/zoo/{name}.pt")
    living.linked_artifact("base", "https://public.example//zoo/shared.pt?x=1")
    run(sandbox, world, external_files="delete")
    assert files(sandbox) == {"zoo/shared.pt"}


# -- while the pass runs
def meanwhile(sandbox: Sandbox, call: str, deed: Callable[[], None]) -> None:
    """Do something once, right before the server answers a call."""
    deeds = [deed]

    def do(request: Request) -> None:
        if request.call == call and deeds:
            deeds.pop()()

    sandbox.fault = do


@pytest.mark.parametrize("how", ["uses", "lists", "names"])
def test_a_claim_that_comes_while_the_pass_runs_counts(sandbox: Sandbox, world: World, how: str) -> None:
    old, living = world.task("old"), world.task("living", archived=False)
    model = old.model("best")
    old.debug_images(1)
    sandbox.load(world.as_dict())

    def claim() -> None:
        document = sandbox.store.tasks[living.id]
        entry = {"name": "best", "model": model.id}
        changes: dict[str, Any] = {"last_update": "2026-11-01T12:00:00.000000+00:00"}
        if how == "names":
            uri = old.folder + "/models/best.pt"
            changes["execution"] = {"artifacts": [{"key": "x", "type": "custom", "mode": "output", "uri": f"http://x/{uri}"}]}
        else:
            lists = {"input": [], "output": [], **document["models"]}
            changes["models"] = {**lists, "input" if how == "uses" else "output": [entry]}
        sandbox.store.tasks.change(living.id, **changes)

    meanwhile(sandbox, "events.get_task_metrics", claim)
    done = clean(sandbox)
    assert done.watcher.deleted == {old.id}
    assert files(sandbox) == {world.path(model.uri)}
    assert (model.id in models(sandbox)) is (how != "names")


# -- files that have to be there
def lose_all_files(sandbox: Sandbox) -> None:
    """As an interrupted pass has, or as it looks on another server."""
    sandbox.store.files.remove("")


def test_files_that_living_tasks_name_have_to_be_there(sandbox: Sandbox, world: World) -> None:
    world.task("old").artifact("data")
    for n in range(5):
        world.task(f"living {n}", archived=False).artifact("data")
    sandbox.load(world.as_dict())
    lose_all_files(sandbox)
    with pytest.raises(SettingsError, match="has none of 5 files that surviving tasks and models name"):
        clean(sandbox)
    assert len(state(sandbox)[0]) == 6


@pytest.mark.parametrize("living", [0, 1])
def test_what_an_interrupted_pass_has_deleted_does_not_look_like_another_server(
    sandbox: Sandbox, world: World, living: int
) -> None:
    for n in range(10):
        task = world.task(f"old {n}")
        task.artifact("data")
        task.model("weights")
    if living:
        world.task("living", archived=False)
    sandbox.load(world.as_dict())
    lose_all_files(sandbox)
    assert len(clean(sandbox).watcher.deleted) == 10
    assert len(state(sandbox)[0]) == living


def test_steps_of_an_archived_pipeline_do_not_have_to_have_their_files(sandbox: Sandbox, world: World) -> None:
    """They are deleted with it although they are not archived."""
    pipeline = world.pipeline("nightly")
    for n in range(6):
        step = pipeline.step(f"step {n}", archived=False)
        step.artifact("data")
        step.model("weights")
    sandbox.load(world.as_dict())
    lose_all_files(sandbox)
    assert len(clean(sandbox, filters={"include_pipeline_steps": True}).watcher.deleted) == 7


# -- the scope
def linked(world: World, claimant: TaskBuilder) -> str:
    step = world.task("step")
    uri = step.artifact("data")
    claimant.linked_artifact("data", uri)
    return world.path(uri)


def test_the_scope_of_pipelines_reads_controllers_and_imports_only(sandbox: Sandbox, world: World) -> None:
    by_controller = linked(world, world.pipeline("nightly", archived=False))
    by_import = linked(world, world.task("copy", archived=False, status="created"))
    by_other = linked(world, world.task("other", archived=False))
    run(sandbox, world, protect_linked_artifacts="pipelines")
    assert files(sandbox) == {by_controller, by_import}
    assert by_other not in files(sandbox)


def test_without_the_protection_no_task_is_read_for_claims(sandbox: Sandbox, world: World) -> None:
    linked(world, world.task("other", archived=False))
    sandbox.load(world.as_dict())
    clean(sandbox, protect_linked_artifacts="off")
    assert files(sandbox) == set()


def test_with_nothing_to_delete_no_claim_is_read(sandbox: Sandbox, world: World) -> None:
    linked(world, world.task("other", archived=False))
    world.tasks[-1].document["system_tags"] = []
    sandbox.load(world.as_dict())
    sandbox.requests.clear()
    clean(sandbox)
    assert not [r for r in sandbox.requests if r.call == "models.get_all" or "execution.artifacts" in str(r.body)]


# -- what moves while the pass runs
def test_the_grace_since_archiving_counts_from_the_selection_although_the_parent_is_deleted(
    sandbox: Sandbox, world: World
) -> None:
    """A forced deletion after the parent's, which moves the time that archiving is known by."""
    parent = world.task("parent", days_old=60, archived_days=40)
    child = world.task("child", days_old=70, archived_days=40, parent=parent)
    child.model("ready", ready=True)
    child.artifact("data")
    done = run(sandbox, world, batch_size=1, workers=1, filters={"archived_for_days": 7})
    assert done.watcher.deleted == {parent.id, child.id}


def test_a_claimed_file_of_one_task_does_not_have_others_deleted_file_by_file(sandbox: Sandbox, world: World) -> None:
    one, other = world.task("one", days_old=40), world.task("other", days_old=50)
    world.task("living", archived=False).input_model(one.model("best"))
    other.file("artifacts/unnamed.bin")
    other.artifact("data")
    done = run(sandbox, world, batch_size=1, workers=1)
    assert done.watcher.deleted == {one.id, other.id}
    assert not [path for path in files(sandbox) if other.id in path]
    assert Reason.CHANGED not in done.watcher.kept.values()
