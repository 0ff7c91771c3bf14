"""When and where the metrics of a run go, and that nothing of it holds up or fails a run."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.job import metrics
from cleanup_job.planning.outcome import Report
from cleanup_job.report.metrics import of_report
from cleanup_job.settings.model import Settings
from cleanup_job.settings.sources import load
from tests.unit.exporters.receiver import Receiver, receiver

ENOUGH = {"CLEARML_API_HOST": "http://api", "CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "secret"}


@pytest.fixture
def server(no_proxy: None) -> Iterator[Receiver]:
    with receiver() as there:
        yield there


def settings(**environ: str) -> Settings:
    return load({}, ENOUGH | environ)[0]


def gateway(server: Receiver, **environ: str) -> Settings:
    return settings(CLEANUP_PUSHGATEWAY=f"http://user:secret-word@127.0.0.1:{server.port}", **environ)


def registry() -> Any:
    return of_report(Report("1.0", False, datetime.now(UTC), datetime.now(UTC)))


def sent(given: Settings, made: Callable[[], Any] = registry) -> list[str]:
    """The warnings of sending."""
    warnings: list[str] = []
    metrics.send(given, made, warnings.append)
    return warnings


def test_without_a_place_to_send_them_no_metrics_are_made() -> None:
    def made() -> Any:
        raise AssertionError

    assert sent(settings(), made) == []


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({}, "/namespace/default/release/clearml-cleanup"),
        ({"CLEANUP_RELEASE": "nightly", "CLEANUP_LEASE_NAMESPACE": "ml"}, "/namespace/ml/release/nightly"),
        ({"CLEANUP_SHARDS": "3", "JOB_COMPLETION_INDEX": "2"}, "/namespace/default/release/clearml-cleanup/shard/2"),
        ({"CLEANUP_SHARDS": "1", "JOB_COMPLETION_INDEX": "0"}, "/namespace/default/release/clearml-cleanup"),
    ],
)
def test_the_group_is_the_release_in_its_namespace(server: Receiver, environ: dict[str, str], path: str) -> None:
    assert sent(gateway(server, **environ)) == []
    assert [got.path for got in server.got] == ["/metrics/job/clearml-cleanup" + path]


def test_the_namespace_is_the_pods_own(server: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "namespace").write_text("of-the-pod\n")
    monkeypatch.setattr(metrics, "POD_NAMESPACE", tmp_path / "namespace")
    assert metrics.group_of(gateway(server))["namespace"] == "of-the-pod"


def test_both_ways_at_once(server: Receiver) -> None:
    given = gateway(server, CLEANUP_OTLP_ENDPOINT=f"http://127.0.0.1:{server.port}", CLEANUP_RELEASE="nightly")
    assert sent(given) == []
    assert sorted(got.path.split("/")[1] for got in server.got) == ["metrics", "v1"]
    (otlp,) = [got for got in server.got if got.path == "/v1/metrics"]
    assert b"clearml_cleanup.release\x12\x09\x0a\x07nightly" in otlp.body


def test_what_fails_is_a_warning_without_the_password(server: Receiver) -> None:
    server.answers = [(400, {}, b"no")]
    (warning,) = sent(gateway(server))
    assert f"CLEANUP_PUSHGATEWAY=http://127.0.0.1:{server.port}" in warning
    assert "The metrics of this run are not there; it is not affected otherwise." in warning
    assert "secret-word" not in warning


def test_even_a_bug_is_only_a_warning(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a bug")

    assert sent(gateway(server), broken) == ["no metrics were sent: ZeroDivisionError: a bug"]
    monkeypatch.setattr(metrics, "_push", broken)
    (warning,) = sent(gateway(server))
    assert warning.startswith("CLEANUP_PUSHGATEWAY: ZeroDivisionError: a bug.")


def test_a_server_that_does_not_answer_is_not_waited_for(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    server.hold = threading.Event()
    monkeypatch.setattr(metrics, "LONGEST", 0.2)
    (warning,) = sent(gateway(server))
    assert "were not taken within 0.2 seconds" in warning
    assert not server.hold.is_set()


def test_a_pod_has_the_time_that_sending_takes() -> None:
    assert metrics.LONGEST < 30, "Kubernetes' own default for terminationGracePeriodSeconds"


# -- OpenTelemetry
def test_the_extra_is_named_if_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, server: Receiver) -> None:
    given = gateway(server, CLEANUP_OTLP_ENDPOINT="http://collector:4318")
    metrics.check(given)
    monkeypatch.setattr(metrics, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"CLEANUP_OTLP_ENDPOINT=http://collector:4318 needs .*clearml-cleanup\[otlp\]"):
        metrics.check(given)
    assert sent(given) == [], "the other way is used"
    assert len(server.got) == 1

    def none(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(metrics, "find_spec", none)
    with pytest.raises(SettingsError, match="otlp"):
        metrics.check(given)
    metrics.check(settings())


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"])
def test_a_protocol_that_the_job_does_not_speak_is_a_wrong_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings(CLEANUP_OTLP_ENDPOINT="http://collector:4317")
    monkeypatch.setenv(name, "grpc")
    with pytest.raises(SettingsError, match=f"{name}=grpc"):
        metrics.check(given)
    monkeypatch.setenv(name, "http/protobuf")
    metrics.check(given)


def test_the_exporter_is_imported_only_if_it_is_used() -> None:
    code = "import sys, cleanup_job.job.pass_job as _; print({'prometheus_client', 'opentelemetry'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# -- a run that did not begin
def failed(environ: dict[str, str], **more: Any) -> list[str]:
    warnings: list[str] = []
    metrics.send_failure(2, warnings.append, environ=environ, **more)
    return warnings


def test_wrong_settings_are_told_where_the_others_say(server: Receiver) -> None:
    address = f"http://127.0.0.1:{server.port}"
    wrong = {"CLEANUP_WORKERS": "none", "CLEANUP_NO_SUCH": "1", "CLEANUP_RELEASE": "nightly"}
    assert failed({**wrong, "CLEANUP_PUSHGATEWAY": address}) == []
    assert failed(wrong, flags={"pushgateway": address, "workers": "0"}, sweep=True) == []
    first, second = server.got
    assert first.path.endswith("/release/nightly")
    assert b"\nclearml_cleanup_last_exit_code 2.0\n" in first.body
    assert b"\nclearml_cleanup_sweep_last_exit_code 2.0\n" in second.body


def test_a_wrong_address_of_the_pushgateway_is_no_second_failure() -> None:
    assert failed({"CLEANUP_PUSHGATEWAY": "pushgateway:9091"}) == []
    assert failed({}) == []
