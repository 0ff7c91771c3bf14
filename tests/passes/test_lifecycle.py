"""Policies over several nights: archive, notices, what is left alone, and what is never done in one pass."""

from datetime import timedelta

import pytest

from cleanup_job.planning.outcome import Reason, Verdict
from clearml_sandbox.server import Fault
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.passes.nights import FIRST, Nights, nights

__all__ = ["nights"]
ARCHIVE = "policies: [{name: lab, match: {projects: [lab]}, archive: {after: 14d}}]"
WHOLE = """
policies:
  - name: lab
    match: {projects: [lab]}
    notice: 7d
    archive: {after: 14d}
    delete: {after: 30d, archived_for: 5d}
"""


def task(
    world: World, name: str = "experiment", days_old: float = 20, *, archived: bool = False, **more: object
) -> TaskBuilder:
    """A task of somebody else than the job's own user."""
    return world.task(name, days_old=days_old, archived=archived, **{"user": "Ada", **more})


def test_a_task_past_its_age_is_archived_with_the_date_and_nothing_is_deleted(nights: Nights) -> None:
    world = nights.world()
    old, young = task(world), task(world, days_old=13)
    old.artifact("data")
    old.model("weights")
    nights.load(world, ARCHIVE)
    before, of_young = nights.everything(), dict(nights.task(young.id))
    done = nights.night()
    assert nights.is_archived(old.id)
    assert nights.marks(old.id) == ["cleanup:archived=2026-11-01"]
    assert nights.task(old.id)["status_reason"] == "clearml-cleanup"
    assert "'lab'" in nights.task(old.id)["status_message"]
    assert nights.task(young.id) == of_young
    after = nights.everything()
    assert {**after, "tasks": None} == {**before, "tasks": None}
    was, now = before["tasks"][old.id], after["tasks"][old.id]
    changed = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
    assert changed == {"tags", "system_tags", "status_reason", "status_message", "last_change", "last_changed_by"}
    outcome = done.watcher.outcomes[old.id]
    assert (outcome.verdict, outcome.policy, outcome.stage) == (Verdict.ARCHIVED, "lab", "archive")
    assert list(done.watcher.outcomes) == [old.id]
    assert done.report.stages["archive", "lab"].done == 1


def test_a_second_pass_changes_nothing(nights: Nights) -> None:
    world = nights.world()
    task(world)
    nights.load(world, ARCHIVE)
    nights.night()
    before = nights.everything()
    assert not nights.night().watcher.outcomes
    assert nights.everything() == before


def test_a_dry_run_says_the_same_and_changes_nothing(nights: Nights) -> None:
    world = nights.world()
    for n in range(30):
        task(world, days_old=20 + n)
    task(world, archived=True, days_old=26)
    nights.load(world, WHOLE)
    before = nights.everything()
    would = nights.night(dry_run=True)
    assert nights.everything() == before
    did = nights.night()
    pairs = {Verdict.WOULD_NOTICE: Verdict.NOTICED, Verdict.WOULD_ARCHIVE: Verdict.ARCHIVED}
    assert {i: (pairs[one.verdict], one.due) for i, one in would.watcher.outcomes.items()} == {
        i: (one.verdict, one.due) for i, one in did.watcher.outcomes.items()
    }
    assert len(did.watcher.outcomes) == 31


def test_a_life_with_notices(nights: Nights) -> None:
    """Noticed, archived, noticed, deleted: each not before it was announced."""
    world = nights.world()
    one = task(world, days_old=3)
    one.artifact("data")
    nights.load(world, WHOLE)
    seen = {}
    for day in (0, 4, 5, 12, 13, 14, 20, 21, 28, 29):
        nights.now = FIRST + timedelta(days=day)
        done = nights.night()
        if (outcome := done.watcher.outcomes.get(one.id)) is not None:
            seen[outcome.verdict, outcome.stage] = nights.now.date().isoformat()
    assert seen == {
        (Verdict.NOTICED, "archive"): "2026-11-06",
        (Verdict.ARCHIVED, "archive"): "2026-11-14",
        (Verdict.NOTICED, "delete"): "2026-11-22",
        (Verdict.DELETED, "delete"): "2026-11-30",
    }
    assert not nights.sandbox.state()["files"]


def test_one_pass_does_not_archive_and_delete(nights: Nights) -> None:
    world = nights.world()
    one = task(world, days_old=400)
    nights.load(world, "policies: [{name: lab, archive: {after: 1d}, delete: {after: 2d}}]")
    assert nights.night().watcher.outcomes[one.id].verdict is Verdict.ARCHIVED
    assert nights.later(1).night().watcher.outcomes[one.id].verdict is Verdict.DELETED


