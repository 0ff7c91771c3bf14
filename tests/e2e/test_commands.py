"""`trigger` and `status` on a real cluster, with the rights that docs/cluster.md names, and with what can go wrong there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.e2e.line import Line
from tests.e2e.release import IMAGE, ROOT, command, until

pytestmark = pytest.mark.e2e

NAME = "nightly"
# A pass is a matter of other tests; this one says what it should say, and ends as it should end.
SCRIPT = """
import json, os, time
for number in range(int(os.environ["LINES"])):
    print(json.dumps({"number":  number}), flush=True)
    time.sleep(float(os.environ["PAUSE"]))
with open("/dev/termination-log", "w") as file:
    json.dump({"deleted": 7, "files": 9, "exit_code": int(os.environ["CODE"])}, file)
raise SystemExit(int(os.environ["CODE"]))
"""
TRIGGER = [
    {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["list"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]},
]
FOLLOW = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "get"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
]
STATUS = [
    {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [NAME], "verbs": ["get"]},
]


class Installed:
    """A CronJob that stands for a release."""

    def __init__(self, cluster: Any, namespace: str) -> None:
        self.batch, self.core = client.BatchV1Api(cluster), client.CoreV1Api(cluster)
        self.leases = client.CoordinationV1Api(cluster)
        self.namespace = namespace

    def make(self, *, lines: int = 2, pause: float = 0, code: int = 0, retries: int = 0, **pod: Any) -> None:
        environment = {"LINES": lines, "PAUSE": pause, "CODE": code, "CLEANUP_LEASE": NAME, "CLEANUP_CRONJOB": NAME}
        container = {
            "name": "clearml-cleanup",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", SCRIPT],
            "env": [{"name": name, "value": str(value)} for name, value in environment.items()],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        } | pod.pop("container", {})
        template = {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        }
        job = {"backoffLimit": retries, "template": {"spec": template | pod}}
        spec = {"schedule": "0 3 * * *", "timeZone": "Europe/Berlin", "suspend": False, "jobTemplate": {"spec": job}}
        labels = {"app.kubernetes.io/name": "clearml-cleanup"}
        self.batch.create_namespaced_cron_job(self.namespace, {"metadata": {"name": NAME, "labels": labels}, "spec": spec})

    def remove(self) -> None:
        self.batch.delete_namespaced_cron_job(NAME, self.namespace, propagation_policy="Foreground")
        until("the end of the CronJob", lambda: None if self.batch.list_namespaced_cron_job(self.namespace).items else True)


@pytest.fixture
def installed(cluster: Any, namespace: str) -> Iterator[Installed]:
    made = Installed(cluster, namespace)
    yield made
    made.remove()


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(namespace: str) -> Run:
    def start(*words: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"KUBECONFIG": str(kubeconfig)} if kubeconfig else {}
        words = (words[0], "--namespace", namespace, *words[1:])
        return command(sys.executable, "-m", "cleanup_job", *words, check=False, environment=environment)

    return start


def numbers(text: str) -> list[int]:
    """The lines of the stub's log; a line of any other form is an error."""
    found = [json.loads(line)["number"] for line in text.splitlines()]
    assert text == "".join(f'{{"number": {number}}}\n' for number in found)
    return found


@pytest.mark.parametrize("code", [0, 3])
def test_the_rights_of_the_docs_are_enough_to_trigger_and_follow(
    installed: Installed, run: Run, account: Callable[..., Path], code: int
) -> None:
    installed.make(lines=5, code=code)
    done = run("trigger", "--follow", kubeconfig=account(TRIGGER + FOLLOW))
    assert done.returncode == code, done.stderr
    assert numbers(done.stdout) == [0, 1, 2, 3, 4]


def test_without_following_it_takes_less_and_prints_the_jobs_name(
    installed: Installed, run: Run, account: Callable[..., Path], namespace: str
) -> None:
    installed.make()
    done = run("trigger", "--set", "maxTasks=5", kubeconfig=account(TRIGGER))
    assert done.returncode == 0, done.stderr
    job = installed.batch.read_namespaced_job(done.stdout.strip(), namespace)
    (owner,) = job.metadata.owner_references
    assert (owner.kind, owner.name, owner.controller, owner.block_owner_deletion) == ("CronJob", NAME, True, None)
    assert job.spec.template.spec.containers[0].args[-1] == "--max-tasks=5"


@pytest.mark.parametrize(
    ("granted", "missing"),
    [([], "list cronjobs.batch"), (TRIGGER[:1], "create jobs.batch"), (TRIGGER, "get jobs.batch")],
)
def test_a_right_that_is_missing_to_trigger_is_named(
    installed: Installed, run: Run, account: Callable[..., Path], granted: list[dict[str, Any]], missing: str
) -> None:
    installed.make()
    done = run("trigger", "--follow", kubeconfig=account(granted))
    assert done.returncode == 2
    assert f"Your account may not {missing} in namespace" in done.stderr


def test_a_job_that_is_tried_again_is_followed_to_its_end(installed: Installed, run: Run) -> None:
    installed.make(code=4, retries=1)
    done = run("trigger", "--follow")
    assert done.returncode == 4
    assert numbers(done.stdout) == [0, 1, 0, 1]
    assert "the Job tries again: pod" in done.stderr
    assert "BackoffLimitExceeded" in done.stderr


