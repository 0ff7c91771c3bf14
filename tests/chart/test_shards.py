"""`shards`: the CronJob's Job becomes an Indexed Job, whose pods share the Lease."""

import pytest
from helm_python.chart import lint
from helm_python.errors import HelmError

from tests.chart.charts import CHART, CONTAINER, ENOUGH, at, files, merged, nested, one, render

FOUR = nested("shards", 4)
SPEC = "spec.jobTemplate.spec"


def test_each_index_is_retried_alone() -> None:
    spec = at(one("CronJob", render(ENOUGH, FOUR)), SPEC)
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert spec["backoffLimitPerIndex"] == 2
    assert "backoffLimit" not in spec
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailIndex"]


def test_one_shard_is_a_plain_job() -> None:
    spec = at(one("CronJob", render(ENOUGH)), SPEC)
    assert not {"completionMode", "completions", "parallelism", "backoffLimitPerIndex"} & spec.keys()
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob"]


def test_the_lease_and_the_right_to_it_are_the_same_for_any_number() -> None:
    """So that an upgrade in the middle of a pass takes neither away."""
    for shards in (1, 2, 4):
        objects = render(ENOUGH, nested("shards", shards), nested("sweep.enabled", True), nested("sweep.stores", ["s3://b"]))
        leases = [item["metadata"]["name"] for item in objects if item["kind"] == "Lease"]
        assert leases == ["clearml-cleanup", "clearml-cleanup-sweep"]
        assert one("Role", objects)["rules"][0]["resourceNames"] == leases


@pytest.mark.parametrize("task", [False, True])
def test_the_pods_of_a_pass_know_their_job(task: bool) -> None:
    env = at(one("CronJob", render(ENOUGH, FOUR, {"clearml": {"task": {"enabled": task}}})), f"{CONTAINER}.env")
    paths = [
        (entry["name"], entry["valueFrom"]["fieldRef"]["fieldPath"])
        for entry in env
        if "fieldRef" in entry.get("valueFrom", {})
    ]
    label = "metadata.labels['batch.kubernetes.io/{}']"
    assert paths == [("CLEANUP_JOB_UID", label.format("controller-uid")), ("CLEANUP_JOB", label.format("job-name"))]


def test_only_passes_know_of_shards() -> None:
    """The sweep and `helm test` have no index: they would refuse to start."""
    objects = render(ENOUGH, FOUR, nested("sweep.enabled", True), nested("sweep.stores", ["s3://b"]))
    env = {i["metadata"]["name"]: at(i, f"{CONTAINER}.env") for i in objects if i["kind"] == "CronJob"}
    assert {"name": "CLEANUP_SHARDS", "value": "4"} in env["clearml-cleanup"]
    assert "CLEANUP_SHARDS" not in [entry["name"] for entry in env["clearml-cleanup-sweep"]]
    assert "CLEANUP_SHARDS" not in files(ENOUGH, FOUR)["tests/dry-run.yaml"] + files(ENOUGH, FOUR)["configmap.yaml"]


def test_an_older_kubernetes_and_an_agent_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    lint(CHART, merged(ENOUGH, FOUR), kube_version="1.28.0")  # a linter tells of what a template refuses on stderr
    assert "shards=4 needs Kubernetes 1.29" in capfd.readouterr().err
    lint(CHART, merged(ENOUGH, FOUR), kube_version="1.29.0")
    assert "shards=4" not in capfd.readouterr().err
    with pytest.raises(HelmError, match="contradict each other"):
        render(ENOUGH, FOUR, {"clearml": {"task": {"enabled": True, "mode": "agent"}}})
