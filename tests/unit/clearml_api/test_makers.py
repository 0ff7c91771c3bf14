"""Who made the models that a page of tasks lists."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from msgspec import Raw

from cleanup_job.clearml_api.makers import UNKNOWN, makers_of
from cleanup_job.errors import AnswerError
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.transport.splitting import Splitting

A, B = (TaskId(letter * 32) for letter in "ab")
M, N, O = (ModelId(digit * 32) for digit in "123")  # noqa: E741 -- three models


class Models:
    """A server with these models, which returns at most so many at once."""

    def __init__(self, *documents: Mapping[str, Any], cap: int = 500) -> None:
        self.documents = documents
        self.cap = cap
        self.asked: list[list[str]] = []
        self.broken: frozenset[str] = frozenset()
        """Models for which it fails, with all that are asked for beside them."""

    def call(self, name: str, body: dict[str, Any], _: int) -> Mapping[str, Raw]:
        assert name == "models.get_all"
        assert body.keys() == {"id", "only_fields", "order_by"}, "the form that is recorded"
        assert 0 < len(body["id"]) <= 500, "an empty list would match all models"
        self.asked.append(body["id"])
        if self.broken & set(body["id"]):
            raise AnswerError("internal server error", status=500)
        found = [document for document in self.documents if document["id"] in body["id"] or not document["id"]]
        return {"models": Raw(json.dumps(found[: self.cap]).encode())}

    def makers(self, models: Iterable[ModelId]) -> Mapping[ModelId, TaskId]:
        return makers_of(Splitting(self.call, self.call, lambda: None), models)


def test_each_model_has_its_maker() -> None:
    server = Models({"id": M, "task": A}, {"id": N, "task": B})
    assert server.makers([M, N, M]) == {M: A, N: B}
    assert server.asked == [[M, N]]


def test_models_that_no_task_can_have_made_are_left_out() -> None:
    server = Models({"id": M}, {"id": N, "task": ""}, {"id": O, "task": f"__DELETED__{A}"})
    assert server.makers([M, N, O]) == {}


def test_deleted_models_are_not_asked_for() -> None:
    server = Models()
    assert server.makers([ModelId(f"__DELETED__{M}")]) == {}
    assert server.makers([]) == {}
    assert server.asked == []


def test_those_that_are_missing_are_asked_for_once_more_and_then_gone() -> None:
    server = Models({"id": M, "task": A})
    assert server.makers([M, N, O]) == {M: A}
    assert server.asked == [[M, N, O], [N, O]]


def test_an_answer_that_is_cut_off_loses_none() -> None:
    models = [ModelId(f"{n:032x}") for n in range(10)]
    server = Models(*({"id": model, "task": A} for model in models), cap=3)
    assert server.makers(models) == dict.fromkeys(models, A)


def test_more_models_than_fit_on_a_page_take_more_requests() -> None:
    models = [ModelId(f"{n:032x}") for n in range(501)]
    server = Models(*({"id": model, "task": A} for model in models))
    assert len(server.makers(models)) == 501
    assert [len(asked) for asked in server.asked] == [500, 1]


@pytest.mark.parametrize("task", [None, 5, ["x"]])
def test_a_model_that_cannot_be_read_may_be_of_any_task(task: Any) -> None:
    server = Models({"id": M, "task": task}, {"id": N, "task": B})
    assert server.makers([M, N]) == {M: UNKNOWN, N: B}


def test_two_documents_with_one_id_that_differ_cannot_be_read() -> None:
    server = Models({"id": M, "task": A}, {"id": M, "task": B})
    assert server.makers([M]) == {M: UNKNOWN}


def test_a_model_without_an_id_may_be_any_of_those_that_are_missing() -> None:
    server = Models({"id": M, "task": A}, {"id": "", "task": B})
    assert server.makers([M, N]) == {M: A, N: UNKNOWN}


def test_models_that_were_not_asked_for_are_not_taken() -> None:
    server = Models({"id": M, "task": A}, {"id": N, "task": B})
    server.call = lambda *_: {"models": Raw(json.dumps(server.documents).encode())}
    assert server.makers([M]) == {M: A}
