"""The table of the forms of call: those of which it says so are recorded, and the others are not."""

import json
from collections.abc import Iterator

import pytest

from tests.conformance.forms import forms, table
from tests.conformance.recorded import recorded


def recorded_forms() -> Iterator[tuple[str, str]]:
    """Yield each form in the recordings, with the name of one that has it."""
    for path in [*recorded("scenarios"), *recorded("sdk")]:
        for step in json.loads(path.read_text())["steps"]:
            if step.get("to") == "api":
                call = step["path"].rpartition("/")[2].partition("?")[0]
                for form in forms(call, "" if "lines" in step else step.get("request") or {}):
                    yield form, path.stem


def test_each_form_is_recorded_where_the_table_says_so() -> None:
    with_recording, without = table()
    there = set(recorded_forms())
    wrong = [f"{name} has not: {form}" for form, name in with_recording.items() if (form, name) not in there]
    assert not wrong
    now = dict(there)
    assert {form: now[form] for form in without if form in now} == {}, "these are recorded: say where"


@pytest.mark.parametrize(
    ("call", "body", "form"),
    [
        ("tasks.get_all", {"id": ["a"], "page": 0, "page_size": 5}, "tasks.get_all id=[text] page=number page_size=number"),
        ("tasks.get_all", {"id": ["a", "b"], "page": 3}, "tasks.get_all id=[text] page=number"),
        ("tasks.get_all", {"tags": ["a", "b"], "id": []}, "tasks.get_all id=[] tags=[text …]"),
        ("tasks.get_all", {"last_update": [">=2026-01-01T00:00:00+00:00"]}, "tasks.get_all last_update=[>=T]"),
        ("projects.get_all", {"last_update": ["2026-01-01T00:00:00", None]}, "projects.get_all last_update=[T null]"),
        ("tasks.get_all", {"order_by": ["-last_update", "id"]}, "tasks.get_all order_by=-last_update,id"),
        (
            "tasks.edit",
            {"models": {"output": [{"name": "a", "model": "b"}]}},
            "tasks.edit models={output=[{model=text name=text}]}",
        ),
        (
            "tasks.get_all",
            {"order_by": [f"-last_metrics.{'a' * 32}.{'b' * 32}.max_value", "id"]},
            "tasks.get_all order_by=-last_metrics.MD5.MD5.max_value,id",
        ),
        ("events.add_batch", "{}\n{}", "events.add_batch lines"),
    ],
)
def test_a_form_has_what_decides_and_no_data(call: str, body: object, form: str) -> None:
    assert list(forms(call, body)) == [form]


def test_each_field_that_is_asked_for_is_a_form_of_its_own() -> None:
    assert list(forms("tasks.get_all", {"only_fields": ["id", "name"]})) == [
        "tasks.get_all",
        "tasks only_fields=id",
        "tasks only_fields=name",
    ]
