"""What must be kept although it is archived and old: by rules of ours, and by what ClearML's own objects need."""

from typing import Any

import pytest

from cleanup_job.errors import LeaseHeldError, SettingsError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.selection import OwnTasks
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW, clean, state

STEPS = {"include_pipeline_steps": True}


@pytest.fixture
def world() -> World:
    return World(NOW)


# -- keep rules
def test_a_kept_tag_wins_over_everything_and_the_report_says_so(sandbox: Sandbox, world: World) -> None:
    gold = world.task("gold", tags=["gold", "old"])
    gold.artifact("data")
    other = world.task("other", tags=["old"])
    world.task("young", tags=["gold"], days_old=1)
    sandbox.load(world.as_dict())
    filters = {"keep_tags": ("gold",), "tags": ("old",)}
    for dry_run in (True, False):
        done = clean(sandbox, filters=filters, dry_run=dry_run)
        assert done.watcher.kept == {gold.id: Reason.KEEP_RULE}
        assert "'gold' is in CLEANUP_KEEP_TAGS" in done.watcher.outcomes[gold.id].detail
        assert done.watcher.deleted == {other.id}
    assert len(state(sandbox)[2]) == 1


def test_kept_projects_are_kept_with_their_sub_projects(sandbox: Sandbox, world: World) -> None:
    kept = [world.task(f"exp {n}", project=name).id for n, name in enumerate(("gold", "gold/sub"))]
    gone = world.task("exp", project="golden")
    sandbox.load(world.as_dict())
    done = clean(sandbox, filters={"keep_projects": ("gold",)})
    assert done.watcher.kept == dict.fromkeys(kept, Reason.KEEP_RULE)
    assert done.watcher.deleted == {gone.id}


def test_what_a_kept_task_uses_is_kept_too(sandbox: Sandbox, world: World) -> None:
    maker, user = world.task("maker"), world.task("user", tags=["gold"])
    model = maker.model("weights")
    maker.artifact("data")
    user.input_model(model)
    sandbox.load(world.as_dict())
    assert clean(sandbox, filters={"keep_tags": ("gold",)}).watcher.deleted == {maker.id}
    assert [path.rpartition("/")[2] for path in state(sandbox)[2]] == ["weights.pt"]
    assert state(sandbox)[1] == [model.id]


def test_a_rule_holds_against_a_tag_that_comes_and_a_project_that_is_new(sandbox: Sandbox, world: World) -> None:
    task = world.task("moved", project="other")
    world.task("has it", tags=["gold"], project="gold")
    sandbox.load(world.as_dict())

    def move(request: Request) -> None:
        if request.call == "tasks.get_all" and "archived" in str(request.body):
            sandbox.store.tasks.change(task.id, project="new" * 10)

    sandbox.fault = move
    done = clean(sandbox, filters={"keep_projects": ("gold",)})
    assert task.id in done.watcher.kept
    assert not done.watcher.deleted


@pytest.mark.parametrize(
    "filters", [{"keep_tags": ("glod",)}, {"keep_projects": ("glod",)}, {"threshold_rules": ("glod=never",)}]
)
def test_a_rule_that_keeps_nothing_is_a_misspelled_one(sandbox: Sandbox, world: World, filters: dict[str, Any]) -> None:
    world.task("exp", tags=["gold"], project="gold")
    sandbox.load(world.as_dict())
    with pytest.raises(SettingsError, match="glod"):
        clean(sandbox, filters=filters)
    assert len(state(sandbox)[0]) == 1


# -- thresholds
def test_the_first_rule_that_fits_counts_and_the_report_names_it(sandbox: Sandbox, world: World) -> None:
    def tasks(project: str) -> dict[int, str]:
        return {days: world.task(f"exp {days}", project=project, days_old=days).id for days in (5, 40, 100)}

    play, golden, vision, other = (tasks(name) for name in ("play/a", "vision/golden", "vision", "lab"))
    sandbox.load(world.as_dict())
    rules = ("play/*=3", "vision/golden=never", "vision=90", "vision/golden=0")
    done = clean(sandbox, filters={"threshold_rules": rules})
    assert done.watcher.deleted == {*play.values(), vision[100], other[40], other[100]}
    assert done.watcher.kept == {golden[40]: Reason.KEEP_RULE, golden[100]: Reason.KEEP_RULE}
    assert {o.rule for i, o in done.watcher.outcomes.items() if i in play.values()} == {"play/*=3"}
    assert done.watcher.outcomes[vision[100]].rule == "vision=90"
    assert done.watcher.outcomes[other[40]].rule == ""
    assert dict(done.report.rules) == {"play/*=3": 3, "vision=90": 1}


