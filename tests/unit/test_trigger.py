"""Finding the CronJob, making a Job from it, and following its log."""

from typing import Any

import pytest
from kubernetes_fake import FakeCluster, refused

from cleanup_job.cluster.connection import CallError
from cleanup_job.cluster.cronjob import create, find, job_from
from cleanup_job.cluster.follow import Follower
from cleanup_job.errors import CleanupError, SettingsError, UnreachableError

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
    assert find(cluster, "ml", None) == CRONJOB  # type: ignore[arg-type]  # a fake
    assert cluster.asked[0][2] == {"label_selector": "app.kubernetes.io/name=clearml-cleanup"}


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
        ({"read_namespaced_cron_job": CallError(0, "gone")}, "x", UnreachableError, "no usable answer"),
        ({"read_namespaced_cron_job": CallError(500, "gone")}, "x", UnreachableError, "no usable answer"),
    ],
)
def test_what_can_be_wrong_is_said(answers: dict[str, Any], name: str | None, error: type[CleanupError], words: str) -> None:
    with pytest.raises(error, match=words):
        find(FakeCluster(**answers), "ml", name)  # type: ignore[arg-type]  # a fake


# -- the Job
def test_a_job_is_the_template_with_overrides_that_win() -> None:
    job = job_from(CRONJOB, "now", {"CLEANUP_DRY_RUN": "true", "CLEANUP_LEASE": "b"})
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
    assert container["env"] == [{"name": "CLEANUP_DRY_RUN", "value": "true"}, {"name": "CLEANUP_LEASE", "value": "b"}]
    assert CONTAINER["env"] == [{"name": "CLEANUP_LEASE", "value": "a"}], "the CronJob itself was changed"


def test_names_are_new_each_time_and_short_enough_for_a_label() -> None:
    long = {**CRONJOB, "metadata": {"name": "x" * 52, "uid": "u1"}}
    names = {job_from(long, None, {})["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(len(name) <= 63 for name in names)


def test_who_may_not_make_jobs_is_told_which_right_is_missing() -> None:
    with pytest.raises(SettingsError, match=r"may not create jobs\.batch in namespace ml.*Role"):
        create(FakeCluster(create_namespaced_job=refused("create")), "ml", {})  # type: ignore[arg-type]  # a fake


# -- its log
JOB = {"spec": {"template": {"spec": {"containers": [{"name": "clearml-cleanup"}]}}}, "status": {}}
COMPLETE = {**JOB, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
FAILED = {
    **JOB,
    "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 2"}]},
}


def pod(name: str, state: dict[str, Any], **status: Any) -> dict[str, Any]:
    statuses = [{"name": "clearml-cleanup", "state": state}]
    return {
        "metadata": {"name": name, "creationTimestamp": name},
        "status": {"phase": "Running", "containerStatuses": statuses} | status,
    }


def running(name: str) -> dict[str, Any]:
    return pod(name, {"running": {}})


def ended(name: str, code: int) -> dict[str, Any]:
    return pod(name, {"terminated": {"exitCode": code}}, phase="Failed" if code else "Succeeded")


def after(*answers: Any) -> Any:
    """One answer after the other; the last one stays."""
    left = list(answers)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


def follow(**answers: Any) -> tuple[int, list[str], list[str]]:
    """The exit code, the lines of the log, and what else was said."""
    written: list[str] = []
    told: list[str] = []
    cluster: Any = FakeCluster(**answers)
    code = Follower(cluster, "ml", "now", written.append, told.append, sleep=lambda _: None).run()
    return code, written, told


def test_the_log_is_written_and_the_exit_code_is_the_passes() -> None:
    code, written, told = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=["one", "two"],
        read_namespaced_pod=ended("p1", 0),
    )
    assert (code, written, told) == (0, ["one", "two"], [])


def test_a_stream_that_is_cut_goes_on_where_it_was() -> None:
    code, written, _ = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=after(
            ["one", "two", CallError(0, "cut")], ["one", CallError(0, "cut")], ["one", "two"], ["one", "two", "three"]
        ),
        read_namespaced_pod=after(running("p1"), running("p1"), running("p1"), ended("p1", 3)),
    )
    assert (code, written) == (3, ["one", "two", "three"])


