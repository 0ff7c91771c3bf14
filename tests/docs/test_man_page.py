"""The man page is what the parser makes, in a form that `man` reads."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from cleanup_job.cli.main import COMMANDS, filled_parsers
from cleanup_job.exit_codes import ExitCode
from cleanup_job.settings.model import TABLE

ROOT = Path(__file__).resolve().parents[2]
REQUESTS = {".B", ".RE", ".RS", ".SH", ".SS", ".TH", ".TP", ".UE", ".UR"}


@pytest.fixture(scope="module")
def made() -> str:
    spec = importlib.util.spec_from_file_location("generate_man_page", ROOT / "docs" / "generate_man_page.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.page())


@pytest.fixture
def text(made: str) -> str:
    """The page as it is read."""
    return re.sub(r"\\f.|\\,|\\/", "", made).replace("\\-", "-")


def test_it_is_the_one_that_is_kept(made: str) -> None:
    assert (ROOT / "cleanup_job" / "cli" / "clearml-cleanup.1").read_text(encoding="utf-8") == made, "run `make man`"


def test_it_has_the_sections_of_a_man_page(made: str) -> None:
    assert made.startswith('.TH CLEARML\\-CLEANUP "1" ""')
    found = re.findall(r"^\.SH\s+(.+)$", made, re.MULTILINE)
    assert found == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "DISTRIBUTION"]
    assert r"clearml\-cleanup \- delete archived ClearML tasks" in made, "the line that `man -k` searches"


def test_no_line_of_text_is_taken_for_a_request(made: str) -> None:
    assert {line.split()[0] for line in made.splitlines() if line.startswith((".", "'"))} <= REQUESTS
    assert made.count(".RS") == made.count(".RE")


def test_it_has_every_command_flag_and_exit_code(text: str) -> None:
    assert re.findall(r"^\.SS clearml-cleanup (\w+)$", text, re.MULTILINE) == list(COMMANDS)
    for name, own in filled_parsers()[1].items():
        section = text.partition(f".SS clearml-cleanup {name}\n")[2].partition("\n.S")[0]
        flags = set(own.flags) - {"-h", "--help", "--help-all"}
        if name in {"settings", "register", "enqueue", "explain", "forecast", "policies"}:
            assert "It takes the flags of `clearml-cleanup run` for settings, too." in section
            flags -= {flag for flag in flags if flag.replace("--no-", "--") in {entry.flag for entry in TABLE.values()}}
        assert flags <= set(re.findall(r"--?[\w-]+", section)), name
    assert all(f"\n.TP\n{code:d}\n{code.text}\n" in text for code in ExitCode)
