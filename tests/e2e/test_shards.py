"""A pass in four pods on a real cluster: each task once, all of them, and an index that failed is tried again alone.

Also what becomes of the Lease that its pods share, and of a pass that loses it.
"""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.planning.sharding import Share
from clearml_sandbox.worlds.builder import World
from tests.e2e.release import CHART, Release, until

pytestmark = pytest.mark.e2e

SHARDS = 4
INDEX = "batch.kubernetes.io/job-completion-index"
MANY = 240
"""Enough for an index to be killed in mid-pass: a task a batch, on a slow server."""
DAYS = 3 * SHARDS
DEAD_PROXY = ("extraEnv[0].name=HTTPS_PROXY", "extraEnv[0].value=http://127.0.0.1:9")
"""Calls of Kubernetes go past it; the sandbox has no HTTPS."""


@pytest.fixture(scope="module")
def release(namespace: str) -> Release:
    made = Release(namespace)
    made.install("sandbox.enabled=true", "cleanup.forceDelete=true", "suspend=true", f"shards={SHARDS}", "cleanup.batchSize=1",
                 "cleanup.workers=1", "sandbox.latencyMs=20", *DEAD_PROXY)  # fmt: skip
    return made


@pytest.fixture
def goes(release: Release, tmp_path: Path) -> dict[str, datetime]:
    """The tasks that are to be deleted, with their ``last_update``."""
    return load(release, tmp_path, MANY)


def load(release: Release, tmp_path: Path, many: int) -> dict[str, datetime]:
    """So many tasks that are to be deleted: as many of each of so many days."""
    world = World(datetime.now(UTC))
    goes = [world.task(f"old {number}", days_old=60 + number % DAYS) for number in range(many)]
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
    assert [lease["name"] for lease in found["leases"]] == [release.name]
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


# -- the Lease
def started(release: Release, job: str, pods: int) -> dict[str, "subprocess.Popen[str]"]:
    """A new Job's pods, once all of them run, each with what follows its log."""
    release.start(job)

    def running() -> list[str] | None:
        names = [pod["metadata"]["name"] for pod in release.pods(job) if pod["status"]["phase"] == "Running"]
        return names if len(names) == pods else None

    return {pod: release.follow(pod) for pod in until(f"the pods of job {job}", running)}


def says(follower: "subprocess.Popen[str]", words: str) -> dict[str, Any]:
    """The next line of a log with these words in it."""
    assert follower.stdout
    others = []
    for line in follower.stdout:
        if words in line:
            found: dict[str, Any] = json.loads(line)
            return found
        others.append(line)
    return pytest.fail(f"the log ended without {words}: {''.join(others)}")


def rest_of(follower: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    """The lines up to the end of a log."""
    return [json.loads(line) for line in follower.communicate()[0].splitlines()]


def test_an_upgrade_in_mid_pass_never_lets_two_passes_work_whatever_the_shards(release: Release, tmp_path: Path) -> None:
    load(release, tmp_path, 4 * MANY)
    before: dict[str, subprocess.Popen[str]] = {}
    last = ""
    for number, shards in enumerate((3, 2, 1, 2)):
        release.helm("upgrade", release.name, str(CHART), "--reuse-values", "--set", f"shards={shards}")
        job = f"upgrade-{number}-to-{shards}"
        pods = started(release, job, shards)
        if before:
            assert all(last in says(pod, "waiting up to")["message"] for pod in pods.values())
            release.kubectl("delete", "job", last, "--wait=false")  # SIGTERM: its pods end after the batch in progress
            logs = [rest_of(pod) for pod in before.values()]
            assert {log[-1]["stopped_by"] for log in logs} == {"SIGTERM"}, "all were at work"
            begins = [says(pod, '"pass_started"')["time"] for pod in pods.values()]
            assert max(line["time"] for log in logs for line in log if "verdict" in line) <= min(begins)
        for pod in pods.values():
            says(pod, '"deleted"')
        before, last = pods, job
    release.kubectl("delete", "job", last)
    assert all(rest_of(pod) for pod in before.values())
    lease = release.get("lease", release.name)
    assert not lease["spec"].get("holderIdentity")
    assert not [key for key in lease["metadata"].get("annotations", {}) if key.startswith("clearml-cleanup/")]


def test_a_pass_that_loses_its_right_or_its_lease_ends_with_6_and_makes_the_lease_again_if_it_may(
    release: Release, tmp_path: Path
) -> None:
    """Two releases at a time, because each needs up to 20 seconds to notice."""
    load(release, tmp_path, 4 * MANY)
    makes = Release(release.namespace, "another-clearml-cleanup")
    server = f"http://{release.name}-sandbox"
    keys = ("clearml.accessKey=sandbox-key", "clearml.secretKey=sandbox-secret")
    addresses = (f"clearml.apiHost={server}:8008", f"clearml.filesHost={server}:8081")
    makes.install("lease.create=true", "dryRunFirst=false", "cleanup.forceDelete=true", "suspend=true",
                  "cleanup.batchSize=1", "cleanup.workers=1", *addresses, *keys)  # fmt: skip
    assert not makes.kubectl("get", "leases", makes.name, "--ignore-not-found")
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": makes.name}}
    makes.kubectl("create", "--filename=-", text=json.dumps(lease))  # so that the pass begins at once
    followers = started(release, "loses-its-right", 2) | started(makes, "loses-its-lease", 1)
    for pod in followers.values():
        says(pod, '"event": "task"')  # of the two releases, one may find what the other has deleted already
    release.kubectl("delete", "rolebinding", release.name)
    makes.kubectl("delete", "lease", makes.name)
    for name, follower in followers.items():
        end = rest_of(follower)[-1]
        assert (end["event"], end["exit_code"], end["stopped_by"]) == ("pass_finished", 6, "lease"), name
        assert ("was deleted" if "loses-its-lease" in name else "was taken away") in end["error"]

    def again() -> str | None:
        running = [pod for pod in makes.pods("loses-its-lease") if pod["metadata"]["name"] not in followers]
        return running[0]["metadata"]["name"] if running and running[0]["status"]["phase"] == "Running" else None

    pod = until("a pod that tries again", again)
    log = makes.follow(pod)
    assert "so it was created; this pass begins in" in says(log, "there was no Lease")["message"]
    metadata = makes.get("lease", makes.name)["metadata"]
    assert metadata["ownerReferences"][0]["uid"] == makes.get("cronjob", makes.name)["metadata"]["uid"]
    makes.helm("upgrade", makes.name, str(CHART), "--reuse-values", "--set", "lease.create=false")
    assert makes.get("lease", makes.name)["metadata"]["uid"] == metadata["uid"], "Helm adopts it"
    makes.kubectl("delete", "job", "loses-its-lease", "--wait=false")
    rest_of(log)