# -- pipelines
def pipeline(world: World, **of_steps: Any) -> tuple[TaskBuilder, list[TaskBuilder]]:
    controller = world.pipeline("nightly")
    steps = [controller.step(f"step {n}", hidden=n == 0, **of_steps) for n in range(3)]
    for task in (controller, *steps):
        task.artifact("data")
    return controller, steps


def test_steps_of_a_controller_that_is_kept_are_kept_whatever_the_settings(sandbox: Sandbox, world: World) -> None:
    controller = world.pipeline("nightly", archived=False)
    steps = [controller.step(f"step {n}", hidden=n == 0).id for n in range(2)]
    sandbox.load(world.as_dict())
    done = clean(sandbox, filters={**STEPS, "include_hidden": True})
    assert done.watcher.kept == dict.fromkeys(steps, Reason.PIPELINE_STEP)
    assert controller.id in done.watcher.outcomes[steps[0]].detail


def test_without_the_setting_archived_steps_are_deleted_after_their_controller_and_no_others(
    sandbox: Sandbox, world: World
) -> None:
    controller = world.pipeline("nightly")
    archived, living = controller.step("archived", days_old=40), controller.step("living", archived=False)
    sandbox.load(world.as_dict())
    assert clean(sandbox, batch_size=1).watcher.deleted == {controller.id, archived.id}
    assert state(sandbox)[0] == [living.id]


@pytest.mark.parametrize("archived", [True, False], ids=["archived", "not archived"])
def test_an_archived_controller_takes_its_steps_along(sandbox: Sandbox, world: World, archived: bool) -> None:
    controller, steps = pipeline(world, archived=archived)
    clone = world.pipeline("nightly", archived=False, parent=controller)
    copy = world.task("copy of a step", project="lab", archived=False, parent=controller)
    sandbox.load(world.as_dict())
    dry = clean(sandbox, filters=STEPS, dry_run=True)
    done = clean(sandbox, filters=STEPS)
    assert done.watcher.deleted == {controller.id, *(step.id for step in steps)}
    assert dry.watcher.ends == done.watcher.ends
    assert state(sandbox)[0] == sorted([clone.id, copy.id])
    assert state(sandbox)[2] == []


@pytest.mark.parametrize(
    ("step", "filters"),
    [
        ({"status": "in_progress"}, {}),
        ({"status": "queued"}, {}),
        ({"days_old": 3}, {}),
        ({"tags": ["gold"]}, {"keep_tags": ("gold",)}),
        ({"tags": ["gold"]}, {"exclude_tags": ("gold",)}),
        ({"status": "failed"}, {"exclude_statuses": ("failed",)}),
        ({"public": True}, {}),
    ],
)
def test_a_step_that_has_to_be_kept_keeps_the_whole_pipeline(
    sandbox: Sandbox, world: World, step: dict[str, Any], filters: dict[str, Any]
) -> None:
    controller, steps = pipeline(world)
    special = controller.step("special", archived=False, **step)
    sandbox.load(world.as_dict())
    before = state(sandbox)
    done = clean(sandbox, filters={**STEPS, **filters})
    assert done.watcher.kept[controller.id] is Reason.IN_USE
    assert special.id in done.watcher.outcomes[controller.id].detail
    assert {done.watcher.kept[one.id] for one in steps} == {Reason.PIPELINE_STEP}
    assert state(sandbox) == before


def test_a_step_that_is_touched_during_the_pass_keeps_the_whole_pipeline(sandbox: Sandbox, world: World) -> None:
    controller, steps = pipeline(world, archived=False)
    sandbox.load(world.as_dict())
    before = state(sandbox)

    def touch(_: Request) -> None:
        if [r.call for r in sandbox.requests].count("models.get_all") == 2:  # in a batch, before the last look at its tasks
            sandbox.store.tasks.change(steps[1].id, status="queued", status_changed="2026-11-01T11:59:00+00:00")

    sandbox.fault = touch
    assert not clean(sandbox, filters=STEPS).watcher.deleted
    assert state(sandbox) == before
    assert controller.id in before[0]


