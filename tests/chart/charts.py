"""The chart, rendered by the real Helm engine."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from helm_python.chart import Chart

CHART = Path(__file__).resolve().parents[2] / "helm" / "clearml-cleanup"
Object = dict[str, Any]

ENOUGH = {"clearml": {"existingSecret": "keys"}}
"""The least that a release needs."""
SANDBOX = {"sandbox": {"enabled": True}}
IN_EARNEST = {"dryRunFirst": False}
"""A release that deletes."""

POD = "spec.jobTemplate.spec.template.spec"
CONTAINER = f"{POD}.containers.0"


@cache
def chart() -> Chart:
    return Chart.load(CHART)


@cache
def default_values() -> Object:
    values: Object = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def nested(path: str, value: Any) -> Object:
    """``a.b`` and 1 as ``{"a": {"b": 1}}``."""
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def merged(*layers: Mapping[str, Any]) -> Object:
    """Values over values, as Helm merges several files."""
    result: Object = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def files(*layers: Mapping[str, Any], name: str = "clearml-cleanup", namespace: str = "ml") -> dict[str, str]:
    """Each template's path and what it gives, `NOTES.txt` included."""
    rendered = chart().render(merged(*layers), name=name, namespace=namespace)
    return {path.partition("templates/")[2]: text for path, text in rendered.items()}


def render(*layers: Mapping[str, Any], **release: str) -> list[Object]:
    """All objects of a release."""
    texts = (text for path, text in files(*layers, **release).items() if path.endswith(".yaml"))
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def one(kind: str, objects: Iterable[Object]) -> Object:
    found = [item for item in objects if item["kind"] == kind]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def at(item: Any, path: str) -> Any:
    """What is at ``a.b.0.c``, or None if there is nothing."""
    for key in path.split("."):
        if isinstance(item, list):
            item = item[int(key)] if int(key) < len(item) else None
        elif isinstance(item, dict):
            item = item.get(key)
        else:
            return None
    return item


def variables(objects: Iterable[Object]) -> dict[str, str]:
    """The variables of the ConfigMap; the others are the dashboard and the file with policies."""
    others = ("-dashboard", "-policies")
    data: dict[str, str] = one("ConfigMap", [item for item in objects if not item["metadata"]["name"].endswith(others)])["data"]
    return data


def leaves(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The paths of all values; lists and empty objects are leaves."""
    found = []
    for key, value in values.items():
        path = f"{prefix}{key}"
        found += leaves(value, path + ".") if isinstance(value, dict) and value else [path]
    return found
