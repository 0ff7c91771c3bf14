"""A year of nights over one world, with people who restore, tag, run again, archive, publish and use models.

After each night nothing was done earlier than it was announced, nothing that is kept or restored was touched, and no record and
file is without the other. Nothing is late either, so that at the end the world is in the state that the policies describe.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from cleanup_job.errors import CleanupError
from cleanup_job.planning.outcome import Verdict
from clearml_sandbox.server import Fault, Request
from clearml_sandbox.store import Document
from tests.passes.nights import STAGED, Nights, nights
from tests.passes.people import METRIC, People
from tests.property.life_oracle import DAY, STAGES, Life, active, duration, fits, is_archived, is_restored, notice
from tests.property.policy_oracle import record_of

__all__ = ["nights"]
POLICIES = """
task_tags: true
policies:
  - name: released
    match: {projects: [vision/released]}
    keep: all
  - name: robotics
    match: {projects: [robotics]}
  - name: drafts
    match: {statuses: [created]}
    archive: {after: 8w}
    delete: {after: 20w, archived_for: 4w}
  - name: play
    match: {projects: [play]}
    keep: {last: 2, tags: ["gold*"]}
    notice: 7d
    archive: {after: 14d}
    slim: {after: 30d, remove: [debug_samples, artifacts], artifacts: {except: ["metrics*"]}, also: not_archived}
    delete: {after: 60d, archived_for: 14d}
    max_ttl: 100d
  - name: vision
    match: {projects: ["vision*"]}
    keep: {best: [{metric: validation/accuracy, count: 2}], tags: ["gold*"]}
    archive: {after: 30d}
    slim: {after: 60d, remove: [plots, checkpoints, console]}
    delete: {after: 120d, archived_for: 7d}
    allow_shorter: true
  - name: all others
    archive: {after: 90d}
    delete: {after: 180d, archived_for: 30d}
    notice: 14d
