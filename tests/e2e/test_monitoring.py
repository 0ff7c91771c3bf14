"""Prometheus watches: passes push from the cluster, the dashboard's queries have data, and a failed Job is told."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import kubernetes as typed_kubernetes
import pytest
import yaml

from cleanup_job.exporters.pushgateway import push
from cleanup_job.planning.sweep_outcome import SweepReport
from cleanup_job.report import metrics
from tests.alerts.promtool import needed as unpacked
from tests.alerts.queries import filled, queries
from tests.e2e.release import CHART, REPOSITORY, Release, command, until
from tests.stores.servers import free_port, needed

pytestmark = pytest.mark.e2e
kubernetes: Any = typed_kubernetes  # half of it has no types

MAY_BE_EMPTY = {
    "16 Kept, by reason A",
    "17 Failed, by reason A",
    "23 Jobs C",
    "24 Time since the last success, and of the schedule B",
    "32 Tasks, by stage A",
    "32 Tasks, by stage B",
    "32 Tasks, by stage C",
    "33 Freed, by stage A",
}
"""Queries without data after a good pass that was started by hand, without policies: nothing kept or failed, no schedule."""
RULES = "monitoring.coreos.com/v1/PrometheusRule"
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "prometheusrules.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "names": {
            "kind": "PrometheusRule",
            "listKind": "PrometheusRuleList",
            "plural": "prometheusrules",
            "singular": "prometheusrule",
        },
        "scope": "Namespaced",
    },
}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
RULE = {
    "type": "object",
    "required": ["expr"],
    "properties": {
        "alert": {"type": "string"},
        "annotations": TEXTS,
        "expr": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
        "for": {
            "type": "string",
            "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
        },
        "labels": TEXTS,
    },
}
"""A rule as the Prometheus Operator's PrometheusRule has it, with the fields that the chart uses: others are refused."""


@contextmanager
def running(words: Sequence[str], log: Path) -> Iterator[None]:
    """A server, ended by its own process."""
    with log.open("wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


class Prometheus:
    """A real one, that scrapes each second."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self._address}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as answer:  # noqa: S310 -- ours
            return json.load(answer)["data"]

    def result(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("query", query=query)["result"]
        return found

    def values(self, query: str) -> list[float]:
        return [float(series["value"][1]) for series in self.result(query)]

    def firing(self, alert: str) -> list[dict[str, Any]]:
        return [
            found
            for found in self.get("alerts")["alerts"]
            if found["labels"]["alertname"] == alert and found["state"] == "firing"
        ]


class Night:
    """A release with a Pushgateway, and the Prometheus that watches it."""

    def __init__(self, release: Release, pushgateway: str, prometheus: Prometheus, rules: list[dict[str, Any]]) -> None:
        self.release, self.pushgateway, self.prometheus, self.rules = release, pushgateway, prometheus, rules


def chart_rules(namespace: str, *settings: str) -> list[dict[str, Any]]:
    """The alerts, as Helm renders them for a Prometheus without the operator."""
    sets = [word for setting in ("metrics.prometheusRule.enabled=true", *settings) for word in ("--set", setting)]
    template = [
        "helm",
        "template",
        "clearml-cleanup",
        str(CHART),
        "--namespace",
        namespace,
        "--show-only",
        "templates/prometheusrule.yaml",
    ]
    found: list[dict[str, Any]] = yaml.safe_load(command(*template, *sets).stdout)["spec"]["groups"]
    return found


def configuration(folder: Path, targets: Mapping[str, str], rules: list[dict[str, Any]]) -> Path:
    """Prometheus' own file."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [group | {"interval": "1s"} for group in rules]}))
    jobs = [{"job_name": name, "honor_labels": True, "static_configs": [{"targets": [at]}]} for name, at in targets.items()]
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "rule_files": ["rules.yaml"], "scrape_configs": jobs}))
    return path


def kube_state_words(kubeconfig: Path, namespace: str, at: str) -> list[str]:
    """The command that runs kube-state-metrics outside the cluster, for the CronJobs and Jobs of one namespace."""
    host, _, port = at.partition(":")
    own = [f"--host={host}", f"--port={port}", f"--telemetry-host={host}", f"--telemetry-port={free_port()}"]
    what = [f"--kubeconfig={kubeconfig}", f"--namespaces={namespace}", "--resources=cronjobs,jobs"]
    return [needed("kube-state-metrics"), *own, *what]


