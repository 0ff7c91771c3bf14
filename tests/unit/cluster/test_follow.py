"""Following the log of a Job until it has ended."""

import re
from copy import deepcopy
from typing import Any

import pytest

from cleanup_job.cluster.connection import CallError
from cleanup_job.cluster.follow import Follower
from cleanup_job.errors import SettingsError, UnreachableError
from tests.unit.cluster.documents import recorded
from tests.unit.cluster.kubernetes_fake import FakeCluster, refused

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
        "spec": {"containers": [{"name": "clearml-cleanup"}]},
        "status": {"phase": "Running", "containerStatuses": statuses} | status,
    }


def running(name: str) -> dict[str, Any]:
    return pod(name, {"running": {}})


def ended(name: str, code: int) -> dict[str, Any]:
    return pod(name, {"terminated": {"exitCode": code}}, phase="Failed" if code else "Succeeded")


def after(*answers: Any) -> Any:
    """One answer after the other, and then the last one again."""
    left = list(answers)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


def log(*lines: Any, second: int = 0) -> list[Any]:
    """Lines as Kubernetes gives them with their times, a second apart; an error stands for a broken stream."""
    times = (f"2026-11-23T00:00:{number:02}.000000000Z" for number in range(second, 60))
    return [line if isinstance(line, Exception) else f"{time} {line}" for time, line in zip(times, lines, strict=False)]


CUT = CallError(0, "cut")


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
        read_namespaced_pod_log=log("one", '{"two": [1,  2]}', "", " three "),
        read_namespaced_pod=ended("p1", 0),
    )
    assert (code, written, told) == (0, ["one", '{"two": [1,  2]}', "", " three "], [])


def test_a_stream_that_is_cut_goes_on_where_it_was() -> None:
    code, written, _ = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=after(log("one", "two", CUT), log("one", CUT), log("one", "two"), log("one", "two", "three")),
        read_namespaced_pod=after(running("p1"), running("p1"), running("p1"), ended("p1", 3)),
    )
    assert (code, written) == (3, ["one", "two", "three"])


def test_what_was_written_while_the_stream_was_cut_is_read_after_the_pass_has_ended() -> None:
    code, written, told = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=after(log("one", CUT), CUT, log("one", "the report")),
        read_namespaced_pod=ended("p1", 0),
    )
    assert (code, written, told) == (0, ["one", "the report"], [])


def test_an_end_that_cannot_be_read_is_told() -> None:
    code, written, told = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=log("one", CUT),
        read_namespaced_pod=ended("p1", 3),
    )
    assert (code, written, told) == (3, ["one"], ["the end of the log of pod p1 could not be read"])


def test_a_log_that_was_rotated_meanwhile_goes_on_with_what_is_left_of_it() -> None:
    _, written, _ = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=after(log("one", "two", "three", CUT), log("three", "four", second=2)),
        read_namespaced_pod=after(running("p1"), ended("p1", 0)),
    )
    assert written == ["one", "two", "three", "four"]


def test_lines_of_the_same_moment_are_told_apart() -> None:
    same = "2026-11-23T00:00:00.1Z "
    _, written, _ = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=after([same + "a", same + "a", CUT], [same + "a", CUT], [same + "a"] * 3 + [same + "b"]),
        read_namespaced_pod=after(running("p1"), running("p1"), ended("p1", 0)),
    )
    assert written == ["a", "a", "a", "b"]


def test_a_clock_that_is_set_back_hides_nothing() -> None:
    _, written, _ = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=[*log("one", second=30), *log("two", second=10)],
        read_namespaced_pod=ended("p1", 0),
    )
    assert written == ["one", "two"]


def test_what_the_node_says_in_place_of_a_log_is_no_line_of_it() -> None:
    words = "unable to retrieve container logs for containerd://abc"
    code, written, told = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=[words],
        read_namespaced_pod=after(running("p1"), ended("p1", 3)),
    )
    assert (code, written, told) == (3, [], [words])


def test_a_log_that_is_refused_does_not_hide_how_the_pass_ended() -> None:
    code, _, told = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=CallError(400, "container is terminated"),
        read_namespaced_pod=ended("p1", 3),
    )
    assert (code, told) == (3, ["the log of pod p1 can't be read: container is terminated"])


