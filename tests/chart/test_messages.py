"""Whom the chart lets the job send messages to: the URLs are in a Secret, and nowhere else."""

from typing import Any

import pytest
from helm_python.errors import HelmError

from tests.chart.charts import ENOUGH, nested, render
from tests.chart.test_metrics import SWEEP, env, ports

MAIL, CHAT = "mailtos://user:secret-word@smtp.example.com?to=ops@example.com", "slack://TokenA/TokenB/TokenC"
URLS = nested("notify.urls", [MAIL, CHAT])
SECRET = nested("notify.existingSecret", "{{ .Release.Name }}-messages")


def secrets(*layers: dict[str, Any]) -> dict[str, dict[str, str]]:
    found = [item for item in render(ENOUGH, *layers) if item["kind"] == "Secret"]
    return {item["metadata"]["name"]: item["stringData"] for item in found}


@pytest.mark.parametrize("component", ["job", "sweep"])
def test_passes_and_sweeps_read_the_urls_from_a_secret(component: str) -> None:
    found = env(component, URLS, SWEEP)
    assert found["CLEANUP_NOTIFY"] == {"secretKeyRef": {"name": "clearml-cleanup-notify", "key": "urls"}}
    assert found["CLEANUP_NOTIFY_WHEN"] == "failure,notices"
    assert found["CLEANUP_RELEASE"] == "clearml-cleanup"
    assert found["CLEANUP_LEASE_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert secrets(URLS)["clearml-cleanup-notify"] == {"urls": f"{MAIL}\n{CHAT}"}


def test_the_urls_are_in_nothing_but_the_secret() -> None:
    assert "secret-word" not in str([item for item in render(ENOUGH, URLS, SWEEP) if item["kind"] != "Secret"])


def test_a_secret_of_ones_own() -> None:
    key = nested("notify.existingSecretKey", "apprise")
    assert env("job", SECRET, key)["CLEANUP_NOTIFY"] == {"secretKeyRef": {"name": "clearml-cleanup-messages", "key": "apprise"}}
    assert secrets(SECRET) == secrets()
    with pytest.raises(HelmError, match=r"notify\.urls and notify\.existingSecret"):
        render(ENOUGH, URLS, SECRET)


def test_without_messages_nothing_of_them_is_there() -> None:
    assert not {name for name in env("job") if "NOTIFY" in name or "LEASE_NAMESPACE" in name}
    assert not {name for name in env("test", URLS) if "NOTIFY" in name}, "a helm test is no pass that anyone is told of"
    assert not {name for name in secrets() if "notify" in name}


def test_beside_metrics_no_variable_is_there_twice() -> None:
    gateway = nested("metrics.pushgateway.url", "http://pushgateway:9091")
    (job,) = [item for item in render(ENOUGH, URLS, gateway) if item["kind"] == "CronJob"]
    container = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    names = [entry["name"] for entry in container["env"]]
    assert len(names) == len(set(names))


def test_when_is_one_of_the_jobs_words() -> None:
    assert env("job", URLS, nested("notify.when", ["always"]))["CLEANUP_NOTIFY_WHEN"] == "always"
    with pytest.raises(HelmError, match="when"):
        render(ENOUGH, URLS, nested("notify.when", ["never"]))
    with pytest.raises(HelmError, match="urls"):
        render(ENOUGH, nested("notify.urls", ["ops@example.com"]))


def test_the_network_policy_opens_the_ports() -> None:
    api = nested("networkPolicy.apiServerPorts", [6443])
    assert ports(api, URLS) - ports(api) == {443}
    assert ports(api, URLS, nested("notify.ports", [587])) - ports(api) == {587}
    assert ports(api, URLS, nested("notify.ports", None)) - ports(api) == {443}, "a release that keeps its old values"
