"""Tasks that are chosen by their ids: these and no others, still judged by every rule."""

import pytest

from cleanup_job.planning.outcome import Reason, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean
from tests.property.judge import in_windows

NOBODY = TaskId("f" * 32)


@pytest.fixture
def world() -> World:
    return World(NOW)


def chosen(*ids: str, digest: str | None = None) -> Chosen:
    return Chosen({TaskId(task): digest for task in ids})


def test_only_the_chosen_tasks_are_deleted(sandbox: Sandbox, world: World) -> None:
    first, second, other = (world.task(name) for name in ("first", "second", "other"))
    for task in (first, second, other):
        task.artifact("a")
    sandbox.load(world.as_dict())
    done = clean(sandbox, chosen=chosen(first.id, second.id))
    assert done.watcher.deleted == {first.id, second.id}
    assert set(sandbox.store.tasks) >= {other.id}
    assert done.report.selected == 2


def test_a_chosen_task_is_still_judged_by_every_rule(sandbox: Sandbox, world: World) -> None:
    living, tagged = world.task("living", archived=False), world.task("tagged", tags=("gold",))
    young = world.task("young", days_old=1)
    sandbox.load(world.as_dict())
    done = clean(sandbox, filters={"keep_tags": ("gold",)}, chosen=chosen(living.id, tagged.id, young.id, NOBODY))
    assert not done.watcher.deleted
    assert done.watcher.kept == {
        living.id: Reason.NOT_SELECTED,
        tagged.id: Reason.KEEP_RULE,
        young.id: Reason.NOT_SELECTED,
        NOBODY: Reason.NOT_SELECTED,
    }
    told = {task: outcome.detail for task, outcome in done.watcher.outcomes.items()}
    assert "is not archived" in told[living.id]
    assert "not before" in told[young.id]
    assert "no task with this ID" in told[NOBODY]


def test_a_living_task_protects_what_a_chosen_one_made(sandbox: Sandbox, world: World) -> None:
    maker, living = world.task("maker"), world.task("living", archived=False)
    model = maker.model("best")
    living.input_model(model)
    sandbox.load(world.as_dict())
    assert clean(sandbox, chosen=chosen(maker.id)).watcher.deleted == {maker.id}
    assert model.id in sandbox.store.models


def test_a_task_is_deleted_only_as_it_was_approved(sandbox: Sandbox, world: World) -> None:
    same, edited, retrained = (world.task(name) for name in ("same", "edited", "retrained"))
    for task in (same, edited, retrained):
        task.artifact("a")
        task.model("m")
    sandbox.load(world.as_dict())
    planned = clean(sandbox, dry_run=True).watcher.outcomes
    assert {outcome.verdict for outcome in planned.values()} == {Verdict.WOULD_DELETE}
    sandbox.store.tasks[edited.id]["tags"] = ["again"]
    (model,) = (one for one in sandbox.store.models.values() if one["task"] == retrained.id)
    model["uri"] += "x"
    approved = Chosen({task: outcome.digest for task, outcome in planned.items()})
    done = clean(sandbox, chosen=approved)
    assert done.watcher.deleted == {same.id}
    assert done.watcher.kept == {edited.id: Reason.CHANGED, retrained.id: Reason.CHANGED}
    assert "since the plan was made" in done.watcher.outcomes[TaskId(edited.id)].detail


def test_a_pass_over_all_planned_tasks_deletes_what_the_dry_run_said(sandbox: Sandbox, world: World) -> None:
    maker, user = world.task("maker"), world.task("user", days_old=90)
    user.input_model(maker.model("m"))
    for n in range(5):
        world.task(f"t{n}", days_old=40 + n).artifact("a")
    sandbox.load(world.as_dict())
    planned = clean(sandbox, dry_run=True).watcher
    approved = Chosen({task: outcome.digest for task, outcome in planned.outcomes.items() if outcome.digest})
    done = clean(sandbox, chosen=approved)
    assert done.watcher.ends == planned.ends


def test_files_whose_size_no_record_has_are_counted(sandbox: Sandbox, world: World) -> None:
    task = world.task("t")
    task.artifact("sized")
    task.debug_images(3)
    sandbox.load(world.as_dict())
    (outcome,) = clean(sandbox, dry_run=True).watcher.outcomes.values()
    assert (outcome.files, outcome.unsized) == (4, 3)
    assert outcome.status == "completed"
    assert outcome.active is not None


@pytest.mark.parametrize("days", [50, 70])
def test_a_chosen_step_has_one_outcome_whether_its_controller_comes_first_or_last(
    sandbox: Sandbox, world: World, days: int
) -> None:
    controller = world.pipeline("pipe", days_old=60)
    step = controller.step("train", days_old=days, archived=False)
    alone = world.pipeline("other", archived=False).step("alone", archived=False)
    sandbox.load(world.as_dict())
    with in_windows(1):
        done = clean(sandbox, include_pipeline_steps=True, dry_run=True, chosen=chosen(controller.id, step.id, alone.id))
    assert done.watcher.deleted == {controller.id, step.id}
    assert done.watcher.kept == {alone.id: Reason.NOT_SELECTED}
    assert done.report.selected == 2