def test_a_retry_is_followed_too() -> None:
    code, written, told = follow(
        read_namespaced_job=after(JOB, JOB, JOB, COMPLETE),
        list_namespaced_pod=after(
            {"items": [running("p1")]}, {"items": [running("p1")]}, {"items": [running("p1"), running("p2")]}
        ),
        read_namespaced_pod_log=after(log("first"), log("second")),
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


@pytest.mark.parametrize(("name", "words"), [("quota", "exceeded quota: small"), ("limit", "(a LimitRange of the namespace)")])
def test_a_refusal_is_said_once_and_not_for_each_name_that_a_pod_would_have_had(name: str, words: str) -> None:
    found = recorded(name)
    assert len({event["message"] for event in found["events"]}) > 5
    job = found["job"]
    cluster: Any = FakeCluster(
        read_namespaced_job=after(job, job, job | {"status": FAILED["status"]}),
        list_namespaced_pod={"items": []},
        list_namespaced_event={"items": found["events"]},
    )
    told: list[str] = []
    assert Follower(cluster, "ml", name, print, told.append, sleep=lambda _: None).run() == 1
    assert len(told) == 2, "the refusal and the Job's end"
    assert words in told[0]
    assert not re.search(rf"{name}-[a-z0-9]{{5}}", told[0])


def test_an_image_that_cannot_be_pulled_is_said_once_whatever_it_is_called() -> None:
    found = recorded("bad-image")
    (pulling,) = found["pods"]
    again = deepcopy(pulling)
    again["metadata"]["name"] = "bad-image-zzzzz"
    again["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = "ErrImagePull"
    cluster: Any = FakeCluster(
        read_namespaced_job=after(found["job"], found["job"], found["job"] | {"status": FAILED["status"]}),
        list_namespaced_pod=after({"items": [pulling]}, {"items": [again]}),
    )
    told: list[str] = []
    Follower(cluster, "ml", "bad-image", print, told.append, sleep=lambda _: None).run()
    assert len(told) == 2
    assert told[0].startswith("pod bad-image-… does not start: its image localhost/none:0 can't be pulled: ImagePullBackOff: ")


def test_what_killed_the_pod_is_said() -> None:
    found = recorded("oom")
    cluster: Any = FakeCluster(
        read_namespaced_job=found["job"],
        list_namespaced_pod={"items": found["pods"][:1]},
        read_namespaced_pod=found["pods"][0],
        read_namespaced_pod_log=log("one"),
    )
    told: list[str] = []
    assert Follower(cluster, "ml", "oom", lambda _: None, told.append, sleep=lambda _: None).run() == 137
    assert told[0] == "pod oom-bqv4v was out of memory (OOMKilled): its limit is 64Mi; raise resources.limits.memory"


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
            "pod p1 does not start: its image None can't be pulled: ImagePullBackOff: no such image",
        ),
        (
            {
                "metadata": {"name": "p1", "creationTimestamp": "1"},
                "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]},
            },
            "pod p1 can't be scheduled: 0/1 nodes",
        ),
        (
            {
                "metadata": {"name": "p1", "creationTimestamp": "1"},
                "status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            },
            "pod p1 failed before it started: Evicted: The node was low on memory.",
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
    assert starting_for(2) == []


def test_a_long_start_is_told_once() -> None:
    assert starting_for(50) == ["still waiting for pod p1 to start"]


def test_what_only_events_tell_of_a_pod_is_said() -> None:
    event = {"reason": "FailedMount", "message": 'secret "conf" not found'}
    assert starting_for(5, event) == ['pod p1: FailedMount: secret "conf" not found']


def starting_for(seconds: int, *events: dict[str, Any]) -> list[str]:
    """What is said of a pod whose container takes so long to start."""
    starting = pod("p1", {"waiting": {"reason": "ContainerCreating"}}, phase="Pending")
    _, _, told = follow(
        read_namespaced_job=after(*[JOB] * (seconds + 1), COMPLETE),
        list_namespaced_pod=after(*[{"items": [starting]}] * seconds, {"items": [running("p1")]}),
        list_namespaced_event={"items": list(events)},
        read_namespaced_pod_log=[],
        read_namespaced_pod=ended("p1", 0),
    )
    return told


def test_a_suspended_job_has_no_pod() -> None:
    suspended = {**JOB, "spec": {**JOB["spec"], "suspend": True}}
    _, _, told = follow(
        read_namespaced_job=after(suspended, COMPLETE), list_namespaced_pod={"items": []}, list_namespaced_event={"items": []}
    )
    assert told == ["Job now is suspended (spec.suspend) and starts no pod"]


def test_a_job_that_somebody_deletes_ends_it_with_a_word() -> None:
    with pytest.raises(SettingsError, match="Job now in namespace ml was deleted"):
        follow(read_namespaced_job=CallError(404, "no"))


def test_a_pod_that_somebody_deletes_is_told() -> None:
    code, _, told = follow(
        read_namespaced_job=after(JOB, COMPLETE),
        list_namespaced_pod={"items": [running("p1")]},
        read_namespaced_pod_log=CallError(404, "no"),
        read_namespaced_pod=CallError(404, "no"),
    )
    assert (code, told) == (1, ["pod p1 was deleted"])


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
