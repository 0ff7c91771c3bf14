"""The report in all its forms."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cleanup_job.paths import TaskId
from cleanup_job.report import document, html, json_lines, markdown, table
from cleanup_job.report.outcome import EXAMPLES, Reason, Report, TaskOutcome, Verdict

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
HOSTILE = "</script><script>alert(1)</script> [bold]x[/] | `y` \u2028 \"'"


def outcome(n: int = 0, verdict: Verdict = Verdict.DELETED, reason: Reason | None = None, **more: object) -> TaskOutcome:
    return TaskOutcome(TaskId(f"{n:032x}"), f"exp {n}", "team/a", "p1", verdict, reason, **more)  # type: ignore[arg-type]


def report(*outcomes: TaskOutcome, **more: object) -> Report:
    made = Report("1.0", False, MOMENT, MOMENT, "http://api:8008", "http://web:8080", MOMENT, len(outcomes), **more)  # type: ignore[arg-type]
    for one in outcomes:
        made.add(one)
    return made


def shown(made: Report, width: int = 100) -> str:
    stream = io.StringIO()
    table.render(made, Console(file=stream, width=width, no_color=True))
    return stream.getvalue()


def test_the_sum_counts_what_goes_and_what_stays() -> None:
    made = report(
        outcome(1, models=2, files=5, bytes=10),
        outcome(2, Verdict.KEPT, Reason.UNKNOWN_STORE, unknown_stores=(("s3://b", 3),)),
        outcome(3, Verdict.FAILED, Reason.FILE_ERROR),
        outcome(4, Verdict.NOT_OURS, Reason.PUBLIC),
    )
    row = made.total()
    assert (row.tasks, row.models, row.files, row.bytes, row.kept, row.failed, row.not_ours) == (1, 2, 5, 10, 1, 1, 1)
    assert made.unknown_stores == {"s3://b": 3}


def test_examples_are_bounded_and_counts_are_not() -> None:
    made = report(*(outcome(n, Verdict.KEPT, Reason.CHANGED) for n in range(EXAMPLES + 50)))
    entry = made.reasons[Reason.CHANGED]
    assert (entry.count, len(entry.examples)) == (EXAMPLES + 50, EXAMPLES)


def test_each_unknown_store_is_named_once_with_the_setting_to_add() -> None:
    stores = (("https://old.example", 2), ("s3://bucket", 1))
    text = shown(report(*(outcome(n, Verdict.KEPT, Reason.UNKNOWN_STORE, unknown_stores=stores) for n in range(3))), 300)
    assert text.count("unknown store https://old.example: 6 files") == 1
    assert "CLEANUP_FILES_URL_PREFIXES=https://old.example" in text
    assert text.count("unknown store s3://bucket: 3 files") == 1
    assert "CLEANUP_UNKNOWN_STORES=delete_record" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits_the_terminal_and_takes_names_as_text(width: int) -> None:
    made = report(TaskOutcome(TaskId("a" * 32), HOSTILE, HOSTILE, "p", Verdict.FAILED, Reason.FILE_ERROR, HOSTILE))
    text = shown(made, width)
    assert "[bold]x[/]" in "".join(text.split("\n"))
    assert max(len(line) for line in text.splitlines() if "http" not in line) <= width


def test_a_dry_run_says_would() -> None:
    made = report(outcome(files=1))
    made.dry_run = True
    text = shown(made)
    assert "would delete" in text
    assert "Dry run: would delete 1 tasks" in text


@given(st.text(), st.text())
def test_a_log_line_is_one_line_and_json(name: str, detail: str) -> None:
    one = TaskOutcome(TaskId("a" * 32), name, "p", "i", Verdict.KEPT, Reason.CHANGED, detail)
    line = json_lines.dumps(json_lines.task(one, report(one)))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["name"] == name


@given(st.lists(st.text(min_size=1, max_size=60), max_size=200), st.text(max_size=5000))
def test_the_termination_message_is_what_kubernetes_keeps(stores: list[str], error: str) -> None:
    made = report(outcome(1, Verdict.KEPT, Reason.UNKNOWN_STORE, unknown_stores=tuple((s, 1) for s in stores)), error=error)
    text = document.termination_message(made)
    assert len(text.encode()) <= document.TERMINATION_BYTES
    assert len(text.splitlines()) == 1
    assert json.loads(text)["kept"] == 1


@given(st.text(max_size=80))
def test_the_page_holds_text_as_data_only(name: str) -> None:
    hostile = name + HOSTILE
    made = report(TaskOutcome(TaskId("a" * 32), hostile, hostile, "p", Verdict.KEPT, Reason.CHANGED, hostile))
    page = html.render(document.as_document(made))
    data = page.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["reasons"][0]["examples"][0]["name"] == hostile
    assert page.count("<script") == 2


def test_the_page_loads_nothing() -> None:
    page = html.render(document.as_document(report(outcome())))
    assert "default-src 'none'" in page
    assert not [word for word in ("src=", "@import", "url(") if word in page]


def test_markdown_takes_names_as_text() -> None:
    made = report(TaskOutcome(TaskId("a" * 32), "a|b *c*\n# d", "p|q", "p", Verdict.KEPT, Reason.CHANGED))
    text = markdown.render(document.as_document(made))
    assert "a\\|b \\*c\\* \\# d" in text
    assert "p\\|q" in text


@pytest.mark.parametrize("ending", ["json", "html", "md"])
def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / f"report.{ending}"
    document.write(report(outcome()), target)
    before = target.read_text(encoding="utf-8")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        document.write(report(outcome(), outcome(2)), target)
    assert target.read_text(encoding="utf-8") == before


def test_another_ending_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ends in .json, .html or .md"):
        document.write(report(), tmp_path / "report.pdf")
