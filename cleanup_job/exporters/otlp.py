"""Sending metrics to an OpenTelemetry endpoint, by OTLP over HTTP (http/protobuf).

OpenTelemetry's own exporter does it, so that its variables mean what they mean everywhere: OTEL_EXPORTER_OTLP_HEADERS,
_CERTIFICATE, _CLIENT_KEY, _TIMEOUT (in seconds), _COMPRESSION, and OTEL_RESOURCE_ATTRIBUTES. Importing this module needs the
extra ``otlp``.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry

from cleanup_job.errors import CleanupError

SETTING = "CLEANUP_OTLP_ENDPOINT"
PATH = "/v1/metrics"
"""Where an endpoint takes metrics, below its address."""
_UNITS = {"seconds": "s", "bytes": "By"}
"""OpenTelemetry's words for the units that names end in. A count has none: with `1`, Prometheus would append `_ratio`."""


class ExportError(CleanupError):
    """Nothing was sent. ``str()`` names the setting, the address and the way out."""


def send(registry: CollectorRegistry, endpoint: str, attributes: Mapping[str, str], unit_of: Callable[[str], str]) -> None:
    """Send metrics, under the names that they have in Prometheus.

    Args:
        registry: The metrics.
        endpoint: The address of the endpoint, with or without ``PATH``.
        attributes: What is known of who sends them, by OpenTelemetry's names.
        unit_of: The unit that a metric's name ends in.

    Raises:
        ExportError: they were not sent.
    """
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource.create(dict(attributes)), shutdown_on_exit=False)
    meter = provider.get_meter(attributes["service.name"], attributes["service.version"])
    for family in registry.collect():
        gauge = meter.create_gauge(family.name, _UNITS.get(unit_of(family.name), ""), family.documentation)
        for sample in family.samples:
            gauge.set(sample.value, sample.labels)
    found = reader.get_metrics_data()
    http = requests.Session()
    http.max_redirects = 0  # no header goes elsewhere
    with _messages() as messages:
        exporter = OTLPMetricExporter(endpoint.removesuffix(PATH) + PATH, session=http)
        sent = found is not None and exporter.export(found) is MetricExportResult.SUCCESS
        exporter.shutdown()
        provider.shutdown()
    if not sent:
        why = "; ".join(text.rstrip(".") for text in dict.fromkeys([*messages[:1], *messages[-1:]])) or "no reason is known"
        raise ExportError(
            f"{SETTING}={endpoint}, the OpenTelemetry endpoint, did not take the metrics: {why}. Check the address and the "
            "OTEL_EXPORTER_OTLP_ variables"
        )


@contextmanager
def _messages() -> Iterator[list[str]]:
    """What the exporter logs, which says why it failed, in place of printing it."""
    texts: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]  # a handler that only collects
    logger = logging.getLogger("opentelemetry")
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
