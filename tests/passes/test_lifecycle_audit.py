"""What policies change is in the audit log before it is changed."""

from collections.abc import Sequence
from typing import Any

import pytest

from cleanup_job.errors import AuditError
from cleanup_job.planning.outcome import TaskOutcome, Verdict
from cleanup_job.planning.records import Task
from tests.harness import Watcher
from tests.passes.nights import Nights, nights
from tests.passes.test_lifecycle import task

__all__ = ["nights"]
POLICIES = """
policies:
  - {name: noticed, match: {projects: [noticed]}, notice: 7d, archive: {after: 14d}}
  - {name: lab, archive: {after: 14d}, slim: {after: 30d, remove: [artifacts]}}
"""
Planned = Sequence[tuple[Task, TaskOutcome, Sequence[str], Sequence[str]]]


class Log:
    """An audit log that remembers, and at most fails."""

    records = False

    def __init__(self, nights: Nights, *, fails: bool = False) -> None:
        self._nights = nights
        self._fails = fails
        self.fails_afterwards = False
        self.planned: dict[str, tuple[Verdict, list[str]]] = {}
        self.ended: dict[str, Verdict] = {}

    def before_stage(self, planned: Planned) -> None:
        if self._fails:
            message = "the disk is full"
            raise AuditError(message)
        for one, outcome, why, _ in planned:
            assert not self._nights.marks(one.id), "nothing is changed before"
            self.planned[one.id] = outcome.verdict, list(why)

    def before(self, planned: Sequence[Any]) -> None:
        self.planned |= {one[0].task.id: (one[1].verdict, list(one[2])) for one in planned}

    def after(self, outcomes: Sequence[TaskOutcome]) -> None:
        if self.fails_afterwards:
            message = "the disk is full"
            raise AuditError(message)
        self.ended |= {one.task: one.verdict for one in outcomes}


def test_each_change_is_written_before_and_after_it(nights: Nights) -> None:
    world = nights.world()
    archived, noticed, slimmed = task(world), task(world, project="noticed"), task(world, days_old=60, archived=True)
    slimmed.artifact("data")
    nights.load(world, POLICIES)
    log = Log(nights)
    nights.night(audit=log)
    assert {i: verdict for i, (verdict, _) in log.planned.items()} == log.ended
    assert log.ended == {archived.id: Verdict.ARCHIVED, noticed.id: Verdict.NOTICED, slimmed.id: Verdict.SLIMMED}
    assert "policy 'lab'" in log.planned[archived.id][1][0]


def test_a_dry_run_writes_nothing(nights: Nights) -> None:
    world = nights.world()
    task(world)
    world.project("noticed")
    nights.load(world, POLICIES)
    log = Log(nights)
    nights.night(audit=log, dry_run=True)
    assert not log.planned


def test_without_its_line_nothing_is_changed(nights: Nights) -> None:
    world = nights.world()
    task(world)
    task(world, project="noticed")
    nights.load(world, POLICIES)
    before = nights.everything()
    with pytest.raises(AuditError, match="the disk is full"):
        nights.night(audit=Log(nights, fails=True))
    assert nights.everything() == before


def test_what_was_changed_is_reported_although_the_log_fails_afterwards(nights: Nights) -> None:
    world = nights.world()
    one = task(world)
    world.project("noticed")
    nights.load(world, POLICIES)
    log, watcher = Log(nights), Watcher()
    log.fails_afterwards = True
    with pytest.raises(AuditError, match="the disk is full"):
        nights.night(audit=log, watcher=watcher)
    assert watcher.by_verdict(Verdict.ARCHIVED) == {one.id}
