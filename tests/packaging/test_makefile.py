"""What `make` installs for a command, and that an installation that fails says why."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def commands(*words: str) -> str:
    """What make would run on a machine where nothing is installed."""
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("tests", "servers", "agent", "axe", "pushgateway", "prometheus"),
    [
        ("T=tests/unit/planning/test_paths.py", False, False, False, False, False),
        ("T=tests/unit -k paths", False, False, False, False, False),
        ("T=tests/stores/test_objects.py", True, False, False, False, False),
        ("T=tests/agent", False, True, False, False, False),
        ("T=tests/browser", False, False, True, False, False),
        ("T=tests/metrics", False, False, False, True, False),
        ("T=tests/alerts", False, False, False, False, True),
        ("T=tests", True, True, True, True, True),
        ("T=", True, True, True, True, True),
    ],
)
def test_only_what_the_tests_need_is_installed(
    tests: str, *, servers: bool, agent: bool, axe: bool, pushgateway: bool, prometheus: bool
) -> None:
    run = commands("test", tests)
    assert "requirements/dev.txt" in run
    assert ("--prefix .venv/azurite" in run) is servers
    assert ("--prefix .venv/axe" in run) is axe
    assert ("cd requirements/gcs" in run) is servers
    assert ("cd requirements/pushgateway" in run) is pushgateway
    assert ("download -qq" in run) is prometheus
    assert ("requirements/agent.txt" in run) is agent


def test_one_test_is_run_alone_and_all_are_measured() -> None:
    assert "-m pytest tests/unit -k paths\n" in commands("test", "T=tests/unit -k paths")
    assert "--cov" in commands("test")


def test_the_demo_needs_no_development_tools() -> None:
    run = commands("demo")
    assert "requirements/sandbox.txt" in run
    assert "requirements/dev.txt" not in run


def test_npm_shows_its_errors_and_trusts_what_the_system_trusts() -> None:
    installs = [line for line in commands("test").replace("\\\n", "").splitlines() if "npm ci" in line]
    assert len(installs) == 2
    for npm in installs:
        assert "--silent" not in npm
        assert "NODE_EXTRA_CA_CERTS=" in npm


def test_uv_trusts_what_the_system_trusts() -> None:
    command = ["make", "--print-data-base", "--question", "help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert "export UV_SYSTEM_CERTS" in said or "UV_SYSTEM_CERTS = true" in said


def test_a_soak_gets_its_length_and_its_seed_and_a_pushgateway() -> None:
    run = commands("soak", "MINUTES=3", "SEED=5", "WITHOUT=kill evict")
    assert "tests/e2e/run.sh soak --minutes 3 --seed 5 --without kill evict\n" in run
    assert "cd requirements/pushgateway" in run
    assert "cd requirements/pushgateway" in commands("e2e", "SOAK_MINUTES=10")
    assert "cd requirements/pushgateway" not in commands("e2e")
