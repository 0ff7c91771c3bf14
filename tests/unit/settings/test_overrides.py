"""``trigger --set``: what it takes, and what it refuses before anything is made."""

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.settings.overrides import check_arguments, parse


@pytest.mark.parametrize("name", ["CLEANUP_MAX_TASKS", "max_tasks", "maxTasks", "cleanup.maxTasks"])
def test_a_setting_goes_by_all_its_names(name: str) -> None:
    assert parse([f"{name}=5"]) == {"CLEANUP_MAX_TASKS": "5"}


def test_values_may_hold_equals_signs_and_the_last_one_wins() -> None:
    assert parse(["projects=a=b,c", "maxTasks=1", "maxTasks=2"]) == {"CLEANUP_PROJECTS": "a=b,c", "CLEANUP_MAX_TASKS": "2"}


def test_clearmls_own_variables_are_settings_too() -> None:
    assert parse(["CLEARML_API_HOST=http://other:8008"]) == {"CLEARML_API_HOST": "http://other:8008"}


def test_paths_in_the_pod_are_not_looked_for_here() -> None:
    assert parse(["report=/reports/last.html", "CLEARML_API_HOST_VERIFY_CERT=/ca/ca.crt"]) == {
        "CLEANUP_REPORT": "/reports/last.html",
        "CLEARML_API_HOST_VERIFY_CERT": "/ca/ca.crt",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("maxTasks", "write NAME=VALUE"),
        ("maxTask=1", "did you mean max_tasks"),
        ("CLEANUP_TAG=a", "did you mean tags"),
        ("report=", "CLEANUP_REPORT: set but empty"),
        ("nonsense=1", "unknown setting; `clearml-cleanup settings` lists them all"),
        ("maxTasks=0", "CLEANUP_MAX_TASKS=0: use 1 or more"),
        ("maxTasks=", "CLEANUP_MAX_TASKS: set but empty"),
        ("types=trainign", "CLEANUP_TYPES"),
        ("secret_key=x", "credentials must not be on a command line"),
        ("CLEARML_API_ACCESS_KEY=x", "credentials must not be on a command line"),
        ("CLEANUP_LEASE=mine", "two passes from running at once"),
        ("leaseNamespace=other", "two passes from running at once"),
        ("cronjob=other", "two passes from running at once"),
    ],
)
def test_it_refuses_by_name(given: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse([given])


def test_how_long_to_wait_for_the_lease_may_be_said() -> None:
    assert parse(["leaseWaitSeconds=0"]) == {"CLEANUP_LEASE_WAIT_SECONDS": "0"}


@pytest.mark.parametrize("argument", ["--no-dry-run", "--dry-run", "--dry-run=x"])
def test_an_argument_of_the_container_that_would_win_is_named(argument: str) -> None:
    with pytest.raises(SettingsError, match=r"container has the argument --(no-)?dry-run, which takes precedence"):
        check_arguments({"CLEANUP_DRY_RUN": "true"}, ["run", "--workers=2", argument])
    check_arguments({"CLEANUP_MAX_TASKS": "1"}, ["run", "--workers=2", argument])
