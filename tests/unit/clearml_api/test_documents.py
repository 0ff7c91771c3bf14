"""What the documents of ClearML's API say, where a shape is read leniently."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cleanup_job.clearml_api.answer_json import decoded
from cleanup_job.clearml_api.documents import DetailEntry, TaskEntry
from cleanup_job.planning.records import Artifact

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


@pytest.mark.parametrize("odd", [None, 5, "yesterday", "0001-01-01T00:00:00", [TIME], "9999-12-31T23:59:59-01:00"])
def test_a_run_whose_times_make_no_sense_has_none_and_the_task_is_read(odd: Any) -> None:
    read = decoded(json.dumps(task(started=odd, completed=odd)), TaskEntry).task()
    assert (read.started, read.completed) == (None, None)
    assert read.last_update is not None


@pytest.mark.parametrize(("found", "text"), [("u", "u"), (None, ""), (5, ""), ([], ""), (..., "")])
def test_what_only_policies_look_at_may_be_missing_or_odd(found: Any, text: str) -> None:
    document = task() if found is ... else task(last_changed_by=found, status_reason=found)
    read = decoded(json.dumps(document), TaskEntry).task()
    assert (read.last_changed_by, read.status_reason) == (text, text)


def test_times_of_a_run_are_read_in_utc() -> None:
    read = decoded(json.dumps(task(started="2026-10-01T03:00:00+02:00", completed="2026-10-01T01:30:00")), TaskEntry).task()
    assert read.started == datetime(2026, 10, 1, 1, tzinfo=UTC)
    assert read.completed == datetime(2026, 10, 1, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(("name", "odd"), [("key", 5), ("type", None), ("hash", ["x"])])
def test_an_artifact_with_an_odd_name_is_still_an_artifact(name: str, odd: Any) -> None:
    whole = {"key": "a", "type": "custom", "hash": "0", "uri": "u", "content_size": 5}
    known = Artifact("u", "output", 5, "a", "custom", "0")
    for entry, expected in ((whole, known), ({**whole, name: odd}, replace(known, **{name: ""}))):
        document = task(execution={"artifacts": [entry]})
        assert decoded(json.dumps(document), DetailEntry).detail().artifacts == (expected,)
