"""The fenced blocks of the guides, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "guides").glob("*.md"))
TITLE = re.compile(r"# ([\w-]+\.yaml)\n")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def title(self) -> str:
        """The name of the file that it is, from its first line; empty where it has none."""
        found = TITLE.match(self.text)
        return found[1] if found else ""


@dataclass(frozen=True)
class Command:
    """One line of a shell: the programs of a pipeline with their arguments, and the file that its output goes to."""

    programs: tuple[tuple[str, ...], ...]
    target: str = ""

    def __str__(self) -> str:
        return " | ".join(shlex.join(words) for words in self.programs)


def blocks_of(page: Path) -> list[Block]:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [
        Block(page.name, (token.map or [0])[0] + 1, token.info.strip(), token.content)
        for token in tokens
        if token.type in {"fence", "code_block"}
    ]


def commands_of(text: str) -> list[Command]:
    """The lines of a block of bash, continued ones as one, comments left out."""
    return [_command(line) for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def _command(line: str) -> Command:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|>&;()")
    lexer.whitespace_split = True
    programs: list[list[str]] = [[]]
    target = ""
    words = iter(lexer)
    for word in words:
        if word == "|":
            programs.append([])
        elif word == ">":
            target = next(words)
        else:
            assert not set(word) <= set("|>&;()"), f"{word}: not a simple pipeline: {line}"
            programs[-1].append(word)
    return Command(tuple(map(tuple, programs)), target)
