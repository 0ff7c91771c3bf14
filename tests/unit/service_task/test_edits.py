"""Whoever may edit the task in ClearML can't loosen what the operator has fixed: by no setting, no value, no list."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cleanup_job.errors import SettingsError
from cleanup_job.service_task.edits import Given, Known, beside, handed_over, registered
from cleanup_job.service_task.parameters import BOUNDS, TRANSFERABLE, statement_of
from cleanup_job.settings.model import TABLE, Settings, env_name, names
from cleanup_job.settings.scopes import Edit, Scope
from cleanup_job.settings.sources import load

CONNECTION = {"CLEARML_API_HOST": "http://any", "CLEARML_API_ACCESS_KEY": "any", "CLEARML_API_SECRET_KEY": "any"}
FIRST = names(lambda entry: entry.original)
PROJECTS = ("team", "team/a", "team/b", "vision", "vision/golden", "nlp")

# -- what may be written in the environment, and what somebody may enter in the Web UI
WORDS = st.lists(st.sampled_from(["a", "b", "c", "team", "vision/*"]), min_size=1, max_size=3).map(",".join)
SWITCH = st.sampled_from(["true", "false", "True", "0"])
NUMBER = st.sampled_from(["1", "2", "7", "30", "31", "100", "500"])
RULES = st.lists(
    st.builds(
        "{}={}".format,
        st.sampled_from(["team", "team/a", "team/*", "vision", "*", "nlp"]),
        st.sampled_from(["0", "7", "30", "90", "never"]),
    ),
    min_size=1,
    max_size=4,
).map(",".join)
SPECIAL: dict[str, st.SearchStrategy[str]] = {
    "threshold_rules": RULES,
    "types": st.lists(st.sampled_from(["training", "testing", "custom"]), min_size=1).map(",".join),
    "statuses": st.lists(st.sampled_from(["created", "failed", "completed"]), min_size=1).map(",".join),
    "exclude_statuses": st.lists(st.sampled_from(["created", "failed", "published"]), min_size=1).map(",".join),
    "stores_verify_certificate": st.sampled_from(["true", "false", certifi.where()]),
    "external_files": st.sampled_from(["keep", "delete"]),
    "on_file_error": st.sampled_from(["keep_record", "delete_record"]),
    "missing_files": st.sampled_from(["keep_record", "delete_record"]),
    "unknown_stores": st.sampled_from(["keep_record", "delete_record"]),
    "protect_linked_artifacts": st.sampled_from(["all", "pipelines", "off"]),
    "files_url_prefixes": st.sampled_from(["http://one", "http://two"]),
    "audit": st.sampled_from(["/audit", "s3://bucket/audit"]),
    "mounted_folders": st.sampled_from(["/mnt/a", "/mnt/b"]),
    "policies": st.just(str(Path(__file__).with_name("policies.yaml"))),
    "log_level": st.sampled_from(["debug", "error"]),
    "task_log_level": st.just("debug"),
    "workers": st.sampled_from(["1", "4", "32"]),
    "refuse_above_percent": st.sampled_from(["0.5", "50", "100"]),
    "attempts": st.sampled_from(["1", "20"]),
    "max_requests_in_flight": st.sampled_from(["1", "64"]),
}


def value_of(name: str) -> st.SearchStrategy[str]:
    if name in SPECIAL:
        return SPECIAL[name]
    entry = TABLE[name]
    return SWITCH if entry.is_switch else WORDS if entry.is_list else NUMBER


def some_of(names: Sequence[str], most: int) -> st.SearchStrategy[dict[str, str]]:
    chosen = st.lists(st.sampled_from(names), max_size=most, unique=True)
    return chosen.flatmap(lambda found: st.fixed_dictionaries({name: value_of(name) for name in found}))


OPERATORS = st.builds(
    lambda said, bounds: said | bounds,
    some_of(TRANSFERABLE, 6),
    st.fixed_dictionaries(
        {},
        optional={
            "task_editable": st.lists(st.sampled_from(TRANSFERABLE), min_size=1, max_size=len(TRANSFERABLE)).map(",".join),
            "task_min_threshold_days": NUMBER,
            "task_allow_force_delete": SWITCH,
        },
    ),
)


def known(said: Mapping[str, str], values: Given | None = None) -> Known:
    return load({}, CONNECTION | {env_name(name): value for name, value in said.items()}, parameters=values)


def threshold(project: str, rules: tuple[str, ...], base: float) -> float:
    """By the first rule whose project, or one above it, is this one."""
    for rule in rules:
        pattern, _, days = rule.rpartition("=")
        wanted = re.compile(re.escape(pattern.strip()).replace(r"\*", ".*"))
        parts = project.split("/")
        if any(wanted.fullmatch("/".join(parts[: n + 1])) for n in range(len(parts))):
            return float("inf") if days.strip() == "never" else float(days)
    return base


def infinite(value: float | None) -> float:
    return float("inf") if value is None else value


SUBSET = {"projects", "tags", "types", "statuses", "users"}
SUPERSET = {
    "exclude_projects",
    "exclude_tags",
    "keep_tags",
    "keep_model_tags",
    "keep_projects",
    "exclude_statuses",
    "exclude_users",
}
LESS = {
    "max_tasks",
    "refuse_above",
    "refuse_above_percent",
    "refuse_above_bytes",
    "deadline_seconds",
    "max_tasks_per_second",
}
SAFE = {"dry_run", "protect_used_datasets"}
DANGER = {"include_hidden", "delete_empty_projects"}
RECORD = "delete_record"
WORSE = {"external_files": "delete", "on_file_error": RECORD, "missing_files": RECORD, "unknown_stores": RECORD}
SAME = {"include_pipeline_steps", "mounted_folders", "files_url_prefixes", "audit", "audit_records", "policies"}
NEUTRAL = {"page_size", "batch_size", "workers", "max_requests_in_flight", "request_timeout_seconds", "attempts"}
NEUTRAL |= {"log_level", "task_log_level"}
SCHEDULE = {"cleanup_period_in_days", "run_as_service"}


def is_narrower(name: str, after: Settings, before: Settings) -> bool:  # noqa: PLR0911, PLR0912 -- one case a kind of setting
    """Whether a pass with ``after`` can delete no more by this setting, or no more carelessly, than one with ``before``."""
    new, old = after.value(name), before.value(name)
    if name in SUBSET:
        return not old or (bool(new) and set(new) <= set(old))
    if name in SUPERSET:
        return set(old) <= set(new)
    if name in LESS:
        return infinite(new) <= infinite(old)
    if name in SAFE:
        return bool(new) or not old
    if name in DANGER:
        return not new or bool(old)
    if name in WORSE:
        return bool(new != WORSE[name] or old == WORSE[name])
    if name == "protect_linked_artifacts":
        protects = {"all": 2, "pipelines": 1, "off": 0}
        return protects[new] >= protects[old]
    if name in SAME:
        return bool(new == old)
    if name == "archived_for_days":
        return bool(new >= old)
    if name == "delete_threshold_days":
        return bool(
            new
            >= min(
                old, old if before.service_task.task_min_threshold_days is None else before.service_task.task_min_threshold_days
            )
        )
    if name == "force_delete":
        return not new or bool(old) or before.service_task.task_allow_force_delete
    if name == "stores_verify_certificate":
        return bool(new == old or (old is False and new is True))
    if name == "threshold_rules":
        least = min(before.filters.delete_threshold_days, after.filters.delete_threshold_days)
        return all(
            threshold(p, after.filters.threshold_rules, float("inf")) >= threshold(p, before.filters.threshold_rules, least)
            for p in PROJECTS
        )
    if name in NEUTRAL:
        return bool(new == old or name in before.service_task.task_editable)
    return name in SCHEDULE


@hypothesis_settings(max_examples=400)
@given(OPERATORS, some_of(names(lambda entry: entry.scope in {Scope.JOB, Scope.RELEASE} or entry.bound), 8))
@example({"projects": "team"}, {"projects": "vision"})
@example({"threshold_rules": "team=never,*=90", "task_editable": "threshold_rules"}, {"threshold_rules": "*=30,team=0"})
def test_no_edit_with_any_list_lets_a_pass_delete_more(operator: dict[str, str], edits: dict[str, str]) -> None:
    before = known(operator)
    try:
        (after, _), notes = beside(before, edits, "a task", lambda values: known(operator, values))
    except SettingsError:
        assume(False)  # it deletes nothing
    for name in TRANSFERABLE:
        assert is_narrower(name, after, before[0]), (name, before[0].value(name), after.value(name))
    for name in set(TABLE) - set(TRANSFERABLE):
        assert after.value(name) == before[0].value(name), f"{name} is no parameter"
    for name, value in edits.items():
        wanted = known({}, {name: (value, "")})[0].value(name) if name in TRANSFERABLE else object()
        got = after.value(name)
        alike = set(got) == set(wanted) if isinstance(got, tuple) and isinstance(wanted, tuple) else got == wanted
        assert alike or any(f"/{name} of a task" in note for note in notes), f"nobody was told of {name}"


@given(OPERATORS, some_of(TRANSFERABLE, 6))
def test_of_two_words_of_the_operators_the_narrower_counts_on_an_agent(release: dict[str, str], agent: dict[str, str]) -> None:
    said, here = known(release), known(agent)
    told, _ = handed_over(here, statement_of(*said), "a task", lambda values: known(agent, values))
    both, _ = known(agent, told)
    for name in TRANSFERABLE:
        if name in agent and name not in NEUTRAL | SCHEDULE:
            assert is_narrower(name, both, here[0]), name
        elif name not in agent or name in release or name in FIRST:
            assert both.value(name) == said[0].value(name), name
    for name in BOUNDS:
        assert both.value(name) == said[0].value(name)


def test_what_an_agents_environment_narrows_is_told() -> None:
    told, notes = handed_over(
        known({"dry_run": "true"}), {"dry_run": "False"}, "a task", lambda v: known({"dry_run": "true"}, v)
    )
    assert told == {}
    assert notes == (
        (
            "dry_run as registered for a task was not taken as dry_run=False: the environment that the pass runs in allows "
            "less; dry_run=True counts"
        ),
    )


def test_a_word_of_a_newer_release_is_an_error_and_not_left_out() -> None:
    with pytest.raises(
        SettingsError, match=r"was registered with keep_users, and unknown setting keep_users; did you mean exclude_users"
    ):
        registered(known({}), {"keep_users": "x"}, "task 'x' (1)")


def test_a_flag_wins_over_an_edit_and_nothing_is_said_of_that() -> None:
    before = load({"delete_threshold_days": "7"}, CONNECTION)
    after, notes = beside(before, {"delete_threshold_days": "90"}, "a task", lambda _: before)
    assert (after, notes) == (before, ())


# -- every setting has decided what an edit of it may do
def test_every_parameter_is_known_to_the_oracle_above() -> None:
    kinds = SUBSET | SUPERSET | LESS | SAFE | DANGER | set(WORSE) | SAME | NEUTRAL | SCHEDULE
    single = {"archived_for_days", "delete_threshold_days", "force_delete", "protect_linked_artifacts"}
    single |= {"stores_verify_certificate", "threshold_rules"}
    assert kinds | single == set(TRANSFERABLE), (
        "a new setting: decide here whether an edit of it in ClearML can let a pass delete more"
    )


def test_what_is_no_parameter_can_never_be_edited() -> None:
    assert {TABLE[name].edit for name in set(TABLE) - set(TRANSFERABLE)} == {Edit.NEVER}


def test_the_four_of_clearmls_own_service_need_no_list() -> None:
    for name in FIRST:
        asked = {
            "delete_threshold_days": "90",
            "force_delete": "false",
            "cleanup_period_in_days": "3",
            "run_as_service": "true",
        }
        (after, _), notes = beside(
            known({"force_delete": "true"}),
            {name: asked[name]},
            "a task",
            lambda values: known({"force_delete": "true"}, values),
        )
        assert (str(after.value(name)).lower().removesuffix(".0"), notes) == (asked[name], ())


@pytest.mark.parametrize(
    ("operator", "edit", "counts"),
    [
        ({"keep_tags": "gold"}, ("keep_tags", "silver"), ("gold", "silver")),
        ({"projects": "a,b", "task_editable": "projects"}, ("projects", "b,c"), ("b",)),
        ({"projects": "a,b", "task_editable": "projects"}, ("projects", "c"), ("a", "b")),
        ({"projects": "a,b"}, ("projects", "b"), ("a", "b")),
        ({"threshold_rules": "x=7,y=90"}, ("threshold_rules", "x=30,z=never,y=1,w=60"), ("z=never", "x=30", "y=90")),
        ({"threshold_rules": "x=never"}, ("threshold_rules", "z=100"), ("x=never",)),
        ({"delete_threshold_days": "30"}, ("threshold_rules", "z=29,w=30"), ("w=30",)),
        ({"delete_threshold_days": "30", "task_min_threshold_days": "60"}, ("delete_threshold_days", "40"), 40),
        ({"max_tasks": "5"}, ("max_tasks", "6"), 5),
        ({}, ("max_tasks", "6"), 6),
        ({"stores_verify_certificate": "false"}, ("stores_verify_certificate", "true"), True),
    ],
)
def test_what_counts_of_an_edit(operator: dict[str, str], edit: tuple[str, str], counts: Any) -> None:
    (after, _), notes = beside(known(operator), dict([edit]), "a task", lambda values: known(operator, values))
    assert after.value(edit[0]) == counts
    for note in notes:
        assert re.search(rf"/{edit[0]} of a task was not taken.*; {edit[0]}=.+ counts$", note)