def test_a_retry_is_followed_too() -> None:
    code, written, told = follow(
        read_namespaced_job=after(JOB, JOB, JOB, COMPLETE),
        list_namespaced_pod=after(
            {"items": [running("p1")]}, {"items": [running("p1")]}, {"items": [running("p1"), running("p2")]}
        ),
        read_namespaced_pod_log=after(["first"], ["second"]),
        read_namespaced_pod=after(ended("p1", 4), ended("p2", 0)),
        list_namespaced_event={"items": []},
    )
    assert (code, written, told) == (0, ["first", "second"], ["the Job tries again: pod p2"])


def test_why_there_is_no_pod_is_said_once() -> None:
    message = 'pods "now-" is forbidden: exceeded quota'
    code, _, told = follow(
        read_namespaced_job=after(JOB, JOB, FAILED),
        list_namespaced_pod={"items": []},
        list_namespaced_event={"items": [{"message": message}]},
    )
    assert code == 1
    assert told == [f"Job now has no pod: {message}", "Job now failed: PodFailurePolicy: exit code 2"]


def test_a_missing_right_to_read_events_does_not_end_it() -> None:
    code, *_ = follow(
        read_namespaced_job=after(JOB, COMPLETE), list_namespaced_pod={"items": []}, list_namespaced_event=refused("list")
    )
    assert code == 1


@pytest.mark.parametrize(
    ("waiting", "words"),
    [
        (
            pod("p1", {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}, phase="Pending"),
            "pod p1 does not start: ImagePullBackOff: no such image",
        ),
        (
            {
                "metadata": {"name": "p1", "creationTimestamp": "1"},
                "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]},
            },
            "pod p1 can't be scheduled: 0/1 nodes",
        ),
    ],
)
def test_why_a_pod_does_not_start_is_said(waiting: dict[str, Any], words: str) -> None:
    _, _, told = follow(
        read_namespaced_job=after(JOB, JOB, JOB, COMPLETE),
        list_namespaced_pod=after({"items": [waiting]}, {"items": [waiting]}, {"items": [running("p1")]}),
        read_namespaced_pod_log=[],
        read_namespaced_pod=ended("p1", 0),
    )
    assert told == [words]


def test_a_starting_container_is_no_trouble() -> None:
    starting = pod("p1", {"waiting": {"reason": "ContainerCreating"}}, phase="Pending")
    _, _, told = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod=after({"items": [starting]}, {"items": [running("p1")]}),
        read_namespaced_pod_log=[],
        read_namespaced_pod=ended("p1", 0),
    )
    assert told == []


def test_a_job_that_somebody_deletes_ends_it_with_a_word() -> None:
    with pytest.raises(SettingsError, match="Job now in namespace ml is gone"):
        follow(read_namespaced_job=CallError(404, "no"))


def test_a_pod_that_somebody_deletes_is_told() -> None:
    code, _, told = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=CallError(404, "no"),
        read_namespaced_pod=CallError(404, "no"),
    )
    assert (code, told) == (1, ["pod p1 is gone"])


def test_an_api_that_is_away_for_a_moment_is_waited_for() -> None:
    code, *_ = follow(
        read_namespaced_job=after(CallError(0, "away"), CallError(503, "away"), JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=[],
        read_namespaced_pod=after(CallError(500, "away"), ended("p1", 0)),
    )
    assert code == 0


def test_a_refusal_is_not_asked_for_again() -> None:
    cluster: Any = FakeCluster(read_namespaced_job=refused("get"))
    with pytest.raises(SettingsError):
        Follower(cluster, "ml", "now", print, print, sleep=lambda _: None).run()
    assert len(cluster.asked) == 1


def test_an_api_that_stays_away_ends_it() -> None:
    with pytest.raises(UnreachableError):
        follow(read_namespaced_job=CallError(0, "away"))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"read_namespaced_job": refused("get")}, "may not get jobs.batch"),
        ({"read_namespaced_job": JOB, "list_namespaced_pod": refused("list")}, "may not list pods"),
        (
            {
                "read_namespaced_job": JOB,
                "list_namespaced_pod": {"items": [running("p1")]},
                "read_namespaced_pod_log": refused("get"),
            },
            "may not get pods/log",
        ),
    ],
)
def test_a_missing_right_is_named(answers: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        follow(**answers)
