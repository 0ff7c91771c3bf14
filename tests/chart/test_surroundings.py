"""Proxies, CAs, OpenShift, and an upgrade that brings no new values along."""

from typing import Any

import pytest
import yaml
from helm_python.errors import HelmError

from tests.chart.charts import (
    CHART,
    CONTAINER,
    ENOUGH,
    IN_EARNEST,
    POD,
    SANDBOX,
    Object,
    at,
    default_values,
    merged,
    nested,
    one,
    render,
    variables,
)

CA = "/etc/clearml-cleanup/ca/ca.crt"
PROXY = {"proxy": {"httpProxy": "http://proxy.example.com:3128", "httpsProxy": "http://secure.example.com"}}


def environment(*values: Object) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in at(one("CronJob", render(ENOUGH, *values)), f"{CONTAINER}.env")}


# -- CAs of one's own
@pytest.mark.parametrize(("kind", "named"), [("configMap", "name"), ("secret", "secretName")])
def test_one_value_mounts_cas_and_sets_them_for_clearml_and_stores(kind: str, named: str) -> None:
    objects = render(ENOUGH, {"caBundle": {kind: "company-ca", "key": "bundle.pem"}})
    assert at(one("CronJob", objects), f"{POD}.volumes") == [
        {"name": "ca-bundle", kind: {named: "company-ca", "items": [{"key": "bundle.pem", "path": "ca.crt"}]}}
    ]
    assert at(one("CronJob", objects), f"{CONTAINER}.volumeMounts") == [
        {"name": "ca-bundle", "mountPath": "/etc/clearml-cleanup/ca", "readOnly": True}
    ]
    found = variables(objects)
    assert found["CLEARML_API_HOST_VERIFY_CERT"] == found["CLEANUP_STORES_VERIFY_CERTIFICATE"] == CA
    assert one("Pod", objects)["spec"]["volumes"] == at(one("CronJob", objects), f"{POD}.volumes")


def test_without_it_nothing_is_mounted_or_set() -> None:
    objects = render(ENOUGH)
    assert at(one("CronJob", objects), f"{POD}.volumes") is None
    assert "CLEARML_API_HOST_VERIFY_CERT" not in variables(objects)
    assert variables(objects)["CLEANUP_STORES_VERIFY_CERTIFICATE"] == "true"


@pytest.mark.parametrize("own", [False, "/other/ca.crt"])
def test_a_value_of_its_own_wins(own: bool | str) -> None:
    given = {"caBundle": {"configMap": "ca"}}
    written = str(own).lower()
    found = variables(render(ENOUGH, given, nested("clearml.verifyCertificate", own)))
    assert (found["CLEARML_API_HOST_VERIFY_CERT"], found["CLEANUP_STORES_VERIFY_CERTIFICATE"]) == (written, CA)
    found = variables(render(ENOUGH, given, nested("cleanup.storesVerifyCertificate", own)))
    assert (found["CLEARML_API_HOST_VERIFY_CERT"], found["CLEANUP_STORES_VERIFY_CERTIFICATE"]) == (CA, written)


def test_stores_take_it_too_where_their_own_value_is_null() -> None:
    found = variables(render(ENOUGH, {"caBundle": {"configMap": "ca"}}, nested("cleanup.storesVerifyCertificate", None)))
    assert found["CLEANUP_STORES_VERIFY_CERTIFICATE"] == CA


def test_both_at_once_are_refused() -> None:
    with pytest.raises(HelmError, match=r"caBundle\.configMap and caBundle\.secret are both set"):
        render(ENOUGH, {"caBundle": {"configMap": "a", "secret": "b"}})


def test_metrics_go_out_with_it_too() -> None:
    sent = {"metrics": {"pushgateway": {"url": "https://gateway:9091"}, "otlp": {"endpoint": "https://collector:4318"}}}
    found = environment(sent, {"caBundle": {"configMap": "ca"}})
    assert found["CLEANUP_PUSHGATEWAY_VERIFY_CERTIFICATE"] == found["OTEL_EXPORTER_OTLP_CERTIFICATE"] == CA
    assert not {"CLEANUP_PUSHGATEWAY_VERIFY_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"} & set(environment(sent))
    assert environment(sent, PROXY)["NO_PROXY"].endswith(",clearml-webserver,gateway,collector")


# -- a proxy
def test_the_proxy_is_named_in_upper_and_in_lower_case() -> None:
    found = variables(render(ENOUGH, PROXY))
    assert found["HTTP_PROXY"] == found["http_proxy"] == "http://proxy.example.com:3128"
    assert found["HTTPS_PROXY"] == found["https_proxy"] == "http://secure.example.com"
    assert not [name for name in variables(render(ENOUGH)) if "proxy" in name.lower()]
    assert not [name for name in environment() if "proxy" in name.lower()]


