"""Every form of the report says what policies did and announced, and says nothing of them without policies."""

import io
import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from rich.console import Console

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import NOTICES, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import document, files, json_lines, k8s_event, listing, plots, stages, table, termination_message
from cleanup_job.report.phrases import headline
from tests.unit.report.example_report import MOMENT, SOON, of_policies, report

BESIDES = "archived 30 tasks, slimmed 12 tasks (12.0 GiB), gave notice to 5 tasks (first for 2026-03-08)"
WOULD = "archive 30 tasks, slim 12 tasks (12.0 GiB), give notice to 5 tasks (first for 2026-03-08)"


def on_a_terminal(made: Report) -> str:
    stream = io.StringIO()
    table.render(made, Console(file=stream, width=80))
    return stream.getvalue()


def test_there_is_a_row_for_each_stage_of_a_policy_in_the_order_of_a_tasks_life() -> None:
    made = of_policies()
    made.add(TaskOutcome(TaskId("a" * 32), "t", "p", "p", Verdict.ARCHIVED, policy="all", stage=Stage.ARCHIVE))
    rows = stages.by_policy(made)
    assert [(row.stage, row.policy, row.done, row.failed, row.noticed) for row in rows] == [
        (Stage.ARCHIVE, "all", 1, 0, 0),
        (Stage.ARCHIVE, "playground", 30, 0, 0),
        (Stage.SLIM, "playground", 12, 1, 0),
        (Stage.DELETE, "playground", 46, 0, 5),
    ]
    assert rows[-1].soonest == SOON
    assert stages.notices(rows[-1]) == "5 from 2026-03-08"


def test_notices_have_examples_of_their_own_however_many_tasks_are_deleted() -> None:
    made = report()
    for n in range(250):
        verdict = Verdict.DELETED if n < 200 else Verdict.NOTICED
        made.add(TaskOutcome(TaskId(f"{n:032x}"), "t", "p", "p", verdict, policy="all", stage=Stage.DELETE, due=SOON))
    (row,) = stages.by_policy(made)
    assert (row.done, row.noticed, row.bytes) == (200, 50, 0)
    assert sum(one.verdict in NOTICES for one in row.examples) == 50
    assert len(row.examples) == 150


@pytest.mark.parametrize(("dry_run", "besides"), [(False, BESIDES), (True, WOULD)])
def test_the_sentence_says_what_was_done_besides_deletion(dry_run: bool, besides: str) -> None:
    made = of_policies(dry_run=dry_run)
    start = "Dry run: would delete" if dry_run else "Deleted"
    assert headline(made).startswith(f"{start} 49 tasks, 3 models and 3,738 files (101.0 MiB), {besides}; 6 ")
    assert besides in k8s_event.of_report(made, "pod").message


def test_eighty_columns_hold_the_stages() -> None:
    text = on_a_terminal(of_policies(dry_run=True))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "stage policy tasks bytes known failed notice to" in lines
    assert "archive playground 30 - 0 -" in lines
    assert "slim playground 12 12.0 GiB 1 -" in lines
    assert "delete playground 46 92.0 MiB 0 5 from 2026-03-08" in lines
    assert not [line for line in text.splitlines() if len(line.rstrip()) > 80 and "://" not in line and "CLEANUP_" not in line]


def test_a_dry_run_names_the_first_tasks_of_each_stage_and_a_pass_does_not() -> None:
    text = on_a_terminal(of_policies(dry_run=True))
    assert f"30 tasks to archive by policy playground:\n  exp 0 0b{0:030x}\n" in text
    assert "5 tasks to give notice to by policy playground:\n  exp 0 (delete from 2026-03-09 on) 0d000" in text
    assert "  and 27 more" in text
    assert "to delete by policy" not in text, "the largest of them have a table"
    assert "by policy" not in on_a_terminal(of_policies())


def test_a_line_of_the_list_says_what_the_policy_does() -> None:
    rows = {row.stage: row for row in stages.by_policy(of_policies(dry_run=True))}
    assert listing.line(rows[Stage.SLIM].examples[0]).plain.endswith("play/exp 0  (slim)")
    assert listing.line(rows[Stage.DELETE].examples[-1]).plain.endswith("play/exp 0  (notice: delete from 2026-03-08 on)")


def test_a_line_of_the_log_has_policy_stage_and_the_time_that_is_announced() -> None:
    outcome = TaskOutcome(TaskId("a" * 32), "t", "p", "p", Verdict.NOTICED, policy="all", stage=Stage.DELETE, due=SOON)
    line = json_lines.task(outcome, None)
    assert (line["level"], line["policy"], line["stage"], line["due"]) == (
        "info",
        "all",
        "delete",
        "2026-03-08T00:00:00.000+00:00",
    )


def test_the_sums_are_in_the_last_line_and_in_the_termination_message() -> None:
    for fields in (json_lines.pass_finished(of_policies()), json.loads(termination_message.of_report(of_policies()))):
        sums = ("deleted", "archived", "slimmed", "slimmed_bytes", "noticed", "stages_count")
        assert [fields[name] for name in sums] == [49, 30, 12, 12 << 30, 5, 3]
        assert [(one["stage"], one["policy"], one["done"]) for one in fields["stages"]] == [
            ("archive", "playground", 30),
            ("slim", "playground", 12),
            ("delete", "playground", 46),
        ]
        assert fields["stages"][-1]["soonest"] == "2026-03-08T00:00:00.000+00:00"