def test_a_controllers_record_is_deleted_only_when_those_of_its_steps_are_gone(sandbox: Sandbox, world: World) -> None:
    controller, steps = pipeline(world, archived=False)
    sandbox.load(world.as_dict())

    def restart(request: Request) -> None:
        if request.call == "tasks.delete_many":
            sandbox.store.tasks.change(steps[1].id, status="queued", status_changed="2026-11-01T11:59:00+00:00")

    sandbox.fault = restart
    done = clean(sandbox, filters=STEPS)
    assert done.watcher.failed == {controller.id, steps[1].id}
    assert "a step of it is still there" in done.watcher.outcomes[controller.id].detail
    assert state(sandbox)[0] == sorted([controller.id, steps[1].id])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_pipeline_converges_wherever_the_pass_is_killed(sandbox: Sandbox, after: bool) -> None:
    def load() -> None:
        made = World(NOW)
        pipeline(made, archived=False)
        sandbox.fault = None
        sandbox.load(made.as_dict())
        sandbox.requests.clear()

    load()
    clean(sandbox, filters=STEPS)
    for n in range(1, len(sandbox.requests) + 1):
        load()

        def dead(_: Request, n: int = n) -> Fault | None:
            number = len(sandbox.requests)
            return None if number < n else Fault(after=after and number == n)

        sandbox.fault = dead
        with pytest.raises(Exception):  # noqa: B017, PT011 -- which one depends on n
            clean(sandbox, filters=STEPS, attempts=1)
        sandbox.fault = None
        clean(sandbox, filters=STEPS)
        assert state(sandbox) == ([], [], []), f"request {n}"


def test_hidden_steps_that_lost_their_controller_can_be_reached(sandbox: Sandbox, world: World) -> None:
    step = world.task("step", project="lab/.pipelines/nightly", parent="__DELETED__" + "a" * 32, hidden=True)
    sandbox.load(world.as_dict())
    assert not clean(sandbox).watcher.deleted
    assert clean(sandbox, filters=STEPS).watcher.deleted == {step.id}


def test_the_servers_own_flag_is_never_sent(sandbox: Sandbox, world: World) -> None:
    pipeline(world)
    sandbox.load(world.as_dict())
    clean(sandbox, filters=STEPS)
    assert not any("include_pipeline_steps" in (request.body or {}) for request in sandbox.requests)


# -- datasets
def test_all_ancestors_of_a_version_that_is_kept_are_kept_wherever_they_are(sandbox: Sandbox, world: World) -> None:
    first = world.dataset("numbers", project="one")
    second = world.dataset("letters", project="two", parents=[first])
    other = world.dataset("signs", project="three")
    world.dataset("all", project="four", parents=[second, other], archived=False)
    lone = world.dataset("lone")
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert done.watcher.kept.keys() == {first.id, second.id, other.id}
    assert set(done.watcher.kept.values()) <= {Reason.DATASET_IN_USE, Reason.IN_USE}
    assert done.watcher.deleted == {lone.id}


@pytest.mark.parametrize("alias", [None, "training data"])
def test_a_dataset_that_a_surviving_task_used_is_kept_where_that_is_wanted(
    sandbox: Sandbox, world: World, alias: str | None
) -> None:
    used, unused, by_archived = (world.dataset(name) for name in ("used", "unused", "by an archived one"))
    living, archived = world.task("living", archived=False, hidden=True), world.task("archived", days_old=90)
    living.uses_dataset(used, alias)
    archived.uses_dataset(by_archived, alias)
    sandbox.load(world.as_dict())
    done = clean(sandbox, protect_used_datasets=True, batch_size=1)
    assert done.watcher.kept == {used.id: Reason.DATASET_IN_USE}
    assert living.id in done.watcher.outcomes[used.id].detail
    assert done.watcher.deleted == {unused.id, by_archived.id, archived.id}
    assert clean(sandbox).watcher.deleted == {used.id}


def test_hidden_datasets_and_pipelines_have_to_be_asked_for(sandbox: Sandbox, world: World) -> None:
    hidden = {world.dataset("numbers", hidden=True).id, world.pipeline("nightly", hidden=True).id}
    plain = {world.dataset("letters").id, world.pipeline("weekly").id}
    sandbox.load(world.as_dict())
    assert clean(sandbox, filters=STEPS).watcher.deleted == plain
    assert clean(sandbox, filters={"include_hidden": True}).watcher.deleted == hidden