def test_what_is_in_the_cluster_is_reached_without_it() -> None:
    hosts = {"clearml": {"apiHost": "http://api:8008", "filesHost": "https://files.example.com", "webHost": "http://[::1]:80"}}
    found = environment(PROXY, hosts)
    assert found["NO_PROXY"] == found["no_proxy"]
    assert found["NO_PROXY"].split(",") == [
        *("localhost", "127.0.0.1", "$(KUBERNETES_SERVICE_HOST)", "kubernetes.default", ".svc", ".cluster.local", "api"),
    ]


def test_a_proxy_of_ones_own_variables_is_not_named_twice() -> None:
    own = {"extraEnv": [{"name": "NO_PROXY", "value": "mine"}, {"name": "CLEANUP_CRONJOB", "value": "mine"}]}
    entries = at(one("CronJob", render(ENOUGH, PROXY, own)), f"{CONTAINER}.env")
    names = [entry["name"] for entry in entries]
    assert len(names) == len(set(names))
    assert environment(PROXY, own)["NO_PROXY"] == environment(own)["CLEANUP_CRONJOB"] == "mine"


def test_the_network_policy_lets_the_proxy_through() -> None:
    rules = one("NetworkPolicy", render(ENOUGH, PROXY, {"networkPolicy": {"enabled": True}}))["spec"]["egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in rules] == [[53, 53], [8008, 8081], [80, 3128], [443, 6443]]


@pytest.mark.parametrize("address", ["proxy:3128", "ftp://proxy", "http://pro xy"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(HelmError, match="/proxy/httpsProxy"):
        render(ENOUGH, nested("proxy.httpsProxy", address))


# -- OpenShift
def test_on_openshift_no_user_is_asked_for() -> None:
    """As restricted-v2 wants it: it chooses the users itself."""
    preset = yaml.safe_load((CHART / "values-openshift.yaml").read_text())
    given = merged(SANDBOX, {"sweep": {"enabled": True, "stores": ["s3://bucket"]}}, preset)
    places = {"CronJob": POD, "Deployment": "spec.template.spec", "Pod": "spec"}
    pods = [at(item, places[item["kind"]]) for item in render(given) if item["kind"] in places]
    assert len(pods) == 4
    for pod in pods:
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert not {"runAsUser", "runAsGroup"} & set(pod["containers"][0]["securityContext"])


# -- dry runs first
def test_a_new_release_deletes_nothing() -> None:
    assert variables(render(ENOUGH))["CLEANUP_DRY_RUN"] == "true"
    assert variables(render(ENOUGH, nested("cleanup.dryRun", value=False)))["CLEANUP_DRY_RUN"] == "true"
    assert variables(render(ENOUGH, nested("cleanup.dryRun", None)))["CLEANUP_DRY_RUN"] == "true"


def test_one_value_begins_to_delete_and_another_still_prevents_it() -> None:
    assert variables(render(ENOUGH, IN_EARNEST))["CLEANUP_DRY_RUN"] == "false"
    assert variables(render(ENOUGH, IN_EARNEST, nested("cleanup.dryRun", value=True)))["CLEANUP_DRY_RUN"] == "true"


def test_a_sandbox_is_cleaned_at_once() -> None:
    assert variables(render(SANDBOX))["CLEANUP_DRY_RUN"] == "false"


def test_a_sweep_only_reports_as_long() -> None:
    given = {"sweep": {"enabled": True, "delete": True, "fileserver": {"existingClaim": "data"}}}

    def of_the_sweep(*values: Object) -> tuple[Any, ...]:
        sweep = next(item for item in render(ENOUGH, given, *values) if item["metadata"]["name"].endswith("-sweep"))
        env = {entry["name"]: entry.get("value") for entry in at(sweep, f"{CONTAINER}.env")}
        return (env["CLEANUP_SWEEP_DELETE"], at(sweep, f"{CONTAINER}.volumeMounts.0.readOnly"))

    assert of_the_sweep() == ("false", True)
    assert of_the_sweep(IN_EARNEST) == ("true", False)


# -- --reuse-values
NEW = {
    "global",
    "dryRunFirst",
    "namespaceOverride",
    "commonAnnotations",
    "caBundle",
    "proxy",
    "extraArgs",
    "extraContainers",
    "metrics",
    "notify",
    "lifecycle",
}


def test_a_release_that_keeps_its_old_values_has_none_of_the_new_ones() -> None:
    """As `helm upgrade --reuse-values` leaves them; null is how a value is taken away. It goes on deleting, as it did."""
    assert set(default_values()) > NEW
    gone: Object = dict.fromkeys(NEW) | {
        "lease": {"create": None},
        "serviceAccount": {"labels": None, "automount": None},
        "sweep": {"extraArgs": None},
    }
    everything = {"sweep": {"enabled": True, "stores": ["s3://bucket"]}, "networkPolicy": {"enabled": True}}
    objects = render(ENOUGH, everything, gone)
    assert variables(objects)["CLEANUP_DRY_RUN"] == "false"
    assert objects == render(ENOUGH, everything, IN_EARNEST)
    assert render(SANDBOX, everything, gone) == render(SANDBOX, everything)
