"""Twice as much to decide on takes twice the work, and no more: counted in calls, not in time."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest

from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import KINDS, Location, ModelId, PartOfFolder, TaskFolder, TaskId, left_alone, left_alone_whole
from cleanup_job.planning.plan import plan_batch
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.protection import References, protection
from cleanup_job.planning.records import Model, Task
from cleanup_job.planning.selection import Rules, Selected

OLD = datetime(2026, 1, 1, tzinfo=UTC)
TASK = TaskId("a" * 32)
FOLDER = f"http://files/p/exp.{TASK}"
FEW = 200


def calls(action: Callable[[], object]) -> int:
    """How many calls an action makes, steps of generators and functions in C among them."""
    count = 0

    def note(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count


def grows_no_faster(make: Callable[[int], Callable[[], object]]) -> None:
    few, many = (calls(make(size)) for size in (FEW, 4 * FEW))
    assert many < 5 * few


def locate(uri: str) -> Location | None:
    return Location("files", uri.removeprefix("http://files/"))


def models(count: int, **fields: Any) -> list[Model]:
    return [Model(ModelId(f"{n:032x}"), f"{FOLDER}/models/m{n}.pt", TASK, **fields) for n in range(count)]


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("ready", [False, True])
def test_a_task_with_many_models(ready: bool, lists: bool) -> None:
    task = Task(TASK, "exp", "completed", system_tags=("archived",), status_changed=OLD, last_update=OLD, last_change=OLD)
    policy = Policy(Rules(OLD + timedelta(days=30), force_delete=True), lists=lambda _: lists)

    def plan(count: int) -> Callable[[], object]:
        made = models(count, ready=ready)
        found = Outputs(TASK, locate, apart=KINDS)
        for model in made:
            found.add(model.uri)
            found.add(f"{FOLDER}/artifacts/{model.id}", 1)
        guard = protection(made, References(), {TASK: frozenset({TASK})}, DeletedSoFar(), locate)
        batch = Batch(((TASK,),), {TASK: Selected.of(task)}, {TASK: task}, {TASK: found}, {TASK: made}, guard)
        return lambda: plan_batch(batch, policy)

    grows_no_faster(plan)


def test_a_folder_of_which_many_files_are_kept() -> None:
    def ask(count: int) -> Callable[[], object]:
        keep = tuple(f"models/m{n}.pt" for n in range(count))
        part = PartOfFolder(TaskFolder("s3://b", f"p/exp.{TASK}", TASK), keep)
        files = [*keep, *(f"models/o{n}/w.pt" for n in range(count))]
        return lambda: [(left_alone(part, file), left_alone_whole(part, file)) for file in files]

    grows_no_faster(ask)


def test_all_that_a_pass_has_deleted_is_not_copied_for_each_model() -> None:
    class Deleted(set[TaskId]):
        def __or__(self, _: object) -> NoReturn:
            pytest.fail("a pass may have deleted a million tasks")

        __sub__ = __rsub__ = __ror__ = __and__ = __rand__ = __iter__ = __or__

    user = TaskId("b" * 32)
    made = models(2)
    used = References(used_by={model.id: frozenset({user}) for model in made})
    for tasks, kept in ((Deleted(), 2), (Deleted({user}), 0)):
        deleted = DeletedSoFar()
        deleted._recent = tasks
        assert len(protection(made, used, {TASK: frozenset({TASK})}, deleted, locate).models) == kept
