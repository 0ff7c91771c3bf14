"""Which deleted tasks a pass remembers."""

from dataclasses import dataclass, field

import pytest

from cleanup_job.passes.remembers import Remembers
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Detail, Unreadable
from tests.unit.planning.one_task import A, B, task

KEPT, OTHER = ModelId("1" * 32), ModelId("2" * 32)


@dataclass
class Claims:
    tasks: set[TaskId] = field(default_factory=set)
    models: set[ModelId] = field(default_factory=set)

    def concerns(self, one: TaskId) -> bool:
        return one in self.tasks

    def concerns_model(self, one: ModelId) -> bool:
        return one in self.models


def remembered(
    detail: Detail | Unreadable | None = None, claims: Claims | None = None, *, dry_run: bool = False, every: bool = False
) -> tuple[bool, list[ModelId]]:
    """Whether a task is remembered once it is deleted and two windows have passed, and which of its kept models are."""
    so_far = DeletedSoFar()
    details = {A: detail or Detail(task())}
    plan = Deletion(task(), kept_models=(KEPT, OTHER), unit=(A,))
    Remembers(claims=claims or Claims(), deleted=so_far, dry_run=dry_run, every=every).note([plan], details)
    so_far.add([A])
    so_far.forget_old()
    so_far.forget_old()
    return so_far.has(A), [model for model in (KEPT, OTHER) if so_far.keeps(model)]


@pytest.mark.parametrize("dry_run", [False, True])
def test_most_tasks_are_forgotten(dry_run: bool) -> None:
    assert remembered(dry_run=dry_run) == (False, [])


@pytest.mark.parametrize("dry_run", [False, True])
def test_one_with_which_a_claim_ends_is_remembered(dry_run: bool) -> None:
    assert remembered(claims=Claims({A}), dry_run=dry_run) == (True, [])
    assert remembered(claims=Claims({B}), dry_run=dry_run) == (False, [])


def test_so_is_a_kept_model_whose_record_claims_something() -> None:
    assert remembered(claims=Claims(models={KEPT})) == (False, [KEPT])


FREES = {
    "uses a model": Detail(task(input_models=frozenset({KEPT}))),
    "is a controller": Detail(task(system_tags=("archived", "pipeline"), type="controller")),
    "is a dataset version": Detail(task(system_tags=("archived", "dataset"))),
    "used a dataset": Detail(task(), uses_datasets=True),
    "can't be read": Unreadable(A, "models"),
}


@pytest.mark.parametrize("detail", FREES.values(), ids=FREES)
def test_in_a_dry_run_one_whose_going_frees_something_is_remembered(detail: Detail | Unreadable) -> None:
    assert remembered(detail, dry_run=True) == (True, [])
    assert remembered(detail) == (False, [])


def test_all_are_remembered_where_each_matters() -> None:
    assert remembered(every=True) == (True, [KEPT, OTHER])
