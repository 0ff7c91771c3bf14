"""A pass in four pods on a real cluster: each task once, all of them, and an index that failed is tried again alone."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cleanup_job.planning.sharding import Share
from clearml_sandbox.worlds.builder import World
from tests.e2e.release import Release, until

pytestmark = pytest.mark.e2e

SHARDS = 4
INDEX = "batch.kubernetes.io/job-completion-index"
MANY = 240
"""Enough for an index to be killed in mid-pass: a task a batch, on a slow server."""
DAYS = 3 * SHARDS


@pytest.fixture(scope="module")
def release(namespace: str) -> Release:
    made = Release(namespace)
    made.install("sandbox.enabled=true", "cleanup.forceDelete=true", "suspend=true", f"shards={SHARDS}", "cleanup.batchSize=1",
                 "cleanup.workers=1", "sandbox.latencyMs=20")  # fmt: skip
    return made


@pytest.fixture
def goes(release: Release, tmp_path: Path) -> dict[str, datetime]:
    """The tasks that are to be deleted, with their ``last_update``: as many of each of so many days."""
    world = World(datetime.now(UTC))
    goes = [world.task(f"old {number}", days_old=60 + number % DAYS) for number in range(MANY)]
    for task in goes:
        task.artifact("data")
    world.task("recent", days_old=5)
    release.load(world.as_dict(), tmp_path)
    return {task.id: datetime.fromisoformat(task.document["last_update"]) for task in goes}


def names_by_index(release: Release, job: str) -> dict[str, str]:
    return {pod["metadata"]["labels"][INDEX]: pod["metadata"]["name"] for pod in release.pods(job)}


def deleted(release: Release, job: str) -> dict[str, list[str]]:
    """The tasks that each index's log says it deleted."""
    found: dict[str, list[str]] = {}
    for pod in release.pods(job):
        index = pod["metadata"]["labels"][INDEX]
        lines = map(json.loads, release.kubectl("logs", pod["metadata"]["name"]).splitlines())
        found.setdefault(index, []).extend(line["task"] for line in lines if line.get("verdict") == "deleted")
    return found


def test_each_task_goes_once_and_all_of_them_go(release: Release, goes: dict[str, datetime]) -> None:
    done = release.cli("trigger", "--name", "four", "--follow")
    assert done.returncode == 0, done.stderr
    assert release.ended("four") == "Complete"
    by_index = deleted(release, "four")
    assert sorted(task for tasks in by_index.values() for task in tasks) == sorted(goes)
    for index, tasks in by_index.items():
        assert len(tasks) == MANY / SHARDS
        assert all(Share(int(index), SHARDS).owns(goes[task]) for task in tasks)
    assert len(release.tasks()) == 1
    assert done.stdout.count('"event": "pass_finished"') == SHARDS, "the log of every index is followed"


def test_status_sums_the_shards_up(release: Release, goes: dict[str, datetime]) -> None:
    job = release.start("for-the-sum")
    assert release.ended(job) == "Complete"
    found = json.loads(release.cli("status", "--output", "json", check=True).stdout)
    (entry,) = [one for one in found["passes"] if one["job"] == job]
    assert (entry["exit_code"], entry["summary"]["deleted"]) == (0, MANY)
    assert [one["shard"] for one in entry["shards"]] == list(range(SHARDS))
    assert sum(one["summary"]["deleted"] for one in entry["shards"]) == MANY
    assert [lease["name"] for lease in found["leases"]] == [f"{release.name}-{shard}" for shard in range(SHARDS)]
    words = re.sub(r"\W+", " ", release.cli("status", check=True).stdout)  # the table breaks lines
    assert f"{SHARDS} of {SHARDS} shards ended" in words


def test_an_index_that_failed_is_tried_again_alone(release: Release, goes: dict[str, datetime]) -> None:
    job = release.start("killed")

    def running() -> str | None:
        found = [
            pod["metadata"]["name"]
            for pod in release.pods(job)
            if pod["metadata"]["labels"][INDEX] == "2" and pod["status"]["phase"] == "Running"
        ]
        return found[0] if found else None

    pod = until("the pod of index 2", running)
    until("its first deletion", lambda: True if '"deleted"' in release.kubectl("logs", pod) else None)
    others = {name for index, name in names_by_index(release, job).items() if index != "2"}
    release.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
    assert release.ended(job) == "Complete"
    after = names_by_index(release, job)
    assert after.pop("2") != pod
    assert set(after.values()) == others, "the other indexes went on undisturbed"
    assert not goes.keys() & release.tasks()
