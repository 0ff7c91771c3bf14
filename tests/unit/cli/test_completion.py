"""Completion, as a real shell does it."""

import subprocess

import pytest
import shtab

from cleanup_job.cli.completion import script
from cleanup_job.cli.main import COMMANDS, filled_parsers, main

ASK = """
source /dev/stdin
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
_shtab_clearml_cleanup 2> /dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def bash() -> str:
    return script("bash")


def offered(bash: str, *words: str) -> set[str]:
    """What bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in ("clearml-cleanup", *words))
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", ASK.format(words=quoted)], input=bash, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["e"], {"enqueue", "explain"}),
        (["run", "--dry"], {"--dry-run"}),
        (["run", "--unknown-st"], {"--unknown-stores"}),
        (["run", "--log-format", ""], {"auto", "json", "text"}),
        (["run", "--dry-run", "--statuses", "comp"], {"completed"}),
        (["status", "--output", "j"], {"json"}),
        (["completion", "ba"], {"bash"}),
        (["sweep", "--force"], set()),
    ],
)
def test_bash_completes(bash: str, words: list[str], offers: set[str]) -> None:
    assert {word for word in offered(bash, *words) if word.startswith(words[-1])} == offers


def test_bash_offers_every_command(bash: str) -> None:
    assert offered(bash, "") == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_bash_offers_every_flag(bash: str, name: str) -> None:
    assert offered(bash, name, "-") == set(filled_parsers()[1][name].flags)


@pytest.mark.parametrize("shell", shtab.SUPPORTED_SHELLS)
def test_each_shell_has_a_script_with_every_command_and_flag(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    for name, own in filled_parsers()[1].items():
        assert name in text
        assert [flag for flag in own.flags if flag.removeprefix("--").removeprefix("-") not in text] == []
