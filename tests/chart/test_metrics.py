"""Where the chart lets the job send its metrics, and what it opens for them."""

from typing import Any

import pytest
from helm_python.errors import HelmError

from cleanup_job.settings.model import Settings
from cleanup_job.settings.sources import load
from tests.chart.charts import CONTAINER, ENOUGH, at, merged, nested, render, variables

URL = nested("metrics.pushgateway.url", "http://pushgateway.{{ .Release.Namespace }}:9091")
SECRET = nested("metrics.pushgateway.existingSecret", "gateway")
OTLP = nested("metrics.otlp.endpoint", "https://collector.{{ .Release.Namespace }}")
SWEEP = {"sweep": {"enabled": True, "stores": ["s3://bucket"]}}
NETWORK = {"networkPolicy": {"enabled": True}}
KEYS = {"CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "secret"}


def env(component: str, *layers: dict[str, Any]) -> dict[str, Any]:
    """The variables of a container: a text, or where it comes from."""
    for item in render(ENOUGH, *layers):
        labels = item["metadata"]["labels"] | (at(item, "spec.jobTemplate.metadata.labels") or {})
        if labels.get("app.kubernetes.io/component") == component and item["kind"] in {"CronJob", "Pod"}:
            container = at(item, CONTAINER) or at(item, "spec.containers.0")
            return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}
    raise AssertionError(component)


def read(*layers: dict[str, Any]) -> Settings:
    """What the job makes of its variables."""
    found = {name: value for name, value in env("job", *layers).items() if isinstance(value, str)}
    return load({}, variables(render(ENOUGH, *layers)) | found | KEYS)[0]


def ports(*layers: dict[str, Any]) -> set[int]:
    rules = next(item for item in render(ENOUGH, NETWORK, *layers) if item["kind"] == "NetworkPolicy")["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule["ports"]}


@pytest.mark.parametrize("component", ["job", "sweep"])
def test_passes_and_sweeps_know_where_to_push_and_as_whom(component: str) -> None:
    found = env(component, URL, SWEEP)
    assert found["CLEANUP_PUSHGATEWAY"] == "http://pushgateway.ml:9091"
    assert found["CLEANUP_RELEASE"] == "clearml-cleanup"
    assert found["CLEANUP_LEASE_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_a_helm_test_is_no_pass_that_anyone_counts() -> None:
    assert not {name for name in env("test", URL, OTLP) if "PUSH" in name or "OTLP" in name or "RELEASE" in name}
    assert not {name for name in variables(render(ENOUGH, URL, OTLP)) if "PUSH" in name or "OTLP" in name}


def test_without_metrics_nothing_of_them_is_there() -> None:
    assert not {"CLEANUP_RELEASE", "CLEANUP_LEASE_NAMESPACE", "CLEANUP_PUSHGATEWAY"} & env("job").keys()


def test_the_release_is_named_once_beside_a_task() -> None:
    task = {"clearml": {"task": {"enabled": True}}}
    for item in render(ENOUGH, URL, task):
        names = [entry["name"] for entry in at(item, f"{CONTAINER}.env") or []]
        assert len(names) == len(set(names))
    assert env("job", task)["CLEANUP_RELEASE"] == "clearml-cleanup"


def test_the_job_reads_them() -> None:
    off = nested("metrics.pushgateway.verifyCertificate", False)
    metrics = read(URL, OTLP, off).metrics
    assert (metrics.pushgateway, metrics.otlp_endpoint) == ("http://pushgateway.ml:9091", "https://collector.ml")
    assert metrics.pushgateway_verify_certificate is False
    assert read(URL).metrics.pushgateway_verify_certificate is True


def test_a_secret_has_the_address_with_its_password() -> None:
    key = nested("metrics.pushgateway.existingSecretKey", "address")
    for layers in ([SECRET, key], [SECRET, key, URL]):
        assert env("job", *layers)["CLEANUP_PUSHGATEWAY"] == {"secretKeyRef": {"name": "gateway", "key": "address"}}
    ca = nested("metrics.pushgateway.verifyCertificate", "/ca/ca.crt")
    assert env("job", SECRET, ca)["CLEANUP_PUSHGATEWAY_VERIFY_CERTIFICATE"] == "/ca/ca.crt"


def test_a_password_among_the_values_is_refused() -> None:
    with pytest.raises(HelmError, match=r"metrics\.pushgateway\.existingSecret"):
        render(ENOUGH, nested("metrics.pushgateway.url", "https://user:password@host"))


def test_the_network_policy_opens_their_ports() -> None:
    api = nested("networkPolicy.apiServerPorts", [6443])
    before = ports(api)
    assert ports(api, URL) - before == {9091}
    assert ports(api, OTLP) - before == {443}
    assert ports(api, merged(SECRET, URL)) - before == {9091}
    with pytest.raises(HelmError, match=r"metrics\.pushgateway\.url"):
        ports(SECRET)
