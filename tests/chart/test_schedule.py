"""When passes run: `schedule`, or the original service's period; and the deadline that follows from it."""

import pytest
import yaml
from helm_python.errors import HelmError

from cleanup_job.settings.sources import load
from tests.chart.charts import CONTAINER, ENOUGH, at, files, nested, one, render, variables

KEYS = {"CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "secret"}


def spec(**values: object) -> dict[str, object]:
    found: dict[str, object] = one("CronJob", render(ENOUGH, values))["spec"]
    return found


def test_daily_without_a_word() -> None:
    assert spec()["schedule"] == "0 3 * * *"


PERIODS = [
    (1, "0 3 * * *"),
    (1.0, "0 3 * * *"),
    ("1.0", "0 3 * * *"),  # what `--set` makes of it
    (7, "0 3 * * 0"),
    (0.5, "0 */12 * * *"),
    (0.125, "0 */3 * * *"),
    (1 / 24, "0 * * * *"),
    (1 / 96, "*/15 * * * *"),
    (1 / 1440, "*/1 * * * *"),
]


@pytest.mark.parametrize(("days", "schedule"), PERIODS)
def test_a_period_in_days_stands_in_for_the_schedule(days: object, schedule: str) -> None:
    assert spec(cleanup={"cleanupPeriodInDays": days})["schedule"] == schedule
    assert spec(cleanup={"cleanupPeriodInDays": days}, schedule=schedule)["schedule"] == schedule


@pytest.mark.parametrize("days", [0.3, 2, 3.5, 30, 0.00001])
def test_a_period_without_a_schedule_is_an_error_that_says_what_to_set(days: float) -> None:
    with pytest.raises(HelmError, match=r"cleanupPeriodInDays=.* has no cron schedule(.|\n)*set schedule"):
        spec(cleanup={"cleanupPeriodInDays": days})


def test_a_period_and_another_schedule_contradict_each_other() -> None:
    with pytest.raises(HelmError, match=r'schedule="0 4 \* \* \*" and cleanup.cleanupPeriodInDays=1 contradict each other'):
        spec(cleanup={"cleanupPeriodInDays": 1}, schedule="0 4 * * *")


TASK = {"clearml": {"task": {"enabled": True}}}


@pytest.mark.parametrize(
    ("days", "schedule"),
    [(2, "0 3 * * *"), (10, "0 3 * * *"), (0.3, "0 * * * *"), (7, "0 3 * * 0"), (1, "0 3 * * *"), (0.5, "0 */12 * * *")],
)
def test_with_a_task_any_period_has_a_schedule_and_reaches_the_job(days: float, schedule: str) -> None:
    objects = render(ENOUGH, TASK, nested("cleanup.cleanupPeriodInDays", days))
    assert one("CronJob", objects)["spec"]["schedule"] == schedule
    settings, _ = load({}, variables(objects) | KEYS)
    assert settings.schedule.cleanup_period_in_days == days


def test_with_a_task_a_period_and_a_schedule_go_together() -> None:
    objects = render(ENOUGH, TASK, nested("cleanup.cleanupPeriodInDays", 3), {"schedule": "0 4 * * *"})
    assert one("CronJob", objects)["spec"]["schedule"] == "0 4 * * *"
    with pytest.raises(HelmError, match="has no cron schedule"):
        render(ENOUGH, TASK, nested("cleanup.cleanupPeriodInDays", 0.00001))


def test_a_task_has_the_names_by_which_it_knows_its_job() -> None:
    entries = {entry["name"]: entry for entry in at(one("CronJob", render(ENOUGH, TASK, name="nightly")), f"{CONTAINER}.env")}
    assert entries["CLEANUP_RELEASE"]["value"] == "nightly"
    assert entries["CLEANUP_JOB"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-name']"
    assert not {"CLEANUP_RELEASE", "CLEANUP_JOB"} & {e["name"] for e in at(one("CronJob", render(ENOUGH)), f"{CONTAINER}.env")}


def test_helm_test_leaves_no_run() -> None:
    pod = yaml.safe_load(files(ENOUGH, TASK)["tests/dry-run.yaml"])
    assert {"name": "CLEANUP_TASK", "value": "false"} in pod["spec"]["containers"][0]["env"]


INTERVALS = [
    ("* * * * *", 60),
    ("*/15 * * * *", 900),
    ("*/25 * * * *", 600),  # from 50 to the full hour
    ("0,30 * * * *", 1800),
    ("0,50 * * * *", 600),
    ("1-5 * * * *", 60),
    ("0 * * * *", 3600),
    ("5 */5 * * *", 4 * 3600),  # from 20 to midnight
    ("5 */6 * * *", 6 * 3600),
    ("0 3,15 * * *", 12 * 3600),
    ("0 9,15,08 * * *", 3600),
    ("0 22,1 * * *", 3 * 3600),
    ("0 1-5 * * *", 3600),
    ("0 3 * * 1", 86400),
    ("@hourly", 3600),
    ("@weekly", 86400),
]


@pytest.mark.parametrize(("schedule", "interval"), INTERVALS)
def test_a_pass_must_end_before_the_next_one_starts(schedule: str, interval: int) -> None:
    job = one("CronJob", render(ENOUGH, {"schedule": schedule}))["spec"]["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] == interval * 95 // 100


def test_a_longer_deadline_is_the_users_choice_and_is_told() -> None:
    assert "may take longer" in files(ENOUGH, nested("activeDeadlineSeconds", 86400))["NOTES.txt"]
    assert "may take longer" not in files(ENOUGH)["NOTES.txt"]