"""
SLACK = 5 * DAY
"""What the dates of tags round up, and the nights without a pass."""


@dataclass
class Night:
    """What was there before a pass, and after it."""

    tasks: Mapping[str, Document]
    models: Mapping[str, Document]
    files: frozenset[str]
    scalars: Mapping[str, list[Document]]

    @classmethod
    def of(cls, nights: Nights) -> "Night":
        store = nights.sandbox.store
        scalars = {
            task: [event for event in store.events.get(task, []) if event["type"] == "training_stats_scalar"]
            for task in store.tasks
        }
        return cls(
            deepcopy(dict(store.tasks)),
            deepcopy(dict(store.models)),
            frozenset(nights.sandbox.state()["files"]),
            deepcopy(scalars),
        )

    def records(self) -> dict[str, Document]:
        return {task: record_of(document) for task, document in self.tasks.items()}

    def path(self, uri: str) -> str:
        return unquote(uri.split("/", 3)[3])

    def needed(self) -> set[str]:
        """Tasks of which a model is published, or used by another task that is not archived."""
        maker = {model: document.get("task") or "" for model, document in self.models.items()}
        found = {maker[model] for model, document in self.models.items() if document["ready"]}
        for task, document in self.tasks.items():
            used = {maker.get(entry["model"], "") for entry in document["models"]["input"]}
            found |= used - {task} if not is_archived(document) else set()
        return found


@dataclass
class Historian:
    """Judges each night by the words of the policies."""

    life: Life
    told: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """The stage of which a task's notice tells, and the night on which it came."""
    same_since: dict[str, datetime] = field(default_factory=dict)
    """Since when nobody has touched a task, no stage has come, and nothing has kept it."""
    seen: Counter[str] = field(default_factory=Counter)
    """What was done how often."""
    wounded: set[str] = field(default_factory=set)
    """Tasks that were worked on when the connection was lost: files may be gone that their records name."""

    def touched(self, task: str, now: datetime) -> None:
        self.told.pop(task, None)
        self.same_since[task] = now

    # -- who is kept
    def ranked(self, records: Mapping[str, Document]) -> set[str]:
        """The last and the best, of each policy and project."""
        places: dict[tuple[str, str], list[str]] = {}
        for task, record in records.items():
            if (policy := self.life.policy(record)) is not None:
                places.setdefault((policy["name"], record["project"]), []).append(task)
        found: set[str] = set()
        for tasks in places.values():
            keep = (self.life.policy(records[tasks[0]]) or {}).get("keep") or {}
            if keep == "all":
                continue
            values: dict[str, Any] = {task: active(records[task]) for task in tasks} if "last" in keep else {}
            found |= _first(values, keep.get("last", 0))
            for best in keep.get("best", ()):
                found |= _first({task: value for task in tasks if (value := _best(records[task])) is not None}, best["count"])
        return found

    # -- one night
    def judge(self, before: Night, after: Night, now: datetime, *, is_broken_off: bool = False) -> None:
        """See that all that was done was to be done, and nothing else."""
        records = before.records()
        ranked, needed = self.ranked(records), after.needed()
        for task, record in records.items():
            is_kept = self.life.is_kept(record) or task in ranked
            done = self._done(before.tasks[task], after.tasks.get(task))
            self._check(task, record, done, now, is_kept=is_kept)
            if "archive" in done:
                assert task not in needed, "something that lives needs it"
            if done or is_kept or is_restored(record) or (task in needed and not is_archived(record)):
                self.same_since[task] = now
            self._follow(task, after.tasks.get(task), now)
            if task in after.tasks:
                self._is_the_rest_as_before(before, after, task, done, is_kept=is_kept)
            self._is_not_late(task, record, done, now)
        if is_broken_off:
            self.wounded |= {_owner(path) for path in before.files - after.files}
        self._check_files(before, after, records)

    @staticmethod
    def _done(before: Document, after: Document | None) -> set[str]:
        if after is None:
            return {"delete"}
        found = {"archive"} if is_archived(after) and not is_archived(before) else set()
        slimmed = [[tag for tag in one.get("tags", []) if tag.startswith("cleanup:slimmed=")] for one in (before, after)]
        return found | ({"slim"} if slimmed[0] != slimmed[1] else set())

    def _check(self, task: str, record: Document, done: set[str], now: datetime, *, is_kept: bool) -> None:
        self.seen.update(done)
        assert len(done) <= 1, "two stages in one night"
        for stage in done:
            assert not is_kept, f"{record['name']} is kept, and {stage} came"
            assert self.life.may(record, stage, now), f"{stage} of {record['name']} came too early on {now}: {record}"
            policy = self.life.policy(record) or {}
            if "notice" in policy:
                told = self.told.get(task)
                assert told is not None
                assert told[0] == stage
                assert now - told[1] >= duration(policy["notice"]), "its notice was too short"

    def _follow(self, task: str, after: Document | None, now: datetime) -> None:
        """Note what the tags tell since this night."""
        found = notice(after.get("tags", [])) if after is not None else None
        if found is None:
            self.told.pop(task, None)
        elif self.told.get(task, ("", now))[0] != found[0]:
            self.told[task] = (found[0], now)
            self.seen["notice"] += 1

    def _is_the_rest_as_before(self, before: Night, after: Night, task: str, done: set[str], *, is_kept: bool) -> None:
        one, two = before.tasks[task], after.tasks[task]
        allowed = {"tags", "last_change", "last_changed_by"}
        allowed |= {"system_tags", "status_reason", "status_message"} if "archive" in done else set()
        allowed |= {"execution", "models", "last_update"} if "slim" in done else set()
        changed = {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}
        assert changed <= allowed, (one["name"], changed - allowed)
        others = [[tag for tag in x.get("tags", []) if not tag.startswith("cleanup:")] for x in (one, two)]
        assert others[0] == others[1], "tags of people"
        assert before.scalars[task] == after.scalars[task]
        if is_restored(record_of(one)) and not is_kept:  # of what is kept, notices are taken back
            assert not changed, "it was restored, and is left alone"

    def _is_not_late(self, task: str, record: Document, done: set[str], now: datetime) -> None:
        policy = self.life.policy(record)
        if policy is None or done:
            return
        since, announced = self.same_since.setdefault(task, now), duration(policy.get("notice", "0d"))
        due: dict[str, datetime] = {}
        for stage in STAGES:
            wanted = self.life.wanted(record, stage)
            if wanted is not None and self.life.is_ready(record, stage, policy):
                grace = self.life.grace_ends(record) if stage == "delete" else None
                due[stage] = max([wanted, *([grace] if grace else [])])
        if due.get("delete", now) < now:  # what is to be deleted is not changed before
            due = {"delete": due["delete"]}
            announced *= 2  # there is one notice at a time: slimming may have been announced before
        for stage, wanted in due.items():
            assert now <= max(since + announced, wanted) + SLACK, f"{stage} of {record['name']} is late on {now}: {record}"

    def _check_files(self, before: Night, after: Night, records: Mapping[str, Document]) -> None:
        named = {after.path(model["uri"]) for model in after.models.values()}
        named |= {after.path(one["uri"]) for task in after.tasks.values() for one in task["execution"]["artifacts"]}
        gone = {path for path in named - after.files if _owner(path) not in self.wounded}
        assert not gone, "a record names a file that is gone"
        for path in after.files - named:
            assert _owner(path) in after.tasks, f"{path} is there without a record"
        for path in before.files - after.files:
            owner = _owner(path)
            if owner in after.tasks and owner not in self.wounded:
                assert "slim" in self._done(before.tasks[owner], after.tasks[owner]), f"{path} is gone, and its task is not"
                assert self._may_be_slimmed(path, self.life.policy(records[owner]) or {}), path
        for task in before.tasks.keys() - after.tasks.keys():
            used = {entry["model"] for one in after.tasks.values() for entry in one["models"]["input"]}
            for model, document in before.models.items():
                if document.get("task") == task and (model in used or document["ready"]):
                    assert model in after.models, "a model in use is gone"

    @staticmethod
    def _may_be_slimmed(path: str, policy: Mapping[str, Any]) -> bool:
        kind, name = path.partition(f".{_owner(path)}/")[2].split("/")[:2]
        remove = policy["slim"]["remove"]
        spared = policy["slim"].get("artifacts", {}).get("except", ())
        return {
            "artifacts": "artifacts" in remove and not any(fits(name, pattern) for pattern in spared),
            "models": "checkpoints" in remove and name != "last.pt",
            "metrics": ("debug_samples" if name == "img" else "plots") in remove,
        }[kind]