# -- projects
def names(sandbox: Sandbox) -> set[str]:
    return {project["name"] for project in sandbox.store.projects.values()}


def test_projects_that_the_pass_emptied_are_deleted_and_no_others(sandbox: Sandbox, world: World) -> None:
    world.project("never used")
    for name in ("gone", "tops/gone", "tops/gone/inner"):
        world.task("old", project=name).artifact("data")
    world.dataset("numbers", project="data")
    world.task("old", project="data")
    for project, options in {
        "living": {"archived": False},
        "young": {"days_old": 2},
        "hidden": {"hidden": True, "archived": False},
        "public": {"public": True},
    }.items():
        world.task("old", project=project)
        world.task("other", project=project, **options)
    world.task("old", project="with/living")
    world.task("living", project="with/living/below", archived=False)
    world.task("old", project="has an empty one")
    world.project("has an empty one/never used either")
    world.task("old", project="has a model")
    world.model("free", uri="s3://bucket/x", project="has a model")
    sandbox.load(world.as_dict())
    before = names(sandbox)
    dry = clean(sandbox, delete_empty_projects=True, dry_run=True)
    assert names(sandbox) == before
    done = clean(sandbox, delete_empty_projects=True)
    expected = {"gone", "tops/gone", "tops/gone/inner", "data", "data/.datasets", "data/.datasets/numbers"}
    assert before - names(sandbox) == expected == set(done.watcher.projects) == set(done.report.emptied)
    assert dry.watcher.projects == done.watcher.projects
    assert not any(call.body.get("force") for call in sandbox.requests if call.call == "projects.delete")
    assert clean(sandbox, delete_empty_projects=True).watcher.projects == []


def test_projects_are_kept_unless_it_is_wanted(sandbox: Sandbox, world: World) -> None:
    world.task("old", project="gone")
    sandbox.load(world.as_dict())
    clean(sandbox)
    assert "gone" in names(sandbox)


def test_a_model_that_is_kept_keeps_its_project_in_a_dry_run_too(sandbox: Sandbox, world: World) -> None:
    maker = world.task("maker", project="models")
    world.task("user", archived=False).input_model(maker.model("weights"))
    sandbox.load(world.as_dict())
    for dry_run in (True, False):
        assert clean(sandbox, delete_empty_projects=True, dry_run=dry_run).watcher.projects == []
    assert "models" in names(sandbox)


def test_a_project_that_someone_used_meanwhile_is_kept(sandbox: Sandbox, world: World) -> None:
    world.task("old", project="busy")
    newcomer = world.task("new", project="elsewhere", archived=False)
    sandbox.load(world.as_dict())
    busy = next(key for key, project in sandbox.store.projects.items() if project["name"] == "busy")

    def use(request: Request) -> None:
        if request.call == "projects.delete":
            sandbox.store.tasks.change(newcomer.id, project=busy)

    sandbox.fault = use
    done = clean(sandbox, delete_empty_projects=True)
    assert "busy" in names(sandbox)
    assert "project busy" in done.watcher.warnings[0]
    assert not done.watcher.failed


def test_no_project_is_deleted_once_the_lease_is_lost_or_the_pass_was_stopped(sandbox: Sandbox, world: World) -> None:
    world.task("old", project="gone")
    sandbox.load(world.as_dict())
    stop = Stop()

    def lose(request: Request) -> None:
        if request.call == "projects.get_all" and "system_tags" in str(request.body):
            stop.holds_lease = lambda: False

    sandbox.fault = lose
    with pytest.raises(LeaseHeldError):
        clean(sandbox, delete_empty_projects=True, stop=stop)
    assert "gone" in names(sandbox)
    sandbox.fault = None
    sandbox.load(world.as_dict())
    clean(sandbox, delete_empty_projects=True, stop=Stop(reason=StopReason.SIGTERM))
    assert "gone" in names(sandbox)


def test_a_run_of_the_job_that_both_listings_bring_is_reported_once(sandbox: Sandbox) -> None:
    world = World(NOW)
    draft = world.task("Cleanup Service", archived=False, status="created")
    run = world.task("a run", parent=draft, tags=["clearml-cleanup", "gold"])
    sandbox.load(world.as_dict())
    own = OwnTasks(never=frozenset({draft.id}), runs_of=draft.id)
    assert clean(sandbox, own=own, filters={"keep_tags": ("gold",)}).watcher.kept == {run.id: Reason.KEEP_RULE}
