"""The manifests in k8s/, made from the chart: `plain_manifests.py FOLDER`.

For clusters without Helm. What only Helm needs is left out: its labels, the checksum that would be wrong after an edit, and
the test. Credentials come from a Secret that the reader makes.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from helm_python.chart import Chart

CHART = Path(__file__).parent / "clearml-cleanup"
RELEASE, NAMESPACE = "clearml-cleanup", "clearml"
VALUES = {"clearml": {"existingSecret": "clearml-credentials"}}
HELMS_OWN = ("helm.sh/chart", "app.kubernetes.io/managed-by", "checksum/config")
HEADER = "# Made from helm/clearml-cleanup by `make chart`; change it with a kustomization of your own.\n"

Object = dict[str, Any]


def without_helm(item: Any) -> Any:
    """An object without what only Helm reads, and without what is empty then."""
    if isinstance(item, list):
        return [without_helm(part) for part in item]
    if not isinstance(item, dict):
        return item
    kept = {key: without_helm(value) for key, value in item.items() if key not in HELMS_OWN}
    return {key: value for key, value in kept.items() if not (key == "annotations" and not value)}


def manifests() -> dict[str, str]:
    """The files of k8s/, by name."""
    with Chart.load(CHART) as chart:
        rendered = chart.render(VALUES, name=RELEASE, namespace=NAMESPACE)
    files = {}
    for path, text in sorted(rendered.items()):
        name = path.rpartition("/")[2]
        documents = [document for document in yaml.safe_load_all(text) if document] if name.endswith(".yaml") else []
        if not documents or "/tests/" in path:
            continue
        files[name] = HEADER + yaml.safe_dump_all(map(without_helm, documents), sort_keys=False)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": sorted(files),
    }
    return files | {"kustomization.yaml": HEADER + yaml.safe_dump(kustomization, sort_keys=False)}


def write(folder: Path) -> None:
    """Write them, and remove what the chart no longer has."""
    made = manifests()
    for old in set(folder.glob("*.yaml")) - {folder / name for name in made}:
        old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
