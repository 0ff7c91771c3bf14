"""No address in a record makes a pass contact a host that is not configured, nor ask for its name."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.namespace import enter_command

ROOT = Path(__file__).parents[2]


def inside(folder: Path, *arguments: str) -> dict[str, Any]:
    """What was seen of the command in a network namespace of its own."""
    enter = enter_command()
    if not enter:
        reason = "no network namespace: needs unshare and ip, and the right to use them (root, or user namespaces)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    command = [*enter, sys.executable, "-m", "tests.hostile.inside", str(folder), *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    return found


def test_the_recorder_sees_connections_and_names_of_python_and_of_rust(tmp_path: Path) -> None:
    found = inside(tmp_path, "control")
    wanted = {
        "name python.example", f"tcp {found['elsewhere']} 81", "tcp 198.51.100.9 82", "name rust.example",
        f"tcp {found['elsewhere']} 84", "tcp 198.51.100.9 85",
    }  # fmt: skip
    wanted |= {"tcp 2001:db8::9 83"} if found["ipv6"] else set()
    assert wanted == set(found["seen"])


@pytest.mark.parametrize("arguments", [("run",), ("run", "--dry-run")], ids=" ".join)
def test_a_pass_contacts_only_what_is_configured(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    found = inside(tmp_path, *arguments)
    assert found["exit"] in (0, 3), found["output"]
    configured = {found["api"], found["files"], found["store"], "name minio"}
    assert set(found["seen"]) == configured
    assert (found["objects"], sum("good" in name for name in found["tasks"])) == ((0, 0) if arguments == ("run",) else (3, 6))
