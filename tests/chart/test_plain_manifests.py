"""k8s/ says what the chart says."""

import runpy
from pathlib import Path

import yaml

from tests.chart.charts import CHART, one, render

K8S = CHART.parents[1] / "k8s"


def made() -> dict[str, str]:
    return runpy.run_path(str(CHART.parent / "plain_manifests.py"))["manifests"]()


def test_it_was_made_from_the_chart_as_it_is() -> None:
    assert {path.name: path.read_text() for path in K8S.glob("*.yaml")} == made(), "run `make chart`"


def test_files_that_the_chart_no_longer_makes_go(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("")
    runpy.run_path(str(CHART.parent / "plain_manifests.py"))["write"](tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(made())


def test_nothing_of_helm_is_left() -> None:
    text = "".join(made().values())
    assert "helm.sh" not in text
    assert "managed-by" not in text
    assert "checksum" not in text


def test_the_pod_is_the_charts() -> None:
    plain = [document for text in made().values() for document in yaml.safe_load_all(text)]
    chart = render({"clearml": {"existingSecret": "clearml-credentials"}}, namespace="clearml")
    assert (
        one("CronJob", plain)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        == (one("CronJob", chart)["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    )
    assert one("ConfigMap", plain)["data"] == one("ConfigMap", chart)["data"]
