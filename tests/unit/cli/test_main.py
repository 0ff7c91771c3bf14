"""The table of commands: each is a module with the same two functions, imported when it is called."""

import argparse
import subprocess
import sys

import pytest

from cleanup_job.cli.main import COMMANDS, NEEDS_SANDBOX, _load, main
from cleanup_job.errors import SettingsError

SLOW = ("clearml.backend_api", "cleanup_job.wiring", "flask", "kubernetes", "pydantic", "requests", "rich", "stamina")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_module_that_adds_its_flags_and_runs(name: str) -> None:
    command = _load(name)
    command.add_arguments(argparse.ArgumentParser())
    assert callable(command.run)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: clearml-cleanup {name} " in capsys.readouterr().out


def test_help_names_all_commands_and_imports_nothing_that_is_slow() -> None:
    code = (
        "import sys; from cleanup_job.cli.main import main\n"
        "try: main(['--help'])\n"
        f"finally: print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert all(f"\n    {name} " in done.stdout for name in COMMANDS)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_the_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out == "0.1.0\n"


@pytest.mark.parametrize("name", sorted(NEEDS_SANDBOX))
def test_without_the_sandbox_the_commands_for_it_say_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"cleanup_job.cli.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "clearml_sandbox.server", None)
    with pytest.raises(SettingsError, match=r"pip install 'clearml-cleanup\[sandbox\]'"):
        _load(name)


@pytest.mark.parametrize("name", ["run", "completion"])
def test_the_help_of_a_command_does_not_wait_for_the_clients_of_servers(name: str) -> None:
    slow = ("clearml.backend_api", "kubernetes", "obstore", "flask", "rich", "jinja2")
    code = (
        "import sys; from cleanup_job.cli.main import main\n"
        f"try: main([{name!r}, '--help'])\n"
        f"finally: print([name for name in {slow} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
