"""The file with policies, read with line numbers. What is wrong is an error with its line and field."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cleanup_job.settings.policy_document import PolicyDocument

LARGEST = 1_000_000
"""Bytes that the file may have."""
_MAPPINGS = frozenset({"Keep", "TaskTags"})
"""Pydantic's names for what can be a mapping or a single value."""


def read(path: Path) -> PolicyDocument:
    """The file at a path.

    Raises:
        ValueError: it can't be read, or is not a file with policies; the message names each line and field.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        message = f"the file can't be read: {error.strerror}; use the path of a YAML file with policies"
        raise ValueError(message) from None
    if len(content) > LARGEST:
        message = f"the file is larger than {LARGEST:,} bytes; use the path of a YAML file with policies"
        raise ValueError(message)
    return _parsed(content)


@cache
def _parsed(content: bytes) -> PolicyDocument:
    try:
        text = content.decode()
        node = yaml.compose(text, Loader=yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader)
        _refuse_doubles(node)
        document = yaml.safe_load(text)
    except UnicodeDecodeError:
        message = "the file is not a text in UTF-8"
        raise ValueError(message) from None
    except yaml.YAMLError as error:
        raise ValueError(_not_yaml(error)) from None
    if not isinstance(document, dict):
        message = "the file has no policies; it begins with `policies:` and a list of them"
        raise ValueError(message)  # noqa: TRY004 -- pydantic reports ValueError as a validation error
    try:
        return PolicyDocument.model_validate(document)
    except ValidationError as error:
        raise ValueError("\n".join(_problems(error, node))) from None


def _not_yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark is not None else ""
    return f"{where}the file is not YAML: {getattr(error, 'problem', None) or error}"


def _refuse_doubles(node: yaml.Node | None, path: str = "") -> None:
    """YAML's loader takes the last of two equal keys, silently."""
    if isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            _refuse_doubles(item, f"{path}[{at}]")
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            where = f"{path}.{name}".lstrip(".")
            if name in seen:
                message = f"line {key.start_mark.line + 1}, {where}: this key is there twice; remove one of them"
                raise ValueError(message)
            seen.add(name)
            _refuse_doubles(value, where)


def _problems(error: ValidationError, node: yaml.Node | None) -> Iterable[str]:
    for one in error.errors(include_url=False, include_context=False):
        if _is_beside(one["loc"], node):
            continue
        loc = [part for part in one["loc"] if not _is_kind_of_union(part)]
        text = one["msg"].removeprefix("Value error, ")
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".") or "the file"
        known = "unknown key; see the documentation for those that there are" if one["type"] == "extra_forbidden" else text
        yield f"line {_place(node, loc)[0]}, {field}: {known}"


def _is_kind_of_union(part: object) -> bool:
    """Whether a part of a location is pydantic's name for one branch of a union, and not a key."""
    return isinstance(part, str) and (part in _MAPPINGS or _is_plain(part))


def _is_plain(part: str) -> bool:
    return part == "bool" or part.startswith("literal[")


def _is_beside(loc: Sequence[Any], node: yaml.Node | None) -> bool:
    """Whether an error is of a branch of a union that was not meant: of a mapping where there is none, or the other way."""
    for at, part in enumerate(loc):
        if _is_kind_of_union(part):
            return isinstance(_place(node, loc[:at])[1], yaml.MappingNode) is not (part in _MAPPINGS)
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
