"""The pages of commands are held to the parser: each command has one, with all of its flags and no others."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanup_job.cli.main import COMMANDS, filled_parsers
from cleanup_job.cli.parser import Rare
from cleanup_job.settings.model import TABLE

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [*DOCS.parent.glob("*.md"), *DOCS.glob("**/*.md")]
PARSER, PARSERS = filled_parsers()
ALWAYS = {"-h", "--help", "--help-all"}
FLAG = r"(?<![\w-])--?[a-z][a-z-]*"


def text(name: str) -> str:
    return (DOCS / "commands" / f"{name}.md").read_text(encoding="utf-8")


def flags_of(name: str, *, settings: bool) -> set[str]:
    """The flags in a command's help: those of settings, or its own."""
    of_setting = [one for one in PARSERS[name]._actions if one.dest in TABLE and f"[{TABLE[one.dest].env}]" in str(one.help)]
    actions = of_setting if settings else [one for one in PARSERS[name]._actions if one not in of_setting]
    return {flag for one in actions if not isinstance(one.help, Rare) for flag in one.option_strings} - ALWAYS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_page_with_an_example_and_its_exit_codes(name: str) -> None:
    page = text(name)
    assert page.startswith(f"# {name}\n")
    assert re.search(rf"^```\n(?:.+\n)*?\$ .*clearml-cleanup {name}\b", page, re.MULTILINE)
    assert "xit code" in page
    assert f"[`{name}`]({name}.md)" in text("index")


def test_no_other_command_has_one() -> None:
    assert {path.stem for path in (DOCS / "commands").glob("*.md")} == {"index", *COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_names_every_flag_that_help_shows(name: str) -> None:
    page = text(name)
    assert flags_of(name, settings=False) - set(re.findall(FLAG, page)) == set()
    if flags_of(name, settings=True):
        assert "](../settings.md" in page, "where the flags of settings are"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_names_no_flag_that_is_none(name: str) -> None:
    known = {flag for own in PARSERS.values() for flag in own.flags} | {"--version", "--exclude", "--keep"}
    of_commands = [line for line in text(name).splitlines() if "kubectl" not in line and "helm " not in line]
    assert set(re.findall(FLAG, " ".join(of_commands))) <= known


def calls(page: Path) -> Iterator[tuple[str, set[str]]]:
    """Each call of the command in a page: the subcommand, and the flags with it."""
    for code in re.findall(
        r"`(clearml-cleanup [^`\n]+)`|^(?:\$ )?(clearml-cleanup .+)$", page.read_text(encoding="utf-8"), re.MULTILINE
    ):
        words = re.split(r"\s[#|>]|\)", "".join(code))[0].split()[1:]
        name = words[0] if words and not words[0].startswith("-") else "run"
        yield name, {word.partition("=")[0] for word in words if re.fullmatch(FLAG + ".*", word)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_calls_in_a_page_are_ones_that_the_command_takes(page: Path) -> None:
    for name, flags in calls(page):
        if name in COMMANDS:
            assert flags - set(PARSERS[name].flags) - {"--version"} == set(), name


def test_the_calls_are_found() -> None:
    assert sum(bool(flags) for page in PAGES for _, flags in calls(page)) > 20
