"""Objects fit each other: what linters of manifests ask for, and neither kube-score nor a schema sees."""

from typing import Any

import pytest
import yaml

from tests.chart.charts import CHART, Object, at, render

EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
PODS = {"CronJob": "spec.jobTemplate.spec.template", "Deployment": "spec.template", "Pod": ""}
SECRET = ("KEY", "SECRET", "PASSWORD", "TOKEN")


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return render(yaml.safe_load(request.param.read_text()))


def pods(objects: list[Object]) -> list[Object]:
    return [at(item, PODS[item["kind"]]) if PODS[item["kind"]] else item for item in objects if item["kind"] in PODS]


def containers(objects: list[Object]) -> list[Object]:
    return [container for pod in pods(objects) for container in pod["spec"]["containers"]]


def test_no_variable_is_there_twice_and_no_secret_is_written_out(objects: list[Object]) -> None:
    for container in containers(objects):
        entries: list[dict[str, Any]] = container.get("env") or []
        names = [entry["name"] for entry in entries]
        assert len(names) == len(set(names))
        assert not [entry for entry in entries if entry["name"].endswith(SECRET) and "value" in entry]


def test_service_accounts_are_the_releases_own_or_its_users(objects: list[Object]) -> None:
    made = {item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"}
    used = {pod["spec"].get("serviceAccountName") for pod in pods(objects)} - {None}
    assert used == (made or {"default"})


def test_every_volume_is_mounted_and_every_mount_has_its_volume(objects: list[Object]) -> None:
    for pod in pods(objects):
        volumes = {volume["name"] for volume in pod["spec"].get("volumes") or []}
        mounts = {mount["name"] for container in pod["spec"]["containers"] for mount in container.get("volumeMounts") or []}
        assert volumes == mounts


def test_services_lead_to_ports_of_their_pods(objects: list[Object]) -> None:
    for service in (item for item in objects if item["kind"] == "Service"):
        selector = service["spec"]["selector"]
        found = [pod for pod in pods(objects) if selector.items() <= pod["metadata"]["labels"].items()]
        assert len(found) == 1
        ports = {port["name"] for container in found[0]["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} == ports


def test_images_have_a_version_and_roles_no_star(objects: list[Object]) -> None:
    assert not [container for container in containers(objects) if container["image"].endswith(":latest")]
    assert all("*" not in str(item["rules"]) for item in objects if item["kind"] == "Role")
    assert not {item["kind"] for item in objects} & {"ClusterRole", "ClusterRoleBinding"}


def test_nothing_is_looked_up_in_the_cluster() -> None:
    """Argo CD renders without one."""
    for path in (CHART / "templates").rglob("*.*"):
        assert "lookup " not in path.read_text(), path.name
