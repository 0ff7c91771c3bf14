"""What the documents of ClearML's API say, where a shape is read leniently."""

import json
from typing import Any

import pytest

from cleanup_job.clearml_api.answer_json import decoded
from cleanup_job.clearml_api.documents import DetailEntry

TIME = "2026-10-01T01:02:03.123000+00:00"


def task(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"{number:032x}", "name": "exp", "status": "completed", "type": "training", "user": "u", "company": "c",
        "tags": [], "system_tags": ["archived"], "created": TIME, "last_update": TIME, "models": {},
        "execution": {"artifacts": []}, **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("runtime", "uses"),
    [
        (..., False), (None, False), ({}, False), ([], False), ({"progress": 1}, False),
        ({"datasets": None}, False), ({"datasets": []}, False), ({"datasets": ""}, False), ({"datasets": {}}, False),
        ({"datasets": ["a"]}, True), ({"datasets": "a"}, True), ({"datasets": {"a": 1}}, True), ({"datasets": 0}, True),
        ({"datasets": [None]}, True), (["datasets"], True), ("datasets", True), (7, True),
    ],
)  # fmt: skip
def test_a_task_that_names_datasets_in_any_shape_uses_some(runtime: Any, uses: bool) -> None:
    document = task() if runtime is ... else task(runtime=runtime)
    assert decoded(json.dumps(document), DetailEntry).detail().uses_datasets is uses
