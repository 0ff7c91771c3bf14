"""Whether the holder of a Lease still lives."""

from typing import Any

import pytest

from cleanup_job.cluster.lease_holders import ended_holders
from cleanup_job.cluster.lease_status import LeaseStatus
from tests.unit.cluster.documents import recorded

CRONJOB = {"metadata": {"name": "nightly"}}
FOUND = [recorded(name) for name in ("oom", "api-evicted", "code137")]
JOBS: Any = [found["job"] for found in FOUND]
PODS: Any = {found["job"]["metadata"]["name"]: found["pods"] for found in FOUND}


def ended(holder: str, namespace: str = "ml", jobs: Any = JOBS, pods: Any = PODS) -> bool:
    lease = LeaseStatus("nightly", namespace, "held", holder)
    return ended_holders([lease], CRONJOB, "ml", jobs, pods) == [holder]


@pytest.mark.parametrize(
    ("holder", "expected"),
    [
        ("oom-4qd75_1_0a1b2c3d", True),
        ("api-evicted-4wp86_1_0a1b2c3d", False),
        ("nightly-29731320-abcde_1_0a1b2c3d", True),  # deleted
        ("oom_4-shards_0a1b", True),  # named after its Job
        ("api-evicted_4-shards_0a1b", False),
        ("laptop_4711_0a1b2c3d", False),
    ],
)
def test_a_holder_lives_as_long_as_its_pod_or_job(holder: str, expected: bool) -> None:
    assert ended(holder) is expected


def test_what_cannot_be_read_is_not_called_dead() -> None:
    holder = "nightly-29731320-abcde_1_0a1b2c3d"
    assert not ended(holder, jobs=None)
    assert not ended(holder, pods=None)
    assert not ended(holder, namespace="elsewhere")
    assert ended(holder, jobs=[], pods={})


def test_a_shards_host_name_is_not_its_pods() -> None:
    pod = recorded("api-evicted")["pods"][1]
    pod["spec"]["hostname"] = "nightly-1-0"
    assert not ended("nightly-1-0_1_0a1b", pods={"api-evicted": [pod]})
    assert ended("nightly-1-1_1_0a1b", pods={"api-evicted": [pod]})
