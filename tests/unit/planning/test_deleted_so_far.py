"""What a pass has deleted so far, as far as anything still depends on it."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Model
from tests.unit.planning.one_task import A, B

KEPT = ModelId("kept")


def deleted(tasks: Iterable[TaskId] = (), kept_models: Iterable[ModelId] = ()) -> DeletedSoFar:
    so_far = DeletedSoFar()
    so_far.will_matter([], kept_models=kept_models)
    so_far.add(tasks)
    return so_far


def test_what_is_gone() -> None:
    gone = deleted({A}, {KEPT})
    assert (gone.includes(A), gone.includes(B)) == (True, False)
    assert gone.includes(Model(ModelId("m"), "", A))
    assert not gone.includes(Model(KEPT, "", A))
    assert not gone.includes(Model(ModelId("m"), "", B))


def test_a_model_that_is_kept_is_noted_before_its_task_is_deleted() -> None:
    so_far = deleted(kept_models={KEPT})
    assert (so_far.keeps(KEPT), so_far.has(A)) == (True, False)
    so_far.add([A])
    assert (so_far.keeps(KEPT), so_far.has(A)) == (True, True)
    assert not so_far.keeps(ModelId("other"))


def test_a_task_is_forgotten_two_windows_later() -> None:
    so_far = deleted({A})
    so_far.forget_old()
    assert so_far.has(A)
    so_far.forget_old()
    assert not so_far.has(A)


def test_one_that_matters_is_never_forgotten() -> None:
    so_far = DeletedSoFar()
    so_far.will_matter([A])
    assert not so_far.has(A)
    so_far.add([A, B])
    for _ in range(3):
        so_far.forget_old()
    assert (so_far.has(A), so_far.has(B)) == (True, False)


def test_one_that_would_matter_but_was_not_deleted_is_forgotten() -> None:
    so_far = DeletedSoFar()
    so_far.will_matter([A])
    so_far.forget([A])
    assert not so_far.has(A)
    so_far.add([A])
    for _ in range(2):
        so_far.forget_old()
    assert not so_far.has(A)


def test_what_is_remembered_does_not_grow_with_what_was_deleted() -> None:
    so_far = DeletedSoFar()
    for number in range(20):
        tasks = [TaskId(f"{number:02}{n:02}") for n in range(10)]
        so_far.will_matter(tasks[:1])
        so_far.will_matter(tasks[1:])
        so_far.forget(tasks[1:])
        so_far.add(tasks)
        so_far.forget_old()
    assert len(so_far._mattering) + len(so_far._recent) + len(so_far._older) < 10
    assert len(so_far._lasting) == 20


@pytest.mark.parametrize(
    "call",
    [
        lambda so_far: so_far.will_matter([A]),
        lambda so_far: so_far.add([A]),
        lambda so_far: so_far.forget([A]),
        lambda so_far: so_far.forget_old(),
        lambda so_far: so_far.has(A),
        lambda so_far: so_far.keeps(KEPT),
    ],
    ids=["will_matter", "add", "forget", "forget_old", "has", "keeps"],
)
def test_calls_of_several_threads_wait_for_each_other(call: Callable[[DeletedSoFar], object]) -> None:
    so_far = DeletedSoFar()
    with ThreadPoolExecutor(1) as pool:
        with so_far._lock:
            waiting = pool.submit(call, so_far)
            assert not wait([waiting], timeout=0.05).done
        waiting.result(timeout=10)
