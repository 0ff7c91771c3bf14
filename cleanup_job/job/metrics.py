"""The metrics of a run, sent at its end, however it ended. Nothing of it fails a run, or holds it up for long."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING, Any

from cleanup_job.cluster.connection import POD_NAMESPACE
from cleanup_job.errors import CleanupError, SettingsError
from cleanup_job.settings.model import TABLE, Settings
from cleanup_job.settings.sources import only

if TYPE_CHECKING:  # it is slow to import, and most runs on a terminal don't need it
    from prometheus_client import CollectorRegistry

LONGEST = 20.0
"""Seconds that sending takes at most: a pod that is to end has 30 if no one gave it more."""
RELEASE, NAMESPACE = "clearml-cleanup", "default"
"""What is said of a run outside of Kubernetes."""
PROTOCOL = "http/protobuf"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
NEEDED = ("pushgateway", "pushgateway_verify_certificate", "otlp_endpoint", "release", "lease_namespace", "shards", "shard")
"""The settings that decide where metrics go, and under which labels."""


def check(settings: Settings) -> None:
    """Check before a run that its metrics could be sent.

    Raises:
        SettingsError: they can't: an extra is not installed, or a protocol is asked for that the job does not speak.
    """
    if settings.metrics.otlp_endpoint is None:
        return
    try:
        there = find_spec("opentelemetry.exporter.otlp.proto.http") and find_spec("opentelemetry.sdk.metrics")
    except ModuleNotFoundError:
        there = None
    if not there:
        raise SettingsError(
            f"CLEANUP_OTLP_ENDPOINT={settings.metrics.otlp_endpoint} needs `pip install 'clearml-cleanup[otlp]'`: "
            "OpenTelemetry's exporter is not installed. Install it, or unset CLEANUP_OTLP_ENDPOINT."
        )
    for name in _PROTOCOLS:
        if (asked := os.environ.get(name, "").strip() or PROTOCOL) != PROTOCOL:
            raise SettingsError(f"{name}={asked}: the job speaks {PROTOCOL} alone. Set that and its port, or unset {name}.")


def send(settings: Settings, metrics: Callable[[], "CollectorRegistry"], warn: Callable[[str], None]) -> None:
    """Send metrics to where the settings say, all at once, within ``LONGEST``. What fails is a warning."""
    ways = _ways(settings)
    if not ways:
        return
    try:
        registry = metrics()
    except Exception as error:  # noqa: BLE001 -- a run that is over does not fail by how it is counted
        warn(f"no metrics were sent: {type(error).__name__}: {error}")
        return
    until = time.monotonic() + LONGEST
    problems: dict[str, str] = {}
    threads = {}
    for setting, way in ways.items():
        problems[setting] = f"{setting}: the metrics were not taken within {LONGEST:g} seconds"
        threads[setting] = Thread(target=_try, args=(setting, partial(way, registry), problems), name=setting, daemon=True)
        threads[setting].start()
    for setting, thread in threads.items():
        thread.join(max(0.0, until - time.monotonic()))
        if problem := problems.get(setting):
            warn(f"{problem.rstrip('.')}. The metrics of this run are not there; it is not affected otherwise.")


def send_failure(
    code: int,
    warn: Callable[[str], None],
    *,
    sweep: bool = False,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Send how a run ended that did not begin. Its settings may be wrong: only those are read that say where to send it."""
    with suppress(SettingsError):  # wrong itself: the run has said so
        settings = only(NEEDED, flags or {}, environ)

        def metrics() -> "CollectorRegistry":
            from cleanup_job.report.metrics import of_failure  # noqa: PLC0415 -- see above

            return of_failure(version("clearml-cleanup"), code, datetime.now(UTC), sweep=sweep)

        send(settings, metrics, warn)


def _try(setting: str, way: Callable[[], None], problems: dict[str, str]) -> None:
    try:
        way()
    except CleanupError as error:
        problems[setting] = str(error)
    except Exception as error:  # noqa: BLE001 -- as above
        problems[setting] = f"{setting}: {type(error).__name__}: {error}"
    else:
        del problems[setting]


def _ways(settings: Settings) -> dict[str, Callable[["CollectorRegistry"], None]]:
    """What sends metrics, by the settings that ask for it."""
    ways: dict[str, Callable[[CollectorRegistry], None]] = {}
    if settings.metrics.pushgateway is not None:
        ways[TABLE["pushgateway"].env] = partial(_push, settings, settings.metrics.pushgateway)
    if settings.metrics.otlp_endpoint is not None:
        with suppress(SettingsError):  # the run has said so
            check(settings)
            ways[TABLE["otlp_endpoint"].env] = partial(_export, settings, settings.metrics.otlp_endpoint)
    return ways


def group_of(settings: Settings) -> dict[str, str]:
    """What tells the metrics of this release's run from those of others."""
    namespace = settings.cluster.lease_namespace
    if namespace is None:
        with suppress(OSError):
            namespace = POD_NAMESPACE.read_text(encoding="utf-8").strip()
    group = {"release": settings.cluster.release or RELEASE, "namespace": namespace or NAMESPACE}
    return group | ({"shard": str(settings.run.shard)} if settings.run.shards > 1 else {})


def _push(settings: Settings, address: str, registry: "CollectorRegistry") -> None:
    from cleanup_job.exporters.pushgateway import push  # noqa: PLC0415 -- see above
    from cleanup_job.report.metrics import JOB  # noqa: PLC0415 -- as above

    push(registry, address, JOB, group_of(settings), verify=settings.metrics.pushgateway_verify_certificate)


def _export(settings: Settings, address: str, registry: "CollectorRegistry") -> None:
    from cleanup_job.exporters.otlp import send as export  # noqa: PLC0415 -- needs an extra
    from cleanup_job.report.metrics import JOB, unit_of  # noqa: PLC0415 -- as above

    group = group_of(settings)
    about = {"service.name": JOB, "service.version": version(JOB), "k8s.namespace.name": group.pop("namespace")}
    export(registry, address, about | {f"clearml_cleanup.{name}": value for name, value in group.items()}, unit_of)
