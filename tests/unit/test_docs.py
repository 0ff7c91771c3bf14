"""What the pages say is what the code does."""

import importlib.util
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cleanup_job import cli
from cleanup_job.paths import TaskId
from cleanup_job.report import json_lines
from cleanup_job.report.outcome import REASON_TEXTS, Reason, Report, TaskOutcome, Verdict
from cleanup_job.report.table import EXIT_CODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_settings_page_is_the_one_that_the_model_makes() -> None:
    spec = importlib.util.spec_from_file_location("generate_settings", ROOT / "docs" / "generate_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert text("docs/settings.md") == module.page(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    for name in re.findall(r"`((?:tests|docs|cleanup_job|benchmarks)/[\w/.-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_every_exit_code_and_command_is_documented() -> None:
    readme = text("README.md")
    for code in EXIT_CODES:
        assert re.search(rf"\b{code}\b", readme)
    for command in cli._COMMANDS:
        assert f"clearml-cleanup {command}" in readme + text("CHANGELOG.md") or f"`{command}`" in text("CHANGELOG.md")


def test_every_reason_has_words() -> None:
    assert set(REASON_TEXTS) == set(Reason)


def test_the_log_schema_names_every_field_and_no_other() -> None:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    report = Report("1", False, moment, moment)
    outcome = TaskOutcome(TaskId("t" * 32), "n", "p", "i", Verdict.KEPT, Reason.CHANGED)
    made = {
        "pass_started": json_lines.pass_started(report),
        "selected": json_lines.selected(1),
        "task": json_lines.task(outcome, report),
        "warning": json_lines.warning("w"),
        "pass_finished": json_lines.pass_finished(report),
    }
    page = text("docs/log-schema.md")
    assert re.findall(r"^## (\w+)", page, re.MULTILINE) == list(made)
    common = {"schema", "time", "level", "event"}
    for event, line in made.items():
        section = page.split(f"## {event}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) or [section]
        named = {field for row in rows for field in re.findall(r"`(\w+)`", row)}
        assert line.keys() - common <= named, event
        if len(rows) > 1:
            assert named == line.keys() - common, event
    assert all(f"`{reason.value}`" in page for reason in Reason)
