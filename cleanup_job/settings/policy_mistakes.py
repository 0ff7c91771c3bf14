"""Mistakes in the file with policies, each with its line, its field, its value and the way out."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cleanup_job.settings.mistakes import meant
from cleanup_job.settings.policy_document import FIELDS

_MAPPINGS = ("Keep", "Keep]", "TaskTags", "TaskTags]")
"""How pydantic's names end for what can be a mapping or a single value."""
_LONGEST = 60
"""Characters of a value that a message has."""
_LIST = "write a list: [one, another]"
_HINTS = {
    "missing": "it is missing; add it",
    "invalid_key": "unknown key; keys are words",
    "too_short": f"it is empty; {_LIST}, or remove it",
    "string_too_short": "it is empty; write a text, or remove it",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "tuple_type": _LIST,
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "literal_error": "write {expected}",
    "enum": "write {expected}",
    "string_too_long": "write {max_length} characters or fewer",
    "string_pattern_mismatch": "write one line, without blanks at its ends",
    "model_type": "write what belongs to it below it, each with its name, such as `after: 14d`",
}
"""The way out, by pydantic's name for a mistake."""
_WITHOUT_VALUE = frozenset({"missing", "invalid_key", "too_short", "string_too_short"})


def problems(error: ValidationError, node: yaml.Node | None) -> list[str]:
    """A line for each mistake that pydantic found in what a node of YAML says; what only follows from others is left out."""
    found = [one for one in error.errors(include_url=False) if not _is_beside(one["loc"], node)]
    said: list[tuple[int, str]] = []
    for one in found:
        if not _follows(one, found):
            loc = [part for part in one["loc"] if not _is_kind_of_union(part)]
            field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".") or "the file"
            said.append((_place(node, loc)[0], f"{field}: {_words(one, loc)}"))
    return [f"line {line}, {words}" for line, words in sorted(said)]


def _follows(one: ErrorDetails, others: Iterable[ErrorDetails]) -> bool:
    """Whether a mistake is only that of a list whose items have mistakes: pydantic counts those that have none."""
    return one["type"] == "too_short" and any(_is_within(other["loc"], one["loc"]) for other in others)


def _is_within(loc: Sequence[Any], outer: Sequence[Any]) -> bool:
    return len(loc) > len(outer) and tuple(loc[: len(outer)]) == tuple(outer)


def _words(one: ErrorDetails, loc: Sequence[Any]) -> str:
    kind, value, facts = one["type"], _shown(one["input"]), one.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; {_known(str(loc[-1]))}"
    if kind == "string_type":
        return f"{value} is not a text" + ("" if isinstance(one["input"], list | dict) else "; put it in quotes")
    if kind not in _HINTS:
        return one["msg"].removeprefix("Value error, ")
    expected = str(facts.get("expected", "")).replace("'", "")
    hint = _HINTS[kind].format_map({**facts, "expected": expected})
    if expected == "all":
        hint += ", or the rules below it, such as `last: 5`"
    return hint if kind in _WITHOUT_VALUE else f"{value}: {hint}"


def _known(key: str) -> str:
    """What to say of a key that is not known where it is."""
    homes = [home for home, keys in FIELDS.items() if key in keys]
    if homes:
        return f"it belongs to {' or '.join(homes)}"
    return meant(key, sorted({known for keys in FIELDS.values() for known in keys}), "remove it, or see the documentation")


def _shown(value: object) -> str:
    """A value as it would be written in the file, but no longer than a message can be."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _is_kind_of_union(part: object) -> bool:
    """Whether a part of a location is pydantic's name for one branch of a union, and not a key."""
    return isinstance(part, str) and (part.endswith(_MAPPINGS) or _is_plain(part))


def _is_plain(part: str) -> bool:
    return part == "bool" or part.startswith("literal[")


def _is_beside(loc: Sequence[Any], node: yaml.Node | None) -> bool:
    """Whether an error is of a branch of a union that was not meant: of a mapping where there is none, or the other way."""
    for at, part in enumerate(loc):
        if _is_kind_of_union(part):
            return isinstance(_place(node, loc[:at])[1], yaml.MappingNode) is not part.endswith(_MAPPINGS)
    return False


def _place(node: yaml.Node | None, loc: Sequence[Any]) -> tuple[int, yaml.Node | None]:
    """The line of a field, from 1, with its value; or those of the innermost part of its path that is there."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        else:
            break
    return line, node