def test_a_termination_message_with_many_policies_is_whole_and_keeps_the_sums() -> None:
    made = report()
    for n in range(50):
        made.add(TaskOutcome(TaskId("a" * 32), "t", "p", "p", Verdict.ARCHIVED, policy=f"policy {n}", stage=Stage.ARCHIVE))
    text = termination_message.of_report(made)
    assert len(text.encode()) <= termination_message.MOST_BYTES
    fields = json.loads(text)
    assert (fields["stages"], fields["archived"], fields["unknown_stores_count"]) == (50, 50, 2)
    assert isinstance(fields["unknown_stores"], list), "the stores need no room"


def test_a_run_in_clearml_has_a_table_and_sums_of_them() -> None:
    events = {(event["metric"], event["variant"]): event for event in plots.result(of_policies())}
    assert [events["Summary", name]["value"] for name in ("archived", "slimmed", "announced", "bytes slimmed")] == [
        30, 12, 5, 12 << 30,
    ]  # fmt: skip
    table = json.loads(events["Result", "policies"]["plot_str"])["data"][0]["cells"]["values"]
    assert [list(row) for row in zip(*table, strict=True)][1] == [
        "slim", "playground", "12", "0", "24", "12.0 GiB", "1", "",
    ]  # fmt: skip
    assert ("Result", "policies") not in {(event["metric"], event["variant"]) for event in plots.result(report())}


FORMS: dict[str, Callable[[Report], str]] = {
    "terminal": on_a_terminal,
    "event": lambda made: k8s_event.of_report(made, "pod").message,
    "log": lambda made: json_lines.dumps(json_lines.pass_finished(made)),
    "start": lambda made: json_lines.dumps(json_lines.pass_started(made)),
    "termination": termination_message.of_report,
    "list": lambda made: listing.line(next(iter(made.reasons.values())).examples[0]).plain,
    "html": lambda made: files.render(made, ".html").partition("<body")[2].partition('<section id="all"')[0],
    "json": lambda made: files.render(made, ".json"),
    "md": lambda made: files.render(made, ".md"),
    "task": lambda made: json_lines.dumps(json_lines.task(next(iter(made.reasons.values())).examples[0], made)),
}


@pytest.mark.parametrize("form", FORMS)
def test_without_policies_nothing_is_said_of_them(form: str) -> None:
    text = FORMS[form](report(dry_run=True)).replace("archived tasks", "")
    for word in ("archive", "slim", "notice", "policy", "policies", '"stage', '"due"'):
        assert word not in text


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2].partition("<script")[0]).split())


def test_the_page_has_the_stages_the_sums_and_the_notices_in_the_order_of_their_dates() -> None:
    shown = text_of(files.render(of_policies(dry_run=True), ".html"))
    assert "30 to archive 12 to slim (12.0 GiB) 5 to announce" in shown
    assert "slim playground 12 0 24 12.0 GiB 1 0 delete playground 46 0 138 92.0 MiB 0 5 2026-03-08" in shown
    notices = shown.partition("5 tasks: delete by policy playground, first on 2026-03-08")[2]
    assert notices.index(f"2026-03-08 exp 0 0e{0:030x}") < notices.index(f"2026-03-09 exp 0 0d{0:030x}")
    assert "selected 0 tasks by policies" in shown


def test_markdown_has_them_too() -> None:
    text = files.render(of_policies(), ".md")
    assert "\n| slim | playground | 12 | 0 | 24 | 12.0 GiB | 1 | 0 |  |\n" in text
    assert "\n## 5 announced: delete by policy playground\n" in text
    assert f"`0e{0:030x}`: from 2026-03-08 on\n" in text


def test_the_json_report_has_the_first_tasks_of_each_stage() -> None:
    found = json.loads(json.dumps(document.as_document(of_policies())))
    archive, _, delete = found["stages"]
    assert (archive["stage"], archive["policy"], archive["done"], len(archive["examples"])) == ("archive", "playground", 30, 20)
    assert [one["due"][:10] for one in delete["notices"][:2]] == ["2026-03-08", "2026-03-09"]
    (restored,) = [one for one in found["reasons"] if one["reason"] == "restored"]
    assert (restored["examples"][0]["policy"], restored["examples"][0]["due"]) == ("playground", None)


def test_with_many_policies_files_say_how_many_stages_they_leave_out() -> None:
    made = report()
    for n in range(70):
        made.add(TaskOutcome(TaskId("a" * 32), "t", "p", "p", Verdict.ARCHIVED, policy=f"policy {n:02}", stage=Stage.ARCHIVE))
    assert len(document.as_document(made)["stages"]) == len(json_lines.summary(made)["stages"]) == 60
    assert "and 10 more; the log names all of their tasks" in text_of(files.render(made, ".html"))
    assert "\n> and 10 more; the log names all of their tasks\n" in files.render(made, ".md")
    assert "and 45 more" in on_a_terminal(made)


def test_the_first_date_of_all_is_the_one_that_counts() -> None:
    made = of_policies()
    made.add(
        TaskOutcome(
            TaskId("a" * 32), "t", "p", "p", Verdict.NOTICED, policy="b", stage=Stage.SLIM, due=MOMENT + timedelta(days=2)
        )
    )
    assert headline(made).partition(";")[0].endswith("gave notice to 6 tasks (first for 2026-03-03)")
