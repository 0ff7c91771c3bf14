"""A release of the chart on a real cluster, with the sandbox as its server: what a user types, and what is there after."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "clearml-cleanup"
_VALUES, _CHART = (yaml.safe_load((CHART / name).read_text(encoding="utf-8")) for name in ("values.yaml", "Chart.yaml"))
REPOSITORY = os.environ.get("CLEARML_CLEANUP_E2E_IMAGE") or f"{_VALUES['image']['registry']}/{_VALUES['image']['repository']}"
"""The images' name without the tag: as the chart names it, or another one, with its registry, to test beside others."""
IMAGE = f"{REPOSITORY}:{_CHART['appVersion']}"
"""The job's image."""
PATIENCE = 240.0
"""Seconds after which something that should happen is taken for broken. Nothing waits so long when all is well."""


def command(
    *words: str, check: bool = True, text: str | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command; a failure shows what it said."""
    done = subprocess.run(
        words,
        input=text,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=ROOT,
        env=os.environ | (environment or {}),
    )
    if check and done.returncode:
        pytest.fail(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def until(what: str, found: Callable[[], T | None]) -> T:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (answer := found()) is not None:
            return answer
        time.sleep(0.3)
    return pytest.fail(f"{what}: not within {PATIENCE:.0f} s")


@dataclass(frozen=True)
class Release:
    """One release; its objects have the name of the release."""

    namespace: str
    name: str = "clearml-cleanup"

    def kubectl(self, *words: str, check: bool = True, text: str | None = None) -> str:
        return command("kubectl", "--namespace", self.namespace, *words, check=check, text=text).stdout

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "--output", "json"))

    def helm(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return command("helm", "--namespace", self.namespace, *words, check=check)

    def install(self, *settings: str) -> None:
        images = (f"image.repository={REPOSITORY}", f"sandbox.image.repository={REPOSITORY}")
        sets = [word for setting in (*images, *settings) for word in ("--set", setting)]
        self.helm("install", self.name, str(CHART), "--wait", "--timeout", "3m", *sets)

    def cli(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """`clearml-cleanup` on the user's own machine."""
        return command(sys.executable, "-m", "cleanup_job", words[0], "--namespace", self.namespace, *words[1:], check=check)

    # -- the sandbox
    def load(self, world: dict[str, Any], path: Path) -> None:
        """Give the sandbox another world."""
        file = path / "world.json"
        file.write_text(json.dumps(world))
        self.kubectl("replace", "--raw", self._sandbox("world"), "--filename", str(file))

    def state(self) -> dict[str, Any]:
        """Which tasks, models and files are there."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "--raw", self._sandbox("state")))
        return found

    def tasks(self) -> set[str]:
        return set(self.state()["tasks"])

    def follow(self, pod: str) -> "subprocess.Popen[str]":
        """`kubectl logs --follow`, running."""
        words = ["kubectl", "--namespace", self.namespace, "logs", "--follow", pod]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def _sandbox(self, what: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/services/{self.name}-sandbox:files/proxy/_sandbox/{what}"

    # -- passes
    def start(self, job: str) -> str:
        """Start a manual pass as the documentation says; gives its name."""
        self.kubectl("create", "job", f"--from=cronjob/{self.name}", job)
        return job

    def ended(self, job: str) -> str:
        """Wait for a Job to end: `Complete` or `Failed`."""

        def condition() -> str | None:
            conditions = self.get("job", job).get("status", {}).get("conditions", [])
            ends = [entry["type"] for entry in conditions if entry["status"] == "True"]
            return next((end for end in ends if end in {"Complete", "Failed"}), None)

        return until(f"the end of job {job}", condition)

    def pods(self, job: str) -> list[dict[str, Any]]:
        """The Job's pods, oldest first."""
        found = self.get("pods", "--selector", f"batch.kubernetes.io/job-name={job}")["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def running_pod(self, job: str) -> str:
        """Wait for a pod of the Job that runs; gives its name."""

        def running() -> str | None:
            names = [pod["metadata"]["name"] for pod in self.pods(job) if pod["status"]["phase"] == "Running"]
            return names[-1] if names else None

        return until(f"a running pod of job {job}", running)

    def log(self, job: str) -> str:
        """What all pods of a Job wrote that are still there."""
        return "".join(self.kubectl("logs", pod["metadata"]["name"]) for pod in self.pods(job))

    def summary(self, job: str) -> dict[str, Any]:
        """The termination message of the Job's last pod."""
        status = self.pods(job)[-1]["status"]["containerStatuses"][0]["state"]["terminated"]
        found: dict[str, Any] = json.loads(status["message"])
        return found

    def events(self) -> list[dict[str, Any]]:
        """The events that `kubectl describe cronjob` shows and that are the job's, oldest first."""
        uid = self.get("cronjob", self.name)["metadata"]["uid"]
        found = self.get("events", "--field-selector", f"involvedObject.uid={uid}")["items"]
        own = [event for event in found if event.get("source", {}).get("component") == "clearml-cleanup"]
        return sorted(own, key=lambda event: str(event["metadata"]["creationTimestamp"]))
