"""Each alert fires when it should, and not when it should not: the rendered rules, in promtool."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.promtool import DAY, HOUR, Hourly, play, promtool, rules, series, write
from tests.alerts.series import CRONJOB, cronjob, job, night, nightly, pushed

Values = dict[str, Any]
WEEKDAYS: Values = {"schedule": "0 3 * * 1-5"}
SWEEP: Values = {"sweep": {"enabled": True, "stores": ["s3://bucket"]}}
SWEEP_CRONJOB = CRONJOB | {"cronjob": "nightly-clearml-cleanup-sweep"}
PERIOD: Values = {"clearml": {"task": {"enabled": True}}, "cleanup": {"cleanupPeriodInDays": 10}}


def threshold(**values: object) -> Values:
    return {"metrics": {"prometheusRule": values}}


@pytest.mark.parametrize("values", [{}, WEEKDAYS, SWEEP, threshold(ruleLabels={"team": "ml"}), {"shards": 4}])
def test_prometheus_takes_the_rules(tmp_path: Path, values: Values) -> None:
    promtool("check", "rules", str(write(tmp_path, values)))


def until(hour: int) -> Hourly:
    """Passes that succeed each night up to this hour, and none after it."""
    return lambda now: nightly(min(now, hour))


STALE: dict[str, tuple[Values, list[dict[str, str]], dict[int, list[str]]]] = {
    "each night succeeds": ({}, cronjob(200), {1: [], 27: [], 100: [], 200: []}),
    "none since 03:00 of the second day": ({}, cronjob(100, until(27)), {58: [], 59: ["Stale"], 100: ["Stale"]}),
    "none ever": ({}, cronjob(40, lambda _: None), {31: [], 32: ["Stale"]}),
    "suspended": ({}, cronjob(200, until(3), suspended=lambda _: True), {60: [], 200: []}),
    "suspended, and resumed at 100": (
        {},
        cronjob(140, until(3), suspended=lambda hour: hour < 100),
        {99: [], 100: [], 130: [], 131: ["Stale"]},
    ),
    "a weekend without passes": (WEEKDAYS, cronjob(120, until(3)), {75: [], 96: [], 97: ["Stale"]}),
    "weekly": ({"schedule": "@weekly"}, cronjob(230, until(3)), {168: [], 221: [], 222: ["Stale"]}),
    "every fifteen minutes": (
        {"schedule": "*/15 * * * *"},
        cronjob(5, lambda hour: min(hour, 3) * HOUR),
        {3: [], 4: ["Stale"]},
    ),
    "another threshold": (threshold(staleAfterSchedules=2), cronjob(60, until(3)), {51: [], 52: ["Stale"]}),
    "Jobs that were not due": (PERIOD, cronjob(300), {100: [], 300: []}),
    "seen twice": (
        {},
        [*cronjob(40, until(3), labels=CRONJOB | {"pod": "a"}), *cronjob(40, until(3), labels=CRONJOB | {"pod": "b"})],
        {34: [], 35: ["Stale"]},
    ),
    "another CronJob of the namespace": (
        {},
        [*cronjob(100), *cronjob(100, until(3), labels=CRONJOB | {"cronjob": "backup"})],
        {100: []},
    ),
    "a sweep": (
        SWEEP,
        [*cronjob(300), *cronjob(300, until(3), labels=SWEEP_CRONJOB)],
        {221: [], 222: ["Stale"]},
    ),
}


@pytest.mark.parametrize("case", STALE)
def test_stale(tmp_path: Path, case: str) -> None:
    values, given, firing = STALE[case]
    play(tmp_path, [values], given, firing)


FAILED: dict[str, tuple[list[dict[str, str]], dict[int, list[str]]]] = {
    "the second night's, until the third's success": (
        [
            *cronjob(60, lambda hour: 3 * HOUR if 3 <= hour < 51 else nightly(hour)),
            *job(60, "nightly-clearml-cleanup-1", 27, {"failed": 28}),
        ],
        {27: [], 28: ["Failed"], 34: ["Failed"], 50: ["Failed", "Stale"], 51: [], 60: []},
    ),
    "the first one ever": (
        [*cronjob(10, lambda _: None), *job(10, "nightly-clearml-cleanup-1", 3, {"failed": 4})],
        {3: [], 4: ["Failed"], 10: ["Failed"]},
    ),
    "a manual one": (
        [*cronjob(10), *job(10, "by-hand", 5, {"failed": 6})],
        {5: [], 6: ["Failed"]},
    ),
    "before the last success": ([*cronjob(10), *job(10, "a", 1, {"failed": 2})], {2: ["Failed"], 3: [], 10: []}),
    "pods that failed, of a Job that tries again": ([*cronjob(10), *job(10, "a", 5, {})], {6: [], 10: []}),
    "pods that failed, of a Job that completed": ([*cronjob(10), *job(10, "a", 5, {"complete": 6})], {6: [], 10: []}),
    "a Job of which it is not known": (
        [
            *cronjob(10),
            *job(10, "a", 5, {}),
            series("kube_job_failed", {"namespace": "ml", "job_name": "a", "condition": "true"}, lambda _: 0, 10),
        ],
        {6: [], 10: []},
    ),
    "another CronJob's": ([*cronjob(10), *job(10, "a", 5, {"failed": 6}, owner="backup")], {10: []}),
    "nobody's": ([*cronjob(10), *job(10, "a", 5, {"failed": 6}, owner="")], {10: []}),
    "two": (
        [*cronjob(10), *job(10, "a", 5, {"failed": 6}), *job(10, "b", 7, {"failed": 8})],
        {6: ["Failed"], 8: ["Failed"]},
    ),
}


@pytest.mark.parametrize("case", FAILED)
def test_failed(tmp_path: Path, case: str) -> None:
    given, firing = FAILED[case]
    play(tmp_path, [], given, firing)


def test_a_failed_sweep_is_told_as_a_sweep(tmp_path: Path) -> None:
    given = [*cronjob(10), *cronjob(10, labels=SWEEP_CRONJOB), *job(10, "a", 5, {"failed": 6}, owner=SWEEP_CRONJOB["cronjob"])]
    play(tmp_path, [SWEEP], given, {5: [], 6: ["Failed"]})


EXIT_CODES = {
    "its own": ([("exit_code", 2), ("start_timestamp_seconds", 5 * HOUR + 9)], "It ended with exit code 2."),
    "that of the pass before, because it was killed": (
        [("exit_code", 3), ("start_timestamp_seconds", 3 * HOUR)],
        "It pushed no exit code",
    ),
    "nothing pushed": ([], "It pushed no exit code"),
}


@pytest.mark.parametrize("case", EXIT_CODES)
def test_a_failure_is_told_with_its_exit_code_if_there_is_one(tmp_path: Path, case: str) -> None:
    last, words = EXIT_CODES[case]
    given = [*cronjob(10), *job(10, "a", 5, {"failed": 6}), *(pushed(10, name, constant(value)) for name, value in last)]
    rule = next(rule for rule in rules() if rule["alert"] == "ClearMLCleanupFailed")
    text = rule["annotations"]["description"]
    before, otherwise, after = text.partition("{{ with")[0], text.partition("{{ else }}")[2], text.partition("{{ end }}")[2]
    told = words if words.endswith(".") else otherwise.partition("{{ end }}")[0]
    assert words in told
    alert = {
        "alertname": rule["alert"],
        "eval_time": "6h",
        "exp_alerts": [
            {
                "exp_labels": {"severity": "warning"} | CRONJOB,
                "exp_annotations": rule["annotations"] | {"description": before + told + after},
            }
        ],
    }
    play(tmp_path, [], given, {}, [alert])


def constant(value: float) -> Hourly:
    return lambda _: value


def test_unseen(tmp_path: Path) -> None:
    """The CronJob is deleted, or nothing scrapes kube-state-metrics any more."""
    given = [{**entry, "values": " ".join(entry["values"].split()[:11] + ["_"] * 30)} for entry in cronjob(40)]
    play(tmp_path, [], given, {10: [], 11: [], 12: ["Unseen"], 40: ["Unseen"]})


def left(hours: int, of_night: Callable[[int], float], **labels: str) -> dict[str, str]:
    return pushed(hours, "left_tasks", lambda hour: of_night(night(hour)) if night(hour) else None, **labels)


GROWS: dict[str, tuple[Values, list[dict[str, str]], dict[int, list[str]]]] = {
    "by ten each night": ({}, [left(300, lambda n: 10.0 * n)], {171: [], 173: ["LeftGrows"], 300: ["LeftGrows"]}),
    "as many each night": ({}, [left(300, lambda _: 10)], {300: []}),
    "fewer each night": ({}, [left(300, lambda n: 1000.0 - n)], {300: []}),
    "more in one night, and as many since": ({}, [left(300, lambda n: 10 if n < 5 else 500)], {200: [], 300: []}),
    "more each night, but for one": ({}, [left(300, lambda n: 10.0 * n - (25 if n == 6 else 0))], {173: [], 240: []}),
    "two shards, of which one shrinks": (
        {"shards": 2},
        [left(300, lambda n: 100.0 * n, shard="0"), left(300, lambda n: 1000.0 - 10 * n, shard="1")],
        {171: [], 173: ["LeftGrows"]},
    ),
    "two shards, that move tasks to each other": (
        {"shards": 2},
        [left(300, lambda n: 10.0 * n, shard="0"), left(300, lambda n: 1000.0 - 10 * n, shard="1")],
        {300: []},
    ),
    "another release's": ({}, [left(300, lambda n: 10.0 * n, release="other")], {300: []}),
    "for three days": (threshold(leftGrowsDays=4), [left(150, lambda n: 10.0 * n)], {99: [], 101: ["LeftGrows"]}),
    "weekly: four of them count": (
        {"schedule": "0 3 * * 0"},
        [left(800, lambda n: 10.0 * (n // 7))],
        {200: [], 800: ["LeftGrows"]},
    ),
}


@pytest.mark.parametrize("case", GROWS)
def test_left_grows(tmp_path: Path, case: str) -> None:
    values, given, firing = GROWS[case]
    hours = max(firing)
    play(tmp_path, [values], [*cronjob(hours, lambda hour: hour * HOUR), *given], firing)


def test_unknown_stores(tmp_path: Path) -> None:
    def kept(reason: str, since: int, **labels: str) -> dict[str, str]:
        return pushed(30, "kept_tasks", lambda hour: 4.0 if hour >= since else 0, reason=reason, **labels)

    given = [*cronjob(30), kept("unknown_store", 27, shard="0"), kept("unknown_store", 29, shard="1"), kept("keep_rule", 3)]
    rule = next(rule for rule in rules() if rule["alert"] == "ClearMLCleanupUnknownStores")
    told = {name: text.replace("{{ $value }}", "8") for name, text in rule["annotations"].items()}
    labels = {"severity": "warning", "namespace": "ml", "release": "nightly"}
    alert = {"alertname": rule["alert"], "eval_time": "29h", "exp_alerts": [{"exp_labels": labels, "exp_annotations": told}]}
    play(tmp_path, [], given, {3: [], 26: [], 27: ["UnknownStores"], 30: ["UnknownStores"]}, [alert])


def passes(
    hours: int,
    *,
    candidates: float = 10,
    deleted: Callable[[int], float] = lambda _: 0,
    dry: bool = False,
    started: Hourly = nightly,
    kept: dict[str, float] | None = None,
    **labels: str,
) -> list[dict[str, str]]:
    """What nightly passes push, from the first one on."""

    def since(hourly: Callable[[int], float]) -> Hourly:
        return lambda hour: hourly(night(hour)) if night(hour) else None

    reasons = {"keep_rule": 0.0, "file_error": 0.0, "unknown_store": 0.0} | (kept or {})
    return [
        pushed(hours, "candidate_tasks", since(lambda _: candidates), **labels),
        pushed(hours, "deleted_tasks", since(deleted), **labels),
        pushed(hours, "dry_run", since(lambda _: dry), **labels),
        pushed(hours, "start_timestamp_seconds", started, **labels),
        *(pushed(hours, "kept_tasks", since(lambda _, n=n: n), reason=reason, **labels) for reason, n in reasons.items()),
    ]


NOTHING: dict[str, tuple[Values, list[dict[str, str]], dict[int, list[str]]]] = {
    "for three nights": ({}, passes(100), {74: [], 75: ["FreesNothing"], 100: ["FreesNothing"]}),
    "but there is nothing to delete": ({}, passes(100, candidates=0), {100: []}),
    "in dry runs": ({}, passes(100, dry=True), {100: []}),
    "but in one night": ({}, passes(140, deleted=lambda n: float(n == 3)), {75: [], 100: [], 140: []}),
    "no longer": ({}, passes(200, deleted=lambda n: float(n < 3)), {121: [], 123: ["FreesNothing"]}),
    "all kept by a rule": ({}, passes(100, kept={"keep_rule": 10}), {100: []}),
    "all with files that can't be deleted": ({}, passes(100, kept={"file_error": 10}), {75: ["FreesNothing"]}),
    "all on unknown stores, which has its own alert": ({}, passes(100, kept={"unknown_store": 10}), {100: ["UnknownStores"]}),
    "in the one pass before it was suspended": ({}, passes(200, started=lambda _: 3.0 * HOUR), {100: [], 200: []}),
    "in one of two shards": (
        {"shards": 2},
        [*passes(100, shard="0"), *passes(100, candidates=0, deleted=lambda _: 5, shard="1")],
        {100: []},
    ),
    "in both of two shards": (
        {"shards": 2},
        [*passes(100, shard="0"), *passes(100, shard="1")],
        {74: [], 75: ["FreesNothing"]},
    ),
    "for as many nights as you say": (threshold(freesNothingNights=5), passes(150), {121: [], 123: ["FreesNothing"]}),
    "on weekdays": (WEEKDAYS, passes(250), {217: [], 219: ["FreesNothing"]}),
}


@pytest.mark.parametrize("case", NOTHING)
def test_frees_nothing(tmp_path: Path, case: str) -> None:
    values, given, firing = NOTHING[case]
    play(tmp_path, [values], [*cronjob(max(firing), lambda hour: hour * HOUR), *given], firing)


def test_a_week_of_good_nights_is_quiet(tmp_path: Path) -> None:
    given = [*cronjob(24 * 14), *passes(24 * 14, deleted=lambda _: 9), left(24 * 14, lambda _: 0)]
    given += job(24 * 14, "nightly-clearml-cleanup-1", 3, {"complete": 4})
    play(tmp_path, [], given, {day * 24: [] for day in range(1, 15)})
    assert DAY == 24 * HOUR
