"""What a living pipeline, dataset or model registry needs is not archived."""

from itertools import pairwise

from cleanup_job.planning.outcome import Reason, Verdict
from clearml_sandbox.server import Fault
from tests.passes.nights import Nights, nights
from tests.passes.test_lifecycle import task

__all__ = ["nights"]
ARCHIVE = "policies: [{name: all, keep: {model_tags: [production]}, archive: {after: 14d}}]"


def kept(nights: Nights) -> dict[str, tuple[Reason | None, str]]:
    """What a pass keeps and says of it; its dry run says the same, and nothing kept is changed."""
    before = nights.everything()["tasks"]
    dry = nights.night(dry_run=True)
    assert nights.everything()["tasks"] == before
    done = nights.night()
    found = {i: (one.reason, one.detail) for i, one in done.watcher.outcomes.items() if one.verdict is Verdict.KEPT}
    assert {i: (one.reason, one.detail) for i, one in dry.watcher.outcomes.items() if one.verdict is Verdict.KEPT} == found
    for i in found:
        assert nights.task(i) == before[i]
    return found


def test_a_task_with_a_published_or_tagged_model(nights: Nights) -> None:
    world = nights.world()
    published, tagged, plain = task(world, "published"), task(world, "tagged"), task(world, "plain")
    ready = published.model("ready", ready=True)
    production = tagged.model("weights", tags=["production"])
    plain.model("weights", tags=["nothing"])
    nights.load(world, ARCHIVE)
    assert kept(nights) == {
        published.id: (Reason.IN_USE, f"its model {ready.id} is published"),
        tagged.id: (Reason.IN_USE, f"its model {production.id} has the tag 'production', by which models are kept"),
    }
    assert nights.is_archived(plain.id)


