"""The texts that people read have none of the phrases in banned.toml."""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PHRASES: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("banned.toml").read_text(encoding="utf-8"))["phrase"]
PYTHON = sorted(path for package in ("cleanup_job", "clearml_sandbox") for path in (ROOT / package).rglob("*.py"))
TEXTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "helm/clearml-cleanup/values*.yaml",
        "helm/clearml-cleanup/templates/*.*",
        "k8s/**/*.yaml",
        "Makefile",
        "Dockerfile",
        ".github/**/*.md",
        ".github/**/*.yml",
        "cleanup_job/**/*.j2",
    )
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # what was said then
)


class Text(NamedTuple):
    line: int
    text: str


def strings(source: str) -> Iterator[Text]:
    """Each text of a module: docstrings, messages with the fixed parts of f-strings."""
    tree = ast.parse(source)
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            fixed = (str(value.value) if isinstance(value, ast.Constant) else "…" for value in node.values)
            yield Text(node.lineno, "".join(fixed))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield Text(node.lineno, node.value)


def comments(source: str) -> Iterator[Text]:
    """Each comment; lines that follow one another are one."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != last + 1:
            yield Text(first, " ".join(block))
            block = []
        first = first if block else token.start[0]
        last = token.start[0]
        block.append(token.string.lstrip("# "))
    if block:
        yield Text(first, " ".join(block))


def texts(path: Path) -> Iterator[Text]:
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        # Comments of several lines are read as one text.
        yield Text(1, re.sub(r"(?m)^( *)# ", r"\1  ", content))
        return
    yield from strings(content)
    yield from comments(content)


@cache
def seen(path: Path) -> tuple[Text, ...]:
    return tuple(texts(path))


@cache
def expression(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE)


def matches(phrase: dict[str, Any], text: str) -> Iterator[re.Match[str]]:
    return expression(phrase["pattern"]).finditer(text)


def found(path: Path, phrase: dict[str, Any]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line + text.count(chr(10), 0, match.start())}: {match[0]!r}; write: {phrase['instead']}"
        for line, text in seen(path)
        for match in matches(phrase, text)
    ]


def excepted(phrase: dict[str, Any]) -> set[str]:
    return {str(exception["file"]) for exception in phrase.get("exceptions", ())}


@pytest.mark.parametrize("path", [*TEXTS, *PYTHON], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_has_no_banned_phrase(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    bad = [line for phrase in PHRASES if name not in excepted(phrase) for line in found(path, phrase)]
    assert not bad, "\n" + "\n".join(bad)


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase["pattern"])
def test_a_phrase_is_found_in_its_example(phrase: dict[str, Any]) -> None:
    assert list(matches(phrase, phrase["example"]))
    assert list(matches(phrase, phrase["example"].replace(" ", "\n    ")))
    assert not list(matches(phrase, phrase.get("fine", "")))


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase["pattern"])
def test_an_exception_is_needed_and_has_its_reason(phrase: dict[str, Any]) -> None:
    for exception in phrase.get("exceptions", ()):
        assert exception["reason"]
        assert found(ROOT / exception["file"], phrase), f"{exception['file']}: not needed any more"


def test_all_texts_of_a_module_are_seen() -> None:
    source = '''"""A docstring."""
# A comment
# of two lines
def f(x):
    raise Error(f"one {x} "
                "two")  # behind
'''
    assert {text for _line, text in [*strings(source), *comments(source)]} == {
        "A docstring.", "A comment of two lines", "one … two", "behind",
    }  # fmt: skip
