"""What the HTML report says in its text, before any script runs."""

import re

from cleanup_job.planning.outcome import LeftOut, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import document, html
from tests.unit.report import unpacked
from tests.unit.report.example_report import MOMENT, report


def text_of(made: Report) -> str:
    """The page as it reads, without its elements."""
    page = html.render(document.as_document(made)).partition("<body>")[2].partition("<script")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_card_has_a_colour_only_if_its_number_is_not_0() -> None:
    made = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT)
    assert re.findall(r'class="card ([^"]*)"', html.render(document.as_document(made))) == [""] * 7
    made.add(TaskOutcome(TaskId("a" * 32), "n", "p", "p", Verdict.DELETED, files=2, unsized=2))
    page = html.render(document.as_document(made))
    assert re.findall(r'class="card ([^"]*)"', page) == ["deleted wide", "deleted", *[""] * 5]


def test_bytes_that_are_not_known_are_said() -> None:
    made = Report("1.0", dry_run=True, started=MOMENT, cutoff=MOMENT)
    made.add(TaskOutcome(TaskId("a" * 32), "n", "p", "p", Verdict.WOULD_DELETE, files=2, unsized=2))
    assert "size unknown to free" in text_of(made)
    made.add(TaskOutcome(TaskId("b" * 32), "n", "p", "p", Verdict.WOULD_DELETE, files=1, bytes=1024))
    assert "at least 1.0 KiB to free" in text_of(made)


def test_the_settings_that_say_what_is_deleted_come_first_and_secrets_are_left_out() -> None:
    made = report()
    made.settings = [
        ("CLEARML_API_HOST", "http://api:8008", "CLEARML_API_HOST"),
        ("CLEARML_API_SECRET_KEY", "********", "environment"),
        ("CLEANUP_FORCE_DELETE", "True", "--force-delete"),
    ]
    shown = text_of(made).partition("Settings that counted")[2]
    assert "CLEANUP_FORCE_DELETE True --force-delete CLEARML_API_HOST http://api:8008 All others have their defaults." in shown
    assert "********" not in shown
    assert "All have their defaults." in text_of(report())


def test_what_the_settings_leave_out_is_said_with_the_setting() -> None:
    made = Report("1.0", dry_run=True, started=MOMENT, cutoff=MOMENT)
    made.left_out = [
        LeftOut(1486, "archived tasks past the threshold are not drafts", "CLEANUP_FORCE_DELETE=true"),
        LeftOut(3, "archived tasks are younger", "CLEANUP_DELETE_THRESHOLD_DAYS", is_least=True),
    ]
    shown = text_of(made)
    assert "Left out. 1,486 archived tasks past the threshold are not drafts: CLEANUP_FORCE_DELETE=true" in shown
    assert "At least 3 archived tasks are younger: CLEANUP_DELETE_THRESHOLD_DAYS" in shown


def test_sub_projects_are_named_in_full() -> None:
    made = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT)
    for name in ("vision", "vision/night"):
        made.add(TaskOutcome(TaskId("a" * 32), "n", name, name, Verdict.DELETED))
    rows = re.findall(r"<tr role=\"row\" data-level.*?</th>", html.render(document.as_document(made)), re.DOTALL)
    assert ["".join(re.sub(r"<[^>]+>", "", row).split()) for row in rows] == ["vision", "vision/night"]


def test_without_a_list_of_all_tasks_the_examples_have_their_times() -> None:
    made = Report("1", dry_run=False, started=MOMENT, cutoff=MOMENT)
    made.add(TaskOutcome(TaskId("t" * 32), "n", "p", "i", Verdict.KEPT, Reason.CHANGED, active=MOMENT))
    made.add(TaskOutcome(TaskId("u" * 32), "n", "p", "i", Verdict.KEPT, Reason.CHANGED))
    shown = unpacked.tasks(html.render(document.as_document(made)))
    assert [task["active"] for task in shown] == [round(MOMENT.timestamp()), None]