@pytest.fixture(scope="module")
def night(kubeconfig: Path, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    node = os.environ.get("CLUSTER_NODE_IP")
    if not node:
        pytest.skip("CLUSTER_NODE_IP is not set: pods of this cluster have no address of this machine")
    folder = tmp_path_factory.mktemp("monitoring")
    with ExitStack() as stack:
        pushgateway = f"{node}:{free_port()}"
        stack.enter_context(running([needed("pushgateway"), f"--web.listen-address={pushgateway}"], folder / "pushgateway.log"))
        kube_state_metrics = f"127.0.0.1:{free_port()}"
        stack.enter_context(
            running(kube_state_words(kubeconfig, namespace, kube_state_metrics), folder / "kube-state-metrics.log")
        )
        release = Release(namespace)
        settings = (
            "sandbox.enabled=true",
            "sandbox.tasks=300",
            "cleanup.forceDelete=true",
            "cleanup.maxTasks=50",
            f"metrics.pushgateway.url=http://{pushgateway}",
        )
        rules = chart_rules(namespace, *settings)
        path = configuration(folder, {"pushgateway": pushgateway, "kube-state-metrics": kube_state_metrics}, rules)
        prometheus = f"127.0.0.1:{free_port()}"
        words = [unpacked("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"]
        stack.enter_context(running([*words, f"--web.listen-address={prometheus}"], folder / "prometheus.log"))
        release.install(*settings)
        yield Night(release, f"http://{pushgateway}", Prometheus(f"http://{prometheus}"), rules[0]["rules"])
        release.helm("uninstall", "clearml-cleanup")


def test_a_pass_shows_on_the_dashboard(night: Night) -> None:
    prometheus, release = night.prometheus, night.release
    assert release.ended(release.start("first")) == "Complete", release.log("first")
    done = release.summary("first")
    now = datetime.now(UTC)
    group = {"release": release.name, "namespace": release.namespace}
    push(
        metrics.of_sweep(SweepReport("0.1.0", "", delete=False, started=now, finished=now)),
        night.pushgateway,
        metrics.JOB,
        group,
    )
    selector = f'{{namespace="{release.namespace}", release="clearml-cleanup"}}'
    until("the pass in Prometheus", lambda: prometheus.values(f"clearml_cleanup_last_deleted_tasks{selector}") or None)
    assert prometheus.values(f"clearml_cleanup_last_deleted_tasks{selector}") == [done["deleted"]]
    assert prometheus.values(f"clearml_cleanup_last_exit_code{selector}") == [0]
    until("the sweep in Prometheus", lambda: prometheus.result(f"clearml_cleanup_sweep_last_folders{selector}") or None)
    succeeded = f'kube_cronjob_status_last_successful_time{{namespace="{release.namespace}"}}'
    until("the success in Prometheus", lambda: prometheus.result(succeeded) or None)
    variables = {"namespace": release.namespace, "release": release.name, "cronjob": release.name}
    for chosen in (variables, {}):  # one release, and all of them
        empty = {name for name, text in queries() if not prometheus.result(filled(text, **chosen))}
        assert empty <= MAY_BE_EMPTY


def test_a_failed_job_is_told_with_its_exit_code_until_one_succeeds(night: Night) -> None:
    prometheus, release = night.prometheus, night.release
    if not prometheus.result("clearml_cleanup_last_exit_code"):
        assert release.ended(release.start("before")) == "Complete"
    assert not prometheus.firing("ClearMLCleanupFailed")
    release.cli("trigger", "--name", "broken", "--set", "refuseAbove=1", check=True)
    assert release.ended("broken") == "Failed"
    code = release.summary("broken")["exit_code"]
    (alert,) = until("the alert", lambda: prometheus.firing("ClearMLCleanupFailed") or None)
    assert alert["labels"]["namespace"] == release.namespace
    assert alert["labels"]["cronjob"] == release.name
    assert f"It ended with exit code {code}." in alert["annotations"]["description"]
    time.sleep(1)  # a success is newer than the failed Job by Kubernetes' whole seconds
    assert release.ended(release.start("mended")) == "Complete"
    until("the end of the alert", lambda: None if prometheus.firing("ClearMLCleanupFailed") else True)


def test_the_other_alerts_are_quiet_and_can_be_evaluated(night: Night) -> None:
    prometheus = night.prometheus
    loaded = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in loaded] == [rule["alert"] for rule in night.rules]
    assert not [rule["name"] for rule in loaded if rule["health"] != "ok"]
    stale = night.rules[0]
    assert stale["alert"] == "ClearMLCleanupStale"
    assert not prometheus.result(stale["expr"])
    (age,) = prometheus.values(stale["expr"].replace("> 112320", "> 0"))
    assert 0 < age < 3600
    night.release.kubectl("patch", "cronjob", night.release.name, "--patch", '{"spec": {"suspend": true}}')
    until("the suspension", lambda: None if prometheus.result(stale["expr"].replace("> 112320", "> 0")) else True)


def test_without_the_operator_it_is_refused_by_name_and_with_it_installed(cluster: Any, another_namespace: str) -> None:
    extensions = kubernetes.client.ApiextensionsV1Api(cluster)
    release = Release(another_namespace)
    images = ("--set", f"image.repository={REPOSITORY}", "--set", "clearml.existingSecret=keys")
    install = ("install", release.name, str(CHART), *images, "--set", "metrics.prometheusRule.enabled=true")
    refused = release.helm(*install, check=False)
    assert "metrics.prometheusRule.enabled=true needs the Prometheus Operator" in refused.stderr
    group = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "rules": {"type": "array", "items": RULE}},
    }
    spec = {"type": "object", "properties": {"groups": {"type": "array", "items": group}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    crd = CRD | {"spec": CRD["spec"] | {"versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]}}
    extensions.create_custom_resource_definition(crd)
    try:
        command("kubectl", "wait", "--for=condition=Established", "--timeout=60s", f"crd/{crd['metadata']['name']}")
        until("the operator's kind", lambda: None if release.helm(*install, check=False).returncode else True)
        kept = release.get("prometheusrule", release.name)["spec"]["groups"]
        assert kept == chart_rules(another_namespace, "clearml.existingSecret=keys"), "nothing that the schema does not know"
        release.helm("uninstall", release.name)
    finally:
        extensions.delete_custom_resource_definition(crd["metadata"]["name"])


@pytest.mark.parametrize(("kinds", "renders"), [([], True), (["batch/v1/CronJob"], False), (["batch/v1/CronJob", RULES], True)])
def test_argo_cds_way_of_rendering_knows_what_its_cluster_has(kinds: list[str], *, renders: bool) -> None:
    words = [
        "helm",
        "template",
        "x",
        str(CHART),
        "--set",
        "clearml.existingSecret=keys",
        "--set",
        "metrics.prometheusRule.enabled=true",
    ]
    done = command(*words, *(word for kind in kinds for word in ("--api-versions", kind)), check=False)
    assert (done.returncode == 0) is renders
    assert ("kind: PrometheusRule" in done.stdout) is renders
