"""No line and no report grows with what a server holds, and each says how much it leaves out."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from cleanup_job.planning.outcome import EXAMPLES, NAMED, PROJECTS, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import document, files, json_lines, k8s_event, plots, table, termination_message
from cleanup_job.report.formatting import LONGEST
from cleanup_job.storage.destinations import FileDestination

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
MANY = 3000
STORES = tuple((f"https://store-{n}.example", n + 1) for n in range(MANY))
"""The last one has the most files."""


def kept(n: int = 0) -> TaskOutcome:
    args = (TaskId(f"{n:032x}"), "n", "p", "p", Verdict.KEPT, Reason.UNKNOWN_STORE)
    return TaskOutcome(*args, unknown_stores=STORES)


def gone(n: int) -> TaskOutcome:
    uris = tuple(f"http://files/x/{i}" for i in range(MANY))
    return TaskOutcome(TaskId(f"{n:032x}"), "n", f"project {n}", f"p{n}", Verdict.DELETED, protected=uris, rule=f"rule {n}=7")


def report() -> Report:
    made = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT, finished=MOMENT)
    for n in range(EXAMPLES + 1):
        made.add(kept(n))
    for n in range(MANY):
        plain = TaskOutcome(TaskId(f"{n:032x}"), "n", f"project {n}", f"p{n}", Verdict.DELETED, rule=f"{n}=7")
        made.add(gone(n) if n < 2 else plain)
        made.emptied.append(f"project {n}")
        made.warn(f"warning {n}")
    return made


def written(ending: str) -> Callable[[Report, Path], str]:
    def write(made: Report, folder: Path) -> str:
        files.write(made, FileDestination(folder / f"r.{ending}"))
        return (folder / f"r.{ending}").read_text()

    return write


def terminal(made: Report, _: Path) -> str:
    stream = io.StringIO()
    table.render(made, Console(file=stream, width=100))
    return stream.getvalue()


FORMS: dict[str, tuple[Callable[[Report, Path], str], int]] = {
    "line": (lambda made, _: json_lines.dumps(json_lines.pass_finished(made)), 10_000),
    "json": (written("json"), 1_500_000),
    "html": (written("html"), 2_500_000),
    "md": (written("md"), 300_000),
    "terminal": (terminal, 20_000),
    "termination": (lambda made, _: termination_message.of_report(made), termination_message.MOST_BYTES),
    "event": (lambda made, _: k8s_event.of_report(made, "pod").message, k8s_event.MESSAGE_BYTES),
    "plots": (lambda made, _: json.dumps(plots.result(made)), 200_000),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_report_has_a_bound_in_every_form(form: str, tmp_path: Path) -> None:
    render, most = FORMS[form]
    assert len(render(report(), tmp_path).encode()) <= most


def test_what_is_left_out_is_counted() -> None:
    found = json.loads(json.dumps(document.as_document(report())))
    total = found["summary"]
    assert (len(total["unknown_stores"]), total["unknown_stores_count"]) == (NAMED, MANY)
    assert total["unknown_stores"][0]["address"] == f"https://store-{MANY - 1}.example"
    assert (len(total["rules"]), total["rules_count"]) == (NAMED, MANY)
    assert (len(found["projects"]), found["projects_count"]) == (PROJECTS, MANY + 1)
    assert (found["total"]["tasks"], found["total"]["kept"]) == (MANY, EXAMPLES + 1)
    assert (len(found["emptied_projects"]), total["emptied_projects"]) == (EXAMPLES, MANY)
    assert (len(found["warnings"]), total["warnings"]) == (EXAMPLES, MANY)
    example = found["reasons"][0]["examples"][0]
    assert (len(example["unknown_stores"]), example["unknown_stores_count"]) == (NAMED, MANY)


@pytest.mark.parametrize("outcome", [kept(), gone(0)], ids=["stores", "protected"])
def test_the_line_of_a_task_has_a_bound(outcome: TaskOutcome) -> None:
    line = json.loads(json_lines.dumps(json_lines.task(outcome, report())))
    assert len(json.dumps(line)) < 5000
    assert line["unknown_stores_count"] == len(outcome.unknown_stores)
    assert line["protected_count"] == len(outcome.protected)


@pytest.mark.parametrize("form", ["json", "html", "md", "terminal", "event", "plots"])
def test_a_text_has_a_bound_and_no_half_of_a_secret_is_left(form: str, tmp_path: Path) -> None:
    made = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT, finished=MOMENT)
    uri = f"https://user:{'secret' * 100_000}@host/{'x' * 500_000}?sig={'y' * 500_000}"
    outcome = TaskOutcome(TaskId("a" * 32), "n", "p", "p", Verdict.KEPT, Reason.UNUSABLE_PATH, f"{uri!r}: remove it")
    made.add(outcome)
    made.warn(uri)
    for text in (FORMS[form][0](made, tmp_path), json_lines.dumps(json_lines.task(outcome, made))):
        assert "secret" not in text
        assert len(text) < 60_000


def test_what_a_text_lacks_is_counted() -> None:
    line = json.loads(json_lines.dumps(json_lines.warning("x" * (LONGEST + 1234))))
    assert line["message"] == "x" * LONGEST + "… (1,234 more characters)"
    assert json.loads(json_lines.dumps(json_lines.warning("x" * LONGEST)))["message"] == "x" * LONGEST


@pytest.mark.parametrize("form", ["html", "md", "terminal"])
def test_people_are_told_how_many_more_there_are(form: str, tmp_path: Path) -> None:
    text = FORMS[form][0](report(), tmp_path)
    assert f"{MANY - NAMED:,} more" in text  # stores and rules
    if form != "terminal":
        assert f"{MANY - EXAMPLES:,} more" in text  # projects that are gone, warnings
        assert f"and {MANY + 1 - PROJECTS:,} " in text
    assert f"{MANY:,}" in text


def test_a_termination_message_is_whole_however_long_its_names_are() -> None:
    made = report()
    made.rules.update({f"{'long ' * 100}{n}=7": 10_000 for n in range(NAMED)})
    text = termination_message.of_report(made)
    assert json.loads(text)["rules"] == MANY + NAMED
    assert len(text.encode()) <= termination_message.MOST_BYTES


def test_a_report_of_few_things_leaves_nothing_out(tmp_path: Path) -> None:
    made = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT, finished=MOMENT)
    made.add(TaskOutcome(TaskId("a" * 32), "n", "p", "p", Verdict.DELETED, rule="p=7", unknown_stores=STORES[:1]))
    made.warn("w")
    for form in ("html", "md", "terminal"):
        assert " more" not in FORMS[form][0](made, tmp_path).partition("<script")[0]
