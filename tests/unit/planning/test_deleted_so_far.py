"""What a pass has deleted so far."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.paths import ModelId
from cleanup_job.planning.records import Model
from tests.unit.planning.one_task import A, B, deleted


def test_what_is_gone() -> None:
    gone = deleted({A}, {ModelId("kept")})
    assert (gone.includes(A), gone.includes(B)) == (True, False)
    assert gone.includes(Model(ModelId("m"), "", A))
    assert not gone.includes(Model(ModelId("kept"), "", A))
    assert not gone.includes(Model(ModelId("m"), "", B))


def test_a_model_that_is_kept_is_noted_before_its_task_is_deleted() -> None:
    so_far = deleted(kept_models={ModelId("kept")})
    assert (so_far.keeps(ModelId("kept")), so_far.has(A)) == (True, False)
    so_far.add([A])
    assert (so_far.keeps(ModelId("kept")), so_far.has(A)) == (True, True)
    assert not so_far.keeps(ModelId("other"))


@pytest.mark.parametrize(
    "call",
    [lambda so_far: so_far.add([A]), lambda so_far: so_far.has(A), lambda so_far: so_far.keeps(ModelId("m"))],
    ids=["add", "has", "keeps"],
)
def test_calls_of_several_threads_wait_for_each_other(call: Callable[[DeletedSoFar], object]) -> None:
    so_far = DeletedSoFar()
    with ThreadPoolExecutor(1) as pool:
        with so_far._lock:
            waiting = pool.submit(call, so_far)
            assert not wait([waiting], timeout=0.05).done
        waiting.result(timeout=10)
