"""The life of a release: what users type, on a real cluster, and what it does to a ClearML Server."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clearml_sandbox.worlds.builder import World
from tests.e2e.release import CHART, Release, command, until

pytestmark = pytest.mark.e2e

MANY = 250
"""Tasks of a pass that lasts long enough to be disturbed: one a batch, one batch at a time, on a slow server."""
SLOW = ("cleanup.batchSize=1", "cleanup.workers=1", "sandbox.latencyMs=20")


@pytest.fixture(scope="module")
def release(namespace: str) -> Release:
    made = Release(namespace)
    made.install("sandbox.enabled=true", "cleanup.forceDelete=true", "suspend=true", *SLOW)
    return made


@pytest.fixture
def goes(release: Release, tmp_path: Path) -> set[str]:
    """A world of six tasks; gives the ids of those that are archived and old."""
    return few(release, tmp_path)


def few(release: Release, path: Path) -> set[str]:
    world = World(datetime.now(UTC))
    goes = [world.task(f"old {number}", days_old=60) for number in range(3)]
    for task in goes:
        task.artifact("data")
        task.model("weights")
        task.debug_images(3)
    stays = [
        world.task("recent", days_old=5),
        world.task("alive", days_old=400, archived=False),
        world.task("half", days_old=29.5),
    ]
    for task in stays:
        task.artifact("data")
        task.model("weights")
    release.load(world.as_dict(), path)
    return {task.id for task in goes}


@pytest.fixture
def long_pass(release: Release, tmp_path: Path) -> set[str]:
    """A world that takes a pass a while; gives the one task that stays."""
    world = World(datetime.now(UTC))
    for number in range(MANY):
        world.task(f"old {number}", days_old=60).artifact("data")
    stays = world.task("recent", days_old=5)
    release.load(world.as_dict(), tmp_path)
    return {stays.id}


def in_mid_pass(release: Release) -> None:
    """Wait until some of the tasks are gone."""
    until("the first deletions", lambda: True if 1 < len(release.tasks()) < MANY else None)


def files_of(state: dict[str, Any], tasks: set[str]) -> list[str]:
    return [path for path in state["files"] if any(task in path for task in tasks)]


def deleted_these_and_nothing_else(before: dict[str, Any], after: dict[str, Any], goes: set[str]) -> None:
    assert set(after["tasks"]) == set(before["tasks"]) - goes
    assert sorted(after["files"]) == sorted(set(before["files"]) - set(files_of(before, goes)))
    assert not files_of(after, goes)
    assert len(after["models"]) == len(before["models"]) - len(goes)


def test_the_schedule_starts_a_pass(release: Release, goes: set[str]) -> None:
    before = release.state()
    release.kubectl("patch", "cronjob", release.name, "--patch", '{"spec": {"schedule": "* * * * *", "suspend": false}}')
    try:
        until("a scheduled pass", lambda: None if goes & release.tasks() else True)
    finally:
        release.kubectl("patch", "cronjob", release.name, "--patch", '{"spec": {"schedule": "0 3 * * *", "suspend": true}}')
    scheduled = [job["metadata"]["name"] for job in release.get("jobs")["items"]]
    assert [release.ended(name) for name in scheduled] == ["Complete"] * len(scheduled)
    deleted_these_and_nothing_else(before, release.state(), goes)


def test_a_manual_pass_by_kubectl(release: Release, goes: set[str]) -> None:
    before = release.state()
    job = release.start("by-kubectl")
    assert release.ended(job) == "Complete"
    deleted_these_and_nothing_else(before, release.state(), goes)
    assert (release.summary(job)["deleted"], release.summary(job)["exit_code"]) == (3, 0)


def test_the_story_is_on_the_cronjob(release: Release, goes: set[str]) -> None:
    assert goes
    job = release.start("for-the-story")
    release.ended(job)
    pod = release.pods(job)[0]["metadata"]["name"]
    event = until("its event", lambda: next((entry for entry in release.events() if pod in entry["message"]), None))
    assert event["type"] == "Normal"
    assert "Deleted 3 tasks, 3 models" in event["message"]
    described = release.kubectl("describe", "cronjob", release.name)
    assert event["reason"] in described
    assert "Deleted 3 tasks" in described


def test_the_notes_dry_run_and_report_lines_work_as_they_stand(release: Release, goes: set[str]) -> None:
    notes = release.helm("get", "notes", release.name).stdout
    dry_run = section(notes, "See what a pass would delete")
    create, _, follow = dry_run.rpartition("kubectl logs")
    before = release.state()
    command("bash", "-euo", "pipefail", "-c", create)
    assert release.ended(f"{release.name}-dry-run") == "Complete"
    assert all(task in command("bash", "-euo", "pipefail", "-c", f"kubectl logs{follow}").stdout for task in goes)
    assert release.state() == before
    command("bash", "-euo", "pipefail", "-c", section(notes, "Run a pass now:"))
    assert release.ended(f"{release.name}-manual") == "Complete"
    report = command("bash", "-euo", "pipefail", "-c", section(notes, "Read the last report")).stdout
    assert json.loads(report.splitlines()[-1])["deleted"] == 3
    assert not goes & release.tasks()


def section(notes: str, title: str) -> str:
    """The indented lines below a title of the notes."""
    found = re.search(rf"^{re.escape(title)}.*\n((?:  .*\n?)+)", notes, re.MULTILINE)
    assert found, notes
    return found[1]


def test_trigger_with_a_dry_run_deletes_nothing(release: Release, goes: set[str]) -> None:
    before = release.state()
    done = release.cli("trigger", "--dry-run", "--follow")
    assert done.returncode == 0, done.stderr
    assert all(task in done.stdout for task in goes)
    assert release.state() == before


def test_trigger_with_overrides_and_the_exit_code_of_the_pass(release: Release, goes: set[str]) -> None:
    assert release.cli("trigger", "--set", "maxTasks=1", "--follow").returncode == 0
    assert len(goes & release.tasks()) == 2
    refused = release.cli("trigger", "--set", "refuse_above=1", "--follow")
    assert refused.returncode == 2
    assert "CLEANUP_REFUSE_ABOVE" in refused.stdout + refused.stderr
    assert len(goes & release.tasks()) == 2


def test_trigger_makes_the_job_that_kubectl_would_make(release: Release) -> None:
    release.cli("trigger", "--name", "by-trigger", "--dry-run", check=True)
    release.start("by-create-job")
    ours, theirs = (release.get("job", name) for name in ("by-trigger", "by-create-job"))
    for job in (ours, theirs):
        for name in ("name", "uid", "creationTimestamp", "resourceVersion", "managedFields"):
            job["metadata"].pop(name, None)
        for place in (job["metadata"], job["spec"]["template"]["metadata"]):
            for label in [label for label in place["labels"] if label.endswith(("job-name", "controller-uid"))]:
                del place["labels"][label]
        del job["spec"]["selector"]
    container = ours["spec"]["template"]["spec"]["containers"][0]
    assert container.pop("args") == ["--dry-run"]
    assert ours["metadata"] == theirs["metadata"]
    assert ours["spec"] == theirs["spec"]
    assert [release.ended(name) for name in ("by-trigger", "by-create-job")] == ["Complete", "Complete"]


def test_status_tells_schedule_and_results(release: Release, goes: set[str]) -> None:
    assert goes
    job = release.start("for-status")
    release.ended(job)
    text = release.cli("status", check=True).stdout
    assert "0 3 * * *" in text
    assert "suspended" in text
    assert job in text
    found = json.loads(release.cli("status", "--output", "json", check=True).stdout)
    assert job in json.dumps(found)


def test_two_at_once_one_waits(release: Release, long_pass: set[str]) -> None:
    first = release.start("first")
    in_mid_pass(release)
    holder = release.pods(first)[0]["metadata"]["name"]
    second = release.start("second")
    release.running_pod(second)
    until("its word that it waits", lambda: True if holder in release.log(second) else None)
    hasty = release.cli("trigger", "--set", "leaseWaitSeconds=0", "--name", "hasty", "--follow")
    assert release.get("job", first).get("status", {}).get("active") == 1, "the first pass ended too early for this test"
    assert hasty.returncode == 5
    assert len(release.pods("hasty")) == 1, "it was retried"
    assert holder in hasty.stdout + hasty.stderr
    assert [release.ended(first), release.ended(second)] == ["Complete", "Complete"]
    assert release.tasks() == long_pass
    assert (release.summary(first)["deleted"], release.summary(second)["deleted"]) == (MANY, 0)


def test_killed_in_mid_pass_the_retry_converges(release: Release, long_pass: set[str]) -> None:
    job = release.start("killed")
    in_mid_pass(release)
    pod = release.pods(job)[0]["metadata"]["name"]
    release.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
    assert release.ended(job) == "Complete"
    state = release.state()
    assert set(state["tasks"]) == long_pass
    assert state["files"] == files_of(state, long_pass)


def test_evicted_it_ends_its_batches_and_does_not_count(release: Release, long_pass: set[str]) -> None:
    job = release.start("evicted")
    in_mid_pass(release)
    pod = release.pods(job)[0]["metadata"]["name"]
    with release.follow(pod) as follower:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": release.namespace}}
        path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}/eviction"
        release.kubectl("create", "--raw", path, "--filename", "-", text=json.dumps(eviction))
        said = follower.communicate(timeout=300)[0]
    last = json.loads(said.splitlines()[-1])
    assert (last["exit_code"], last["stopped_by"]) == (143, "SIGTERM")
    assert 0 < last["deleted"] < MANY
    assert release.ended(job) == "Complete"
    assert not release.get("job", job)["status"].get("failed"), "an eviction was counted as a failure"
    assert release.tasks() == long_pass


@pytest.fixture
def wrong(release: Release) -> Iterator[Release]:
    """Another release, whose credentials are wrong."""
    made = Release(release.namespace, "wrong-clearml-cleanup")
    made.install(
        f"clearml.apiHost=http://{release.name}-sandbox:8008",
        f"clearml.filesHost=http://{release.name}-sandbox:8081",
        "clearml.accessKey=wrong",
        "clearml.secretKey=wrong",
        "suspend=true",
    )
    yield made
    made.helm("uninstall", made.name, "--wait")


def test_wrong_credentials_fail_once_with_a_clear_message(wrong: Release) -> None:
    job = wrong.start("wrong")
    assert wrong.ended(job) == "Failed"
    assert len(wrong.pods(job)) == 1, "it was retried"
    conditions = wrong.get("job", job)["status"]["conditions"]
    assert "PodFailurePolicy" in {entry["reason"] for entry in conditions if entry["type"] in {"Failed", "FailureTarget"}}
    assert "CLEARML_API_ACCESS_KEY" in wrong.log(job)
    event = until("its event", lambda: next(iter(wrong.events()), None))
    assert event["type"] == "Warning"
    assert "CLEARML_API_ACCESS_KEY" in event["message"]
    done = wrong.helm("test", wrong.name, "--logs", check=False)
    assert done.returncode
    wrong.kubectl("delete", "pod", f"{wrong.name}-test")


def test_an_upgrade_changes_the_schedule_and_spares_the_lease(release: Release) -> None:
    lease = release.get("lease", release.name)["spec"]
    assert lease["leaseTransitions"] > 0
    release.helm("upgrade", release.name, str(CHART), "--reuse-values", "--set", "schedule=15 4 * * 1", "--wait")
    assert release.get("cronjob", release.name)["spec"]["schedule"] == "15 4 * * 1"
    assert release.get("lease", release.name)["spec"] == lease


def test_the_job_may_do_no_more_than_it_needs(release: Release) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": release.namespace},
    }
    account = f"system:serviceaccount:{release.namespace}:{release.name}"
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    answer = release.kubectl("create", "--raw", path, "--as", account, "--filename", "-", text=json.dumps(review))
    rules = json.loads(answer)["status"]["resourceRules"]
    # What every account may do: ask about itself.
    own = [rule for rule in rules if not set(rule["apiGroups"]) <= {"authorization.k8s.io", "authentication.k8s.io"}]
    found = {(*rule["resources"], *rule.get("resourceNames", []), verb) for rule in own for verb in rule["verbs"]}
    assert found == {
        ("leases", release.name, "get"),
        ("leases", release.name, "update"),
        ("events", "create"),
        ("cronjobs", release.name, "get"),
        # How the passes before this one ended.
        ("pods", "list"),
        ("jobs", "list"),
    }


def test_helm_test_changes_nothing(release: Release, goes: set[str]) -> None:
    before = release.state()
    done = release.helm("test", release.name)
    assert "Succeeded" in done.stdout
    assert goes <= release.tasks()
    assert release.state() == before


def test_the_plain_manifests_do_the_same(release: Release, another_namespace: str, goes: set[str], tmp_path: Path) -> None:
    """A kustomization of one's own, as docs/install.md says; ClearML is in another namespace, under another name."""
    plain = Release(another_namespace)
    before = release.state()
    server = f"http://{release.name}-sandbox"
    settings = {
        "CLEARML_API_HOST": f"{server}.{release.namespace}:8008",
        "CLEARML_FILES_HOST": f"{server}.{release.namespace}:8081",
        "CLEANUP_FILES_URL_PREFIXES": f"{server}:8081",
        "CLEANUP_DRY_RUN": "false",
        "CLEANUP_FORCE_DELETE": "true",
    }
    (tmp_path / "base").mkdir()
    for file in (CHART.parents[1] / "k8s").glob("*.yaml"):
        (tmp_path / "base" / file.name).write_text(file.read_text())
    patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clearml-cleanup"}, "data": settings}
    target = {"kind": "ConfigMap", "name": "clearml-cleanup"}
    own = {"namespace": another_namespace, "resources": ["base"], "patches": [{"target": target, "patch": json.dumps(patch)}]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(own))
    keys = ("--from-literal=accessKey=sandbox-key", "--from-literal=secretKey=sandbox-secret")
    plain.kubectl("create", "secret", "generic", "clearml-credentials", *keys)
    plain.kubectl("apply", "--kustomize", str(tmp_path))
    job = plain.start("plain")
    assert plain.ended(job) == "Complete", plain.log(job)
    deleted_these_and_nothing_else(before, release.state(), goes)
    assert plain.events()


