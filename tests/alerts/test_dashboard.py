"""The dashboard is one that Grafana takes, and shows series that there are."""

import json
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from cleanup_job.report.metrics import METRICS
from tests.alerts.queries import SERIES, dashboard, filled, panels, queries, selectors
from tests.chart.charts import ENOUGH, nested, render

ON = nested("metrics.dashboard.enabled", value=True)
LEFT_OUT = {
    "clearml_cleanup_last_start_timestamp_seconds",
    "clearml_cleanup_last_end_timestamp_seconds",
    *(f"clearml_cleanup_sweep_last_{name}" for name in ("start_timestamp_seconds", "end_timestamp_seconds")),
    *(f"clearml_cleanup_sweep_last_{name}" for name in ("duration_seconds", "dry_run")),
}
"""Metrics without a panel."""


def test_grafana_knows_each_field() -> None:
    """Read with the classes that Grafana generates from its schema, nothing gets lost."""
    plugins.register_default_plugins()
    written = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard())))
    assert overlaid(written, dashboard()) == written


def overlaid(under: Any, over: Any) -> Any:
    """``over`` in place of what is at the same place in ``under``."""
    if isinstance(under, dict) and isinstance(over, dict):
        return under | {key: overlaid(under.get(key), value) for key, value in over.items()}
    if isinstance(under, list) and isinstance(over, list) and len(under) == len(over):
        return [overlaid(*pair) for pair in zip(under, over, strict=True)]
    return over


@pytest.mark.parametrize("query", [pytest.param(text, id=name) for name, text in queries()])
def test_a_query_is_about_metrics_and_labels_that_there_are(query: str) -> None:
    found = selectors(filled(query))
    assert found
    for name, labels in found:
        assert labels <= SERIES[name]


def test_each_metric_has_a_panel() -> None:
    shown = {name for _, text in queries() for name, _ in selectors(filled(text))}
    assert set(METRICS) - shown == LEFT_OUT


def test_no_data_source_is_written_in() -> None:
    text = json.dumps(dashboard())
    assert text.count('"uid": "${datasource}"') == text.count('"datasource": {')
    assert dashboard()["schemaVersion"] >= 39


def test_panels_have_their_own_numbers_and_places() -> None:
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard()["panels"]]
    for (one, a), (other, b) in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart, f"{one} covers {other}"
    assert all(panel["description"] for panel in panels())


def test_the_chart_gives_it_to_grafanas_sidecar() -> None:
    given = (
        nested("metrics.dashboard.annotations", {"grafana_folder": "ClearML"}),
        nested("metrics.dashboard.namespace", "monitoring"),
    )
    found = [item for item in render(ENOUGH, ON, *given) if item["metadata"]["name"] == "clearml-cleanup-dashboard"]
    assert len(found) == 1
    assert found[0]["metadata"]["namespace"] == "monitoring"
    assert found[0]["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found[0]["metadata"]["annotations"] == {"grafana_folder": "ClearML"}
    assert json.loads(found[0]["data"]["clearml-cleanup.json"]) == dashboard()


def test_its_label_can_be_another_one() -> None:
    labels = nested("metrics.dashboard.labels", {"grafana_dashboard": None, "dashboards": "yes"})
    found = next(item for item in render(ENOUGH, ON, labels) if item["metadata"]["name"] == "clearml-cleanup-dashboard")
    assert found["metadata"]["labels"]["dashboards"] == "yes"
    assert "grafana_dashboard" not in found["metadata"]["labels"]
    assert not [item for item in render(ENOUGH) if item["metadata"]["name"].endswith("-dashboard")]
