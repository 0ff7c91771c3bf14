"""Passes that Kubernetes ends or never begins, on a real cluster: what `status` says, and what the next pass tells."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cleanup_job.cluster.cronjob import container_of, job_from
from tests.e2e.release import Release, until

pytestmark = pytest.mark.e2e

FILLS_MEMORY = "a = b'x' * 10\nwhile True: a += a"
FILLS_DISK = "import os, time\nfor _ in range(40): print(os.urandom(1 << 19).hex(), flush=True)\ntime.sleep(600)"
"""Its log: the pod has no other place to write to."""
LIMITS = {"memory": "128Mi", "ephemeral-storage": "16Mi"}
SLEEPS = "import time\ntime.sleep(600)"


@pytest.fixture(scope="module")
def release(namespace: str) -> Release:
    made = Release(namespace)
    made.install("sandbox.enabled=true", "suspend=true")
    return made


def start(release: Release, name: str, script: str, **spec: Any) -> None:
    """A Job of the release whose pod runs something else than a pass."""
    job = job_from(release.get("cronjob", release.name), name, [])
    job["spec"] |= {"backoffLimit": 0} | spec
    resources = {"requests": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "1Mi"}, "limits": LIMITS}
    container_of(job["spec"]["template"]).update(command=["python3", "-c", script], args=[], resources=resources)
    job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
    release.kubectl("create", "--filename", "-", text=json.dumps(job))


@pytest.fixture(scope="module")
def killed(release: Release) -> Release:
    """Three passes that could say nothing themselves: the pods of two are still there."""
    start(release, "disk", FILLS_DISK)
    start(release, "memory", FILLS_MEMORY)
    start(release, "limit", SLEEPS, activeDeadlineSeconds=3)
    assert [release.ended(name) for name in ("memory", "limit", "disk")] == ["Failed"] * 3
    return release


@pytest.fixture
def quota(release: Release) -> Iterator[None]:
    release.kubectl("create", "quota", "none", "--hard=pods=0")
    until("the quota", lambda: release.get("quota", "none").get("status", {}).get("hard"))
    yield
    release.kubectl("delete", "quota", "none")


def lines(release: Release) -> dict[str, str]:
    """What `status` says of each pass, by its Job."""
    text = release.cli("status", check=True).stdout
    assert max(map(len, text.splitlines())) <= 80
    found: dict[str, str] = {}
    for line in text.partition("Last passes\n")[2].splitlines():
        if not line.startswith(" "):
            name = line.split("  ")[1]
        found[name] = f"{found.get(name, '')} {line.strip()}"
    return found


def test_status_says_what_ended_a_pass_and_the_way_out(killed: Release) -> None:
    said = lines(killed)
    assert "out of memory (OOMKilled): its limit is 128Mi; raise resources.limits.memory" in said["memory"]
    assert re.search(r"evicted: .*; raise resources\.limits\.ephemeral-storage", said["disk"])
    assert "ended by the Job's time limit of 3 s (DeadlineExceeded)" in said["limit"]
    passes = json.loads(killed.cli("status", "--output", "json", check=True).stdout)["passes"]
    assert {entry["job"]: entry["cause"] for entry in passes} == {
        "memory": "OOMKilled",
        "disk": "Evicted",
        "limit": "DeadlineExceeded",
    }


def test_the_next_pass_tells_of_each_once(killed: Release) -> None:
    for job in ("next", "the-one-after"):
        killed.start(job)
        assert killed.ended(job) == "Complete"
    told = [event["message"] for event in killed.events() if event["reason"] == "PassKilled"]
    assert len(told) == 3, "also after the second pass"
    for words in ("OOMKilled", "was evicted: ", "DeadlineExceeded"):
        assert sum(words in text for text in told) == 1
    log = [json.loads(line) for line in killed.log("next").splitlines()]
    assert len([line for line in log if line["event"] == "warning" and "a pass before" in line["message"]]) == 3
    assert "a pass before" not in killed.log("the-one-after")


def test_a_pod_that_a_quota_refuses_is_explained(release: Release, quota: None) -> None:
    release.start("refused")

    def refusal() -> str | None:
        said = lines(release).get("refused", "")
        return said if "exceeded quota: none" in said else None

    assert "waiting for its pod to start; Job refused has no pod" in until("the refusal", refusal)
    release.kubectl("delete", "job", "refused")
