"""The PrometheusRule that the chart renders: its values, its words, and a section of the documentation for each alert."""

import re
from datetime import datetime
from itertools import pairwise, takewhile
from typing import Any

import pytest
from cronsim import CronSim
from helm_python.errors import HelmError
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.planning.outcome import Reason
from tests.alerts.promtool import DAY, HOUR, ON, ROOT, rules
from tests.alerts.queries import SERIES, selectors
from tests.chart.charts import ENOUGH, at, default_values, leaves, nested, one, render

RULE = "metrics.prometheusRule"
ALERTS = ("Stale", "Failed", "Unseen", "LeftGrows", "UnknownStores", "FreesNothing")
SWEEP = {"sweep": {"enabled": True, "stores": ["s3://bucket"]}}
STALE, FAILED, NOTHING = (f"spec.groups.0.rules.{index}" for index in (0, 1, 5))
EXTRA = {"alert": "Mine", "expr": "vector(1)", "annotations": {"summary": "{{ $value }}"}}

# value, what it is set to, the place in the PrometheusRule, what is there
SHOWS: list[tuple[str, Any, str, Any]] = [
    ("namespace", "monitoring", "metadata.namespace", "monitoring"),
    ("labels", {"release": "kube-prometheus-stack"}, "metadata.labels.release", "kube-prometheus-stack"),
    ("annotations", {"a": "b"}, "metadata.annotations.a", "b"),
    ("ruleLabels", {"team": "ml"}, f"{FAILED}.labels.team", "ml"),
    ("ruleLabels", {"severity": "page"}, f"{FAILED}.labels.severity", "page"),
    ("severity", "critical", f"{FAILED}.labels.severity", "critical"),
    ("disabledAlerts", ["ClearMLCleanupStale"], f"{STALE}.alert", "ClearMLCleanupFailed"),
    ("additionalRules", [EXTRA], "spec.groups.0.rules.6", EXTRA),
    ("runbookUrl", "https://wiki/x", f"{STALE}.annotations.runbook_url", "https://wiki/x#clearmlcleanupstale"),
]
THRESHOLDS = [
    ("staleAfterSchedules", 2, f"{STALE}.expr", f"> {2 * DAY}"),
    ("leftGrowsDays", 10, "spec.groups.0.rules.3.expr", f"offset {10 * DAY}s"),
    ("freesNothingNights", 5, f"{NOTHING}.expr", f"[{5 * DAY}s:3600s]"),
]


def rule(*values: dict[str, Any]) -> dict[str, Any]:
    return one("PrometheusRule", render(ENOUGH, ON, *values))


@pytest.mark.parametrize(("value", "set_to", "place", "stands"), SHOWS)
def test_a_value_shows(value: str, set_to: Any, place: str, stands: Any) -> None:
    assert at(rule(nested(f"{RULE}.{value}", set_to)), place) == stands
    assert at(rule(), place) != stands, "the default shows the same: nothing is tested"


@pytest.mark.parametrize(("value", "set_to", "place", "part"), THRESHOLDS)
def test_a_threshold_shows(value: str, set_to: Any, place: str, part: str) -> None:
    assert part in at(rule(nested(f"{RULE}.{value}", set_to)), place)
    assert part not in at(rule(), place)


def test_every_value_is_tried() -> None:
    assert set(leaves(default_values()["metrics"]["prometheusRule"])) == {row[0] for row in (*SHOWS, *THRESHOLDS)} | {"enabled"}


def test_there_is_none_unless_it_is_wanted() -> None:
    assert "PrometheusRule" not in {item["kind"] for item in render(ENOUGH)}


def test_sweeps_have_their_own() -> None:
    names = [rule["alert"].removeprefix("ClearMLCleanup") for rule in rules()]
    assert names == list(ALERTS)
    assert [rule["alert"].removeprefix("ClearMLCleanup") for rule in rules(SWEEP)] == [*ALERTS[:3], *ALERTS]


@pytest.mark.parametrize("alert", ALERTS)
def test_each_has_what_a_person_needs(alert: str) -> None:
    found = next(rule for rule in rules(SWEEP) if rule["alert"] == f"ClearMLCleanup{alert}")
    notes = found["annotations"]
    assert len(notes["summary"]) < 120
    assert re.search(r"kubectl \w+|clearml-cleanup \w+", notes["description"]), "what to type"
    page, _, anchor = notes["runbook_url"].partition("#")
    text = (ROOT / "docs" / page.rpartition("/")[2]).read_text(encoding="utf-8")
    assert f"\n## {found['alert']}\n" in text, "its section"
    assert anchor == found["alert"].lower(), "as GitHub and the site name it"


