"""Policies when something goes wrong or changes meanwhile, and the limits of a pass."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cleanup_job.errors import RefusedError, SettingsError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.outcome import Reason, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen
from cleanup_job.planning.sharding import Share
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import Done, Watcher, clean
from tests.passes.nights import FIRST, Nights, nights
from tests.passes.test_lifecycle import ARCHIVE, WHOLE, task

__all__ = ["nights"]
WRITES = {"tasks.archive_many", "tasks.update_tags", "tasks.delete_many", "models.delete_many", "tasks.edit"}
NOTICE = "policies: [{name: lab, match: {projects: [lab]}, notice: 7d, archive: {after: 14d}}]"


def some(nights: Nights, count: int, policies: str = ARCHIVE, **options: object) -> list[TaskBuilder]:
    """So many tasks that are due, the newest first."""
    world = nights.world()
    made = [task(world, f"task {n}", days_old=20 + n, **options) for n in range(count)]
    nights.load(world, policies)
    return made


def at(nights: Nights, call: str, act: Callable[[], object], number: int = 1) -> None:
    """Do something right before the server gets a call for the n-th time."""
    seen: list[Request] = []

    def fault(request: Request) -> Fault | None:
        if request.call == call:
            seen.append(request)
            if len(seen) == number:
                act()
        return None

    nights.sandbox.fault = fault


def refuse(nights: Nights, call: str, culprit: TaskBuilder) -> None:
    """Refuse a call if it is for a task, among others or alone."""

    def fault(request: Request) -> Fault | None:
        return Fault(status=400) if request.call == call and culprit.id in request.body["ids"] else None

    nights.sandbox.fault = fault


@pytest.mark.parametrize(
    ("call", "policies", "verdict"),
    [("tasks.archive_many", ARCHIVE, Verdict.ARCHIVED), ("tasks.update_tags", NOTICE, Verdict.NOTICED)],
)
def test_one_tasks_trouble_is_its_own(nights: Nights, call: str, policies: str, verdict: Verdict) -> None:
    made = some(nights, 30, policies)
    refuse(nights, call, made[3])
    done = nights.night()
    assert done.watcher.failed == {made[3].id}
    assert done.watcher.outcomes[made[3].id].reason is Reason.RECORD_ERROR
    assert len(done.watcher.by_verdict(verdict)) == 29
    nights.sandbox.fault = None
    assert nights.night().watcher.by_verdict(verdict) == {made[3].id}


def test_a_tag_that_can_t_be_put_right_is_a_warning(nights: Nights) -> None:
    world = nights.world()
    stale, other = (task(world, days_old=1, tags=["cleanup:archives=2026-11-20"]) for _ in range(2))
    nights.load(world, NOTICE)
    refuse(nights, "tasks.update_tags", stale)
    done = nights.night()
    assert not done.watcher.outcomes
    assert [text.split(":")[0] for text in done.watcher.warnings] == [f"task {stale.id}"]
    assert nights.marks(stale.id)
    assert not nights.marks(other.id)


@pytest.mark.parametrize("call", ["tasks.archive_many", "tasks.update_tags"])
def test_a_task_that_is_deleted_meanwhile_has_not_failed(nights: Nights, call: str) -> None:
    made = some(nights, 5)
    at(nights, call, lambda: nights.sandbox.store.tasks.pop(made[2].id))
    done = nights.night()
    assert done.watcher.outcomes[made[2].id].verdict is Verdict.GONE_ALREADY
    assert len(done.watcher.by_verdict(Verdict.ARCHIVED)) == 4
    assert not done.watcher.failed


@pytest.mark.parametrize(
    "change",
    [
        {"tags": ["mine"]},
        {"system_tags": ["archived"]},
        {"status": "in_progress"},
        {"status": "published"},
        {"project": "another"},
        {"comment": "text"},
    ],
    ids=str,
)
def test_a_task_that_is_changed_between_the_listing_and_the_last_look_is_left_alone(
    nights: Nights, change: dict[str, object]
) -> None:
    made = some(nights, 3)
    at(nights, "tasks.get_all", lambda: None)
    looked: list[Request] = []

    def fault(request: Request) -> Fault | None:
        if request.call == "tasks.get_all" and made[1].id in request.body.get("id", []) and not looked:
            looked.append(request)
            nights.change(made[1].id, **change)
        return None

    nights.sandbox.fault = fault
    done = nights.night()
    assert done.watcher.kept == {made[1].id: Reason.CHANGED}
    assert not nights.marks(made[1].id)
    assert nights.is_archived(made[0].id)
    assert nights.is_archived(made[2].id)


def test_a_task_that_begins_to_run_right_before_it_is_archived_is_left_alone(nights: Nights) -> None:
    """The server would stop it: so it is read again by the very call that archives."""
    made = some(nights, 2)
    reads: list[Request] = []

    def fault(request: Request) -> Fault | None:
        if request.call == "tasks.get_all" and made[0].id in request.body.get("id", []):
            reads.append(request)
            if len(reads) == 2:
                nights.change(made[0].id, status="in_progress")
        return None

    nights.sandbox.fault = fault
    done = nights.night()
    assert done.watcher.kept == {made[0].id: Reason.CHANGED}
    assert nights.task(made[0].id)["status"] == "in_progress"
    assert not nights.is_archived(made[0].id)
    assert nights.is_archived(made[1].id)


def test_an_odd_record_is_reported_once_and_left_alone(nights: Nights) -> None:
    made = some(nights, 3)
    nights.sandbox.store.tasks.change(made[0].id, tags={"a": 1})
    nights.sandbox.store.tasks.change(made[1].id, tags={"a": 1}, system_tags=["archived"])
    before = nights.everything()["tasks"]
    done = nights.night()
    assert done.watcher.kept == dict.fromkeys((made[0].id, made[1].id), Reason.UNREADABLE)
    assert nights.everything()["tasks"][made[0].id] == before[made[0].id]
    assert nights.is_archived(made[2].id)


def test_filters_that_the_server_ignores_don_t_widen_anything(nights: Nights) -> None:
    world = nights.world()
    due, elsewhere = task(world), task(world, project="elsewhere")
    nights.load(world, ARCHIVE)
    project = nights.task(due.id)["project"]
    asked: list[object] = []

    def fault(request: Request) -> Fault | None:
        if request.call == "tasks.get_all" and "system_tags" not in request.body and "id" not in request.body:
            asked.append(request.body.pop("project", None))
        return None

    nights.sandbox.fault = fault
    done = nights.night()
    assert [project] in asked
    assert set(done.watcher.outcomes) == {due.id}
    assert not nights.is_archived(elsewhere.id)


def test_policies_and_filters_without_a_project_in_common_list_nothing(nights: Nights) -> None:
    world = nights.world()
    task(world)
    task(world, project="elsewhere")
    nights.load(world, ARCHIVE)
    assert not nights.night(filters={"projects": ["elsewhere"]}).watcher.outcomes


# -- the end of a pass
def stopping(nights: Nights, stop: Stop, after: int) -> Watcher:
    """Asks to stop at an outcome."""

    class Stops(Watcher):
        def outcome(self, outcome: object) -> None:
            super().outcome(outcome)  # type: ignore[arg-type]  # as the base has it
            if len(self.outcomes) == after:
                stop.ask(StopReason.SIGTERM)

    return Stops()


def test_sigterm_ends_it_after_a_chunk(nights: Nights) -> None:
    made = some(nights, 60)
    stop = Stop()
    done = nights.night(stop=stop, watcher=stopping(nights, stop, 1))
    assert len(done.watcher.by_verdict(Verdict.ARCHIVED)) == 25
    assert done.report.stopped_by is StopReason.SIGTERM
    assert done.report.left_is_least
    assert sum(nights.is_archived(one.id) for one in made) == 25
    assert nights.until_quiet() == 2
    assert all(nights.is_archived(one.id) for one in made)


def test_a_pass_that_was_stopped_before_does_none_of_it(nights: Nights) -> None:
    world = nights.world()
    task(world, archived=True, days_old=90)
    task(world)
    nights.load(world, WHOLE)
    stop = Stop()
    stop.ask(StopReason.SIGTERM)
    before = nights.everything()
    done = nights.night(stop=stop)
    assert nights.everything() == before
    assert done.report.left_is_least
    assert done.report.stopped_by is StopReason.SIGTERM


def test_ctrl_c_changes_nothing_more(nights: Nights) -> None:
    made = some(nights, 5)
    stop = Stop()
    at(nights, "tasks.get_all", stop.interrupt, number=3)
    done = nights.night(stop=stop)
    assert not any(nights.is_archived(one.id) for one in made)
    assert done.report.stopped_by is StopReason.SIGINT


def test_people_who_want_to_end_it_see_what_is_in_progress(nights: Nights) -> None:
    some(nights, 5)
    stop = Stop()
    seen: list[tuple[int, int]] = []
    at(nights, "tasks.archive_many", lambda: seen.append(stop.in_hand.now()))
    nights.night(stop=stop)
    assert seen == [(1, 5)]
    assert stop.in_hand.now() == (0, 0)


def test_who_insists_stops_each_further_change(nights: Nights) -> None:
    made = some(nights, 5)
    stop = Stop()
    at(nights, "tasks.archive_many", stop.insist)
    done = nights.night(stop=stop)
    assert all(nights.is_archived(one.id) for one in made)
    assert not any(nights.marks(one.id) for one in made)
    assert done.report.left == 5
    nights.until_quiet()
    assert all(nights.marks(one.id) for one in made)


def test_a_lost_lease_at_any_request(nights: Nights) -> None:
    some(nights, 3)
    nights.night()
    total = len(nights.sandbox.requests)
    for held in range(1, total + 1, 2):
        some(nights, 3)
        stop = Stop(holds_lease=lambda held=held: len(nights.sandbox.requests) < held)
        done = nights.night(stop=stop)
        assert not [one.call for one in nights.sandbox.requests[held:] if one.call in WRITES]
        assert done.report.left + len(done.watcher.by_verdict(Verdict.ARCHIVED)) >= 3 or done.report.left_is_least
        nights.until_quiet()
        assert len(nights.sandbox.requests) > 0


def test_a_server_that_goes_away_ends_the_pass(nights: Nights) -> None:
    made = some(nights, 30)
    nights.sandbox.fault = lambda _: Fault() if any(r.call == "tasks.archive_many" for r in nights.sandbox.requests) else None
    watcher = Watcher()
    with pytest.raises(Exception, match="no answer"):
        nights.night(watcher=watcher, attempts=1)
    assert {one.reason for one in watcher.outcomes.values()} == {Reason.UNREACHABLE}
    nights.sandbox.fault = None
    nights.until_quiet()
    assert all(nights.marks(one.id) == ["cleanup:archived=2026-11-01"] for one in made)


def test_an_old_server_is_refused_before_anything_is_deleted(nights: Nights) -> None:
    world = nights.world()
    task(world, archived=True, days_old=90)
    nights.load(world, "policies: [{name: lab, delete: {after: 30d}}]")
    with Sandbox(world.as_dict(), max_api_version="2.26") as old:
        with pytest.raises(SettingsError, match="or newer"):
            clean(old, now=FIRST, policies=nights.file)
        assert len(old.state()["tasks"]) == 1


# -- limits
def archived(done: Done) -> int:
    return len(done.watcher.by_verdict(Verdict.ARCHIVED) | done.watcher.by_verdict(Verdict.WOULD_ARCHIVE))


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_budget_is_for_what_is_deleted_archived_and_slimmed(nights: Nights, dry_run: bool) -> None:
    world = nights.world()
    for n in range(2):
        task(world, f"archived {n}", archived=True, days_old=90)
    for n in range(5):
        task(world, f"old {n}", days_old=20 + n)
    soon = world.task("soon", project="other", days_old=10, archived=False, user="Ada")
    policies = """
