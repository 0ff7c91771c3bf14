"""Settings as parameters of a task: nothing is lost on the way there and back, and no edit of anybody."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleanup_job.errors import SettingsError
from cleanup_job.service_task.parameters import TRANSFERABLE, edited, entry, of_settings, read, sync
from cleanup_job.settings.model import TABLE, names
from cleanup_job.settings.sources import load

CONNECTION = {"CLEARML_API_HOST": "http://any", "CLEARML_API_ACCESS_KEY": "any", "CLEARML_API_SECRET_KEY": "any"}
FIRST = names(lambda entry: entry.original)
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool), min_size=1)
DAYS = st.floats(0.01, 36_000, allow_nan=False)


def hyperparams(values: dict[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        made = entry(name, value)
        found.setdefault(made["section"], {})[name] = made
    return found


@example(days=1.0, period=1.0, force=False, projects=["["], workers=1, budget=None, rules=["team/*=1.0"])
@given(
    days=DAYS,
    period=DAYS,
    force=st.booleans(),
    projects=NAMES,
    workers=st.integers(1, 32),
    budget=st.none() | st.integers(1, 10**9),
    rules=st.lists(DAYS.map(lambda days: f"team/*={days}"), min_size=1, max_size=3),
)
def test_settings_are_the_same_after_a_way_through_clearml(
    days: float, period: float, force: bool, projects: list[str], workers: int, budget: int | None, rules: list[str]
) -> None:
    flags: dict[str, Any] = {
        "delete_threshold_days": days,
        "cleanup_period_in_days": period,
        "force_delete": force,
        "keep_projects": tuple(projects),
        "workers": workers,
        "threshold_rules": tuple(rules),
    }
    flags |= {"max_tasks": budget} if budget is not None else {}
    settings, origins = load(flags, CONNECTION)
    there = read(hyperparams(of_settings(settings, origins)), "a task")
    back, _ = load({}, CONNECTION, parameters={name: (value, "a task") for name, value in there.items()})
    for name in TRANSFERABLE:
        assert back.value(name) == settings.value(name), name


VALUES = st.dictionaries(st.sampled_from(TRANSFERABLE), st.sampled_from(["1", "2", "3"]))


@given(VALUES, VALUES, VALUES)
def test_an_edit_is_never_overwritten_and_all_else_follows(
    found: dict[str, str], registered: dict[str, str], wanted: dict[str, str]
) -> None:
    edits = edited(found, registered)
    edit = sync(found, registered, wanted)
    after = {name: value for name, value in (found | edit.change).items() if name not in edit.remove}
    assert after == wanted | edits
    assert edited(after, edit.registered) == {n: v for n, v in edits.items() if wanted.get(n) != v}
    again = sync(after, edit.registered, wanted)
    assert (again.change, again.remove) == ({}, frozenset())


def test_secrets_the_connection_and_what_belongs_to_a_pod_never_go_to_clearml() -> None:
    assert not {"access_key", "secret_key", "api_host", "config_file", "lease", "report", "job"} & set(TRANSFERABLE)


def test_kinds_are_those_that_the_web_ui_knows() -> None:
    kinds = {name: entry(name, "1")["type"] for name in TRANSFERABLE}
    assert kinds["delete_threshold_days"] == "float"
    assert kinds["force_delete"] == "bool"
    assert kinds["workers"] == kinds["max_tasks"] == "int"
    assert kinds["deadline_seconds"] == "float"
    assert kinds["keep_tags"] == "str"


@pytest.mark.parametrize("parameter", [None, {}, {"value": None}, {"value": ""}, {"value": " "}, {"value": 5}, "x"])
def test_an_entry_without_a_value_is_an_error_and_never_a_default(parameter: Any) -> None:
    with pytest.raises(SettingsError, match=r"General/force_delete of a task is empty"):
        read({"General": {"force_delete": parameter}}, "a task")


def test_other_sections_are_their_owners() -> None:
    assert read({"Args": {"lr": {"value": "1"}}, "General": {FIRST[0]: {"value": " 2 "}}}, "a task") == {FIRST[0]: "2"}


def test_every_setting_is_in_one_place() -> None:
    assert set(FIRST) <= set(TRANSFERABLE) <= set(TABLE)
    assert set(FIRST) == {"cleanup_period_in_days", "delete_threshold_days", "force_delete", "run_as_service"}
