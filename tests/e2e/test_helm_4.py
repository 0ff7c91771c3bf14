"""The life of a release with Helm 4, which applies on the server's side: the other tests use Helm 3."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helm_python import Chart
from helm_python.config import Config

from tests.e2e.release import CHART, Release, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def helm(kubeconfig: Path, namespace: str) -> Iterator[Config]:
    with Config(kubeconfig_path=kubeconfig, namespace=namespace) as config:
        yield config


def test_install_run_upgrade_and_uninstall(helm: Config, namespace: str) -> None:
    release = Release(namespace)
    values = {"sandbox": {"enabled": True}, "cleanup": {"forceDelete": True}}
    with Chart.load(CHART) as chart:
        helm.install(chart, release.name, values, namespace=namespace, wait="watcher", timeout=180)
        assert release.ended(release.start("first")) == "Complete"
        pods = {"annotations": {"clearml-cleanup/shard-0": "a pod that runs"}}
        held = json.dumps({"metadata": pods, "spec": {"holderIdentity": "a pass that runs", "renewTime": None}})
        release.kubectl("patch", "lease", release.name, "--type=merge", f"--patch={held}")
        lease = release.get("lease", release.name)
        helm.upgrade(chart, release.name, values | {"schedule": "15 4 * * 1"}, namespace=namespace, wait="watcher", timeout=180)
    assert release.get("cronjob", release.name)["spec"]["schedule"] == "15 4 * * 1"
    now = release.get("lease", release.name)
    assert now["spec"] == lease["spec"], "the upgrade took the lease from a pass"
    assert now["metadata"]["annotations"] == lease["metadata"]["annotations"], "and from its pods"
    helm.uninstall(release.name, wait="watcher", timeout=180)
    until("the end of its jobs", lambda: None if release.get("jobs,pods")["items"] else True)
    assert not release.kubectl("get", "lease,cronjob,role,configmap", "--output=name", "--selector=app.kubernetes.io/instance")
