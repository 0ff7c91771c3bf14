"""What the guides say to `helm`, read as it reads it."""

from argparse import ArgumentParser, Namespace
from typing import Any

import yaml

from tests.chart.charts import CHART, Object, default_values, nested
from tests.guides.blocks import ROOT

CHANGES = {"install": "--create-namespace", "upgrade": "--install"}
OTHERS = {"test": "--logs", "history": "--max", "rollback": "--wait"}
"""Commands, each with the one flag that the guides use."""


def parse(words: tuple[str, ...]) -> Namespace:
    parser = ArgumentParser("helm", exit_on_error=False, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("package", allow_abbrev=False).add_argument("chart")
    for name, flag in (CHANGES | OTHERS).items():
        one_of = commands.add_parser(name, allow_abbrev=False)
        one_of.add_argument("release")
        one_of.add_argument("--namespace", default="default")
        one_of.add_argument(flag, action="store_true")
        if name in CHANGES:
            one_of.add_argument("chart")
            one_of.add_argument("--values", action="append", default=[])
            one_of.add_argument("--set", action="append", default=[])
    return parser.parse_args(words)


def is_ours(chart: str) -> bool:
    return (ROOT / chart).resolve() == CHART


def package(chart: str) -> str:
    """The file that `helm package` writes."""
    assert is_ours(chart)
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    return f"{about['name']}-{about['version']}.tgz"


def parsed_set(text: str) -> list[Object]:
    """`a.b=1,c=x` as Helm reads it; each name is one of the chart's values."""
    found = []
    for pair in text.split(","):
        path, _, value = pair.partition("=")
        known: Any = default_values()
        for key in path.split("."):
            assert key in known, f"--set {path}: the chart has no such value"
            known = known[key]
        found.append(nested(path, yaml.safe_load(value)))
    return found
