"""Policies that are tried out fit a terminal of 80 columns, whatever names are in them."""

import io
import json
from datetime import UTC, datetime, timedelta

from rich.console import Console

from cleanup_job.planning.course import Event
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.policy_trial import Fate, Outcome, PolicyDifference, Trial
from cleanup_job.report import policy_trial as report
from cleanup_job.report.json_lines import dumps

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOSTILE = "[red]a\x1b[2J\u202e" + "long name " * 12


def fate(days: float | None, number: int = 1, **fields: object) -> Fate:
    events = () if days is None else (Event(Stage.DELETE, NOW + days * DAY, HOSTILE),)
    given = {"id": TaskId(f"{number:032x}"), "name": HOSTILE, "project": "i", "policy": HOSTILE, "events": events, **fields}
    return Fate(**given)


def printed(render: object, *given: object) -> str:
    console = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    render(*given, console)  # type: ignore[operator]  # one of the two below
    out: str = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "\u202e" not in out
    return out


def test_a_trial() -> None:
    trial = Trial(NOW, NOW + 300 * DAY, unreadable=2)
    for number in range(5):
        trial.add(fate(number * 40, number))
    trial.add(fate(None, kept=HOSTILE, otherwise=Outcome.KEPT))
    trial.add(fate(None, policy="", otherwise=Outcome.NO_POLICY))
    out = printed(report.render, trial, (HOSTILE,), {"i": HOSTILE})
    assert "2026-11-01…2027-04-10" in out
    assert "and 2 more" in out
    assert "[red]a" in out
    assert "2 tasks can't be read, and will be left alone." in out
    found = json.loads(dumps(report.document(trial, (HOSTILE,), {})))
    assert [(one["outcome"], one["tasks"]) for one in found["outcomes"]] == [("delete", 5), ("kept", 1), ("no_policy", 1)]
    assert found["outcomes"][0]["examples"][1]["date"] == "2026-12-11"


def test_a_difference() -> None:
    found = PolicyDifference(NOW, unreadable=1)
    for number in range(6):
        found.add(fate(30, number), fate(20 + number, number))
    found.add(fate(None, kept="x", otherwise=Outcome.KEPT), fate(9))
    found.add(fate(9), fate(None, otherwise=Outcome.NO_POLICY, policy=""))
    out = printed(report.render_difference, found, {"i": HOSTILE})
    assert "Something else becomes of 8 of 8 tasks:" in out
    assert "2026-12-01 → 2026-11-21…2026-11-26" in " ".join(out.split())
    assert "2026-11-10 → never (no policy)" in " ".join(out.split())
    document = json.loads(dumps(report.difference_document(found, {})))
    assert [one["tasks"] for one in document["changes"]] == [6, 1, 1]
    assert {one["before"]["why_not"] for one in document["changes"]} == {None, "kept"}


def test_many_changes_are_cut() -> None:
    found = PolicyDifference(NOW)
    for number in range(60):
        found.add(fate(30, policy=f"p{number:02}"), fate(20, policy=f"p{number:02}"))
    assert "and 10 more changes" in printed(report.render_difference, found, {})
