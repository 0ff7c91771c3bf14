"""The queries of the alerts and of the dashboard, and the series that they can be about."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser

from cleanup_job.report.metrics import METRICS
from tests.chart.charts import CHART

GROUP = frozenset({"job", "namespace", "release", "shard"})
"""Labels of what is pushed, beside the metric's own."""
_CRONJOB, _JOB = frozenset({"namespace", "cronjob"}), frozenset({"namespace", "job_name"})
KUBE_STATE_METRICS = {
    "kube_cronjob_created": _CRONJOB,
    "kube_cronjob_spec_suspend": _CRONJOB,
    "kube_cronjob_status_active": _CRONJOB,
    "kube_cronjob_status_last_schedule_time": _CRONJOB,
    "kube_cronjob_status_last_successful_time": _CRONJOB,
    "kube_job_created": _JOB,
    "kube_job_owner": _JOB | {"owner_kind", "owner_name", "owner_is_controller"},
    "kube_job_complete": _JOB | {"condition"},
    "kube_job_failed": _JOB | {"condition"},
}
"""What is used of it, with labels: https://github.com/kubernetes/kube-state-metrics/tree/main/docs/metrics/workload."""
SERIES = KUBE_STATE_METRICS | {name: GROUP | ({metric.label} - {""}) for name, metric in METRICS.items()}
"""Every metric that a query may name, with its labels."""


def dashboard() -> Any:
    """Grafana's JSON."""
    return json.loads((CHART / "dashboards" / "clearml-cleanup.json").read_text(encoding="utf-8"))


def panels() -> list[dict[str, Any]]:
    """Its panels, without the headings."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Each panel's name with each of its queries."""
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['id']} {panel['title']} {target['refId']}", target["expr"]


def filled(query: str, **values: str) -> str:
    """A query with the dashboard's variables filled in, as Grafana does it."""
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], ".*"), query)


def selectors(query: str) -> list[tuple[str, set[str]]]:
    """The metrics that a query names, each with the labels that it matches. Raises ValueError if it is no PromQL."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, {matcher.name for matcher in node.matchers.matchers}))
        return True

    promql_parser.walk(promql_parser.parse(query), visit)
    return found
