"""What people read: the terminal at any width, and report files that are whole."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from rich.console import Console

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.outcome import EXAMPLES, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import document, files, formatting, table
from cleanup_job.report.formats import FORMATS

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def report(*, dry_run: bool = False, projects: int = 3) -> Report:
    made = Report("1.0", dry_run, MOMENT, MOMENT, "http://api:8008", "https://web", MOMENT + timedelta(seconds=75))
    for n in range(projects):
        ids = TaskId(f"{n:032x}")
        made.add(
            TaskOutcome(ids, f"run {n}", f"team/project {n}", f"p{n}", Verdict.DELETED, models=1, files=1200, bytes=3 << 20)
        )
    stores = (("https://old.example", 2), ("s3://bucket", 1))
    for n in range(5):
        args = (TaskId(f"{n:032d}"), f"kept {n}", "team/project 0", "p0", Verdict.KEPT, Reason.UNKNOWN_STORE, "s3://bucket (1)")
        made.add(TaskOutcome(*args, unknown_stores=stores))
    made.add(TaskOutcome(TaskId("f" * 32), "broken", "team/project 1", "p1", Verdict.FAILED, Reason.FILE_ERROR, "disk is full"))
    made.add(TaskOutcome(TaskId("e" * 32), "example", "examples", "pe", Verdict.NOT_OURS, Reason.PUBLIC))
    made.requests, made.exit_code, made.left, made.stopped_by = 42, 3, 7, StopReason.MAX_TASKS
    return made


def shown(made: Report, *, width: int = 80, terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None)
    table.render(made, console)
    return stream.getvalue()


def test_eighty_columns_hold_every_line_but_addresses_and_settings_to_copy() -> None:
    lines = shown(report(projects=40)).splitlines()
    assert not [line for line in lines if len(line.rstrip()) > 80 and "https://" not in line and "CLEANUP_" not in line]
    assert [line for line in lines if line.startswith((" total", "total"))]
    assert "and 16 more" in " ".join(lines)  # 41 projects, 25 of them with the rest summed up, and never cut silently


def test_failures_come_first_and_the_exit_code_is_explained_last() -> None:
    text = " ".join(shown(report()).split())
    assert text.index("1 task failed: it has files that could not be deleted") < text.index("5 tasks kept: each has files")
    assert text.index("5 tasks kept") < text.index("1 task skipped: it is a public example")
    assert "7 tasks are left for the next pass: the limit of CLEANUP_MAX_TASKS was reached" in text
    assert text.endswith("continues with the rest (42 requests in 1 min 15 s)")


def test_a_dry_run_never_says_deleted() -> None:
    text = shown(report(dry_run=True), width=100)
    assert text.startswith("\nDry run: would delete 3 tasks, 3 models and 3,600 files (9.0 MiB known); 5 to keep")
    assert "Deleted" not in text
    assert "  kept" not in text.split("total")[0]


def test_each_store_is_named_once_with_a_setting_that_can_be_copied_whole() -> None:
    lines = shown(report(), width=40).splitlines()
    text = "\n".join(lines)
    assert "unknown store https://old.example: 10 files" in " ".join(text.split())
    assert [line.strip() for line in lines].count("CLEANUP_FILES_URL_PREFIXES=https://old.example") == 1
    assert [line.strip() for line in lines].count("CLEARML_CONFIG_FILE=/the/clearml.conf") == 1


def test_tasks_are_links_where_the_terminal_can_and_addresses_where_it_can_not() -> None:
    address = f"https://web/projects/p1/experiments/{'f' * 32}/output/execution"
    assert f"\n    {address}\n" in shown(report())
    assert f";{address}\x1b\\" in shown(report(), terminal=True)


def test_the_json_report_says_everything_and_cuts_only_examples() -> None:
    made = report()
    for n in range(EXAMPLES + 20):
        made.add(TaskOutcome(TaskId(f"c{n:031x}"), "c", "p", "p", Verdict.KEPT, Reason.CHANGED))
    found = json.loads(json.dumps(document.as_document(made)))
    reasons = {entry["reason"]: entry for entry in found["reasons"]}
    assert reasons["changed"]["count"] == EXAMPLES + 20
    assert len(reasons["changed"]["examples"]) == EXAMPLES
    assert reasons["unknown_store"]["examples"][0]["unknown_stores"][1] == {"address": "s3://bucket", "files": 1}
    assert found["summary"]["unknown_stores"][0]["setting"] == "CLEANUP_FILES_URL_PREFIXES=https://old.example"
    assert found["summary"]["kept"] == sum(row["kept"] for row in found["projects"]) == EXAMPLES + 25
    assert (found["schema"], found["headline"][:15], found["meaning"][:12]) == (1, "Deleted 3 tasks", "done in part")


@pytest.mark.parametrize("ending", ["json", "html", "md"])
def test_a_job_killed_while_writing_leaves_the_report_before_and_no_litter(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / f"report.{ending}"
    files.write(report(), target)
    before = target.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        files.write(report(projects=9), target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_another_ending_is_refused_with_the_allowed_ones_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.json, \.html or \.md"):
        files.write(report(), tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 50, "3,072.0 TiB")]
)
def test_sizes_are_in_binary_units(number: int, text: str) -> None:
    assert formatting.size(number) == text


@pytest.mark.parametrize(("number", "text"), [(0.04, "0.0 s"), (59.4, "59.4 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")])
def test_durations_are_readable(number: float, text: str) -> None:
    assert formatting.duration(number) == text


@pytest.mark.parametrize(("ending", "code"), [*((ending, 0) for ending in FORMATS), (".pdf", 2)])
def test_the_settings_take_every_format_and_no_other(tmp_path: Path, ending: str, code: int) -> None:
    server = dict.fromkeys(("CLEARML_API_HOST", "CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY"), "http://server")
    command = [sys.executable, "-m", "cleanup_job", "settings", "--report", str(tmp_path / f"report{ending}")]
    done = subprocess.run(command, env=os.environ | server, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert code == 0 or all(known in done.stderr for known in FORMATS)


@pytest.mark.parametrize("ending", FORMATS)
def test_no_format_says_what_is_not_in_the_document(ending: str) -> None:
    found = document.as_document(report())
    del found["summary"]["selected"]
    if ending != ".json":  # a template that misspells a name fails, and does not leave a gap
        with pytest.raises((KeyError, UndefinedError)):
            FORMATS[ending].render(found)


def test_a_pass_without_a_report_file_does_not_pay_for_templates() -> None:
    code = "import sys, cleanup_job.cli.main; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