def test_a_model_that_a_living_task_uses(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    used, free, together = task(world, "used"), task(world, "free"), task(world, "together")
    model = used.model("weights")
    user = task(world, "user", days_old=1)
    user.input_model(model)
    task(world, "archived", archived=True).input_model(free.model("weights"))
    task(world, "with it", days_old=19).input_model(together.model("weights"))
    nights.load(world, ARCHIVE)
    detail = f"task {user.id}, which is not archived, uses its model {model.id}"
    assert kept(nights) == {used.id: (Reason.IN_USE, detail)}
    assert nights.is_archived(free.id)
    assert nights.is_archived(together.id)


def test_a_chain_of_models_is_kept_as_far_as_a_living_task_needs_it(nights: Nights) -> None:
    """The last one is used by a task that lives, so the task that it was made from is needed, too."""
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    first, second = task(world, "first", days_old=30), task(world, "second", days_old=25)
    second.input_model(first.model("a"))
    task(world, "living", days_old=1).input_model(second.model("b"))
    nights.load(world, ARCHIVE)
    assert kept(nights).keys() == {first.id, second.id}


def test_users_are_archived_first_and_then_what_they_used(nights: Nights) -> None:
    """Sixty tasks, each of which uses the model of the one before it: more than are looked at together."""
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    chain = [task(world, f"task {n}", days_old=100 - n) for n in range(60)]
    for one, other in pairwise(chain):
        other.input_model(one.model("weights"))
    nights.load(world, ARCHIVE)
    assert not kept(nights)
    assert all(nights.is_archived(one.id) for one in chain)


def test_tasks_that_use_each_others_models_are_archived_together(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    one, other = task(world, "one"), task(world, "other")
    one.input_model(other.model("a"))
    other.input_model(one.model("b"))
    one.input_model(one.model("c"))
    nights.load(world, ARCHIVE)
    assert not kept(nights)
    assert nights.is_archived(one.id)


def test_a_user_that_is_kept_itself_is_not_taken_for_archived_by_a_dry_run(nights: Nights) -> None:
    """More tasks than are looked at together are between the two."""
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    maker, user = task(world, "maker", days_old=90), task(world, "user", days_old=20)
    user.input_model(maker.model("weights"))
    user.model("published", ready=True)
    for n in range(30):
        task(world, f"between {n}", days_old=30 + n)
    nights.load(world, ARCHIVE)
    assert kept(nights).keys() == {maker.id, user.id}


def test_a_user_that_comes_later_is_archived_first_and_its_maker_in_the_next_night(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    maker, user = task(world, "maker", days_old=20), task(world, "user", days_old=90)
    user.input_model(maker.model("weights"))
    for n in range(30):
        task(world, f"between {n}", days_old=30 + n)
    nights.load(world, ARCHIVE)
    assert kept(nights).keys() == {maker.id}
    assert nights.is_archived(user.id)
    assert not kept(nights)
    assert nights.is_archived(maker.id)


def test_a_pipeline_is_archived_as_a_whole(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    controller = world.pipeline("train", days_old=20, archived=False, user="Ada")
    steps = [controller.step(f"step {n}", days_old=60 - n, archived=False, user="Ada") for n in range(40)]
    steps[1].input_model(steps[0].model("weights"))
    nights.load(world, ARCHIVE)
    assert not kept(nights)
    assert all(nights.is_archived(one.id) for one in (controller, *steps))


def test_a_pipeline_of_which_a_step_is_not_due(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    controller = world.pipeline("train", days_old=20, archived=False, user="Ada")
    due = controller.step("due", days_old=21, archived=False, user="Ada")
    published = controller.step("published", days_old=22, archived=False, user="Ada", status="published")
    nights.load(world, ARCHIVE)
    assert kept(nights) == {
        controller.id: (Reason.IN_USE, f"its step {published.id} is not archived, and not due"),
        due.id: (Reason.PIPELINE_STEP, f"the controller is task {controller.id}"),
    }


def test_steps_of_a_controller_that_is_not_due(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    controller = world.pipeline("train", days_old=2, archived=False, user="Ada")
    step = controller.step("step", days_old=21, archived=False, user="Ada")
    gone = world.task("orphan", project="lab/.pipelines/train", archived=False, user="Ada", parent="__DELETED__0")
    nights.load(world, ARCHIVE)
    assert kept(nights) == {step.id: (Reason.PIPELINE_STEP, f"the controller is task {controller.id}, which is not archived")}
    assert nights.is_archived(gone.id)


def test_a_step_in_another_project_than_the_pipelines(nights: Nights) -> None:
    """The SDK puts steps there with ``target_project``."""
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    controller = world.pipeline("train", days_old=2, archived=False, user="Ada")
    step, clone = task(world, "step", parent=controller), task(world, "clone", parent=controller, task_type="controller")
    nights.load(world, ARCHIVE)
    assert kept(nights).keys() == {step.id}
    assert nights.is_archived(clone.id)


def test_a_pipeline_of_which_a_step_has_a_published_model(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    controller = world.pipeline("train", days_old=20, archived=False, user="Ada")
    maker = controller.step("maker", days_old=21, archived=False, user="Ada")
    other = controller.step("other", days_old=22, archived=False, user="Ada")
    maker.model("weights", ready=True)
    nights.load(world, ARCHIVE)
    assert {i: reason for i, (reason, _) in kept(nights).items()} == {
        maker.id: Reason.IN_USE,
        controller.id: Reason.IN_USE,
        other.id: Reason.PIPELINE_STEP,
    }


def test_dataset_versions(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    old = {"days_old": 40, "archived": False, "user": "Ada"}
    base = world.dataset("base", **old)
    newer = world.dataset("newer", parents=[base], days_old=2, archived=False, user="Ada")
    used, free = world.dataset("used", **old), world.dataset("free", **old)
    user = task(world, "user", days_old=3)
    user.document["runtime"]["datasets"] = [used.id]
    task(world, "archived", archived=True).document["runtime"]["datasets"] = [free.id]
    nights.load(world, ARCHIVE)
    of_base = f"task {newer.id}, which is not archived, is a dataset version that can't be read without this one"
    of_used = f"task {user.id}, which is not archived, used it"
    assert kept(nights) == {base.id: (Reason.DATASET_IN_USE, of_base), used.id: (Reason.DATASET_IN_USE, of_used)}
    assert nights.is_archived(free.id)


def test_what_the_server_does_not_say_counts_as_needed(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    one = task(world)
    one.model("weights")
    nights.load(world, ARCHIVE)

    def refuses(call: str, field: str) -> None:
        nights.sandbox.fault = lambda request: (
            Fault(status=400) if request.call == call and field in (request.body or {}) else None
        )

    refuses("tasks.get_all", "models.input.model")
    assert kept(nights)[one.id][1].startswith("the server does not say who uses its model")


def test_a_step_that_is_deleted_with_its_controller_is_not_archived_too(nights: Nights) -> None:
    world = nights.world()
    world.model("elsewhere", uri="s3://bucket/model", tags=["production"])
    controller = world.pipeline("train", days_old=90, user="Ada")
    step = controller.step("step", days_old=91, archived=False, user="Ada")
    nights.load(world, ARCHIVE.replace("after: 14d}", "after: 14d}, delete: {after: 30d}"))
    for dry_run in (True, False):
        done = nights.night(dry_run=dry_run, filters={"include_pipeline_steps": True})
        assert done.watcher.deleted == {controller.id, step.id}
