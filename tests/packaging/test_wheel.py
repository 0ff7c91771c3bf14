"""The wheel installs and runs in an empty environment."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def call(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clear = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML_", "CLEANUP_", "PYTHON"))}
    return subprocess.run(
        [str(word) for word in command], env=clear | environ, capture_output=True, text=True, check=False, timeout=600, cwd="/"
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    done = call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and its pinned requirements, and nothing else."""
    folder = tmp_path_factory.mktemp("venv") / "empty"
    uv = Path(sys.executable).parent / "uv"
    for command in (
        (uv, "venv", "--quiet", "--python", sys.executable, folder),
        (uv, "pip", "install", "--quiet", "--system-certs", "--python", folder / "bin" / "python", "--require-hashes", "-r",
         ROOT / "requirements" / "runtime.txt"),
        (uv, "pip", "install", "--quiet", "--system-certs", "--python", folder / "bin" / "python", "--no-deps", wheel),
    ):  # fmt: skip
        done = call(*command)
        assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_the_wheel_holds_the_packages_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "cleanup_job/py.typed",
        "cleanup_job/passes/cleanup.py",
        "cleanup_job/report/templates/report.css",
        "cleanup_job/report/templates/report.html.j2",
        "cleanup_job/report/templates/report.js",
        "cleanup_job/report/templates/report.md.j2",
        "clearml_sandbox/server.py",
    } <= set(names)
    elsewhere = [
        name for name in names if name.split("/")[0] not in {"cleanup_job", "clearml_sandbox"} and ".dist-info" not in name
    ]
    assert elsewhere == ["clearml_cleanup-0.1.0.data/data/share/man/man1/clearml-cleanup.1"]
    assert not [name for name in names if name.endswith(".1") and name not in elsewhere]
    metadata = zipfile.ZipFile(wheel).read(next(n for n in names if n.endswith("METADATA"))).decode()
    assert "Requires-Python: >=3.11" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert "Project-URL: Repository, https://" in metadata


def test_it_runs_without_the_extras(empty: Path) -> None:
    assert call(empty / "clearml-cleanup", "version").stdout.strip() == "0.1.0"
    helped = call(empty / "clearml-cleanup", "--help")
    assert helped.returncode == 0
    assert all(command in helped.stdout for command in ("run", "settings", "demo", "sandbox", "version"))
    assert "CLEANUP_FORCE_DELETE" in call(empty / "clearml-cleanup", "run", "--help").stdout.replace("\n", "")


def test_without_settings_it_says_what_is_missing(empty: Path, tmp_path: Path) -> None:
    done = call(empty / "python", "-m", "cleanup_job", HOME=str(tmp_path))
    assert done.returncode == 2
    assert "CLEARML_API_HOST, CLEARML_API_ACCESS_KEY, CLEARML_API_SECRET_KEY not set" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_without_the_sandbox_extra_it_says_what_to_install(empty: Path, command: str) -> None:
    done = call(empty / "clearml-cleanup", command)
    assert done.returncode == 2
    assert "clearml-cleanup[sandbox]" in done.stderr
    assert "Traceback" not in done.stderr
