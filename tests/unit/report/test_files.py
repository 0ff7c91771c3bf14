"""Report files: whole ones only, in each format."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from cleanup_job.report import document, files
from cleanup_job.report.formats import CONTENT_TYPES, FORMATS
from cleanup_job.storage.destinations import FileDestination
from tests.unit.report.example_report import report


@pytest.mark.parametrize("ending", ["json", "html", "md"])
def test_a_job_killed_while_writing_leaves_the_report_before_and_no_litter(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / f"report.{ending}"
    files.write(report(), FileDestination(target))
    before = target.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        files.write(report(projects=9), FileDestination(target))
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_another_ending_is_refused_with_the_allowed_ones_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.json, \.html or \.md"):
        files.write(report(), FileDestination(tmp_path / "report.pdf"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("ending", "code"), [*((ending, 0) for ending in CONTENT_TYPES), (".pdf", 2)])
def test_the_settings_take_every_format_and_no_other(tmp_path: Path, ending: str, code: int) -> None:
    server = dict.fromkeys(("CLEARML_API_HOST", "CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY"), "http://server")
    command = [sys.executable, "-m", "cleanup_job", "settings", "--report", str(tmp_path / f"report{ending}")]
    done = subprocess.run(command, env=os.environ | server, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert code == 0 or all(known in done.stderr for known in CONTENT_TYPES)


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
