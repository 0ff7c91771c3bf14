"""Whatever becomes of a task, it is reported by its name."""

from cleanup_job.planning.outcome import Reason
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean


def test_a_task_that_is_kept_for_another_one_is_reported_by_its_name(sandbox: Sandbox) -> None:
    world = World(NOW)
    maker = world.task("makes it", days_old=90)
    user = world.task("uses it", days_old=60)
    user.input_model(maker.model("weights"))
    user.model("w", uri=f"s3+odd://bucket/x/uses it.{user.id}/w.pt")
    sandbox.load(world.as_dict())
    told = clean(sandbox).watcher.outcomes
    assert {(o.name, o.reason) for o in told.values()} == {
        ("makes it", Reason.IN_USE), ("uses it", Reason.UNKNOWN_STORE),
    }  # fmt: skip


def test_steps_of_a_pipeline_that_is_kept_are_reported_by_their_names(sandbox: Sandbox) -> None:
    world = World(NOW)
    pipeline = world.pipeline("nightly", archived=False)
    pipeline.step("first step")
    sandbox.load(world.as_dict())
    told = clean(sandbox).watcher.outcomes
    assert [(o.name, o.reason) for o in told.values()] == [("first step", Reason.PIPELINE_STEP)]


def test_a_task_that_can_not_be_read_again_is_reported_by_its_name(sandbox: Sandbox) -> None:
    world = World(NOW)
    unread = world.task("refuses")
    world.task("goes")
    sandbox.load(world.as_dict())

    def fault(request: Request) -> Fault | None:
        by_id = request.call == "tasks.get_all" and unread.id in (request.body.get("id") or ())
        return Fault(status=400) if by_id else None

    sandbox.fault = fault
    done = clean(sandbox)
    assert len(done.watcher.deleted) == 1
    assert done.watcher.failed == {unread.id}
    assert done.watcher.outcomes[unread.id].name == "refuses"
