"""Where a run sends its metrics at its end."""

from typing import ClassVar

from cleanup_job.settings.fields import Address, Group, PushAddress, Verify, option
from cleanup_job.settings.scopes import Scope


class MetricsSettings(Group):
    """Where the numbers of a pass or sweep go. They decide nothing of what is deleted."""

    heading: ClassVar = "Metrics"
    scope: ClassVar = Scope.POD
    sweeps: ClassVar = True
    chart: ClassVar = False
    rare: ClassVar = True

    pushgateway: PushAddress | None = option(
        None,
        "Push metrics to this Prometheus Pushgateway at the end of each pass and sweep, also of a failed one: "
        "`http://pushgateway:9091`, or `https://user:password@host/path`. A push that fails is a warning.",
    )
    pushgateway_verify_certificate: Verify = option(
        True,
        "Whether to verify the Pushgateway's TLS certificate, or the path of a CA bundle to verify it with.",
        file=True,
    )
    otlp_endpoint: Address | None = option(
        None,
        "Send the same metrics to this OpenTelemetry endpoint, by OTLP over HTTP: `http://collector:4318`. The variables "
        "`OTEL_EXPORTER_OTLP_HEADERS`, `…_CERTIFICATE`, `…_TIMEOUT` and so on count too. Needs the extra `otlp`, which the "
        "image has.",
    )
