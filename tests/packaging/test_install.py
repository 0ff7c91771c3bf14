"""`requirements/install.py`: it shows its progress, and why an installation fails."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "requirements" / "install.py"


def wheel(folder: Path, name: str) -> str:
    """A package without content; gives its line in a lock."""
    path = folder / f"{name}-1-py3-none-any.whl"
    metadata = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in metadata.items():
            archive.writestr(f"{name}-1.dist-info/{file}", text)
    return f"{name}==1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without packages; pip is the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder


def install(environment: Path, lock: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(INSTALL), str(environment), str(lock), "--what", "two packages", "--no-index", *options]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | variables)


def test_a_lock_is_installed_and_its_progress_shown(tmp_path: Path, environment: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("".join(wheel(tmp_path, f"package{number}") for number in range(21)))
    done = install(environment, lock, "--find-links", str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(f"== installing two packages into {environment}: up to 21 packages\n   10 of 21: package")
    assert done.stdout.splitlines()[-1].startswith("   installed in ")
    listed = subprocess.run([environment / "bin/python", "-m", "pip", "list"], capture_output=True, text=True, check=True)
    assert "package20" in listed.stdout


def test_a_missing_environment_is_made(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(wheel(tmp_path, "package"))
    assert install(tmp_path / "new", lock, "--find-links", str(tmp_path)).returncode == 0
    assert list((tmp_path / "new").glob("lib/python3*/site-packages/package-1.dist-info"))


def test_a_failure_shows_what_pip_said(tmp_path: Path, environment: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"absent==1 --hash=sha256:{'0' * 64}\n")
    done = install(environment, lock)
    assert done.returncode == 1
    assert "No matching distribution found for absent==1" in done.stdout
    assert "absent" in (environment / "pip.log").read_text()


def test_another_file_than_the_locks_is_refused(tmp_path: Path, environment: Path) -> None:
    lock = tmp_path / "lock.txt"
    wheel(tmp_path, "other")
    lock.write_text(f"other==1 --hash=sha256:{'0' * 64}\n")
    done = install(environment, lock, "--find-links", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout.rstrip().endswith("Don't install it; look where it came from.")


def in_python(expression: str, environment: dict[str, str] | None = None) -> str:
    code = f"import sys; sys.path.insert(0, {str(INSTALL.parent)!r}); import install; print({expression})"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout.strip()


def test_an_untrusted_certificate_names_the_way_out() -> None:
    assert "PIP_CERT" in in_python("install.advice('SSLError(SSLCertVerificationError(1, CERTIFICATE_VERIFY_FAILED')")


@pytest.mark.parametrize(
    ("pip", "variables", "config", "given"),
    [
        ("pip 23.2.1 from …", {}, "", True),
        ("pip 24.1 from …", {}, "", True),
        ("pip 24.2 from …", {}, "", False),
        ("pip 26.3 from …", {}, "", False),
        ("pip 23.2.1 from …", {"PIP_CERT": "own.pem"}, "", False),
        ("pip 23.2.1 from …", {"REQUESTS_CA_BUNDLE": "own.pem"}, "", False),
        ("pip 23.2.1 from …", {}, "global.cert='own.pem'", False),
    ],
)
def test_pip_trusts_what_the_system_trusts(
    tmp_path: Path, pip: str, variables: dict[str, str], config: str, *, given: bool
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$3" = --version ] && echo "{pip}" || echo "{config}"\n')
    python.chmod(0o755)
    bundle = tmp_path / "system.pem"
    bundle.write_text("")
    found = in_python(f"install.certificates(install.Path({str(python)!r}))", {"SSL_CERT_FILE": str(bundle)} | variables)
    assert found == (str({"PIP_CERT": str(bundle)}) if given else "{}")
