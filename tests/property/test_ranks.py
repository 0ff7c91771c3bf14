"""The last and the best tasks of each project, compared with an oracle on plain lists.

The oracle knows the words of the issue and of the guide alone: by project without sub-projects, only tasks for which the policy
counts, newest activity first or best value first, ties keep more, and a task without the metric is never among the best.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isfinite, nan
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.passes.ranks import RankReader
from cleanup_job.planning.lifecycle.policy import Best, Keep, LifecyclePolicy, Match, PolicyFile
from cleanup_job.planning.metric_key import metric_key
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Scored, Task, Unreadable
from cleanup_job.planning.selection import Query
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean
from tests.property.test_windows import few

PROJECTS = ("lab", "lab/sub", "play")
METRICS = ("validation/accuracy", "loss/train")
STATUSES = ("completed", "failed")


@dataclass(frozen=True)
class Run:
    """A task as the oracle sees it."""

    id: str
    project: str
    status: str
    tag: str
    hours: int | None
    """How long ago it was active; None if that is unknown."""
    values: dict[str, tuple[float, float]] = field(hash=False)
    """Of each metric, the least and the largest value that it ever had."""


@dataclass(frozen=True)
class Rule:
    """A policy as the oracle sees it: None and zero stand for what is not said."""

    name: str
    projects: tuple[str, ...] | None
    status: str | None
    tag: str | None
    last: int
    best: tuple[tuple[str, str, int], ...]


# -- the oracle
def rule_for(run: Run, rules: Sequence[Rule]) -> Rule | None:
    for rule in rules:
        here = rule.projects is None or any(run.project == p or run.project.startswith(p + "/") for p in rule.projects)
        if here and rule.status in {None, run.status} and rule.tag in {None, run.tag}:
            return rule
    return None


def oracle(runs: Sequence[Run], rules: Sequence[Rule]) -> set[str]:
    kept: set[str] = set()
    for rule in rules:
        for project in {run.project for run in runs}:
            mine = [run for run in runs if run.project == project and rule_for(run, rules) is rule]
            if rule.last:
                ages = sorted(run.hours for run in mine if run.hours is not None)
                oldest = ages[rule.last - 1] if len(ages) >= rule.last else None
                kept |= {run.id for run in mine if run.hours is None or oldest is None or run.hours <= oldest}
            for metric, order, count in rule.best:
                sign = 1 if order == "max" else -1
                marks = {run.id: sign * run.values[metric][order == "max"] for run in mine if metric in run.values}
                marks = {run: mark for run, mark in marks.items() if isfinite(mark)}
                lowest = sorted(marks.values(), reverse=True)[:count]
                kept |= {run for run, mark in marks.items() if mark >= lowest[-1]}
    return kept


# -- random runs and rules
numbers = st.sampled_from([-2.5, -1.0, 0.0, 0.5, 0.5, 1.0, 3.0])


@st.composite
def many_runs(draw: st.DrawFn, most: int, *, odd: bool) -> list[Run]:
    hours = st.sampled_from([1, 2, 3, 5, 5, 8, 13, *[None] * odd])
    found = []
    for number in range(draw(st.integers(most // 2, most))):
        values = {}
        for metric in METRICS:
            if draw(st.integers(0, 3)):
                low, high = sorted((draw(numbers), draw(numbers)))
                values[metric] = (nan, nan) if odd and not draw(st.integers(0, 6)) else (low, high)
        project, status = draw(st.sampled_from(PROJECTS)), draw(st.sampled_from(STATUSES))
        found.append(Run(f"{number:032x}", project, status, draw(st.sampled_from(["a", "b"])), draw(hours), values))
    return found


bests = st.tuples(st.sampled_from(METRICS), st.sampled_from(["max", "min"]), st.integers(1, 4))


@st.composite
def some_rules(draw: st.DrawFn) -> list[Rule]:
    return [
        Rule(
            f"policy {number}",
            draw(st.sampled_from([None, ("lab",), ("lab/sub",), ("play", "lab/sub")])),
            draw(st.sampled_from([None, None, *STATUSES])),
            draw(st.sampled_from([None, None, "a", "b"])),
            draw(st.sampled_from([0, 1, 2, 3])),
            tuple(draw(st.lists(bests, max_size=2, unique=True))),
        )
        for number in range(draw(st.integers(1, 3)))
    ]


# -- the reader, with a server that does what the recordings show
@dataclass
class Listed:
    """A server on plain lists; `page` is how many tasks it gives at once."""

    runs: Sequence[Run]
    page: int

    def tasks_of(self, query: Query) -> Iterator[Task | Unreadable]:
        for run in self.runs:
            if not query.projects or run.project in query.projects:
                yield task_of(run)

    def best_tasks(self, project: str, metric: str, *, highest: bool, hidden: bool = False) -> Iterator[list[Scored]]:
        assert not hidden
        name = next(one for one in METRICS if metric_key(*one.split("/")) == metric)
        sign, there = (-1 if highest else 1), [run for run in self.runs if run.project == project]
        odd = [run for run in there if name in run.values and not isfinite(run.values[name][0])]
        plain = [run for run in there if name in run.values and run not in odd]
        plain.sort(key=lambda run: (sign * run.values[name][highest], run.id))
        ends = [*odd, *plain] if highest else [*plain, *odd]
        found = [Scored(task_of(run), run.values[name][highest] if run in plain else None) for run in ends]
        found += [Scored(task_of(run), None) for run in there if name not in run.values]
        for start in range(0, len(found), self.page):
            yield found[start : start + self.page]

    def metric_exists(self, metric: str) -> bool:
        return bool(metric)


def task_of(run: Run) -> Task:
    active = None if run.hours is None else datetime(2026, 11, 1, tzinfo=UTC) - timedelta(hours=run.hours)
    return Task(TaskId(run.id), "a run", run.status, project=run.project, tags=(run.tag,), status_changed=active)


def file_of(rules: Sequence[Rule]) -> PolicyFile:
    def ids(projects: tuple[str, ...]) -> frozenset[str]:
        return frozenset(one for one in PROJECTS for name in projects if one == name or one.startswith(name + "/"))

    return PolicyFile(
        tuple(
            LifecyclePolicy(
                rule.name,
                Match(
                    projects=None if rule.projects is None else ids(rule.projects),
                    statuses=None if rule.status is None else frozenset({rule.status}),
                    tags=None if rule.tag is None else (rule.tag,),
                ),
                Keep(last=rule.last, best=tuple(Best(*m.split("/"), order, count) for m, order, count in rule.best)),  # type: ignore[arg-type]  # order is one of the two
            )
            for rule in rules
        )
    )


@settings(few, max_examples=100)
@given(many_runs(30, odd=True), some_rules(), st.sampled_from([1, 2, 5, 50]), st.randoms(use_true_random=False))
def test_what_is_kept_is_what_the_oracle_keeps(runs: list[Run], rules: list[Rule], page: int, random: object) -> None:
    random.shuffle(runs)  # type: ignore[attr-defined]  # a random.Random
    file = file_of(rules)
    ranks = RankReader(Listed(runs, page), file).read()
    kept = {run.id for run in runs if (rule := file.of(task_of(run))) is not None and ranks.kept(rule, task_of(run))}
    assert kept == oracle(runs, rules)


# -- a whole pass
def world_of(runs: Sequence[Run]) -> tuple[World, dict[str, str]]:
    """A world in which all are archived and old enough, and who is who in it."""
    world = World(NOW)
    for project in PROJECTS:
        world.project(project)
    ids: dict[str, str] = {}
    for run in runs:
        old = 40 + (run.hours or 0) / 24
        task = world.task("a run", project=run.project, status=run.status, tags=[run.tag], days_old=old)
        ids[run.id] = task.id
        for metric, (low, high) in run.values.items():
            title, series = metric.split("/")
            task.scalar(title, [high, low, (low + high) / 2], series)
    for metric in METRICS:  # a metric and a tag that nothing has protect nothing, which is an error
        title, series = metric.split("/")
        world.task("unarchived", project="elsewhere", archived=False, tags=["a", "b"]).scalar(title, [1.0], series)
    return world, ids


def text_of(rules: Sequence[Rule]) -> str:
    policies = []
    for rule in rules:
        match = {"projects": rule.projects and [*rule.projects], "statuses": rule.status and [rule.status]}
        match["tags"] = rule.tag and [rule.tag]
        best = [{"metric": metric, "order": order, "count": count} for metric, order, count in rule.best]
        keep = {"last": rule.last or None, "best": best or None}
        policies.append(
            {
                "name": rule.name,
                "match": {key: value for key, value in match.items() if value},
                "keep": {key: value for key, value in keep.items() if value},
                "delete": {"after": "30d"},
            }
        )
    return yaml.safe_dump({"policies": policies})


@settings(few, max_examples=12)
@given(many_runs(16, odd=False), some_rules())
def test_a_pass_leaves_what_the_oracle_keeps(sandbox: Sandbox, tmp_path: Path, runs: list[Run], rules: list[Rule]) -> None:
    world, ids = world_of(runs)
    sandbox.load(world.as_dict())
    file = tmp_path / "policies.yaml"
    file.write_text(text_of(rules))
    done = clean(sandbox, policies=str(file))
    assert not done.watcher.failed
    unmatched = {run.id for run in runs if rule_for(run, rules) is None}
    left = set(sandbox.state()["tasks"]) & set(ids.values())
    assert left == {ids[run] for run in oracle(runs, rules) | unmatched}
