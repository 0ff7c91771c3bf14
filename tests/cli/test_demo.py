"""`clearml-cleanup demo`: it tells what it does, step by step, and says where the report is."""

import re
import subprocess
import sys
from pathlib import Path


def test_the_demo_tells_a_whole_cleanup(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    words = [sys.executable, "-m", "cleanup_job", "demo", "--tasks", "300", "--report", str(report)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert re.findall(r"(\d)/7 ", said) == list("1234567")
    played = [words.split() for words in re.findall(r"^\$ clearml-cleanup (.+)$", said, re.MULTILINE)]
    assert [words[0] for words in played] == ["usage", "run", "run", "run", "explain", "audit"]
    assert "lines as written" in said
    assert "tasks in use: never touched" in said
    would = re.search(r"would delete ([\d,]+) tasks", said)
    did = re.search(r"The pass deleted ([\d,]+) tasks", said)
    assert would
    assert did
    assert would[1] == did[1] != "0"
    assert said.count("Exit code 0") == 3
    assert f"Report: {report} (open it in a browser)" in said
    assert report.read_text(encoding="utf-8").startswith("<!")


def test_a_report_that_cannot_be_written_fails_it(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "cleanup_job", "demo", "--tasks", "60", "--report", str(tmp_path / "none" / "report.html")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "Something went wrong: see above." in done.stdout
