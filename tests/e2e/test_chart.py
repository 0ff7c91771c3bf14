"""The chart before the judges: Helm 3, a real API server, kube-score, helm-docs."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python.chart import Chart

from tests.e2e.release import CHART, ROOT, command

pytestmark = pytest.mark.e2e

EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
BIN = ROOT / ".venv" / "bin"

EXPLAINED = {
    ("container-resources", "CronJob"): "a CPU limit would slow a short-lived job down and save nothing",
    ("container-image-pull-policy", "CronJob"): "a tag is a version, and a pass at night should need no registry",
    ("container-resources", "Pod"): "likewise; it is `helm test`",
    ("container-image-pull-policy", "Pod"): "likewise",
    ("container-resources", "Deployment"): "likewise",
    ("container-image-pull-policy", "Deployment"): "likewise",
    ("pod-networkpolicy", "Deployment"): "the sandbox has made-up tasks only: anybody may look",
}
"""Findings that stay, each with its reason."""


def template(values: Path, *words: str) -> list[dict[str, Any]]:
    done = command("helm", "template", "prod", str(CHART), "--namespace", "ml", "--values", str(values), *words)
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_helm_3_renders_the_same(values: Path) -> None:
    with Chart.load(CHART) as chart:
        rendered = chart.render(yaml.safe_load(values.read_text()), name="prod", namespace="ml")
    texts = [text for path, text in rendered.items() if path.endswith(".yaml")]
    ours = [item for text in texts for item in yaml.safe_load_all(text) if item]
    assert by_name(ours) == by_name(template(values))


def by_name(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    named = {f"{item['kind']}/{item['metadata']['name']}": item for item in items}
    assert len(named) == len(items)
    return named


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_helm_3_lints_it(values: Path) -> None:
    command("helm", "lint", str(CHART), "--strict", "--values", str(values))


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_the_api_server_takes_every_object(values: Path, namespace: str) -> None:
    # kubectl applies to one namespace only, and Grafana's may be another.
    here = ("--namespace", namespace, "--set", "metrics.dashboard.namespace=")
    rendered = command("helm", "template", "prod", str(CHART), "--values", str(values), "--no-hooks", *here)
    words = ("kubectl", "--namespace", namespace, "apply", "--dry-run=server", "--validate=strict", "--filename=-")
    done = command(*words, text=rendered.stdout)
    assert "would violate PodSecurity" not in done.stdout + done.stderr


def test_the_api_server_can_say_no(namespace: str) -> None:
    rendered = command("helm", "template", "prod", str(CHART), "--namespace", namespace, "--set", "sandbox.enabled=true")
    broken = rendered.stdout.replace("concurrencyPolicy: Forbid", "concurrencyPolicy: Never")
    words = ("kubectl", "--namespace", namespace, "apply", "--dry-run=server", "--filename=-")
    done = command(*words, text=broken, check=False)
    assert done.returncode
    assert "concurrencyPolicy" in done.stderr


def test_kube_score_finds_nothing_critical_that_is_not_explained(tmp_path: Path) -> None:
    rendered = command("helm", "template", "prod", str(CHART), "--values", str(CHART / "ci" / "sandbox-values.yaml"))
    (tmp_path / "all.yaml").write_text(rendered.stdout)
    words = [str(BIN / "kube-score"), "score", "--output-format=json", "--output-version=v2", str(tmp_path / "all.yaml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = set()
    for item in json.loads(done.stdout):
        for check in item["checks"] or []:
            if not check["skipped"] and check["grade"] == 1:
                found.add((check["check"]["id"], item["type_meta"]["kind"]))
    assert found == set(EXPLAINED)


def test_the_readme_is_what_helm_docs_writes(tmp_path: Path) -> None:
    for name in ("Chart.yaml", "values.yaml", "README.md.gotmpl"):
        (tmp_path / name).write_text((CHART / name).read_text())
    command(str(BIN / "helm-docs"), f"--chart-search-root={tmp_path}", "--sort-values-order=file", "--log-level=warning")
    assert (tmp_path / "README.md").read_text() == (CHART / "README.md").read_text(), "run `make chart`"