def _first(values: Mapping[str, Any], count: int) -> set[str]:
    """Those with the highest values; with equal ones more."""
    if not count:
        return set()
    lowest = sorted(values.values(), reverse=True)[:count][-1:]
    return {task for task, value in values.items() if value >= lowest[0]}


def _best(record: Document) -> float | None:
    found = [
        summary["max_value"]
        for series in (record.get("last_metrics") or {}).values()
        for summary in series.values()
        if (summary["metric"], summary["variant"]) == (METRIC, "accuracy")
    ]
    return found[0] if found else None


def _owner(path: str) -> str:
    return next(segment[-32:] for segment in path.split("/") if len(segment) > 33 and segment[-33] == ".")


def break_off(nights: Nights, after: int) -> None:
    """A pass that loses its connection after some requests."""
    requests = nights.sandbox.requests
    requests.clear()

    def lost(_: Request) -> Fault | None:
        return Fault(after=len(requests) == after + 1 and after % 2 == 0) if len(requests) > after else None

    nights.sandbox.fault = lost
    with suppress(CleanupError):
        nights.night(attempts=1)
    nights.sandbox.fault = None


@pytest.mark.parametrize("seed", [1])
def test_a_year(nights: Nights, seed: int) -> None:
    people = People(nights, seed)
    for _ in range(40):
        people.make(people.random.choice((1.0, 5.5, 13.0, 28.0, 59.0, 110.0, 170.0)))
    for project in ("play", "vision", "misc", "play", "vision"):  # what lives needs a model of these
        maker = people.make(3, project=project, status="completed", archived=False)
        user = people.make(3, project="vision/released", status="completed", archived=False)
        user.input_model(next(model["id"] for model in people.world.models if model.get("task") == maker.id))
    nights.load(people.world, POLICIES)
    store = nights.sandbox.store
    projects = {project: document["name"] for project, document in store.projects.items()}
    historian = Historian(Life(yaml.safe_load(POLICIES), projects, store.user["id"]))
    outcomes: Counter[Verdict] = Counter()
    is_quiet = False
    for number in range(365):
        people.live_a_day()
        for task in people.touched:
            historian.touched(task, nights.now)
        if is_quiet and not people.touched and number % 3:
            continue  # hardly anything could happen, and a year has many nights
        people.touched.clear()
        before = Night.of(nights)
        is_broken_off = people.random.random() < 0.1
        found = [] if is_broken_off else [one.verdict for one in nights.night().watcher.outcomes.values()]
        if is_broken_off:
            break_off(nights, people.random.randint(1, 40))
        outcomes.update(found)
        is_quiet = STAGED.isdisjoint(found) and not is_broken_off
        historian.judge(before, Night.of(nights), nights.now, is_broken_off=is_broken_off)
        nights.sandbox.requests.clear()
    assert not outcomes[Verdict.FAILED]
    assert min(historian.seen[what] for what in (*STAGES, "notice")) >= 10
    assert len(people.deeds) == 10