def test_a_touched_task_is_announced_anew(nights: Nights) -> None:
    world = nights.world()
    one = task(world)
    nights.load(world, WHOLE)
    nights.night()
    assert nights.marks(one.id) == ["cleanup:archives=2026-11-09"]
    nights.later(5)
    nights.change(one.id, comment="still interesting")
    assert nights.night().watcher.outcomes[one.id].verdict is Verdict.NOTICED
    assert nights.marks(one.id) == ["cleanup:archives=2026-11-14"]
    assert not nights.later(5).night().watcher.outcomes
    assert nights.later(3).night().watcher.outcomes[one.id].verdict is Verdict.ARCHIVED


def test_a_stale_notice_is_taken_back(nights: Nights) -> None:
    world = nights.world()
    one = task(world, tags=["cleanup:deletes=2026-11-09", "mine"], days_old=2)
    nights.load(world, WHOLE)
    assert not nights.night().watcher.outcomes
    assert nights.task(one.id)["tags"] == ["mine"]


def test_an_archiving_that_was_not_noted_is_noted(nights: Nights) -> None:
    world = nights.world()
    one = task(world)
    nights.load(world, ARCHIVE)
    nights.sandbox.fault = lambda request: Fault(status=400) if request.call == "tasks.update_tags" else None
    failed = nights.night().watcher.outcomes[one.id]
    assert failed.verdict is Verdict.FAILED
    assert "it is archived" in failed.detail
    nights.sandbox.fault = None
    assert not nights.later(1).night().watcher.outcomes
    assert nights.marks(one.id) == ["cleanup:archived=2026-11-01"]


def test_a_restored_task_is_left_alone_and_reported(nights: Nights) -> None:
    world = nights.world()
    one = task(world)
    nights.load(world, ARCHIVE)
    nights.night()
    nights.later(2)
    nights.change(one.id, system_tags=[])
    before = nights.everything()
    done = nights.later(30).night()
    assert done.watcher.kept == {one.id: Reason.RESTORED}
    assert "cleanup:archived=" in done.watcher.outcomes[one.id].detail
    assert nights.everything() == before


def test_a_keep_rule_keeps_and_is_reported_only_where_something_would_be_due(nights: Nights) -> None:
    world = nights.world()
    one, young = task(world, tags=["gold"]), task(world, tags=["gold"], days_old=2)
    soon = task(world, tags=["gold"], days_old=8)
    archived = task(world, tags=["gold"], archived=True, days_old=90)
    nights.load(world, WHOLE.replace("notice", "keep: {tags: [gold]}\n    notice"))
    before = nights.everything()
    done = nights.night()
    assert done.watcher.kept == dict.fromkeys((one.id, soon.id, archived.id), Reason.KEEP_RULE)
    assert young.id not in done.watcher.outcomes
    assert "'gold'" in done.watcher.outcomes[one.id].detail
    assert nights.everything() == before


def test_a_task_kept_from_deletion_by_a_keep_rule_is_reported_once(nights: Nights) -> None:
    world = nights.world()
    one = task(world, tags=["gold"], archived=True, days_old=90)
    nights.load(world, "policies: [{name: lab, keep: {tags: [gold]}, delete: {after: 30d}}]")
    assert nights.night().watcher.kept == {one.id: Reason.KEEP_RULE}


@pytest.mark.parametrize("status", ["in_progress", "queued", "published"])
def test_never_archived(nights: Nights, status: str) -> None:
    world = nights.world()
    task(world, status=status)
    task(world, hidden=True)
    task(world, public=True)
    task(world, project="elsewhere")
    nights.load(world, ARCHIVE)
    before = nights.everything()
    assert not nights.night().watcher.outcomes
    assert nights.everything() == before


@pytest.mark.parametrize("status", ["completed", "failed", "stopped", "created"])
def test_archived(nights: Nights, status: str) -> None:
    world = nights.world()
    one = task(world, status=status)
    nights.load(world, ARCHIVE)
    nights.night()
    assert nights.is_archived(one.id)


def test_settings_narrow_what_is_archived(nights: Nights) -> None:
    world = nights.world()
    task(world, tags=["mine"])
    task(world, name="other", user="Bob")
    kept = task(world, tags=["gold"])
    nights.load(world, ARCHIVE)
    before = nights.everything()
    filters = {"users": ["Ada"], "exclude_tags": ["mine"], "keep_tags": ["gold"]}
    done = nights.night(filters=filters)
    assert done.watcher.kept == {kept.id: Reason.KEEP_RULE}
    assert nights.everything() == before


def test_drafts_alone_may_be_deleted_and_all_may_be_archived(nights: Nights) -> None:
    world = nights.world()
    one = task(world)
    nights.load(world, ARCHIVE)
    assert nights.night(force_delete=False).watcher.outcomes[one.id].verdict is Verdict.ARCHIVED
