"""Names and labels that Kubernetes accepts, for any name of the release."""

import re

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.chart.charts import CHART, ENOUGH, SANDBOX, at, one, render

ROOT = CHART.parents[1]
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?", fullmatch=True), st.sampled_from(["", "123", "x" * 63]))
def test_every_name_fits(release: str, override: str) -> None:
    """Also names that YAML would take for numbers."""
    objects = render(SANDBOX, {"nameOverride": override}, name=release)
    for item in objects:
        name = item["metadata"]["name"]
        assert LABEL.fullmatch(name)
        assert len(name) <= 63
        assert all(len(value) <= 63 for value in item["metadata"]["labels"].values())
    assert len(one("CronJob", objects)["metadata"]["name"]) <= 52


def test_a_release_named_like_the_chart_is_not_named_twice() -> None:
    assert one("CronJob", render(ENOUGH, name="my-clearml-cleanup"))["metadata"]["name"] == "my-clearml-cleanup"
    assert one("CronJob", render(ENOUGH, name="prod"))["metadata"]["name"] == "prod-clearml-cleanup"


def test_lease_config_role_and_variables_have_the_cronjobs_name() -> None:
    objects = render(ENOUGH, {"fullnameOverride": "x" * 60})
    name = one("CronJob", objects)["metadata"]["name"]
    assert name == "x" * 52
    for kind in ("Lease", "ConfigMap", "Role", "RoleBinding", "ServiceAccount"):
        assert one(kind, objects)["metadata"]["name"] == name
    assert [rule.get("resourceNames") for rule in one("Role", objects)["rules"]] == [[name], None, [name], None, None]
    container = at(one("CronJob", objects), "spec.jobTemplate.spec.template.spec.containers.0")
    assert container["envFrom"] == [{"configMapRef": {"name": name}}]


def test_everything_is_in_the_namespace_of_the_release() -> None:
    assert {item["metadata"]["namespace"] for item in render(SANDBOX, namespace="elsewhere")} == {"elsewhere"}


def test_selectors_find_their_own_pods_alone() -> None:
    objects = render(SANDBOX)
    job = at(one("CronJob", objects), "spec.jobTemplate.spec.template.metadata.labels")
    sandbox = at(one("Deployment", objects), "spec.template.metadata.labels")
    for selector in (
        one("Service", objects)["spec"]["selector"],
        one("Deployment", objects)["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= sandbox.items()
        assert not selector.items() <= job.items()


def test_a_changed_setting_changes_the_pods_checksum() -> None:
    place = "spec.jobTemplate.spec.template.metadata.annotations.checksum/config"
    before = at(one("CronJob", render(ENOUGH)), place)
    after = at(one("CronJob", render(ENOUGH, {"cleanup": {"workers": 1}})), place)
    assert re.fullmatch("[0-9a-f]{64}", before)
    assert before != after


def test_the_chart_is_the_packages_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert chart["appVersion"] == version[1]
    images = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert [image["image"].rpartition(":")[2] for image in images] == [version[1], f"{version[1]}-sandbox"]


def test_names_of_digits_stay_names() -> None:
    objects = render(SANDBOX, {"fullnameOverride": "123", "serviceAccount": {"name": "456"}}, name="7", namespace="8")
    for item in objects:
        assert isinstance(item["metadata"]["name"], str)
        assert item["metadata"]["namespace"] == "8"
        assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == "7"
    pod = at(one("CronJob", objects), "spec.jobTemplate.spec.template.spec")
    assert pod["serviceAccountName"] == "456"
    assert pod["containers"][0]["envFrom"] == [{"configMapRef": {"name": "123"}}]
    assert {"name": "CLEANUP_LEASE", "value": "123"} in pod["containers"][0]["env"]
