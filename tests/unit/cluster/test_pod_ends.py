"""How pods ended, by what a real cluster said of them."""

from copy import deepcopy
from typing import Any

import pytest

from cleanup_job.cluster.pod_ends import job_cause, pod_end
from tests.unit.cluster.documents import recorded


def end_of(name: str, number: int = 0) -> tuple[str, str, int | None]:
    end = pod_end(recorded(name)["pods"][number])
    return end.cause.word if end.cause else "", end.cause.text if end.cause else "", end.exit_code


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("oom", ("OOMKilled", "out of memory (OOMKilled): its limit is 64Mi; raise resources.limits.memory", 137)),
        # Only a child process was killed, and the pass ended by itself because of it.
        ("oom-child", ("OOMKilled", "out of memory (OOMKilled): its limit is 64Mi; raise resources.limits.memory", 1)),
        (
            "storage",
            (
                "Evicted",
                (
                    "evicted: Pod ephemeral local storage usage exceeds the total limit of containers 20Mi; raise "
                    "resources.limits.ephemeral-storage"
                ),
                137,
            ),
        ),
        (
            "storage-ignored",  # it had time to end with SIGTERM's code
            (
                "Evicted",
                (
                    "evicted: Pod ephemeral local storage usage exceeds the total limit of containers 20Mi; raise "
                    "resources.limits.ephemeral-storage"
                ),
                143,
            ),
        ),
        ("api-evicted-counted", ("Evicted", "evicted through Kubernetes' API, as a drain of its node does", 143)),
        (
            "code137",
            (
                "Killed",
                (
                    "killed with SIGKILL (exit code 137), and not for its own memory: it did not end within the 5 s of "
                    "terminationGracePeriodSeconds after it was asked to, or its node or a person killed it"
                ),
                137,
            ),
        ),
        ("deadline-143", ("", "", 143)),  # only the Job knows why
        ("bad-image", ("", "", None)),
    ],
)
def test_what_ended_a_pod(name: str, expected: tuple[str, str, int | None]) -> None:
    assert end_of(name) == expected


def test_a_pod_that_is_being_evicted_has_not_ended() -> None:
    assert end_of("api-evicted") == ("", "", None)


def test_the_message_of_a_node_that_lost_the_container_is_not_the_passes() -> None:
    assert pod_end(recorded("storage")["pods"][0]).said == ""


def test_without_the_containers_end_the_pods_counts() -> None:
    assert pod_end(recorded("storage")["pods"][0]).finished == "2026-11-28T08:49:02Z"
    assert pod_end(recorded("oom")["pods"][0]).finished == "2026-11-28T08:48:46Z"


def changed(name: str, **status: Any) -> dict[str, Any]:
    pod: dict[str, Any] = deepcopy(recorded(name)["pods"][0])
    pod["status"] |= status
    return pod


def text_of(pod: dict[str, Any]) -> str:
    cause = pod_end(pod).cause
    return f"{cause.word} | {cause.text}" if cause else ""


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ",
            "; raise resources.requests.memory",
        ),
        ("The node was low on resource: ephemeral-storage.", "; raise resources.requests.ephemeral-storage"),
        ("The node was low on resource: pids.", "low on resource: pids"),
        ('Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". ', "; raise this volume's sizeLimit"),
        (
            'Container clearml-cleanup exceeded its local ephemeral storage limit "64Mi". ',
            "; raise resources.limits.ephemeral-storage",
        ),
        ("", "Evicted | evicted"),
    ],
)
def test_each_eviction_has_its_way_out(message: str, text: str) -> None:
    assert text_of(changed("storage", message=message)).endswith(text)


def test_out_of_memory_without_a_limit_is_the_nodes() -> None:
    pod = changed("oom")
    del pod["spec"]["containers"][0]["resources"]["limits"]
    assert text_of(pod).endswith("its node was full; raise resources.requests.memory")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("PreemptionByScheduler", "Evicted | evicted for a pod of higher priority"),
        ("TerminationByKubelet", "Evicted | evicted: Eviction API: evicting"),
    ],
)
def test_other_disruptions(reason: str, text: str) -> None:
    pod = changed("api-evicted-counted")
    condition = next(entry for entry in pod["status"]["conditions"] if entry["type"] == "DisruptionTarget")
    condition["reason"] = reason
    assert text_of(pod) == text
    condition["status"] = "False"
    assert text_of(pod) == ""


def test_other_reasons_are_given_as_they_are() -> None:
    pod = changed("code137", reason="Terminated", message="Pod was terminated in response to imminent node shutdown.")
    assert text_of(pod) == "Terminated | Terminated: Pod was terminated in response to imminent node shutdown"


def test_a_pass_that_ended_well_was_not_killed() -> None:
    pod = changed("oom")
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 0
    assert text_of(pod) == ""


def test_a_container_that_its_node_lost() -> None:
    pod = changed("storage", reason=None)
    assert text_of(pod) == "ContainerStatusUnknown | killed: its node lost it (ContainerStatusUnknown)"


def test_the_time_limit_of_a_job() -> None:
    cause = job_cause(recorded("deadline")["job"])
    assert cause is not None
    assert cause.word == "DeadlineExceeded"
    assert "time limit of 8 s" in cause.text
    assert job_cause(recorded("oom")["job"]) is None
    assert job_cause(recorded("bad-image")["job"]) is None
