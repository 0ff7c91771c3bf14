"""A real ClearML Agent takes a clone of the draft from the queue, installs the package and runs a pass.

The agent comes pinned by `make test` into .venv/agent. It builds an environment of its own for the task, from the wheel of
this tree and the versions that the job's image has.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.web_ui import WebUI

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / ".venv" / "agent" / "bin" / "clearml-agent"
LONGEST = 300
"""Seconds that the agent may take; it installs the package with its requirements."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not AGENT.exists():
        reason = f"no {AGENT}: `make test` installs it"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    target = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, ROOT], check=True, capture_output=True
    )
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture
def ui(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheel: Path) -> WebUI:
    world = World(datetime.now(UTC))
    for n in range(3):
        world.task(f"exp {n}").artifact("data")
    world.task("golden", project="golden").artifact("data")
    sandbox.load(world.as_dict())
    for name in list(os.environ):
        if name.startswith(("CLEARML_", "CLEANUP_")):
            monkeypatch.delenv(name)
    for name, value in {**sandbox.environment(), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", f"clearml-cleanup @ {wheel.as_uri()}")
    return WebUI(sandbox)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agents' home: what one has installed for a requirement, the next one finds there."""
    return tmp_path_factory.mktemp("agent")


@contextmanager
def agent(sandbox: Sandbox, folder: Path) -> Iterator[None]:
    """An agent in services mode, without docker; a home of its own, and none of our settings."""
    pins = re.findall(r"^([\w.-]+==[^\s\\;]+)", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE)
    (folder / "constraints.txt").write_text("\n".join(pins))
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "CLEANUP_", "PYTHON", "PYTEST"))
    }
    environment = kept | sandbox.environment() | {"HOME": str(folder), "PIP_CONSTRAINT": str(folder / "constraints.txt")}
    words = [AGENT, "daemon", "--queue", "services", "--services-mode", "--foreground", "--cpu-only"]
    with (folder / "agent.log").open("w") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ended(ui: WebUI, folder: Path) -> dict[str, object]:
    """The run, when the agent is done with it."""
    for _ in range(LONGEST * 2):
        (run,) = ui.runs()
        if run["status"] in {"completed", "failed", "stopped"}:
            return run
        time.sleep(0.5)
    pytest.fail((folder / "agent.log").read_text()[-3000:])


def test_an_agent_runs_one_pass_with_the_clones_parameters(sandbox: Sandbox, ui: WebUI, home: Path) -> None:
    assert main(["register", "--keep-projects", "golden", "--task-allow-force-delete"]) == 0
    ui.edit("force_delete", "True")
    with agent(sandbox, home):
        assert main(["enqueue"]) == 0
        run = ended(ui, home)
    console = ui.console(sandbox, str(run["id"]))
    assert run["status"] == "completed", console[-3000:]
    assert run["status_reason"] == "worker execution done"
    assert [task["name"] for task in ui.tasks(system_tags=["archived"])] == ["golden"]
    assert '"event": "pass_finished"' in console
    assert "force_delete of task" in console, "where the value came from"
    assert {"clearml-cleanup", "agent"} <= set(run["tags"])
    assert any(path.endswith(f"{run['id']}/artifacts/report/report.html") for path in sandbox.state()["files"])
    assert ui.draft()["status"] == "created"


def test_a_wrong_parameter_fails_the_agents_run(sandbox: Sandbox, ui: WebUI, home: Path) -> None:
    assert main(["enqueue", "--force-delete"]) == 0
    (waiting,) = ui.runs()
    sandbox.store.tasks[waiting["id"]]["hyperparams"]["General"]["delete_threshold_days"]["value"] = "soon"
    with agent(sandbox, home):
        run = ended(ui, home)
    assert (run["status"], run["status_reason"]) == ("failed", "worker execution exit code 2")
    assert "General/delete_threshold_days of task" in str(run["comment"])
    assert len(ui.tasks(system_tags=["archived"])) == 4


def test_what_the_agent_could_not_install_is_told_by_the_next_job(
    sandbox: Sandbox, ui: WebUI, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEANUP_TASK_REQUIREMENT", f"clearml-cleanup @ {(home / 'missing.whl').as_uri()}")
    for name, value in {"CLEANUP_TASK": "true", "CLEANUP_TASK_MODE": "agent", "CLEANUP_RUN_AS_SERVICE": "true"}.items():
        monkeypatch.setenv(name, value)
    with agent(sandbox, home):
        assert main(["run"]) == 0
        run = ended(ui, home)
    assert "Could not install task requirements" in ui.console(sandbox, str(run["id"]))
    capsys.readouterr()
    assert main(["run"]) == 7
    said = capsys.readouterr().out
    assert f"run {run['id']}, which an agent was given before, ended before its pass began" in said
    assert [task["status"] for task in ui.runs()] == ["failed", "queued"]
    assert len(ui.tasks(system_tags=["archived"])) == 4
