"""No command ends with a traceback: interrupted at any moment, into a closed pipe or a full disk, with what can't be."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import cleanup_job
from cleanup_job.cli import version
from cleanup_job.cli.main import main
from cleanup_job.job import pod
from cleanup_job.storage import destinations
from clearml_sandbox.server import Fault, Request, Sandbox
from tests.harness import state

COMMAND = [sys.executable, "-m", "cleanup_job"]
SCRIPT = [sys.executable, "-c", "import sys; from cleanup_job.__main__ import main; sys.exit(main())"]
"""As pip writes the console script."""
SANDBOX = ["sandbox", "--tasks", "0", "--api-port", "0", "--files-port", "0"]


def ends(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """How a command ends."""
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=120, **options)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


def interrupted_at(module: str, folder: Path) -> dict[str, str]:
    """An environment in which whoever imports a module is interrupted just then, as by Ctrl-C."""
    (folder / "sitecustomize.py").write_text(
        textwrap.dedent(f"""
            import os, signal, sys

            class Interrupts:
                def find_spec(self, name, path=None, target=None):
                    if name == {module!r}:
                        sys.meta_path.remove(self)
                        os.kill(os.getpid(), signal.SIGINT)

            sys.meta_path.insert(0, Interrupts())
        """)
    )
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(cleanup_job.__file__).parents[1])])}


# -- interrupts
@pytest.mark.parametrize("command", [COMMAND, SCRIPT], ids=["module", "script"])
@pytest.mark.parametrize("module", ["cleanup_job.cli.main", "rich.console", "pydantic_settings", "cleanup_job.settings.model"])
def test_an_interrupt_in_an_import_is_quiet(command: list[str], module: str, tmp_path: Path) -> None:
    done = ends([*command, "settings"], env=interrupted_at(module, tmp_path), stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_interrupt_of_a_command_is_quiet(tmp_path: Path) -> None:
    done = ends([*COMMAND, "sandbox", "--tasks", "1"], env=interrupted_at("clearml_sandbox.worlds.seed", tmp_path))
    assert (done.returncode, done.stderr) == (130, "")


def test_an_interrupt_of_a_pass_that_logs_in_is_told_of(filled: Sandbox, tmp_path: Path) -> None:
    before = state(filled)
    environ = interrupted_at("clearml.backend_api.session", tmp_path) | {"CLEANUP_FORCE_DELETE": "true"}
    done = ends(COMMAND, env=environ, stdout=subprocess.PIPE)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["stopped_by"]) == (130, "SIGINT")
    assert (last["left"], last["left_at_least"]) == (0, True), "the listing was not read"
    assert state(filled) == before


def test_an_interrupt_that_a_command_lets_through_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(version, "run", interrupt)
    assert main(["version"]) == 130
    assert capsys.readouterr() == ("", "")


# -- an output that takes nothing
def test_a_closed_pipe_ends_a_pass_after_the_batches_in_progress(filled: Sandbox, tmp_path: Path) -> None:
    read, write = os.pipe()

    def close(request: Request) -> Fault | None:
        if request.call == "tasks.delete_many" and not closed:
            closed.append(request)
            os.close(read)  # whoever read the log has seen enough

        return None

    closed: list[Request] = []
    filled.fault = close
    report = tmp_path / "report.json"
    flags = ["--force-delete", "--batch-size", "2", "--workers", "1", "--report", str(report)]
    done = ends([*COMMAND, "run", *flags], stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(report.read_text())["summary"]
    assert (told["deleted"] + told["kept"], told["left"], told["stopped_by"]) == (2, 3, "output")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_full_disk_for_the_log_ends_a_pass_before_it_deletes(filled: Sandbox, form: str) -> None:
    before = state(filled)
    with Path("/dev/full").open("w") as full:
        done = ends([*COMMAND, "run", "--force-delete", "--log-format", form], stdout=full)
    assert done.returncode == 1
    if form == "json":
        assert state(filled) == before
    assert "the output can't be written: No space left on device" in done.stderr


@pytest.mark.parametrize("words", [["version"], ["settings"], ["--help"], ["--version"], SANDBOX])
def test_a_full_disk_ends_other_commands(filled: Sandbox, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = ends([*COMMAND, *words], stdout=full)
    assert done.returncode == 1
    assert "the output can't be written: No space left on device" in done.stderr


def test_a_full_disk_for_errors_changes_nothing(filled: Sandbox) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "run", "--workers", "0"], stdout=full, stderr=full, check=False, timeout=60)
    assert done.returncode == 2


def test_a_full_disk_for_the_report_is_an_error_of_its_own(
    filled: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(destinations.os, "fsync", full)
    monkeypatch.setattr(pod, "TERMINATION_LOG", Path("/dev/full"))
    assert main(["run", "--force-delete", "--report", str(tmp_path / "r.json")]) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["deleted"], last["exit_code"]) == (4, 1)
    assert "CLEANUP_REPORT=" in last["error"]
    assert "No space left on device" in last["error"]
    assert list(tmp_path.glob(".r.json.*")) == []


# -- the sandbox
@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--world", "/nope"], "--world /nope can't be read: No such file or directory"),
        (["--world", "{tmp}"], "can't be read: Is a directory"),
        (["--world", "{tmp}/text"], "is not a JSON file"),
        (["--world", "{tmp}/list.json"], "is not a world"),
        (["--world", "{tmp}/odd.json"], "is not a world"),
        (["--api-port", "{busy}"], "--api-port {busy}: Address already in use. Choose another port"),
        (["--files-port", "{busy}"], "--files-port {busy}: Address already in use"),
        (["--host", "nosuch.invalid"], "--host nosuch.invalid"),
    ],
)
def test_a_sandbox_that_can_not_be_is_told_why(flags: list[str], text: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a task, please")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "odd.json").write_text('{"tasks": [{"name": "no id"}]}')
    with socket.create_server(("127.0.0.1", 0)) as busy:
        names = {"{tmp}": str(tmp_path), "{busy}": str(busy.getsockname()[1])}
        for name, value in names.items():
            flags, text = [flag.replace(name, value) for flag in flags], text.replace(name, value)
        done = ends([*COMMAND, "sandbox", "--api-port", "0", "--files-port", "0", *flags])
    assert done.returncode == 2
    assert f"error: {text}" in done.stderr or text in done.stderr


@pytest.mark.parametrize("flags", [["--api-port", "65536"], ["--api-port", "-1"], ["--tasks", "-1"], ["--error-rate", "nan"]])
def test_a_number_that_can_not_be_is_an_error_of_usage(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", *flags])
    assert ended.value.code == 2
    assert f"argument {flags[0]}: {flags[1]} is not from 0 to" in capsys.readouterr().err


def test_a_sandbox_ends_on_an_interrupt() -> None:
    with subprocess.Popen([*COMMAND, *SANDBOX], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready:")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
