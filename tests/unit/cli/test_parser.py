"""Help that people can take in, and what is said of a mistyped name."""

import os
import pty
import shlex
import subprocess
import sys

import pytest

from cleanup_job.cli.flags import OF_A_PASS
from cleanup_job.cli.main import COMMANDS, EXAMPLES, PROGRAM, _load, filled_parsers, main
from cleanup_job.cli.parser import WIDTH, Parser
from cleanup_job.settings.model import TABLE

PARSER, PARSERS = filled_parsers()


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    return capsys.readouterr().out


def error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    out = capsys.readouterr()
    assert not out.out
    return out.err


# -- help
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns(name: str) -> None:
    parser = PARSERS.get(name, PARSER)
    assert [line for line in parser.format_all_help().splitlines() if len(line) > WIDTH] == []
    assert len(parser.format_help()) <= len(parser.format_all_help())


def test_the_help_of_a_pass_shows_what_many_need_and_all_of_it_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    short, whole = printed(capsys, "run", "--help"), printed(capsys, "run", "--help-all")
    shown = [name for name in OF_A_PASS if not TABLE[name].secret]
    for name in shown:
        assert (f"[{TABLE[name].env}]" in short) is not TABLE[name].rare, name
        assert f"[{TABLE[name].env}]" in whole, name
    assert 10 <= sum(not TABLE[name].rare for name in shown) <= 25
    assert "--help-all" in short
    assert "Schedule:" not in short, "a heading without a flag below it"


@pytest.mark.parametrize(("name", "often"), [("enqueue", "--queue"), ("register", "--task-name"), ("sweep", "--store")])
def test_what_a_command_is_about_is_not_rare_there(name: str, often: str) -> None:
    assert f"\n  {often} " in PARSERS[name].format_help()


def test_all_help_is_offered_only_where_something_is_left_out() -> None:
    assert {name for name, own in PARSERS.items() if "--help-all" in own.flags} == {
        name for name, own in PARSERS.items() if own.has_rare_flags
    }
    assert "--help-all" not in PARSERS["status"].flags


@pytest.mark.parametrize(
    "text",
    [
        "(default: 30) [CLEANUP_DELETE_THRESHOLD_DAYS]",
        "(default: false) [CLEANUP_FORCE_DELETE]",
        "Default: all. [CLEANUP_USERS]",
        "(default: none) [CLEANUP_REPORT]",
        "--protect-linked-artifacts {all,pipelines,off}",
        "Choices: created, queued, in_progress, stopped, completed, failed, closed, publishing, published, unknown.",
        "(default: 0.5) [CLEANUP_SWEEP_REFUSE_ABOVE]",
    ],
)
def test_choices_and_defaults_are_said(text: str) -> None:
    said = " ".join((PARSERS["run"].format_all_help() + PARSERS["sweep"].format_all_help()).split())
    assert text in said


def test_a_flag_is_not_broken_at_its_hyphens() -> None:
    parser = Parser("x")
    parser.add_argument("--a", help="word " * 8 + "--a-flag-with-a-long-name-that-does-not-fit-into-this-line")
    assert "--a-flag-with-a-long-name-that-does-not-fit-into-this-line" in parser.format_help()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples_that_it_understands(name: str) -> None:
    assert _load(name).EXAMPLES
    for line, what in (*EXAMPLES, *_load(name).EXAMPLES):
        command = line.removeprefix("source <(").partition(" > ")[0].rstrip(")")
        program, *words = shlex.split(command)
        assert program == PROGRAM
        assert PARSER.parse_args(words).command == words[0]
        assert what
    assert "\nexamples:\n  " in PARSERS[name].format_help()


# -- what was probably meant
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "unknown command rnu; did you mean run?"),
        (["enqueu", "--projects", "a"], "unknown command enqueu; did you mean enqueue?"),
        (["frobnicate"], "unknown command frobnicate; `clearml-cleanup --help` lists them all."),
        (["run", "--dryrun"], "unknown flag --dryrun; did you mean --dry-run?"),
        (["--dryrun"], "unknown flag --dryrun; did you mean --dry-run?"),
        (["run", "--exclude-project=secret"], "unknown flag --exclude-project; did you mean --exclude-projects?"),
        (["run", "--frobnicate"], "unknown flag --frobnicate; `clearml-cleanup run --help-all` lists them all."),
        (["status", "--frobnicate"], "unknown flag --frobnicate; `clearml-cleanup status --help` lists them all."),
        (["run", "--force-delete", "true"], "unexpected argument true"),
        (["status", "--output", "xml"], "invalid choice: 'xml' (choose from"),
    ],
)
def test_a_mistyped_name_is_an_error_that_says_what_was_meant(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    text = error(capsys, *words)
    assert said in text
    assert "secret" not in text
    assert len(text.splitlines()) == 1, "no usage in which the message gets lost"


def test_a_flag_is_never_completed_by_guessing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean --force-delete?" in error(capsys, "run", "--force-del")


# -- without arguments
WITHOUT_SETTINGS = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "CLEANUP_"))} | {
    "HOME": "/nonexistent"
}


def on_terminal(command: list[str]) -> tuple[int, str]:
    """The exit code and the output of a program whose input and output are a terminal."""
    here, there = pty.openpty()
    done = subprocess.run(
        command, stdin=there, stdout=there, stderr=subprocess.STDOUT, check=False, timeout=60, env=WITHOUT_SETTINGS
    )
    os.close(there)
    text = b""
    try:
        while chunk := os.read(here, 65536):
            text += chunk
    except OSError:  # Linux's way to say that nobody writes there any more
        pass
    os.close(here)
    return done.returncode, text.decode()


def test_on_a_terminal_the_name_alone_prints_help_and_deletes_nothing() -> None:
    code, text = on_terminal([sys.executable, "-m", "cleanup_job"])
    assert code == 0
    assert text.replace("\r\n", "\n") == PARSER.format_help()


def test_half_a_terminal_is_none() -> None:
    here, there = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "cleanup_job"], stdin=there, capture_output=True, text=True, check=False, timeout=60,
        env=WITHOUT_SETTINGS,
    )  # fmt: skip
    os.close(there)
    os.close(here)
    assert done.returncode == 2, "a pass was started, which has no settings here"
    assert "CLEARML_API_HOST" in done.stderr
