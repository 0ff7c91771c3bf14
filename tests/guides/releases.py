"""What a cluster has after `helm install`: releases of the chart, the passes that ran there, their Jobs and pods."""

import json
from dataclasses import dataclass

import certifi
import kubernetes_validate
import yaml
from kubernetes_validate import utils

from tests.chart.charts import CHART, CONTAINER, ENOUGH, IN_EARNEST, Object, at, merged, one, render, variables

OLDEST = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
NEWEST = ".".join(utils.latest_version().split(".")[:2])


THEIRS = merged(ENOUGH, IN_EARNEST)
"""The values of a reader who has a release already, one that deletes."""


@dataclass(frozen=True)
class Release:
    """An installed chart."""

    name: str
    namespace: str
    values: Object

    @property
    def objects(self) -> list[Object]:
        return render(self.values, name=self.name, namespace=self.namespace)

    @property
    def variables(self) -> dict[str, str]:
        """The variables of its pods; a file on a mounted volume is one that is here, and here is no proxy."""
        mounts = [mount["mountPath"] for mount in at(one("CronJob", self.objects), CONTAINER).get("volumeMounts") or []]
        given = {k: v for k, v in variables(self.objects).items() if "proxy" not in k.lower()}
        return {k: certifi.where() if any(v.startswith(f"{path}/") for path in mounts) else v for k, v in given.items()}


@dataclass(frozen=True)
class Step:
    """A command that ran a pass, what it printed, and the tasks on the server before and after."""

    line: str
    exit_code: int
    output: str
    before: set[str]
    after: set[str]

    @property
    def gone(self) -> set[str]:
        return self.before - self.after

    @property
    def log(self) -> list[Object]:
        return [json.loads(line) for line in self.output.splitlines()]

    @property
    def listed(self) -> set[str]:
        """Tasks that it deleted, or would delete."""
        return {line["task"] for line in self.log if line.get("verdict") in {"deleted", "would_delete"}}

    @property
    def kept(self) -> dict[str, str]:
        return {line["task"]: line["reason"] for line in self.log if line.get("verdict") == "kept"}


def valid(objects: list[Object]) -> None:
    """As Kubernetes reads them. PrometheusRules are the Prometheus Operator's: tests/alerts has them."""
    for item in (item for item in objects if item["kind"] != "PrometheusRule"):
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(item, version, strict=True)


def their_own(name: str) -> Object:
    """A values file that the page takes for granted."""
    assert name == "my-values.yaml", f"{name} is not on the page"
    return THEIRS


def selected(selector: str, release: Release, kind: str) -> bool:
    """Whether a release has Jobs, or for other kinds pods of Jobs, with these labels."""
    wanted = dict(pair.split("=") for pair in selector.split(","))
    template = one("CronJob", release.objects)["spec"]["jobTemplate"]
    labels = (template if kind == "jobs" else template["spec"]["template"])["metadata"]["labels"]
    return bool(wanted.items() <= labels.items())


def job_of(name: str, cronjob: Object) -> Object:
    """As Kubernetes keeps a Job that has ended."""
    about = cronjob["metadata"]
    owner = {"kind": "CronJob", "name": about["name"], "uid": about["uid"], "controller": True}
    return {
        "metadata": {"name": name, "ownerReferences": [owner], "creationTimestamp": "2026-11-23T02:00:00Z"},
        "spec": cronjob["spec"]["jobTemplate"]["spec"],
        "status": {"startTime": "2026-11-23T02:00:00Z", "succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]},
    }


def pod_of(name: str, step: Step) -> Object:
    """Its pod, with the termination message that the pass wrote."""
    message = json.dumps(step.log[-1])
    ended = {"exitCode": step.exit_code, "reason": "Completed", "message": message, "finishedAt": "2026-11-23T02:00:31Z"}
    return {
        "metadata": {
            "name": f"{name}-x",
            "labels": {"batch.kubernetes.io/job-name": name, "job-name": name},
            "creationTimestamp": "2026-11-23T02:00:00Z",
        },
        "spec": {"containers": [{"name": "clearml-cleanup"}]},
        "status": {"containerStatuses": [{"name": "clearml-cleanup", "state": {"terminated": ended}}]},
    }
