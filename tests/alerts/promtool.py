"""The rendered alerts in promtool, on made-up series: one value for each hour."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import ENOUGH, one, render

ROOT = Path(__file__).resolve().parents[2]
HOUR, DAY = 3600, 86400
ON = {"metrics": {"prometheusRule": {"enabled": True}}}
Hourly = Callable[[int], float | None]
"""What a series has at each hour; None where it has nothing."""


def needed(program: str) -> str:
    """The path of a program of Prometheus, which `make test` unpacks; without it the test skips, in CI it fails."""
    unpacked = ROOT / ".venv" / "prometheus" / "usr" / "bin" / program
    if found := shutil.which(str(unpacked)) or shutil.which(program):
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{program} is not there: `make test` unpacks it")
    return pytest.skip(f"needs {program}, which `make test` unpacks")


def rules(*values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules that the chart renders with these values, of release `nightly` in namespace `ml`."""
    groups = one("PrometheusRule", render(ENOUGH, ON, *values, name="nightly"))["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def write(folder: Path, *values: Mapping[str, Any]) -> Path:
    """The same rules as a file of Prometheus."""
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "chart", "rules": rules(*values)}]}))
    return path


def series(name: str, labels: Mapping[str, str], hourly: Hourly, hours: int) -> dict[str, str]:
    """One series, in promtool's form."""
    values = (hourly(hour) for hour in range(hours + 1))
    written = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{written}}}", "values": " ".join("_" if value is None else f"{value:g}" for value in values)}


def promtool(*words: str) -> str:
    """Run it; a failure shows what it said."""
    done = subprocess.run([needed("promtool"), *words], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.fail(f"promtool {' '.join(words)}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def play(
    folder: Path,
    values: Sequence[Mapping[str, Any]],
    given: Sequence[dict[str, str]],
    firing: Mapping[int, Sequence[str]],
    alerts: Sequence[Mapping[str, Any]] = (),
) -> None:
    """See that at each of these hours exactly these alerts fire; ``alerts`` are promtool's own tests, with labels and texts."""
    write(folder, *values)
    expected = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{hour}h",
            "exp_samples": [{"labels": f'{{alertname="ClearMLCleanup{alert}"}}', "value": 1} for alert in sorted(found)],
        }
        for hour, found in firing.items()
    ]
    test = {"interval": "1h", "input_series": list(given), "promql_expr_test": expected, "alert_rule_test": list(alerts)}
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1h", "tests": [test]}, width=10**6))
    promtool("test", "rules", str(path))
