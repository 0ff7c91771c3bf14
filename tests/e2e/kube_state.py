"""What kube-state-metrics tells of CronJobs and Jobs, read from the real API.

A stand-in: the module proxy does not have its Go module. It has the families that the alerts and the dashboard use, with their
labels, and leaves out series in the same cases, as in `internal/store/cronjob.go` and `job.go` of
https://github.com/kubernetes/kube-state-metrics.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Series = tuple[str, dict[str, str], float]


class KubeState(Collector):
    """Reads the CronJobs and Jobs of a namespace at each scrape."""

    def __init__(self, batch: Any, namespace: str) -> None:
        self._batch, self._namespace = batch, namespace

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing is known before the API is asked."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found: list[Series] = []
        for item in self._batch.list_namespaced_cron_job(self._namespace).items:
            found += _cronjob(item)
        for item in self._batch.list_namespaced_job(self._namespace).items:
            found += _job(item)
        families: dict[str, GaugeMetricFamily] = {}
        for name, labels, value in found:
            family = families.setdefault(name, GaugeMetricFamily(name, name, labels=list(labels)))
            family.add_metric(list(labels.values()), value)
        yield from families.values()


def _cronjob(item: Any) -> Iterator[Series]:
    labels = {"namespace": item.metadata.namespace, "cronjob": item.metadata.name}
    yield "kube_cronjob_created", labels, item.metadata.creation_timestamp.timestamp()
    yield "kube_cronjob_spec_suspend", labels, float(item.spec.suspend)
    yield "kube_cronjob_status_active", labels, len(item.status.active or [])
    yield from _time("kube_cronjob_status_last_schedule_time", labels, item.status.last_schedule_time)
    yield from _time("kube_cronjob_status_last_successful_time", labels, item.status.last_successful_time)


def _job(item: Any) -> Iterator[Series]:
    labels = {"namespace": item.metadata.namespace, "job_name": item.metadata.name}
    yield "kube_job_created", labels, item.metadata.creation_timestamp.timestamp()
    for owner in item.metadata.owner_references or []:
        controller = str(bool(owner.controller)).lower()
        owned = {"owner_kind": owner.kind, "owner_name": owner.name, "owner_is_controller": controller}
        yield "kube_job_owner", labels | owned, 1
    for condition in item.status.conditions or []:
        name = {"Complete": "kube_job_complete", "Failed": "kube_job_failed"}.get(condition.type)
        for status in ("true", "false", "unknown") if name else ():
            yield str(name), labels | {"condition": status}, float(condition.status.lower() == status)


def _time(name: str, labels: dict[str, str], moment: datetime | None) -> Iterator[Series]:
    if moment is not None:
        yield name, labels, moment.timestamp()
