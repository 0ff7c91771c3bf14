"""A page of documents, read at once, or one by one where one of them is odd."""

import json
from typing import Any

import pytest
from msgspec import Raw

from cleanup_job.clearml_api.documents import TagsOf
from cleanup_job.clearml_api.listed_documents import Malformed, page
from cleanup_job.errors import AnswerError

GOOD = {"id": "a", "tags": ["x"]}


def read(*documents: Any) -> list[TagsOf | Malformed]:
    return page({"tasks": Raw(json.dumps(documents).encode())}, "tasks", TagsOf)


def test_documents_come_in_their_order() -> None:
    assert read(GOOD, {"id": "b", "tags": []}) == [TagsOf(id="a", tags=("x",)), TagsOf(id="b", tags=())]
    assert read() == []


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({"id": "b", "tags": "x"}, "tags"), ({"id": "b"}, "tags"), ({"id": "", "tags": []}, "id"), (7, "the whole record"),
        ({"id": "b", "tags": [], "last_update": "1970-01-01T00:00:00"}, "last_update"),
    ],
)  # fmt: skip
def test_an_odd_document_does_not_affect_the_others(odd: Any, field: str) -> None:
    first, second, third = read(GOOD, odd, {"id": "c", "tags": []})
    assert first == TagsOf(id="a", tags=("x",))
    assert isinstance(second, Malformed)
    assert second.field == field
    assert third == TagsOf(id="c", tags=())


def test_two_documents_with_one_id_are_both_malformed_if_they_differ() -> None:
    assert read(GOOD, GOOD) == [TagsOf(id="a", tags=("x",))] * 2
    first, second, third = read(GOOD, {"id": "b", "tags": []}, {"id": "a", "tags": []})
    assert isinstance(first, Malformed)
    assert isinstance(third, Malformed)
    assert first.id == third.id == "a"
    assert second == TagsOf(id="b", tags=())


@pytest.mark.parametrize("body", ["{}", "7", "null", '[{"id": "a"', ""])
def test_an_answer_without_a_list_is_an_error(body: str) -> None:
    with pytest.raises(AnswerError, match="an answer without a list of tasks"):
        page({"tasks": Raw(body.encode())}, "tasks", TagsOf)
    with pytest.raises(AnswerError, match="an answer without a list of tasks"):
        page({}, "tasks", TagsOf)
