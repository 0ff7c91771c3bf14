"""The same metrics by OTLP: what an endpoint gets, decoded by OpenTelemetry's own messages."""

from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client import CollectorRegistry

from cleanup_job.exporters.otlp import ExportError, send
from cleanup_job.report.metrics import METRICS, PASS, of_report, unit_of
from tests.unit.exporters.receiver import Receiver, receiver
from tests.unit.report.example_report import report

ABOUT = {"service.name": "clearml-cleanup", "service.version": "1.0", "k8s.namespace.name": "ml"}


@pytest.fixture
def endpoint(no_proxy: None) -> Iterator[Receiver]:
    with receiver() as there:
        yield there


@pytest.fixture
def registry() -> CollectorRegistry:
    made = report()
    made.phases, made.counted = {"select": 1.5}, True
    return of_report(made)


def test_an_endpoint_gets_the_metrics_of_prometheus(
    endpoint: Receiver, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=abc")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=ml")
    send(registry, f"http://127.0.0.1:{endpoint.port}", ABOUT, unit_of)
    (got,) = endpoint.got
    assert got.path == "/v1/metrics"
    assert got.headers["api-key"] == "abc"
    assert {name.lower(): value for name, value in got.headers.items()}["content-type"] == "application/x-protobuf"
    (of_resource,) = ExportMetricsServiceRequest.FromString(got.body).resource_metrics
    resource = {entry.key: entry.value.string_value for entry in of_resource.resource.attributes}
    assert ABOUT.items() <= resource.items()
    assert resource["team"] == "ml"
    (scope,) = of_resource.scope_metrics
    found = {
        (metric.name, tuple((one.key, one.value.string_value) for one in point.attributes)): point.as_double
        for metric in scope.metrics
        for point in metric.gauge.data_points
    }
    expected = {(one.name, tuple(one.labels.items())): one.value for family in registry.collect() for one in family.samples}
    assert found == expected
    units = {metric.name: metric.unit for metric in scope.metrics}
    assert units[PASS + "duration_seconds"] == "s"
    assert units[PASS + "freed_bytes"] == "By"
    assert units[PASS + "deleted_tasks"] == units[PASS + "exit_code"] == ""
    assert {metric.name: metric.description for metric in scope.metrics} == {name: METRICS[name].text for name in units}


def test_the_path_may_be_part_of_the_address(endpoint: Receiver, registry: CollectorRegistry) -> None:
    send(registry, f"http://127.0.0.1:{endpoint.port}/otlp/v1/metrics", ABOUT, unit_of)
    assert endpoint.got[0].path == "/otlp/v1/metrics"


def test_a_refusal_names_the_setting_and_its_reason_and_goes_nowhere_else(
    endpoint: Receiver, registry: CollectorRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    address = f"http://127.0.0.1:{endpoint.port}"
    redirect = (307, {"Location": f"{address}/elsewhere"}, b"")
    for answer, says in (((401, {}, b"no"), "401"), (redirect, "redirects")):
        endpoint.answers = [answer]
        with pytest.raises(ExportError, match=f"CLEANUP_OTLP_ENDPOINT={address}.*{says}") as caught:
            send(registry, address, ABOUT, unit_of)
        assert "OTEL_EXPORTER_OTLP_" in str(caught.value)
    assert [got.path for got in endpoint.got] == ["/v1/metrics"] * 2
    assert capfd.readouterr() == ("", ""), "the exporter prints nothing of its own"