def test_the_documentation_has_no_other_alert() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert set(re.findall(r"ClearMLCleanup(\w+)", text)) == set(ALERTS)


@pytest.mark.parametrize("values", [{}, SWEEP])
def test_they_are_about_metrics_and_labels_that_there_are(values: dict[str, Any]) -> None:
    for found in rules(values):
        for name, labels in selectors(found["expr"]):
            assert labels <= SERIES[name]
    query = re.search(r"printf `(.*?)`", rules(SWEEP)[4]["annotations"]["description"])
    assert query
    assert {name for name, _ in selectors(query[1].replace("%f", "0"))} <= set(SERIES)


def test_the_reasons_that_are_no_trouble_are_reasons() -> None:
    found = re.search(r'reason=~"([^"]+)"', rules()[5]["expr"])
    assert found
    named = set(found[1].split("|"))
    assert named < set(Reason)
    assert not named & {Reason.FILE_ERROR, Reason.RECORD_ERROR, Reason.SERVER_ERROR, Reason.FORBIDDEN, Reason.UNREADABLE}


@pytest.mark.parametrize(
    ("value", "set_to"),
    [("staleAfterSchedules", 0.5), ("leftGrowsDays", 0), ("freesNothingNights", 0), ("severity", ""), ("runbookUrl", "wiki"),
     ("disabledAlerts", ["ClearMLCleanupStal"]), ("ruleLabels", {"a": 1}), ("namespace", "A B")],
)  # fmt: skip
def test_values_that_can_not_be_are_named(value: str, set_to: Any) -> None:
    with pytest.raises(HelmError, match=value):
        rule(nested(f"{RULE}.{value}", set_to))


SCHEDULES = [
    ("0 3 * * *", DAY),
    ("0 3 * * 1-5", 3 * DAY),
    ("0 3 * * 0", 7 * DAY),
    ("@weekly", 7 * DAY),
    ("@hourly", HOUR),
    ("*/15 * * * *", 900),
    ("*/25 * * * *", 1500),
    ("0 9,15,08 * * *", 17 * HOUR),
    ("5 8-18/2 * * mon-FRI", 2 * DAY + 14 * HOUR),
    ("0 3 1 * *", 31 * DAY),
    ("0 3 31 * *", 61 * DAY),
    ("0 3 1,15 * 5", 7 * DAY),
    ("0 22 * JAN-MAR *", 276 * DAY),
    ("@yearly", 366 * DAY),
    ("0 0 29 2 *", 1461 * DAY),
]


def longest(schedule: str) -> int:
    """The longest time in seconds between two starts, as the chart counts it."""
    found = re.search(r"> (\d+)\n", rules({"schedule": schedule}, nested(f"{RULE}.staleAfterSchedules", 1))[0]["expr"])
    assert found
    return int(found[1])


@pytest.mark.parametrize(("schedule", "seconds"), SCHEDULES)
def test_the_longest_time_between_two_starts(schedule: str, seconds: int) -> None:
    assert longest(schedule) == seconds


MINUTES = st.sampled_from(["0", "5,35", "*/20", "59", "10-30/7"])
HOURS = st.sampled_from(["*", "3", "0,12", "*/7", "22,23", "6-18/3"])
DATES = st.sampled_from(["*", "1", "31", "1,15", "10-20/4"])
MONTHS = st.sampled_from(["*", "2", "1-6", "3,12"])
WEEKDAYS = st.sampled_from(["*", "0", "1-5", "2,6"])


@settings(max_examples=15)
@given(st.tuples(MINUTES, HOURS, DATES, MONTHS, WEEKDAYS).map(" ".join))
def test_it_is_what_cron_makes_of_it(schedule: str) -> None:
    """In the four years from 2024 on, all starts as another implementation counts them."""
    starts = list(takewhile(lambda start: start.year < 2028, CronSim(schedule, datetime(2024, 1, 1))))  # noqa: DTZ001 -- wall clock
    gaps = {int((after - before).total_seconds()) for before, after in pairwise(starts)}
    assert longest(schedule) == max(gaps)
