"""Why a Job has no pod, or its pod does not start, by what a real cluster said."""

import pytest

from cleanup_job.cluster import obstacles
from tests.unit.cluster.documents import recorded


def of_job(name: str) -> list[str]:
    found = recorded(name)
    return [entry.text for entry in obstacles.of_job(found["job"], name, found["events"])]


def test_a_quota_is_named_once() -> None:
    assert of_job("quota") == [
        (
            "Job quota has no pod: exceeded quota: small, requested: limits.memory=64Mi, used: limits.memory=0, "
            "limited: limits.memory=16Mi"
        )
    ]


def test_a_limit_range_is_named_for_what_it_is() -> None:
    assert of_job("limit") == [
        "Job limit has no pod: maximum memory usage per Container is 32Mi, but limit is 64Mi (a LimitRange of the namespace)"
    ]


def test_a_suspended_job_has_none() -> None:
    assert of_job("suspended") == ["Job suspended is suspended (spec.suspend) and starts no pod"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("unschedulable", "pod unschedulable-… can't be scheduled: 0/1 nodes are available: 1 node(s) didn't match Pod's node"),
        ("bad-image", "pod bad-image-… does not start: its image localhost/none:0 can't be pulled: "),
    ],
)
def test_what_a_pod_waits_for(name: str, text: str) -> None:
    (pod,) = recorded(name)["pods"]
    (found,) = obstacles.of_pod(pod, name)
    assert found.text.startswith(text)


def test_a_running_pod_waits_for_nothing() -> None:
    assert obstacles.of_pod(recorded("api-evicted")["pods"][1], "api-evicted") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('pods "nightly-1-abc12" is forbidden', 'pods "nightly-1-…" is forbidden'),
        ("nightly-1-3-abc12", "nightly-1-3-…"),  # a shard's
        ("nightly-1-abc123 and my-nightly-1x-abc12", "nightly-1-abc123 and my-nightly-1x-abc12"),
    ],
)
def test_random_ends_are_left_out(text: str, expected: str) -> None:
    assert obstacles.without_random(text, "nightly-1") == expected


def test_the_same_cause_with_other_numbers_is_one() -> None:
    found = [
        obstacles.of_warnings({"metadata": {"name": "a-bcdef"}}, "a", [{"reason": "R", "message": f"used {n}"}])
        for n in (1, 22)
    ]
    assert [entry.text for entry in obstacles.unique([*found[0], *found[1]])] == ["pod a-…: R: used 1"]
