"""k8s/ says what the chart says."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import CHART, one, render

K8S = CHART.parents[1] / "k8s"


def made() -> dict[str, str]:
    return runpy.run_path(str(CHART.parent / "plain_manifests.py"))["manifests"]()


def test_it_was_made_from_the_chart_as_it_is() -> None:
    assert {str(path.relative_to(K8S)): path.read_text() for path in K8S.rglob("*.yaml")} == made(), "run `make chart`"


def test_files_that_the_chart_no_longer_makes_go(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("")
    (tmp_path / "components" / "old").mkdir(parents=True)
    (tmp_path / "components" / "old" / "kustomization.yaml").write_text("")
    runpy.run_path(str(CHART.parent / "plain_manifests.py"))["write"](tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yaml")} == set(made())


def test_nothing_of_helm_is_left() -> None:
    text = "".join(made().values())
    assert "helm.sh" not in text
    assert "managed-by" not in text
    assert "checksum" not in text


def test_the_pod_is_the_charts() -> None:
    files = {name: text for name, text in made().items() if "/" not in name}
    plain = [document for text in files.values() for document in yaml.safe_load_all(text)]
    chart = render({"clearml": {"existingSecret": "clearml-credentials"}}, namespace="clearml")
    assert (
        one("CronJob", plain)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        == (one("CronJob", chart)["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    )
    assert one("ConfigMap", plain)["data"] == one("ConfigMap", chart)["data"]


def test_they_delete_nothing_until_somebody_says_so() -> None:
    assert yaml.safe_load(made()["configmap.yaml"])["data"]["CLEANUP_DRY_RUN"] == "true"


PLAIN = runpy.run_path(str(CHART.parent / "plain_manifests.py"))


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"b/c~": 1}, [{"op": "remove", "path": "/a"}, {"op": "add", "path": "/b~1c~0", "value": 1}]),
        ({"a": {"b": 1}}, {"a": {"b": [1]}}, [{"op": "replace", "path": "/a/b", "value": [1]}]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}], [{"op": "replace", "path": "/1/a", "value": 3}]),
        ([1], [1, 2], [{"op": "add", "path": "/-", "value": 2}]),
        (
            [1, 2, 3],
            [2, 4],
            [{"op": "remove", "path": "/2"}, {"op": "remove", "path": "/0"}, {"op": "add", "path": "/-", "value": 4}],
        ),
    ],
)
def test_a_component_has_the_steps_from_one_to_the_other(before: Any, after: Any, steps: list[dict[str, Any]]) -> None:
    assert list(PLAIN["changes"](before, after)) == steps


@pytest.mark.parametrize("name", PLAIN["COMPONENTS"])
def test_a_component_has_no_object_of_the_base_again(name: str) -> None:
    """kustomize would refuse it. tests/e2e builds each of them."""
    there = {key(item) for path, text in made().items() if "/" not in path for item in yaml.safe_load_all(text)}
    files = [text for path, text in made().items() if path.startswith(f"components/{name}/") and "kustomization" not in path]
    added = [key(item) for text in files for item in yaml.safe_load_all(text)]
    assert not there & set(added)


def key(item: dict[str, Any]) -> tuple[str, str]:
    return item["kind"], item.get("metadata", {}).get("name", "")
