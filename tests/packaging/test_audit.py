"""The audit forgives that the service of known vulnerabilities is out of reach, and nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def audit(folder: Path, answer: str, *, reads: bool = True) -> subprocess.CompletedProcess[str]:
    """The script beside a pip-audit that answers this."""
    (folder / "answer").write_text(answer)
    tool = folder / "pip-audit"
    dry_run = "exit 0" if reads else "echo no hash >&2; exit 1"
    tool.write_text(f'#!/bin/sh\ncase "$*" in *--dry-run*) {dry_run};; esac\ncat "{folder}/answer"\n')
    tool.chmod(0o755)
    python = folder / "python"
    python.symlink_to(sys.executable)
    script = shutil.copy(ROOT / "requirements" / "audit.py", folder)
    return subprocess.run([python, script, "a.txt"], capture_output=True, text=True, check=False)


def dependencies(**vulnerable: bool | None) -> str:
    """None: unknown to the service."""
    entries = []
    for name, has in vulnerable.items():
        found = (
            {"skip_reason": "not found"} if has is None else {"vulns": [{"id": "X-1", "fix_versions": ["2"]}] if has else []}
        )
        entries.append({"name": name, "version": "1"} | found)
    return json.dumps({"dependencies": entries})


def test_what_is_known_to_be_vulnerable_fails(tmp_path: Path) -> None:
    done = audit(tmp_path, dependencies(a=True, b=False))
    assert (done.returncode, done.stdout) == (1, "a.txt: a 1 has X-1; fixed in 2\n")


def test_nothing_found_says_nothing(tmp_path: Path) -> None:
    done = audit(tmp_path, dependencies(a=False))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("answer", ["", dependencies(a=None)])
def test_a_service_out_of_reach_is_told_in_one_line(tmp_path: Path, answer: str) -> None:
    done = audit(tmp_path, answer)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert "not checked" in done.stdout


def test_packages_that_the_service_does_not_know_are_counted(tmp_path: Path) -> None:
    done = audit(tmp_path, dependencies(a=False, b=None))
    assert (done.returncode, done.stdout) == (0, "vulnerabilities: 1 of 2 packages are unknown to the service\n")


def test_a_lock_that_cannot_be_read_is_no_missing_service(tmp_path: Path) -> None:
    done = audit(tmp_path, "", reads=False)
    assert (done.returncode, done.stdout) == (1, "a.txt: no hash\n")
