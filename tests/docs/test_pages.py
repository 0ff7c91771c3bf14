"""What the pages say is what the code does."""

import importlib.util
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cleanup_job.cli.main import COMMANDS
from cleanup_job.exit_codes import ExitCode
from cleanup_job.planning.outcome import REASON_TEXTS, SERVERS, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, SweepReport
from cleanup_job.report import json_lines, metrics, sweep
from cleanup_job.settings.model import TABLE

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


def test_the_page_of_metrics_has_each_of_them() -> None:
    rows = re.findall(r"^\| `(clearml_\w+)` \| gauge \| (\S+) \| (\S+) \| (.+) \|$", text("docs/metrics.md"), re.MULTILINE)
    assert rows == [
        (name, metrics.unit_of(name) or "none", f"`{metric.label}`" if metric.label else "none", metric.text)
        for name, metric in metrics.METRICS.items()
    ]
    for values in (metrics.PHASES, SERVERS):
        assert all(f"`{value}`" in text("docs/metrics.md") for value in values)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))):
        if target.startswith(("http:", "https:")):
            continue
        there = page.parent / target if target else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors that Markdown's hosts make of headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    for name in re.findall(r"`((?:tests|docs|cleanup_job|benchmarks)/[\w/.-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(test_\w+\.py)`", page.read_text(encoding="utf-8")):
        assert list(ROOT.glob(f"tests/**/{name}")), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_a_page_names_exist(page: Path) -> None:
    known = {entry.env for entry in TABLE.values()}
    assert set(re.findall(r"\bCLEANUP_[A-Z_]+[A-Z]\b", page.read_text(encoding="utf-8"))) <= known


def test_the_settings_at_a_glance_have_the_defaults_of_the_model() -> None:
    table = text("README.md").split("## Settings at a glance")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`CLEANUP_.+?) \| (.+?) \|", table, re.MULTILINE)
    said = {variable: default for variables, default in rows for variable in re.findall(r"`(\w+)`", variables)}
    defaults = {entry.env: entry.default for entry in TABLE.values()}
    assert said
    for variable, default in said.items():
        match defaults[variable]:
            case None | ():
                assert default in {"none", "all"}, variable
            case bool() as value:
                assert default == str(value).lower(), variable
            case value:
                assert float(default) == value, variable


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)) <= targets


def test_exactly_the_commands_are_documented() -> None:
    table = text("docs/index.md").split("## Commands")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `clearml-cleanup (\w+)", table, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize(("page", "title"), [("README.md", "## What you see"), ("docs/index.md", "## Exit codes")])
def test_exactly_the_exit_codes_are_documented(page: str, title: str) -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", text(page).split(title)[1].split("\n## ")[0], re.MULTILINE)
    documented = [int(code) for row in rows for code in row.split(",")]
    assert sorted(documented) == sorted(ExitCode)


def test_each_promise_has_its_page_its_limits_and_its_tests() -> None:
    pages = sorted(ROOT.glob("docs/promises/*.md"))
    assert [page.name[0] for page in pages] == list("12345678")
    for page in pages:
        words = page.read_text(encoding="utf-8")
        assert words.startswith(f"# Promise {page.name[0]}: ")
        assert re.search(r"tests/\w+", words), page.name
        assert f"promises/{page.name}" in text("docs/index.md")


def test_every_reason_has_words() -> None:
    assert set(REASON_TEXTS) == set(Reason)


def test_the_log_schema_names_every_field_and_no_other() -> None:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    report = Report("1", False, moment, moment, policies="1f2e")
    outcome = TaskOutcome(TaskId("t" * 32), "n", "p", "i", Verdict.KEPT, Reason.CHANGED, policy="playground")
    made = {
        "parameters": json_lines.parameters([]),
        "not_due": json_lines.not_due("n"),
        "enqueued": json_lines.enqueued("e", "t", "q", 0),
        "pass_started": json_lines.pass_started(report),
        "expected": json_lines.expected(1),
        "selected": json_lines.selected(1),
        "task": json_lines.task(outcome, report),
        "progress": json_lines.progress(1, 2, 3.0),
        "plan": json_lines.plan("p"),
        "debug": json_lines.debug("d"),
        "warning": json_lines.warning("w"),
        "project_deleted": json_lines.project("p", dry_run=False),
        "pass_finished": json_lines.pass_finished(report),
        "orphan": sweep.orphan_line(Orphan("s", "p", outcome.task, OrphanVerdict.FOUND, 1, 1, moment)),
        "sweep_finished": sweep.finished_line(SweepReport("1", "host", delete=False, started=moment)),
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
