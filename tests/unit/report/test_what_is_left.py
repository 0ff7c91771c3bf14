"""Every form of the report says what a pass has left, whether it found all of that or not."""

import io
import json
from collections.abc import Callable

import pytest
from rich.console import Console

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.outcome import Report
from cleanup_job.report import files, json_lines, k8s_event, plots, table, termination_message
from tests.unit.report.example_report import MOMENT

WHY = "the time limit of CLEANUP_DEADLINE_SECONDS was reached"


def on_a_terminal(report: Report) -> str:
    stream = io.StringIO()
    table.render(report, Console(file=stream, width=200))
    return stream.getvalue()


FORMS: dict[str, Callable[[Report], str]] = {
    "terminal": on_a_terminal,
    "html": lambda report: files.render(report, ".html").partition("<body")[2].partition("<script")[0],
    "md": lambda report: files.render(report, ".md").replace("\\", ""),
    "event": lambda report: k8s_event.of_report(report, "pod-1").message,
}


def stopped(left: int, *, at_least: bool) -> Report:
    report = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT)
    report.selected, report.left, report.left_is_least, report.stopped_by = 900, left, at_least, StopReason.DEADLINE
    return report


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("left", "at_least", "text"),
    [
        (7, False, "7 tasks are left for the next pass"),
        (400, True, "At least 400 tasks are left for the next pass"),
        (0, True, "More tasks may be left for the next pass"),
    ],
)
def test_people_read_how_many_at_least_and_why(form: str, left: int, at_least: bool, text: str) -> None:
    shown = FORMS[form](stopped(left, at_least=at_least))
    assert f"{text}: {WHY}" in shown
    assert text.startswith("At least") or f"At least {left}" not in shown


@pytest.mark.parametrize("form", FORMS)
def test_a_pass_that_left_nothing_says_nothing_of_it(form: str) -> None:
    report = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT)
    assert not report.unfinished
    assert "next pass" not in FORMS[form](report)


@pytest.mark.parametrize(("left", "at_least"), [(7, False), (400, True), (0, True)])
def test_programs_read_the_number_and_whether_it_is_the_least(left: int, at_least: bool) -> None:
    report = stopped(left, at_least=at_least)
    assert report.unfinished
    for found in (json_lines.pass_finished(report), json.loads(termination_message.of_report(report))):
        assert (found["left"], found["left_at_least"], found["selected"]) == (left, at_least, 900)


@pytest.mark.parametrize(("at_least", "name"), [(False, "left"), (True, "left at least")])
def test_the_number_in_clearml_has_a_name_that_says_it(at_least: bool, name: str) -> None:
    events = plots.result(stopped(7, at_least=at_least))
    assert [(one["variant"], one["value"]) for one in events if str(one["variant"]).startswith("left")] == [(name, 7)]
