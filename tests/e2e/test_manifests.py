"""The manifests before tools that read them without a cluster: kustomize, kubeconform."""

import json
import os
import runpy
from collections.abc import Iterable
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.chart.charts import CHART, ENOUGH, Object, render
from tests.e2e.release import ROOT, command

pytestmark = pytest.mark.e2e

PLAIN = runpy.run_path(str(ROOT / "helm" / "plain_manifests.py"))
COMPONENTS: dict[str, Object] = PLAIN["COMPONENTS"]

SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
VERSIONS = ["1.27.0", "1.36.0"]
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
NAMES = sorted(COMPONENTS)


def kustomize(folder: Path, components: Iterable[str], namespace: str = "clearml") -> str:
    """What a user's own kustomization gives."""
    k8s = os.path.relpath(ROOT / "k8s", folder)
    own = {"namespace": namespace, "resources": [k8s], "components": [f"{k8s}/components/{name}" for name in components]}
    (folder / "kustomization.yaml").write_text(json.dumps(own))
    return command("kubectl", "kustomize", str(folder)).stdout


def by_name(items: Iterable[Object]) -> dict[tuple[str, str], Object]:
    """Objects, whatever the order of the names in their rules."""
    found = {(item["kind"], item["metadata"]["name"]): item for item in items}
    for rule in found["Role", PLAIN["RELEASE"]]["rules"]:
        rule.get("resourceNames", []).sort()
    return found


@pytest.mark.parametrize("names", [[], *([name] for name in NAMES), NAMES, NAMES[::-1]], ids="+".join)
def test_components_make_what_the_chart_makes(names: list[str], tmp_path: Path) -> None:
    made = by_name(yaml.safe_load_all(kustomize(tmp_path, names)))
    chart = PLAIN["rendered"](*(COMPONENTS[name] for name in names))
    assert made == by_name(item for items in chart.values() for item in items)


def test_components_go_into_another_namespace(tmp_path: Path) -> None:
    made = list(yaml.safe_load_all(kustomize(tmp_path, NAMES, "elsewhere")))
    assert {item["metadata"]["namespace"] for item in made} == {"elsewhere"}
    assert len(made) > 8


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kubernetes' own schemas, referring to each other as kubeconform reads it: the package has a loader of its own."""
    folder = tmp_path_factory.mktemp("schemas")
    for version in VERSIONS:
        (folder / f"v{version}").mkdir()
        for path in (SCHEMAS / f"v{version}-local-strict").glob("*.json"):
            schema = json.loads(path.read_text().replace('"/api/_definitions.json#', '"_definitions.json#'))
            schema.pop("$id", None)
            (folder / f"v{version}" / path.name).write_text(json.dumps(schema))
    return folder


def kubeconform(schemas: Path, version: str, *files: Path) -> Object:
    place = f"{schemas}/{{{{ .NormalizedKubernetesVersion }}}}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    words = [str(ROOT / ".venv" / "bin" / "kubeconform"), "-strict", "-summary", "-output=json"]
    # Kinds of others, such as Prometheus' rules, are not in Kubernetes' schemas.
    words += [f"-schema-location={place}", f"-kubernetes-version={version}", "-skip=PrometheusRule", *map(str, files)]
    found: Object = json.loads(command(*words, check=False).stdout)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_kubeconform_finds_every_object_valid(schemas: Path, version: str, tmp_path: Path) -> None:
    """Of the chart with each set of values, and of what kustomize makes."""
    presets = [yaml.safe_load(path.read_text()) for path in (*EXAMPLES, CHART / "values-openshift.yaml")]
    objects = [item for values in presets for item in render(ENOUGH if "podSecurityContext" in values else {}, values)]
    (tmp_path / "chart.yaml").write_text(yaml.safe_dump_all(objects))
    for name in NAMES:
        (tmp_path / name).mkdir()
        text = kustomize(tmp_path / name, [name])
        (tmp_path / name / "kustomization.yaml").unlink()
        if name != "shards" or version >= "1.29":
            (tmp_path / f"{name}.yaml").write_text(text)
    found = kubeconform(schemas, version, *tmp_path.glob("*.yaml"))
    assert found["resources"] == []
    assert found["summary"]["valid"] > len(objects)
    assert found["summary"]["invalid"] == found["summary"]["errors"] == 0


def test_kubeconform_can_say_no(schemas: Path, tmp_path: Path) -> None:
    broken = (ROOT / "k8s" / "cronjob.yaml").read_text().replace("suspend: false", "suspended: false")
    (tmp_path / "broken.yaml").write_text(broken)
    found = kubeconform(schemas, VERSIONS[-1], tmp_path / "broken.yaml")
    assert found["summary"]["invalid"] == 1
    assert "suspended" in found["resources"][0]["msg"]