policies:
  - {name: lab, match: {projects: [lab]}, archive: {after: 14d}, delete: {after: 30d}}
  - {name: other, notice: 7d, archive: {after: 14d}}
"""
    nights.load(world, policies)
    done = nights.night(max_tasks=4, dry_run=dry_run)
    assert len(done.watcher.deleted) == 2
    assert archived(done) == 2
    assert done.watcher.outcomes[soon.id].verdict in {Verdict.NOTICED, Verdict.WOULD_NOTICE}
    assert (done.report.selected, done.report.left, done.report.stopped_by) == (8, 3, StopReason.MAX_TASKS)


def test_notices_take_nothing_of_the_budget(nights: Nights) -> None:
    world = nights.world()
    for n in range(30):
        task(world, f"soon {n}", project="noticed", days_old=10)
    for n in range(3):
        task(world, f"old {n}", days_old=20 + n)
    policies = "policies: [{name: noticed, match: {projects: [noticed]}, notice: 7d, archive: {after: 14d}}, "
    nights.load(world, policies + "{name: lab, archive: {after: 14d}}]")
    done = nights.night(max_tasks=2)
    assert len(done.watcher.by_verdict(Verdict.NOTICED)) == 30
    assert archived(done) == 2


def test_tasks_that_are_needed_take_nothing_of_the_budget(nights: Nights) -> None:
    world = nights.world()
    for n in range(3):
        task(world, f"published {n}", days_old=20 + n).model("weights", ready=True)
    free = [task(world, f"free {n}", days_old=30 + n) for n in range(4)]
    nights.load(world, ARCHIVE)
    done = nights.night(max_tasks=2)
    assert done.watcher.by_verdict(Verdict.ARCHIVED) == {one.id for one in free[:2]}
    assert len(done.watcher.kept) == 3
    assert done.report.left == 2


def test_refused_before_anything_is_deleted_or_changed(nights: Nights) -> None:
    world = nights.world()
    task(world, archived=True, days_old=90)
    for n in range(3):
        task(world, f"old {n}")
    nights.load(world, "policies: [{name: lab, archive: {after: 14d}, delete: {after: 30d}}]")
    before = nights.everything()
    wanted = r"4 tasks are to be deleted or changed \(0 slimmed, 3 archived\), more than CLEANUP_REFUSE_ABOVE=3 allows"
    with pytest.raises(RefusedError, match=wanted):
        nights.night(refuse_above=3)
    assert nights.everything() == before
    with pytest.raises(RefusedError, match=wanted):
        nights.night(refuse_above=3, dry_run=True)
    done = nights.night(refuse_above=4)
    assert (len(done.watcher.deleted), archived(done)) == (1, 3)


def test_each_pod_does_its_own_days(nights: Nights) -> None:
    made = some(nights, 12)
    for shard in range(3):
        mine = {one.id for n, one in enumerate(made) if Share(shard, 3).owns(FIRST - timedelta(days=20 + n))}
        assert nights.night(shard=shard, shards=3).watcher.by_verdict(Verdict.ARCHIVED) == mine
    assert all(nights.is_archived(one.id) for one in made)


def test_a_rate_makes_small_chunks(nights: Nights) -> None:
    some(nights, 4)
    nights.night(max_tasks_per_second=20)
    assert [len(one.body["ids"]) for one in nights.sandbox.requests if one.call == "tasks.archive_many"] == [4]


# -- tasks that were chosen
def test_only_chosen_tasks_are_archived_and_each_has_one_outcome(nights: Nights) -> None:
    world = nights.world()
    due, other, young, kept = task(world), task(world), task(world, days_old=1), task(world, tags=["gold"])
    nights.load(world, ARCHIVE.replace("archive", "keep: {tags: [gold]}, archive"))
    done = nights.night(chosen=Chosen({TaskId(one.id): None for one in (due, young, kept)}))
    assert {i: (one.verdict, one.reason) for i, one in done.watcher.outcomes.items()} == {
        due.id: (Verdict.ARCHIVED, None),
        young.id: (Verdict.KEPT, Reason.NOT_SELECTED),
        kept.id: (Verdict.KEPT, Reason.NOT_SELECTED),
    }
    assert not nights.is_archived(other.id)


def test_what_was_approved_is_archived_and_nothing_that_changed_since(nights: Nights) -> None:
    one, other = some(nights, 2)
    planned = nights.night(dry_run=True).watcher.outcomes
    digests = {task: outcome.digest for task, outcome in planned.items()}
    assert all(digests.values())
    nights.change(other.id, tags=["mine"])
    done = nights.night(chosen=Chosen(digests))
    assert done.watcher.by_verdict(Verdict.ARCHIVED) == {one.id}
    assert done.watcher.kept == {other.id: Reason.NOT_SELECTED}


# -- slimming
SLIM = "policies: [{name: lab, slim: {after: 10d, remove: [artifacts], artifacts: {except: [data]}}}]"


def slimmable(nights: Nights, count: int) -> list[TaskBuilder]:
    world = nights.world()
    made = [task(world, f"task {n}", days_old=20 + n, archived=True) for n in range(count)]
    for one in made:
        one.artifact("data", size=1000)
        one.artifact("dump", size=100)
    nights.load(world, SLIM)
    return made


def test_slimming_in_a_pass_and_in_its_dry_run(nights: Nights) -> None:
    made = slimmable(nights, 30)
    before = nights.everything()
    dry = nights.night(dry_run=True)
    assert nights.everything() == before
    assert dry.watcher.by_verdict(Verdict.WOULD_SLIM) == {one.id for one in made}
    done = nights.night()
    assert done.watcher.by_verdict(Verdict.SLIMMED) == {one.id for one in made}
    assert {i: (one.files, one.bytes) for i, one in dry.watcher.outcomes.items()} == {one.id: (1, 100) for one in made}
    assert not [path for path in nights.everything()["files"] if "dump" in path]
    assert not nights.night().watcher.outcomes


def test_slimmed_tasks_count_for_the_budget_and_without_force_delete_none_is_slimmed(nights: Nights) -> None:
    slimmable(nights, 5)
    assert not nights.night(force_delete=False).watcher.outcomes
    done = nights.night(max_tasks=2)
    assert len(done.watcher.by_verdict(Verdict.SLIMMED)) == 2
    assert done.report.left == 3


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"refuse_above": 11}, r"12 tasks are to be deleted or changed \(12 slimmed, 0 archived\)"),
        ({"refuse_above_percent": 99}, r"12 of 12 archived tasks \(100\.0 %\) are to be deleted or slimmed"),
        ({"refuse_above_bytes": 1199}, r"at least 1200 bytes are to be deleted"),
    ],
)
def test_slimmed_tasks_count_for_the_safety_limits(nights: Nights, limit: dict[str, float], words: str) -> None:
    slimmable(nights, 12)
    before = nights.everything()
    with pytest.raises(RefusedError, match=words):
        nights.night(**limit)
    assert nights.everything() == before
    assert len(nights.night(**{name: value + 1 for name, value in limit.items()}).watcher.by_verdict(Verdict.SLIMMED)) == 12