class Following:
    """`trigger --follow` in a process of its own."""

    def __init__(self, namespace: str, folder: Path, kubeconfig: Path | None = None) -> None:
        self._out, self._err = folder / "out", folder / "err"
        # Whoever started the tests in the background made them ignore Ctrl-C; a user's shell does not.
        words = ["env", "--default-signal=INT", sys.executable, "-m", "cleanup_job", "trigger"]
        words += ["--namespace", namespace, "--follow"]
        environment = os.environ | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(words, stdout=out, stderr=err, env=environment, cwd=ROOT)

    def written(self) -> str:
        return self._out.read_text()

    def told(self) -> str:
        return self._err.read_text()

    def until_lines(self, number: int) -> None:
        until(f"{number} lines", lambda: self.written().count("\n") >= number or None)

    def until_told(self, words: str) -> None:
        until(f"{words}", lambda: words in self.told() or None)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def following(namespace: str, tmp_path: Path) -> Iterator[Callable[..., Following]]:
    """Starts one; it is gone after the test."""
    made: list[Following] = []

    def start(kubeconfig: Path | None = None) -> Following:
        made.append(Following(namespace, tmp_path, kubeconfig))
        return made[-1]

    yield start
    for follower in made:
        follower.process.kill()
        follower.process.wait()


@pytest.mark.parametrize("lines", [3, 26], ids=["in the middle", "and the pass ends meanwhile"])
def test_a_log_whose_line_is_cut_is_written_once_and_whole(
    installed: Installed, following: Callable[..., Following], kubeconfig: Path, tmp_path: Path, lines: int
) -> None:
    installed.make(lines=30, pause=0.2)
    line = Line(kubeconfig, tmp_path)
    follower = following(line.kubeconfig)
    follower.until_lines(lines)
    for _ in range(8):
        line.drop()
        time.sleep(0.3)
    assert follower.process.wait(120) == 0, follower.told()
    line.cut()
    assert numbers(follower.written()) == list(range(30))


def test_ctrl_c_ends_the_following_and_not_the_job(
    installed: Installed, following: Callable[..., Following], namespace: str
) -> None:
    installed.make(lines=20, pause=0.3)
    follower = following()
    follower.until_lines(1)
    assert follower.interrupt() == 130
    (job,) = installed.batch.list_namespaced_job(namespace).items
    assert f"kubectl logs --namespace {namespace} --follow job/{job.metadata.name}" in follower.told()
    until("the end of the Job", lambda: installed.batch.read_namespaced_job(job.metadata.name, namespace).status.succeeded)


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"container": {"image": "localhost/none:0"}}, "ImagePull"),
        ({"nodeSelector": {"no-such": "node"}}, "can't be scheduled"),
        ({"container": {"securityContext": {"privileged": True}}}, "violates PodSecurity"),
        (
            {
                "volumes": [{"name": "v", "secret": {"secretName": "none"}}],
                "container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            },
            "FailedMount",
        ),
        ({"container": {"envFrom": [{"secretRef": {"name": "none"}}]}}, "CreateContainerConfigError"),
    ],
    ids=["image", "node", "pod security", "volume", "secret"],
)
def test_what_keeps_a_pod_from_starting_is_said(
    installed: Installed, following: Callable[..., Following], pod: dict[str, Any], words: str
) -> None:
    installed.make(**pod)
    follower = following()
    follower.until_told(words)
    assert follower.interrupt() == 130


def test_a_quota_is_named(installed: Installed, following: Callable[..., Following], namespace: str) -> None:
    quotas = installed.core
    quotas.create_namespaced_resource_quota(namespace, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    until("the quota", lambda: quotas.read_namespaced_resource_quota("none", namespace).status.hard)
    installed.make()
    follower = following()
    follower.until_told("exceeded quota: none")
    assert follower.interrupt() == 130
    quotas.delete_namespaced_resource_quota("none", namespace)


# -- status
def test_the_rights_of_the_docs_are_enough_for_status(
    installed: Installed, run: Run, account: Callable[..., Path], namespace: str
) -> None:
    installed.make(code=3)
    installed.leases.create_namespaced_lease(namespace, {"metadata": {"name": NAME}})
    assert run("trigger", "--follow").returncode == 3
    done = run("status", kubeconfig=account(STATUS))
    installed.leases.delete_namespaced_lease(NAME, namespace)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "0 3 * * * (Europe/Berlin)" in text
    assert f"Lease {NAME} is free" in text
    assert "Not known" not in text
    found = json.loads(run("status", "--output", "json").stdout)
    (entry,) = found["passes"]
    assert (entry["exit_code"], entry["manual"], entry["state"]) == (3, True, "failed")
    assert entry["summary"]["deleted"] == 7
    assert found["leases"][0]["state"] == "absent"
    assert found["next_run"]


def test_status_shows_what_may_be_read(installed: Installed, run: Run, account: Callable[..., Path]) -> None:
    installed.make()
    done = run("status", kubeconfig=account(TRIGGER[:1]))
    assert done.returncode == 0, done.stderr
    assert "0 3 * * *" in done.stdout
    text = " ".join(done.stdout.split())
    for right in ("get leases.coordination.k8s.io", "list jobs.batch"):
        assert f"Not known: Your account may not {right} in namespace" in text


def test_a_pass_whose_pod_is_gone_is_known_by_its_job(installed: Installed, run: Run, namespace: str) -> None:
    installed.make(code=3)
    run("trigger", "--follow")
    installed.core.delete_collection_namespaced_pod(namespace)
    until("the end of the pods", lambda: None if installed.core.list_namespaced_pod(namespace).items else True)
    (entry,) = json.loads(run("status", "--output", "json").stdout)["passes"]
    assert (entry["state"], entry["reason"], entry["exit_code"]) == ("failed", "BackoffLimitExceeded", None)
