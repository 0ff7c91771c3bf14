"""The JSON schema of the file with policies says what the job says."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from pydantic import ValidationError

from cleanup_job.settings.policy_document import PolicyDocument
from cleanup_job.settings.policy_schema import DRAFT, json_schema

WRITTEN = Path(__file__).resolve().parents[3] / "docs" / "policies.schema.json"
SCHEMA = json_schema()
VALIDATOR = Draft7Validator(SCHEMA)


def schema_takes(document: object) -> bool:
    return VALIDATOR.is_valid(document)


def job_takes(document: object) -> bool:
    try:
        PolicyDocument.model_validate(document)
    except ValidationError:
        return False
    return True


def with_one(**fields: object) -> dict[str, object]:
    return {"policies": [{"name": "p", **fields}]}


def test_the_one_in_the_documentation_is_that_of_this_version() -> None:
    assert json.loads(WRITTEN.read_text()) == SCHEMA, "run `make docs`"


def test_it_is_a_schema_that_helm_and_editors_read() -> None:
    assert SCHEMA["$schema"] == DRAFT
    Draft7Validator.check_schema(SCHEMA)


def test_each_key_is_described() -> None:
    for name, part in {"": SCHEMA, **SCHEMA["definitions"]}.items():
        assert part["description"], name
        for key, value in part.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"


def test_nothing_may_be_null_and_nothing_stands_beside_a_reference() -> None:
    def look(part: Any) -> None:
        if isinstance(part, dict):
            assert part.get("type") != "null"
            assert "$ref" not in part or len(part) == 1
            for inner in part.values():
                look(inner)
        elif isinstance(part, list):
            for inner in part:
                look(inner)

    look(SCHEMA)


@pytest.mark.parametrize(
    "document",
    [
        with_one(),
        with_one(keep="all"),
        with_one(keep={"last": 5, "best": [{"metric": "a/b"}], "tags": ["x"], "model_tags": ["y"]}),
        with_one(archive={"after": "14d"}, delete={"after": "8w", "archived_for": "12h"}, notice="10m"),
        with_one(slim={"after": "1d", "remove": ["artifacts"], "artifacts": {"except": ["x"]}, "also": "not_archived"}),
        {**with_one(), "task_tags": True},
        {**with_one(), "task_tags": {"keep": "gold"}},
    ],
)
def test_what_the_job_takes_the_schema_takes(document: object) -> None:
    assert job_takes(document)
    assert schema_takes(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"policies": []},
        {"policies": None},
        {"policies": [{}]},
        {**with_one(), "task_tags": "yes"},
        {**with_one(), "task_tags": {"kept": "x"}},
        {**with_one(), "more": 1},
        with_one(name=2024),
        with_one(name=""),
        with_one(name=" p"),
        with_one(name="p" * 65),
        with_one(keep="some"),
        with_one(keep={"last": 0}),
        with_one(keep={"last": "5"}),
        with_one(keep={"best": [{"metric": "a/b", "order": "most"}]}),
        with_one(match={"projects": []}),
        with_one(match={"projects": "vision"}),
        with_one(match={"tags": [1]}),
        with_one(match={"statuses": ["broken"]}),
        with_one(archive={}),
        with_one(archive="14d"),
        with_one(archive={"after": 14}),
        with_one(archive={"after": "14"}),
        with_one(archive={"after": "14 d"}),
        with_one(slim={"after": "1d"}),
        with_one(slim={"after": "1d", "remove": ["all"]}),
        with_one(slim={"after": "1d", "remove": ["plots"], "also": "all"}),
        with_one(slim={"after": "1d", "remove": ["artifacts"], "artifacts": {"except_": ["x"]}}),
        with_one(allow_shorter="no"),
        with_one(archived_for="14d"),
    ],
)
def test_what_the_schema_refuses_the_job_refuses(document: object) -> None:
    assert not schema_takes(document)
    assert not job_takes(document)


@pytest.mark.parametrize("key", ["match", "keep", "archive", "slim", "delete", "notice", "max_ttl", "allow_shorter"])
def test_a_key_without_a_value_is_refused_by_editors_too(key: str) -> None:
    """The job refuses it when it reads the file."""
    assert not schema_takes(with_one(**{key: None}))
