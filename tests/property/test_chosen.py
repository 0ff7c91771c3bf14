"""Chosen tasks and approved plans, on random scenarios: only these are deleted, and what has changed since is kept."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen
from clearml_sandbox.store import Store, api_time
from tests.harness import Done
from tests.property.judge import Judge, judge
from tests.property.oracle import After
from tests.property.scenario import Scenario
from tests.property.worlds import scenarios

few = settings(
    deadline=None, derandomize=True, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)
QUIET = {"events", "broken"}
"""Two passes over the same: nothing happens, and nothing is broken."""


@pytest.fixture(scope="module")
def shared_judge() -> Iterator[Judge]:
    with judge() as one:
        yield one


def approved(dry: Done) -> Chosen:
    return Chosen({TaskId(task): dry.watcher.outcomes[TaskId(task)].digest for task in dry.watcher.deleted})


def gone(before: After, after: After) -> tuple[set[str], set[str], set[Any]]:
    return (
        set(before.tasks) - set(after.tasks),
        set(before.models) - set(after.models),
        set(before.files) - set(after.files),
    )


def without_grace(scenario: Scenario) -> Scenario:
    """The grace begins anew for a child whose parent was deleted before it was read (docs/limits.md): a matter of timing."""
    return replace(scenario, options={**scenario.options, "archived_for_days": 0})


@settings(few, max_examples=8)
@given(scenario=scenarios(without=QUIET).map(without_grace), chosen=st.integers(0, 2**12))
def test_chosen_tasks_are_a_part_of_what_a_pass_deletes(shared_judge: Judge, scenario: Scenario, chosen: int) -> None:
    shared_judge.load(scenario)
    before = shared_judge.after()
    some = {task for number, task in enumerate(sorted(before.tasks)) if chosen >> number & 1}
    shared_judge.run(scenario)
    everything = gone(before, shared_judge.after())
    done = shared_judge.run(scenario, chosen=Chosen(dict.fromkeys(map(TaskId, some))))
    part = gone(before, shared_judge.after())
    assert part[0] <= some
    assert all(one <= whole for one, whole in zip(part, everything, strict=True)), scenario.as_json()
    assert set(done.watcher.outcomes) == some, "each of them has an outcome, and no other task has"


@settings(few, max_examples=8)
@given(scenario=scenarios(without=QUIET).map(without_grace))
def test_a_plan_that_is_carried_out_at_once_is_the_pass_that_it_describes(shared_judge: Judge, scenario: Scenario) -> None:
    dry = shared_judge.run(scenario, dry_run=True)
    before = shared_judge.after()
    done = shared_judge.once_more(scenario, chosen=approved(dry))
    after = shared_judge.after()
    assert done.watcher.deleted == dry.watcher.deleted, scenario.as_json()
    shared_judge.run(scenario)
    assert gone(before, after) == gone(before, shared_judge.after()), scenario.as_json()


# -- what happens in between
def restored(store: Store, task: str, _: str, moment: str) -> None:
    tags = [tag for tag in store.tasks[task]["system_tags"] if tag != "archived"]
    store.tasks.change(task, system_tags=tags, last_change=moment)


def edited(store: Store, task: str, _: str, moment: str) -> None:
    store.tasks.change(task, tags=[*store.tasks[task].get("tags", []), "precious"], last_change=moment)


def renamed(store: Store, task: str, _: str, moment: str) -> None:
    store.tasks.change(task, name="an important one", last_change=moment)


def moved(store: Store, task: str, _: str, moment: str) -> None:
    others = sorted(set(store.projects) - {store.tasks[task].get("project")})
    store.tasks.change(task, project=others[0] if others else "", last_change=moment)


def new_artifact(store: Store, task: str, _: str, moment: str) -> None:
    execution = store.tasks[task]["execution"]
    entry = {"key": "late", "type": "custom", "mode": "output", "uri": "https://elsewhere.example/late.bin"}
    changed = {**execution, "artifacts": [*execution["artifacts"], entry]}
    store.tasks.change(task, execution=changed, last_update=moment, last_change=moment)


def new_model(store: Store, task: str, _: str, moment: str) -> None:
    like = {"created": moment, "last_update": moment, "last_change": moment, "tags": [], "system_tags": []}
    company = store.company["id"]
    store.models.put(
        {
            **like,
            "id": "e" * 32,
            "company": company,
            "uri": "https://elsewhere.example/m",
            "ready": False,
            "name": "m",
            "task": task,
        }
    )


def new_claim(store: Store, task: str, living: str, moment: str) -> None:
    """A living task names a file in the folder of the task: one that is there, or any in the folder of one of its files."""
    artifacts = [one["uri"] for one in store.tasks[task]["execution"]["artifacts"] if f".{task}/" in one.get("uri", "")]
    if not artifacts:
        restored(store, task, living, moment)
        return
    execution = store.tasks[living]["execution"]
    entry = {"key": "of another", "type": "custom", "mode": "input", "uri": artifacts[0]}
    changed = {**execution, "artifacts": [*execution["artifacts"], entry]}
    store.tasks.change(living, execution=changed, last_update=moment, last_change=moment)


def in_use(store: Store, task: str, living: str, moment: str) -> None:
    """A living task uses a model of the task."""
    made = sorted(key for key, model in store.models.items() if model.get("task") == task)
    if not made:
        restored(store, task, living, moment)
        return
    models = store.tasks[living]["models"]
    entry = {"name": "came into use", "model": made[0], "updated": moment}
    store.tasks.change(living, models={**models, "input": [*models["input"], entry]}, last_update=moment, last_change=moment)


CHANGES: list[Callable[[Store, str, str, str], None]] = [
    restored,
    edited,
    renamed,
    moved,
    new_artifact,
    new_model,
    new_claim,
    in_use,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@settings(few, max_examples=3)
@given(scenario=scenarios(without=QUIET | {"clock"}), which=st.integers(0, 60))
def test_what_has_changed_since_the_plan_is_kept(
    shared_judge: Judge, change: Callable[[Store, str, str, str], None], scenario: Scenario, which: int
) -> None:
    dry = shared_judge.run(scenario, dry_run=True)
    planned = sorted(dry.watcher.deleted)
    if not planned:
        return
    task = planned[which % len(planned)]
    store = shared_judge.store
    living = next(key for key, record in store.tasks.items() if record["name"] == "just ran")
    store.tasks.change(living, models={"input": [], "output": []}, execution={"artifacts": []})
    change(store, task, living, api_time(datetime.now(UTC) - timedelta(seconds=5)))
    before = shared_judge.after()
    done = shared_judge.once_more(scenario, chosen=approved(dry))
    after = shared_judge.after()
    assert task in after.tasks, f"{task}: {scenario.as_json()}"
    assert set(gone(before, after)[0]) == done.watcher.deleted <= set(planned)
    own = {file for file in before.files if file.owner == task}
    assert own <= after.files, f"{task}: {scenario.as_json()}"
