"""Finding the CronJob, and creating a Job from it."""

import re
from typing import Any

import pytest

from cleanup_job.cluster.connection import CallError
from cleanup_job.cluster.cronjob import create, find, job_from
from cleanup_job.errors import CleanupError, SettingsError, UnreachableError
from tests.unit.cluster.kubernetes_fake import FakeCluster, refused

CONTAINER = {"name": "clearml-cleanup", "image": "x", "env": [{"name": "CLEANUP_LEASE", "value": "a"}]}
CRONJOB: dict[str, Any] = {
    "metadata": {"name": "clearml-cleanup", "uid": "u1"},
    "spec": {
        "schedule": "0 3 * * *",
        "jobTemplate": {
            "metadata": {"labels": {"team": "ml"}, "annotations": {"a": "b"}},
            "spec": {"backoffLimit": 2, "template": {"spec": {"containers": [{"name": "sidecar"}, CONTAINER]}}},
        },
    },
}


# -- which CronJob
def test_the_only_one_is_found_by_its_label() -> None:
    cluster = FakeCluster(list_namespaced_cron_job={"items": [CRONJOB]})
    assert find(cluster, "ml", None) == CRONJOB
    assert cluster.asked[0][2] == {
        "label_selector": "app.kubernetes.io/name=clearml-cleanup,app.kubernetes.io/component!=sweep"
    }


@pytest.mark.parametrize(
    ("answers", "name", "error", "words"),
    [
        ({"list_namespaced_cron_job": {"items": []}}, None, SettingsError, "no CronJob with the label .* --cronjob"),
        (
            {"list_namespaced_cron_job": {"items": [CRONJOB, CRONJOB]}},
            None,
            SettingsError,
            "several .*clearml-cleanup.*--cronjob",
        ),
        (
            {"list_namespaced_cron_job": refused("list")},
            None,
            SettingsError,
            "may not list cronjobs.batch in namespace ml: cannot",
        ),
        ({"read_namespaced_cron_job": CallError(404, "no")}, "x", SettingsError, "There is no CronJob x in namespace ml"),
        ({"read_namespaced_cron_job": refused("get")}, "x", SettingsError, "may not get cronjobs.batch"),
        ({"read_namespaced_cron_job": CallError(401, "who?")}, "x", SettingsError, "not accept your credentials: who"),
        ({"read_namespaced_cron_job": CallError(0, "gone")}, "x", UnreachableError, "no usable answer"),
        ({"read_namespaced_cron_job": CallError(500, "gone")}, "x", UnreachableError, "no usable answer"),
    ],
)
def test_what_can_be_wrong_is_said(answers: dict[str, Any], name: str | None, error: type[CleanupError], words: str) -> None:
    with pytest.raises(error, match=words):
        find(FakeCluster(**answers), "ml", name)


# -- the Job
def test_a_job_is_the_template_with_arguments_that_win() -> None:
    job = job_from(CRONJOB, "now", ["--dry-run"])
    assert job["metadata"] == {
        "name": "now",
        "labels": {"team": "ml"},
        "annotations": {"cronjob.kubernetes.io/instantiate": "manual", "a": "b"},
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "CronJob", "name": "clearml-cleanup", "uid": "u1", "controller": True}
        ],
    }
    sidecar, container = job["spec"]["template"]["spec"]["containers"]
    assert sidecar == {"name": "sidecar"}
    assert container["args"] == ["--dry-run"]
    assert "args" not in CONTAINER, "the CronJob itself was changed"


@pytest.mark.parametrize("name", ["x" * 52, "x" * 47 + ".xxxx", "a"])
def test_names_are_new_each_time_and_good_for_a_label(name: str) -> None:
    long = {**CRONJOB, "metadata": {"name": name, "uid": "u1"}}
    names = {job_from(long, None, [])["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in names)


def test_who_may_not_make_jobs_is_told_which_right_is_missing() -> None:
    with pytest.raises(SettingsError, match=r"may not create jobs\.batch in namespace ml.*Role"):
        create(FakeCluster(create_namespaced_job=refused("create")), "ml", {})
