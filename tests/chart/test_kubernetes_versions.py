"""What is rendered is what the API of each supported Kubernetes takes: from the chart's oldest to the newest known one."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from tests.chart.charts import CHART, render

OLDEST = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
NEWEST = ".".join(utils.latest_version().split(".")[:2])
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_every_object_is_valid(values: Path, version: str) -> None:
    for item in render(yaml.safe_load(values.read_text())):
        kubernetes_validate.validate(item, version, strict=True)


def test_the_oldest_is_what_the_chart_says() -> None:
    assert OLDEST == "1.27"


@pytest.mark.parametrize(
    ("path", "value"), [("concurrencyPolicy", 1), ("schedule", None), ("timezone", "UTC"), ("suspend", "false")]
)
def test_these_schemas_can_say_no(path: str, value: Any) -> None:
    cronjob = next(item for item in render({"sandbox": {"enabled": True}}) if item["kind"] == "CronJob")
    cronjob["spec"][path] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(cronjob, NEWEST, strict=True)