def test_with_a_task_in_clearml_each_pass_leaves_a_run_and_the_schedule_waits_until_it_is_due(
    release: Release, goes: set[str]
) -> None:
    release.helm("upgrade", release.name, str(CHART), "--reuse-values", "--set", "clearml.task.enabled=true", "--wait")
    job = release.start("with-a-task")
    assert release.ended(job) == "Complete", release.log(job)
    run = release.summary(job)["run"]
    assert run in release.tasks()
    assert any(path.endswith(f".{run}/artifacts/report/report.html") for path in release.state()["files"])
    assert not goes & release.tasks()
    release.kubectl("patch", "cronjob", release.name, "--patch", '{"spec": {"schedule": "* * * * *", "suspend": false}}')
    try:
        jobs = until(
            "a scheduled Job", lambda: [n for n in _jobs(release) if re.fullmatch(rf"{release.name}-\d+", n)][-1:] or None
        )
    finally:
        release.kubectl("patch", "cronjob", release.name, "--patch", '{"spec": {"schedule": "0 3 * * *", "suspend": true}}')
    assert release.ended(jobs[0]) == "Complete"
    assert [json.loads(line)["event"] for line in release.log(jobs[0]).splitlines()] == ["parameters", "not_due"]
    again = release.start("by-hand-again")
    assert release.ended(again) == "Complete"
    assert release.summary(again)["run"] not in {run, None}, "a manual Job is never skipped"


def _jobs(release: Release) -> list[str]:
    return [str(job["metadata"]["name"]) for job in release.get("jobs", "--sort-by=.metadata.creationTimestamp")["items"]]


def test_uninstalled_it_leaves_nothing_behind(release: Release) -> None:
    release.helm("uninstall", release.name, "--wait")
    kinds = command("kubectl", "api-resources", "--namespaced", "--verbs=list", "--output=name").stdout.split()
    asked = ",".join(kind for kind in kinds if not kind.startswith("events"))

    def left() -> list[str] | None:
        names = set(release.kubectl("get", asked, "--output=name", "--ignore-not-found").split())
        mine = names - {"configmap/kube-root-ca.crt", "serviceaccount/default"}
        return None if mine else []

    until("an empty namespace", left)
